"""The ways to name a server, brought to one form: the base URL of its HTTP side, or the URL of its WebSocket.

What comes out still has the credentials that a URL may carry: whoever connects sends them, whoever shows it hides them.
"""

from __future__ import annotations

from dataclasses import replace

from pika_locust.url import parse_url

_WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_HTTP_SCHEMES = {"ws": "http", "wss": "https"}


def http_url(target: str) -> str:
    """`https://host/` -> `https://host`. Raises ValueError for what is no base URL of an HTTP server."""
    url = parse_url(target, "http", "https")
    if url.query:
        raise ValueError("a base URL has no query: it would stand in the middle of every request's URL")
    return replace(url, path=url.path.rstrip("/")).full


def socketio_url(target: str) -> str:
    """`wss://host/` -> `https://host`: a Socket.IO server is one of HTTP, whichever way it is named.

    Raises ValueError for what is no base URL of such a server.
    """
    url = parse_url(target, "http", "https", *_HTTP_SCHEMES)
    return http_url(replace(url, scheme=_HTTP_SCHEMES.get(url.scheme, url.scheme)).full)


def websocket_url(target: str, path: str = "/ws") -> str:
    """`http://host:8080` and `ws://host:8080` -> `ws://host:8080/ws`; a WebSocket's own path stays.

    Raises ValueError for what is no URL of either kind.
    """
    url = parse_url(target, "ws", "wss", "http", "https")
    given = url.path.rstrip("/")
    if url.scheme.startswith("http"):
        given += path
    return replace(url, scheme=_WEBSOCKET_SCHEMES[url.scheme], path=given or path).full


def http_side(websocket: str, path: str = "/ws") -> str:
    """The HTTP side of a WebSocket URL: `wss://host/live/ws` -> `https://host/live`.

    `path` is what `websocket_url` puts behind the base; of another path the last part is left out.
    """
    url = parse_url(websocket, "ws", "wss")
    base = url.path.removesuffix(path) if url.path.endswith(path) else url.path.rpartition("/")[0]
    return replace(url, scheme=_HTTP_SCHEMES[url.scheme], path=base, query="").full
