"""The opening handshake of a WebSocket, by websocket-client, with every failure named."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any, Literal

import gevent
import websocket

FailureKind = Literal["address", "refused", "unreachable", "timeout", "tls", "status", "protocol", "closed"]


class ConnectError(Exception):
    """A connection that did not come about.

    `kind` says in one word what failed; `status` is the HTTP status of a refused upgrade, else None.
    """

    def __init__(self, kind: FailureKind, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.kind: FailureKind = kind
        self.status = status


def open_socket(
    url: str, *, headers: Mapping[str, str], timeout_s: float, verify: bool = True, ca_file: str | None = None
) -> Any:
    """A socket that has been upgraded to WebSocket and from which no byte beyond the handshake was read.

    Raises ConnectError.
    """
    sslopt: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED if verify else ssl.CERT_NONE, "check_hostname": verify}
    if ca_file is not None:
        sslopt["ca_certs"] = ca_file
    connection = websocket.WebSocket(
        sslopt=sslopt,
        sockopt=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
        enable_multithread=False,
        skip_utf8_validation=True,
    )
    try:
        # websocket-client's time-out holds for each read; this one holds for all of them together.
        with gevent.Timeout(timeout_s):
            connection.connect(
                url,
                header=[f"{name}: {value}" for name, value in headers.items()],
                suppress_origin=True,
                http_no_proxy=["*"],
                redirect_limit=0,
                timeout=timeout_s,
            )
    except BaseException as error:
        _drop(connection)
        failure = _named(error, timeout_s)
        if failure is None:
            raise
        raise failure from error
    sock = connection.sock
    connection.sock = None
    return sock


def _drop(connection: Any) -> None:
    if connection.sock is not None:
        connection.sock.close()
        connection.sock = None


def _named(error: BaseException, timeout_s: float) -> ConnectError | None:
    """What websocket-client and the socket raise, as one error of ours; None for what is not theirs."""
    match error:
        case gevent.Timeout() | websocket.WebSocketTimeoutException() | TimeoutError():
            return ConnectError("timeout", f"no answer to the upgrade within {timeout_s:g} s")
        case websocket.WebSocketBadStatusException():
            body = (error.resp_body or b"")[:80]
            said = f": {body.decode(errors='replace').strip()}" if body.strip() else ""
            return ConnectError("status", f"the upgrade was answered {error.status_code}{said}", error.status_code)
        case websocket.WebSocketAddressException() | socket.gaierror():
            return ConnectError("address", f"the host cannot be looked up: {error}")
        case ConnectionRefusedError():
            return ConnectError("refused", "connection refused")
        case ssl.SSLError():
            return ConnectError("tls", f"TLS failed: {error.reason or error}")
        case websocket.WebSocketConnectionClosedException() | ConnectionResetError() | BrokenPipeError():
            return ConnectError("closed", "the server closed the connection during the handshake")
        case websocket.WebSocketException() | ValueError() | UnicodeError() | IndexError():
            return ConnectError("protocol", f"not a WebSocket answer: {error}")
        case OSError():
            return ConnectError("unreachable", error.strerror or str(error))
    return None
