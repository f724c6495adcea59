"""A WebSocket client for very many connections in one process: this module is its door.

`connect` opens a connection and hands it to the event loop; `websocket_connection` is what happens then.
"""

from __future__ import annotations

import _socket
from collections.abc import Mapping

from gevent.ssl import SSLSocket

from pika_locust.wire.handshake import open_socket
from pika_locust.wire.websocket_connection import WebSocket
from pika_locust.wire.websocket_handler import Close, Handler
from pika_locust.wire.websocket_limits import Limits

__all__ = ["Close", "Handler", "Limits", "WebSocket", "connect"]


def connect(
    url: str,
    handler: Handler,
    *,
    headers: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    verify: bool = True,
    ca_file: str | None = None,
) -> WebSocket:
    """Open a connection to a `ws://` or `wss://` URL; waits for the handshake in the caller's greenlet.

    Certificates are verified unless `verify` is False; `ca_file` names other authorities. No proxy is used, no Origin
    is sent, no extension is offered. Nothing is handed to the handler before this has returned and the caller waits.

    Raises `wire.handshake.ConnectError`, which says what kind of failure it was, and ValueError for a URL or a file
    that is none.
    """
    limits = limits or Limits()
    sock = open_socket(url, headers=headers or {}, timeout_s=limits.connect_s, verify=verify, ca_file=ca_file)
    if isinstance(sock, SSLSocket):
        sock.settimeout(0.0)
        return WebSocket(sock, handler, limits)
    # A gevent socket holds two watchers and more for each connection; the bare one is all that is needed here.
    family, kind, proto = sock.family, sock.type, sock.proto
    bare = _socket.socket(family, kind, proto, sock.detach())
    bare.setblocking(False)
    return WebSocket(bare, handler, limits)
