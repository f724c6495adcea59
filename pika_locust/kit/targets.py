"""The ways to name a server, brought to one form: the base URL of its HTTP side, or the URL of its WebSocket."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

_SOCKET_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_HTTP_SCHEMES = {"ws": "http", "wss": "https"}


def http_url(target: str) -> str:
    """`https://host/` -> `https://host`. Raises ValueError for what is no HTTP URL."""
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not a URL that begins with http:// or https://")
    _ = parts.port  # raises ValueError for what is not a port
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def websocket_url(target: str, path: str = "/ws") -> str:
    """`http://host:8080` and `ws://host:8080` -> `ws://host:8080/ws`; a WebSocket's own path stays.

    Raises ValueError for what is no URL of either kind.
    """
    parts = urlsplit(target)
    scheme = _SOCKET_SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ValueError("not a URL that begins with ws://, wss://, http:// or https://")
    _ = parts.port  # raises ValueError for what is not a port
    given = parts.path.rstrip("/")
    if parts.scheme.startswith("http"):
        given += path
    return urlunsplit((scheme, parts.netloc, given or path, parts.query, ""))


def http_side(websocket: str, path: str = "/ws") -> str:
    """The HTTP side of a WebSocket URL: `wss://host/live/ws` -> `https://host/live`.

    `path` is what `websocket_url` puts behind the base; of another path the last part is left out.
    """
    parts = urlsplit(websocket)
    base = parts.path.removesuffix(path) if parts.path.endswith(path) else parts.path.rpartition("/")[0]
    return urlunsplit((_HTTP_SCHEMES[parts.scheme], parts.netloc, base, "", ""))
