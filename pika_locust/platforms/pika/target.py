"""The ways to name a Pika! server, brought to one form: the URL of its WebSocket."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

_SOCKET_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_HTTP_SCHEMES = {"ws": "http", "wss": "https"}


def socket_url(target: str) -> str:
    """`http://host:8080` and `ws://host:8080` -> `ws://host:8080/ws`; a path that is given stays. Raises ValueError."""
    parts = urlsplit(target)
    scheme = _SOCKET_SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ValueError("not a URL that begins with ws://, wss://, http:// or https://")
    _ = parts.port  # raises ValueError for what is not a port
    path = parts.path.rstrip("/")
    if not path and parts.scheme.startswith("http"):
        path = "/ws"
    elif parts.scheme.startswith("http"):
        path = f"{path}/ws"
    return urlunsplit((scheme, parts.netloc, path or "/ws", parts.query, ""))


def http_url(target: str) -> str:
    """The HTTP side of a WebSocket URL: `wss://host/live/ws` -> `https://host/live`."""
    parts = urlsplit(target)
    directory = parts.path.rsplit("/", 1)[0]
    return urlunsplit((_HTTP_SCHEMES[parts.scheme], parts.netloc, directory, "", ""))
