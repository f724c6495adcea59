"""Opens HTTP connections: name resolution, source address, TCP and TLS, each with a time-out."""

from __future__ import annotations

import errno
import os
import socket
from _socket import socket as RawSocket
from collections.abc import Sequence
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, SOCK_STREAM, gaierror
from typing import TYPE_CHECKING, Any

import gevent
from gevent import get_hub
from gevent.socket import getaddrinfo

from pika_locust.clock import monotonic, monotonic_ns
from pika_locust.url import parse_url
from pika_locust.wire.http_connection import Connection, wait_for
from pika_locust.wire.http_models import LOCAL_LIMITS, ErrorKind, Response, Timeouts, TransportError

if TYPE_CHECKING:
    from pika_locust.wire.http_tls import Trust


ADDRESSES_LIVE_S = 60.0

Address = tuple[int, Any]
"""A socket family, and what `connect` takes for it."""


class Origin:
    """Scheme, host, port and addresses of a target, made from a base URL.

    `prefix` is the path that stands before every request's own.

    `authorization` is the header that a user and a password in the URL stand for, None without any. Share one among the
    clients of a target: the addresses of its host are looked up once a minute for all of them.

    Raises ValueError for a URL that is none (`parse_url`), or has a query.
    """

    __slots__ = ("_addresses", "_known_until", "authority", "authorization", "host", "port", "prefix", "scheme")

    def __init__(self, base_url: str) -> None:
        url = parse_url(base_url, "http", "https")
        if url.query:
            raise ValueError("a base URL has no query: it would stand in the middle of every request's URL")
        self.scheme = url.scheme
        self.host = url.host
        self.port = url.port_number
        self.prefix = url.path.rstrip("/")
        self.authority = url.authority
        self.authorization = url.basic_auth
        self._addresses = _literal(self.host, self.port)
        self._known_until = float("inf") if self._addresses else 0.0

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.prefix}"

    def addresses(self, seconds: float) -> list[Address]:
        """What to connect to, in the order to try; blocks the greenlet, at most so long, when it has to be looked up.

        Raises TransportError (dns).
        """
        if monotonic() < self._known_until:
            return self._addresses
        try:
            with gevent.Timeout(
                seconds, TransportError(ErrorKind.DNS, f"no address for {self.host} within {seconds:g} s")
            ):
                found = getaddrinfo(self.host, self.port, 0, SOCK_STREAM)
        except (gaierror, UnicodeError) as error:
            raise TransportError(ErrorKind.DNS, f"{self.host}: {getattr(error, 'strerror', None) or error}") from None
        self._addresses = list(dict.fromkeys((int(family), address) for family, _, _, _, address in found))
        self._known_until = monotonic() + ADDRESSES_LIVE_S
        return self._addresses


def _literal(host: str, port: int) -> list[Address]:
    """The address of a host that is one already."""
    try:
        version = ip_address(host).version
    except ValueError:
        return []
    return [(int(AF_INET), (host, port))] if version == 4 else [(int(AF_INET6), (host, port, 0, 0))]


_WRITE = 2
_BIND_ADDRESS_NO_PORT = 24
"""Linux's IP_BIND_ADDRESS_NO_PORT, which Python has no name for before 3.12: the port is chosen at connect, when the
kernel knows the whole pair, so that one address can have far more connections than there are free ports."""
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK)


