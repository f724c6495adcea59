"""Who is asked: scheme, host and port of a target, and the addresses they stand for."""

from __future__ import annotations

from ipaddress import ip_address
from socket import AF_INET, AF_INET6, SOCK_STREAM, gaierror
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent.socket import getaddrinfo

from pika_locust.wire.http_errors import ErrorKind, TransportError

ADDRESSES_LIVE_S = 60.0
_DEFAULT_PORTS = {"http": 80, "https": 443}

Address = tuple[int, Any]
"""A socket family, and what `connect` takes for it."""


class Origin:
    """Where requests go, made from a base URL; `prefix` is the path that stands before every request's own.

    Share one among the clients of a target: the addresses of its host are looked up once a minute for all of them.
    Raises ValueError for a URL that is none, or carries what belongs elsewhere (user and password, query, fragment).
    """

    __slots__ = ("_addresses", "_known_until", "authority", "host", "port", "prefix", "scheme")

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ValueError(f"base URL {base_url!r}: expected http://host[:port][/path] or https://…")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError(
                "a base URL has no user, query or fragment; credentials belong into an Authorization header"
            )
        self.scheme = parts.scheme
        self.host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
        default_port = _DEFAULT_PORTS[parts.scheme]
        self.port = default_port if parts.port is None else parts.port
        self.prefix = parts.path.rstrip("/")
        name = f"[{self.host}]" if ":" in self.host else self.host
        self.authority = name if self.port == default_port else f"{name}:{self.port}"
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
