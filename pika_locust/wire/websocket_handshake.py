"""Opening a WebSocket: address, TCP, TLS and the upgrade, with every failure named.

The upgrade itself is websocket-client's; the sockets are gevent's, patched process or not.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import gevent
import websocket
from gevent import socket as gevent_socket
from gevent.ssl import SSLContext, SSLSocket

from pika_locust.url import Url, parse_url
from pika_locust.wire.access import access_to
from pika_locust.wire.http_connection import TURN_S
from pika_locust.wire.http_dial import Address, Origin, bind_to, of_same_family
from pika_locust.wire.http_models import LOCAL_LIMITS, ErrorKind, TransportError, words_in
from pika_locust.wire.http_protocol import header_line

FailureKind = Literal["address", "local", "refused", "unreachable", "timeout", "tls", "status", "protocol", "closed"]

_SCHEMES = {"ws": "http", "wss": "https"}


CUT_OFF = "cut off before the connection was there"
"""What is told of an attempt whose greenlet was killed."""


class ConnectError(Exception):
    """A connection that did not come about.

    `kind` says in one word what failed (`local`: this machine, not the target); `status` is the HTTP status of a
    refused upgrade, else None.
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
    source_address: str | None = None,
) -> tuple[Any, str | None]:
    """A gevent socket that has been upgraded to WebSocket and from which no byte beyond the handshake was read, and
    the subprotocol that the server chose of those offered (None: none was offered).

    For `wss://` it is a gevent SSLSocket, which may hold decrypted bytes already. `timeout_s` bounds everything
    together, the look-up of the host's name included. As in browsers, a server that is offered subprotocols must
    choose one of them, and another server none (RFC 6455, section 4.1).

    A user and a password in the URL go as basic authentication, unless `headers` have an Authorization. What the run's
    settings say of the target (`wire.access`) takes the place of `verify`, and its headers go along. `source_address`
    is an address of this machine to send from.

    Raises ConnectError, and ValueError for a URL that is none, for a header that cannot be sent or is the upgrade's
    own, and for a `ca_file` without certificates.
    """
    target = parse_url(url, "ws", "wss")
    origin = _shared_origin(f"{_SCHEMES[target.scheme]}://{target.authority}")
    access = access_to(origin.host, origin.port)
    lines = _header_lines(target, access.headers, headers, subprotocols)
    trust = access.trust(ca_file or verify) if verify else access.trust(False)
    context = _tls_context(trust) if origin.scheme == "https" else None
    time_limit = gevent.Timeout(timeout_s)
    missing = "address for the host"
    sock: Any = None
    try:
        with time_limit:
            addresses = origin.addresses(timeout_s)
            if source_address is not None:
                addresses = of_same_family(addresses, source_address)
            missing = "connection"
            sock = _connect(addresses, source_address, timeout_s)
            if context is not None:
                missing = "end of the TLS handshake"
                sock = context.wrap_socket(sock, server_hostname=origin.host, do_handshake_on_connect=False)
                sock.do_handshake()
            missing = "answer to the upgrade"
            chosen = _upgrade(sock, target, lines, subprotocols)
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


_OWN = frozenset(("connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"))


def _header_lines(
    target: Url, usual: Mapping[str, str], headers: Mapping[str, str], subprotocols: Sequence[str]
) -> dict[str, str]:
    """The lines of the request that are the caller's or the target's, without their ends, by name in lower case.
    `usual` are the headers that go with everything."""
    lines = {"host": header_line("Host", target.authority).rstrip()}
    lines |= {name.lower(): header_line(name, value).rstrip("\r\n") for name, value in usual.items()}
    if target.basic_auth is not None:
        lines["authorization"] = header_line("Authorization", target.basic_auth).rstrip()
    for name, value in headers.items():
        known = name.lower()
        if known in _OWN:
            raise ValueError(f"{name} is the upgrade's own; leave it out")
        if known == "sec-websocket-protocol":
            raise ValueError("name the protocols as subprotocols=(…), so that the server's choice is checked")
        lines[known] = header_line(name, value).rstrip("\r\n")
    if subprotocols:
        lines["sec-websocket-protocol"] = header_line("Sec-WebSocket-Protocol", ", ".join(subprotocols)).rstrip()
    return lines


@lru_cache(maxsize=64)
def _shared_origin(base_url: str) -> Origin:
    """One for all connections to a host: its addresses are looked up once a minute, and not by every user."""
    return Origin(base_url)


@lru_cache(maxsize=16)
def _tls_context(trust: bool | str) -> SSLContext:
    """Made once: to load the system's authorities takes 10 ms, and half a megabyte that a connection would keep."""
    context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust is True:
        context.load_default_certs()
    else:
        directory = os.path.isdir(trust)
        try:
            context.load_verify_locations(None if directory else trust, trust if directory else None)
        except OSError as error:
            raise ValueError(f"ca_file={trust!r}: no certificates to trust there ({error})") from None
    return context


