"""URLs of servers: read once, checked as they will be used, and shown without their credentials."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import quote, unquote_to_bytes, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

# What may stand in a path and a query as it is; % because what is encoded already stays so.
_PATH_SAFE = "/%:@!$&'()*+,;=~-._"
_QUERY_SAFE = _PATH_SAFE + "?[]"
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Url:
    """A server's URL, its parts in the form in which they go over the wire.

    `host` is lower case and ASCII (IDNA), an IPv6 address without brackets; `port` is None for the
    scheme's own; `path` and `query` are percent-encoded. `credentials` are what stood before the `@`, and in neither
    `str` nor `repr`.
    """

    scheme: str
    host: str
    port: int | None = None
    path: str = ""
    query: str = ""
    credentials: str | None = field(default=None, repr=False)

    @property
    def port_number(self) -> int:
        """The port to connect to."""
        return DEFAULT_PORTS[self.scheme] if self.port is None else self.port

    @property
    def authority(self) -> str:
        """Host and port as a Host header has them: without the scheme's own port, and without credentials."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port_number == DEFAULT_PORTS[self.scheme] else f"{name}:{self.port}"

    @property
    def basic_auth(self) -> str | None:
        """The Authorization header that the URL's credentials stand for (RFC 7617), None without any."""
        if self.credentials is None:
            return None
        user, _, password = self.credentials.partition(":")
        return "Basic " + b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode()

    @property
    def full(self) -> str:
        """All of it, credentials included: to be kept, not to be shown."""
        return self._written(f"{self.credentials}@" if self.credentials is not None else "")

    def __str__(self) -> str:
        return self._written("")

    def _written(self, credentials: str) -> str:
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{credentials}{self.authority}{self.path}{query}"


def parse_url(text: str, *schemes: str) -> Url:
    """Read the URL of a server.

    A user and a password may stand before the host (sent as basic authentication); names beyond ASCII are encoded by
    IDNA 2008, paths and queries in per cent.

    Raises ValueError, which says what would be right and repeats nothing of the URL's credentials, for: another scheme
    than one of `schemes`; no host, or one that cannot be one (empty labels, spaces, numbers that are no address); a
    port outside 1 to 65535; control characters, backslashes, and a fragment, which no server is ever sent.
    """
    if _CONTROL.search(text):
        raise ValueError("a URL has no line breaks or other control characters")
    parts = urlsplit(text)
    if parts.scheme not in schemes or not parts.netloc:
        raise ValueError(f"not a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if "#" in text:
        raise ValueError("a server's URL has no #fragment; in a path or a password # is written %23")
    if "\\" in text:
        raise ValueError("a URL is written with / and not with a backslash")
    credentials, at, _ = parts.netloc.rpartition("@")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("its port is not a number from 1 to 65535")
    return Url(
        scheme=parts.scheme,
        host=_host(parts.hostname or ""),
        port=None if port == DEFAULT_PORTS[parts.scheme] else port,
        path=quote(parts.path, safe=_PATH_SAFE),
        query=quote(parts.query, safe=_QUERY_SAFE),
        credentials=quote(credentials, safe="%:!$&'()*+,;=~-._") if at else None,
    )


def _host(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    if not name:
        raise ValueError("it names no host")
    host = name.lower()
    if not host.isascii():
        # Half a megabyte of tables, which few targets need.
        import idna

        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError:
            raise ValueError(f"its host {name!r} cannot be an internationalised name") from None
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(
            f"its host {name!r} cannot be one: 1 to 63 letters, digits, - and _ between dots, 253 characters in all"
        )
    if labels[-1].isdigit():
        raise ValueError(f"its host {name!r} is neither a name nor an address")
    return host
