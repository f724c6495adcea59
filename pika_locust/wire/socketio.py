"""A Socket.IO client (Engine.IO 4 over WebSocket) in the event loop, without a greenlet for each connection.

Everything that arrives is handed on from the event loop's own callback, so a handler must not block. Events are told
apart by their first bytes; their JSON is never parsed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from gevent import get_hub

from pika_locust.clock import monotonic_ns
from pika_locust.wire import websocket
from pika_locust.wire import websocket_protocol as frames
from pika_locust.wire.socketio_protocol import Counts, Handler, SocketIoProtocol
from pika_locust.wire.tracing import TraceSampler
from pika_locust.wire.websocket import Close, Limits, WebSocket

PATH = "/socket.io/"


class SocketIo(SocketIoProtocol):
    """One connection with any number of namespaces, made by `connect`; ends with `Handler.on_close`.

    What it can send is in `SocketIoProtocol`; its own `on_…` methods are for the WebSocket below.
    """

    __slots__ = ("_dismissed_by_server", "_heard_ns", "_socket", "_timer", "opened_ns")

    def __init__(self, handler: Handler, counts: Counts | None = None) -> None:
        super().__init__(handler, counts)
        self._socket: WebSocket | None = None
        self._dismissed_by_server = False
        self._heard_ns = 0
        self._timer: Any = None
        self.opened_ns = 0
        """The monotonic clock when the server's open packet was read; 0: not yet."""

    def attach(self, socket: WebSocket, open_s: float) -> None:
        """Begin on a connected WebSocket, whose handler this is; the open packet must come within `open_s` seconds."""
        self._socket = socket
        self._arm(open_s)

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent; says nothing of namespaces."""
        return self._socket is not None and self._socket.is_open

    @property
    def received_ns(self) -> int:
        """The monotonic clock when bytes last came in; in a handler's method, when those came that it is about."""
        return 0 if self._socket is None else self._socket.received_ns

    def close(self, code: int = frames.NORMAL, reason: str = "") -> None:
        """Leave every namespace and begin the closing handshake."""
        self._leave_all()
        self._disarm()
        if self._socket is not None:
            self._socket.close(code, reason)

    def abort(self, error: str = "given up by the user") -> None:
        """Drop the connection at once, as a phone does that loses its network."""
        if self._socket is not None:
            self._socket.abort(error)

    # Called by SocketIoProtocol and by the WebSocket

    def _write(self, message: bytes) -> bool:
        return self._socket is not None and self._socket.send(message)

    def _dismissed(self) -> None:
        if self._socket is not None and self._socket.is_open:
            self._dismissed_by_server = True
            self._disarm()
            self._socket.close()

    def on_internal_error(self, error: BaseException) -> None:
        """The handler raised."""
        self._handler.on_internal_error(error)

    def on_close(self, close: Close) -> None:
        """The WebSocket is over."""
        self._disarm()
        self._over()
        self._handler.on_close(replace(close, by_us=False) if self._dismissed_by_server else close)

    # Time-outs: one timer a connection, which is set anew only when it fires

    def _heard(self, at_ns: int) -> None:
        self._heard_ns = at_ns
        if not self.opened_ns:
            self.opened_ns = at_ns
            if self.opening is not None and self.is_open:
                self._arm(self.opening.silence_s)

    def _arm(self, after_s: float) -> None:
        self._disarm()
        self._timer = get_hub().loop.timer(after_s)
        self._timer.start(self._check_silence, update=True)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _check_silence(self) -> None:
        """A server that lives sends a ping within its interval, and a time-out later at the latest (Engine.IO 4)."""
        self._disarm()
        if self.opening is None:
            self.abort("the server sent no open packet")
            return
        left_s = self.opening.silence_s - (monotonic_ns() - self._heard_ns) / 1e9
        if left_s > 0:
            self._arm(left_s)
        else:
            self.counts.ping_timeouts += 1
            self.abort(f"the server sent no ping for {self.opening.silence_s:g} s")


def endpoint(url: str, path: str = PATH) -> str:
    """Where a server's Socket.IO is: `https://host/prefix` is `wss://host/prefix/socket.io/?EIO=4&transport=websocket`.

    A URL that names an Engine.IO version in its query is taken as it is.
    """
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if "EIO=" in parts.query:
        return urlunsplit(parts._replace(scheme=scheme))
    query = "&".join(filter(None, ("EIO=4&transport=websocket", parts.query)))
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + path, query, ""))


def connect(
    url: str,
    handler: Handler,
    *,
    path: str = PATH,
    headers: Mapping[str, str] | None = None,
    counts: Counts | None = None,
    limits: Limits | None = None,
    verify: bool = True,
    ca_file: str | None = None,
    source_address: str | None = None,
    tracer: TraceSampler | None = None,
    name: str = "connect",
) -> SocketIo:
    """Open a connection to a server (see `endpoint`); waits for the WebSocket's handshake in the caller's greenlet.

    Then `open` its namespaces. `counts` may be shared by many connections. The rest is as for `websocket.connect`:
    `tracer` is about the handshake, as events have no headers. Raises `websocket_handshake.ConnectError`, and
    ValueError for a URL that is none.
    """
    limits = limits or Limits()
    client = SocketIo(handler, counts)
    socket = websocket.connect(
        endpoint(url, path),
        client,
        headers=headers,
        limits=limits,
        verify=verify,
        ca_file=ca_file,
        source_address=source_address,
        tracer=tracer,
        name=name,
    )
    client.attach(socket, limits.connect_s)
    return client
