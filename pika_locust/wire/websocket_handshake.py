"""Opening a WebSocket: address, TCP, TLS and the upgrade, with every failure named.

The upgrade itself is websocket-client's; the sockets are gevent's, patched process or not.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit

import gevent
import websocket
from gevent import socket as gevent_socket
from gevent.ssl import SSLContext

from pika_locust.wire.http_dial import Address, Origin
from pika_locust.wire.http_models import TransportError

FailureKind = Literal["address", "refused", "unreachable", "timeout", "tls", "status", "protocol", "closed"]

_SCHEMES = {"ws": "http", "wss": "https"}


class ConnectError(Exception):
    """A connection that did not come about.

    `kind` says in one word what failed; `status` is the HTTP status of a refused upgrade, else None.
    """

    def __init__(self, kind: FailureKind, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.kind: FailureKind = kind
        self.status = status


def open_socket(
    url: str,
    *,
    headers: Mapping[str, str],
    timeout_s: float,
    verify: bool = True,
    ca_file: str | None = None,
    subprotocols: Sequence[str] = (),
) -> tuple[Any, str | None]:
    """A gevent socket that has been upgraded to WebSocket and from which no byte beyond the handshake was read, and
    the subprotocol that the server chose of those offered (None: none was offered).

    For `wss://` it is a gevent SSLSocket, which may hold decrypted bytes already. `timeout_s` bounds everything
    together, the look-up of the host's name included. As in browsers, a server that is offered subprotocols must
    choose one of them.

    Raises ConnectError, and ValueError for a URL that is none and for a `ca_file` without certificates.
    """
    origin = _origin(url)
    context = _tls_context(verify, ca_file) if origin.scheme == "https" else None
    time_limit = gevent.Timeout(timeout_s)
    missing = "address for the host"
    sock: Any = None
    try:
        with time_limit:
            addresses = origin.addresses(timeout_s)
            missing = "connection"
            sock = _connect(addresses, timeout_s)
            if context is not None:
                missing = "end of the TLS handshake"
                sock = context.wrap_socket(sock, server_hostname=origin.host, do_handshake_on_connect=False)
                sock.do_handshake()
            missing = "answer to the upgrade"
            chosen = _upgrade(sock, url, headers, subprotocols)
    except BaseException as error:
        if sock is not None:
            sock.close()
        if error is time_limit or isinstance(error, TimeoutError):
            raise ConnectError("timeout", f"no {missing} within {timeout_s:g} s") from None
        failure = _named(error)
        if failure is None:
            raise
        raise failure from error
    return sock, chosen


def _origin(url: str) -> Origin:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError(f"WebSocket URL {url!r}: expected ws://host[:port][/path] or wss://…")
    return _shared_origin(f"{_SCHEMES[parts.scheme]}://{parts.netloc}")


@lru_cache(maxsize=64)
def _shared_origin(base_url: str) -> Origin:
    """One for all connections to a host: its addresses are looked up once a minute, and not by every user."""
    return Origin(base_url)


@lru_cache(maxsize=16)
def _tls_context(verify: bool, ca_file: str | None) -> SSLContext:
    """Made once: to load the system's authorities takes 10 ms, and half a megabyte that a connection would keep."""
    context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_file is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise ValueError(f"ca_file={ca_file!r}: no certificates to trust there ({error})") from None
    return context


def _connect(addresses: list[Address], seconds: float) -> Any:
    """The first address that accepts; each may use an equal part of the time."""
    failure: OSError | None = None
    for family, address in addresses:
        sock = gevent_socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(seconds / len(addresses))
            sock.connect(address)
            sock.settimeout(None)
        except BaseException as error:
            sock.close()
            if not isinstance(error, OSError):
                raise
            failure = error
        else:
            return sock
    assert failure is not None, "a name that is looked up has an address, or that fails"
    raise failure


def _upgrade(sock: Any, url: str, headers: Mapping[str, str], subprotocols: Sequence[str]) -> str | None:
    """Ask for the upgrade; websocket-client reads the answer byte by byte, and so nothing beyond it."""
    connection = websocket.WebSocket(enable_multithread=False, skip_utf8_validation=True)
    if subprotocols:
        headers = {**headers, "Sec-WebSocket-Protocol": ", ".join(subprotocols)}
    try:
        connection.connect(
            url,
            socket=sock,
            header=[f"{name}: {value}" for name, value in headers.items()],
            suppress_origin=True,
            redirect_limit=0,
        )
    except websocket.WebSocketException:
        redirect = connection.handshake_response
        if redirect is not None:
            text = f"the upgrade was answered {redirect.status}, a redirect"
            raise ConnectError("status", text, redirect.status) from None
        raise
    finally:
        # What it remembers of cookies, it would send for everybody else in this process, too.
        websocket._handshake.CookieJar.jar.clear()
        connection.sock = None
    answered = connection.handshake_response.headers
    if answered.get("sec-websocket-extensions"):
        raise ConnectError("protocol", "not a WebSocket answer: it agrees to an extension that nobody offered")
    if not subprotocols:
        return None
    chosen: str | None = answered.get("sec-websocket-protocol")
    if chosen not in subprotocols:
        offered = ", ".join(subprotocols)
        raise ConnectError("protocol", f"the server chose the subprotocol {chosen!r}; offered were {offered}")
    return chosen


def _named(error: BaseException) -> ConnectError | None:
    """What websocket-client and the socket raise, as one error of ours; None for what is not theirs."""
    match error:
        case ConnectError():
            return error
        case TransportError():
            return ConnectError("address", f"the host cannot be looked up: {error.text}")
        case websocket.WebSocketBadStatusException() if error.status_code is not None:
            body = (error.resp_body or b"")[:80]
            said = f": {body.decode(errors='replace').strip()}" if body.strip() else ""
            return ConnectError("status", f"the upgrade was answered {error.status_code}{said}", error.status_code)
        case websocket.WebSocketConnectionClosedException() | ConnectionResetError() | BrokenPipeError():
            return ConnectError("closed", "the server closed the connection during the handshake")
        case websocket.WebSocketException():
            return ConnectError("protocol", f"not a WebSocket answer: {error}")
        case ConnectionRefusedError():
            return ConnectError("refused", "connection refused")
        case ssl.SSLCertVerificationError():
            return ConnectError("tls", f"the certificate is not trusted: {error.verify_message}")
        case ssl.SSLError():
            return ConnectError("tls", f"TLS failed: {(error.reason or str(error)).lower().replace('_', ' ')}")
        case OSError(errno=errno.EMFILE | errno.ENFILE):
            return ConnectError("unreachable", f"{error.strerror} (this machine's limit: raise `ulimit -n`)")
        case OSError(errno=errno.EADDRNOTAVAIL):
            return ConnectError("unreachable", f"{error.strerror} (this machine has no free port)")
        case OSError():
            return ConnectError("unreachable", error.strerror or str(error))
    return None