def _connect(addresses: Sequence[Address], source_address: str | None, seconds: float) -> Any:
    """The first address that accepts; each may use an equal part of the time."""
    failure: OSError | None = None
    for family, address in addresses:
        sock = gevent_socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if source_address is not None:
                bind_to(sock, source_address)
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


MAX_ANSWER_BYTES = 65536
"""Of the answer to the upgrade: its head, and what a refusal says."""
_TURN_READS = 1024


_LONGEST_LINE = 4096


class _AnswerReader:
    """The socket while the answer to the upgrade is read, which is done byte by byte: bounds it, and lets others go on.

    Of the kernel a line is asked for at a time, which is never more than the head of the answer.

    Raises ConnectError for an answer over the bound.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._recv = sock.recv
        self._can_peek = not isinstance(sock, SSLSocket)
        # Asked for with each byte.
        self.gettimeout = sock.gettimeout
        self._pieces: list[bytes] = []
        self._left = MAX_ANSWER_BYTES
        self._reads = 0
        self._line = b""
        self._given = 0
        """How much of the line has been handed on."""

    def recv(self, size: int) -> bytes:
        self._reads += 1
        if self._reads % _TURN_READS == 0:
            gevent.sleep(TURN_S)
        if self._given == len(self._line):
            self._line, self._given = self._read(size), 0
        data = self._line[self._given : self._given + size]
        self._given += len(data)
        return data

    def _read(self, size: int) -> bytes:
        if size == 1 and self._can_peek:
            shown = self._recv(_LONGEST_LINE, socket.MSG_PEEK)
            # What is shown is there, and one byte where nothing is: that is the end.
            size = shown.find(b"\n") + 1 or len(shown) or 1
        data: bytes = self._recv(size)
        self._pieces.append(data)
        self._left -= len(data)
        if self._left < 0:
            raise _too_much(b"".join(self._pieces))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _too_much(answer: bytes) -> ConnectError:
    """The error for an answer over the bound: a refusal that says too much is one all the same."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    status = head[len(b"HTTP/1.1 ") :][:3]
    if blank and status.isdigit():
        return _refused(int(status), body)
    return ConnectError("protocol", f"not a WebSocket answer: it exceeds {MAX_ANSWER_BYTES:,} bytes")


def _refused(status: int, body: bytes) -> ConnectError:
    said = words_in(body)
    return ConnectError("status", f"the upgrade was answered {status}{f': {said}' if said else ''}", status)


def _upgrade(sock: Any, target: Url, lines: Mapping[str, str], subprotocols: Sequence[str]) -> str | None:
    """Ask for the upgrade; websocket-client reads the answer byte by byte, and so nothing beyond it."""
    connection = websocket.WebSocket(enable_multithread=False, skip_utf8_validation=True)
    try:
        connection.connect(
            str(target),
            socket=_AnswerReader(sock),
            host=lines["host"].partition(": ")[2],
            header=[line for name, line in lines.items() if name != "host"],
            suppress_origin=True,
            redirect_limit=0,
        )
    except websocket.WebSocketException:
        redirect = connection.handshake_response
        if redirect is not None:
            onward = redirect.headers.get("location", "")
            text = f"the upgrade was answered {redirect.status}, a redirect" + (f" to {onward}" if onward else "")
            raise ConnectError("status", text, redirect.status) from None
        raise
    finally:
        # What it remembers of cookies, it would send for everybody else in this process, too.
        websocket._handshake.CookieJar.jar.clear()
        connection.sock = None
    answered = connection.handshake_response.headers
    if answered.get("sec-websocket-extensions"):
        raise ConnectError("protocol", "not a WebSocket answer: it agrees to an extension that nobody offered")
    chosen: str | None = answered.get("sec-websocket-protocol")
    if chosen is None and not subprotocols:
        return None
    if chosen not in subprotocols:
        offered = ", ".join(subprotocols) or "none"
        raise ConnectError("protocol", f"the server chose the subprotocol {chosen!r}; offered were {offered}")
    return chosen


def _named(error: BaseException) -> ConnectError | None:
    """What websocket-client and the socket raise, as one error of ours; None for what is not theirs."""
    match error:
        case ConnectError():
            return error
        case TransportError(kind=ErrorKind.CONNECT_FAILED):
            return ConnectError("address", error.text)
        case TransportError():
            return ConnectError("address", f"the host cannot be looked up: {error.text}")
        case websocket.WebSocketBadStatusException() if error.status_code is not None:
            return _refused(error.status_code, error.resp_body or b"")
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
        case OSError(errno=number) if number in LOCAL_LIMITS:
            return ConnectError("local", f"{error.strerror} ({LOCAL_LIMITS[number]})")
        case OSError():
            return ConnectError("unreachable", error.strerror or str(error))
    return None
