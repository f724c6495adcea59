"""The ways to name a Verity server, brought to one form: the base URL of its HTTP side."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def base_url(target: str) -> str:
    """`https://host/` -> `https://host`. Raises ValueError for what is no HTTP URL."""
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not a URL that begins with http:// or https://")
    _ = parts.port  # raises ValueError for what is not a port
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def socket_url(base: str) -> str:
    """Where Socket.IO listens: `https://host` -> `wss://host/socket.io/…`."""
    scheme, _, rest = base.partition("://")
    return f"{'wss' if scheme == 'https' else 'ws'}://{rest}/socket.io/?EIO=4&transport=websocket"