class Connector:
    """One attempt to get a connection; afterwards, whether it succeeded or not, how long its phases took."""

    __slots__ = ("_origin", "_source_address", "_trust", "bytes_received", "bytes_sent", "connecting_ns", "tls_ns")

    def __init__(self, origin: Origin, trust: Trust, source_address: str | None) -> None:
        self._origin = origin
        self._trust = trust
        self._source_address = source_address
        self.connecting_ns = 0
        self.tls_ns = 0
        self.bytes_sent = 0
        self.bytes_received = 0

    def connect(self, timeouts: Timeouts, seconds: float, max_body_bytes: int) -> Connection:
        """A connection, TLS included, ready for its first request; `seconds` bound all phases together.

        Raises TransportError.
        """
        origin = self._origin
        source_address = self._source_address
        deadline = monotonic_ns() + int(seconds * 1e9)
        addresses = origin.addresses(min(timeouts.dns_s, seconds))
        if source_address is not None:
            addresses = of_same_family(addresses, source_address)
        began = monotonic_ns()
        try:
            raw = _connect(addresses, origin, source_address, min(timeouts.connect_s, (deadline - began) / 1e9))
        finally:
            self.connecting_ns = monotonic_ns() - began
        connection = Connection(raw, timeouts, max_body_bytes)
        if origin.scheme == "https":
            began = monotonic_ns()
            try:
                self._secure(connection, min(timeouts.tls_s, (deadline - began) / 1e9))
            except BaseException:
                connection.close()
                raise
            finally:
                self.tls_ns = monotonic_ns() - began
        return connection

    def _secure(self, connection: Connection, seconds: float) -> None:
        from pika_locust.wire.http_tls import TlsLayer, client_context

        trust = self._trust
        context = client_context(trust) if isinstance(trust, bool | str) else trust
        try:
            self.bytes_sent, self.bytes_received = connection.secure(TlsLayer(context, self._origin.host), seconds)
        except OSError as error:
            raise TransportError(ErrorKind.TLS, f"{error.strerror or error} during the handshake") from None

    def failed(self, error: TransportError, started: int) -> Response:
        """The response to a request, begun at `started`, that never got its connection."""
        now = monotonic_ns()
        stamps = (started, now, now, now, now, self.connecting_ns, self.tls_ns)
        # A new error: the one that was raised holds on to the frames it went through.
        bare = TransportError(error.kind, error.text)
        return Response(0, b"", b"", stamps, self.bytes_sent, self.bytes_received, bare)


def of_same_family(addresses: Sequence[Address], source_address: str) -> list[Address]:
    """Those of a target's addresses that can be reached from a source address. Raises TransportError for none."""
    version = ip_address(source_address).version
    wanted = socket.AF_INET if version == 4 else socket.AF_INET6
    same = [address for address in addresses if address[0] == wanted]
    if not same:
        raise TransportError(ErrorKind.CONNECT_FAILED, f"the target has no IPv{version} address for the source address")
    return same


def _connect(addresses: Sequence[Address], origin: Origin, source_address: str | None, seconds: float) -> RawSocket:
    """The first address that accepts; each may use an equal part of what is left of the time."""
    give_up = monotonic_ns() + int(seconds * 1e9)
    error: TransportError | None = None
    for tried, (family, address) in enumerate(addresses):
        share_s = (give_up - monotonic_ns()) / 1e9 / (len(addresses) - tried)
        raw: RawSocket | None = None
        try:
            raw = RawSocket(family, socket.SOCK_STREAM)
            _connect_one(raw, address, source_address, share_s)
        except OSError as failure:
            error = _connect_error(failure, origin, seconds)
            if raw is not None:
                raw.close()
        except BaseException:
            if raw is not None:
                raw.close()
            raise
        else:
            return raw
    raise error or TransportError(ErrorKind.DNS, f"{origin.host} has no address")


def bind_to(sock: Any, source_address: str) -> None:
    """Have a socket connect from an address of this machine. Raises OSError when it is none."""
    try:
        # The port is then chosen by the connection, of which there may be as many as there are targets.
        sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
    except OSError:
        pass
    sock.bind((source_address, 0))


def _connect_one(raw: RawSocket, address: object, source_address: str | None, seconds: float) -> None:
    raw.setblocking(False)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source_address is not None:
        bind_to(raw, source_address)
    code = raw.connect_ex(address)  # type: ignore[arg-type]
    if code in _UNDER_WAY:
        hub = get_hub()
        writable = hub.loop.io(raw.fileno(), _WRITE)
        try:
            if wait_for(hub, (writable,), seconds) is None:
                raise TimeoutError(errno.ETIMEDOUT, "timed out")
        finally:
            writable.close()
        code = raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _connect_error(failure: OSError, origin: Origin, seconds: float) -> TransportError:
    if isinstance(failure, ConnectionRefusedError):
        return TransportError(ErrorKind.CONNECT_REFUSED, f"{origin.authority} refused the connection")
    if isinstance(failure, TimeoutError):
        text = f"{origin.authority} did not accept within {round(seconds, 1):g} s"
        return TransportError(ErrorKind.CONNECT_TIMEOUT, text)
    words = failure.strerror or str(failure)
    if failure.errno in LOCAL_LIMITS:
        return TransportError(ErrorKind.LOCAL, f"{words} ({LOCAL_LIMITS[failure.errno]})")
    return TransportError(ErrorKind.CONNECT_FAILED, words)
