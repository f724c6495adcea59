from __future__ import annotations

import pytest

from pika_locust.kit.targets import http_side, http_url, websocket_url

SOCKETS = {
    "a host over http": ("http://localhost:3001", "ws://localhost:3001/ws", "http://localhost:3001"),
    "a host over http with a slash": ("http://localhost:3001/", "ws://localhost:3001/ws", "http://localhost:3001"),
    "a host over https": ("https://staging.example", "wss://staging.example/ws", "https://staging.example"),
    "a socket without a path": ("ws://localhost:3001", "ws://localhost:3001/ws", "http://localhost:3001"),
    "the suite's own form": ("wss://staging.example/ws", "wss://staging.example/ws", "https://staging.example"),
    "a socket's path of its own stays": ("ws://host/live", "ws://host/live", "http://host"),
    "credentials go to both sides": ("ws://al:pa55@host", "ws://al:pa55@host/ws", "http://al:pa55@host"),
    "a site below a path": ("https://host/pika", "wss://host/pika/ws", "https://host/pika"),
    "a socket below a path": ("wss://host/pika/ws", "wss://host/pika/ws", "https://host/pika"),
    "a query of a socket stays there": ("ws://host/ws?a=1", "ws://host/ws?a=1", "http://host"),
    "an address of version 6": ("http://[::1]:81", "ws://[::1]:81/ws", "http://[::1]:81"),
}


@pytest.mark.parametrize(("given", "socket", "http"), SOCKETS.values(), ids=SOCKETS.keys())
def test_ways_to_name_a_websocket(given: str, socket: str, http: str) -> None:
    assert websocket_url(given) == socket
    assert http_side(socket) == http
    assert websocket_url(socket) == socket


NO_SOCKETS = {
    "no scheme": "localhost:3001",
    "another scheme": "ftp://localhost",
    "no host": "ws:///ws",
    "a port that is none": "http://localhost:http",
    "a port beyond the last": "ws://localhost:70000",
    "nothing": "",
}


@pytest.mark.parametrize("given", NO_SOCKETS.values(), ids=NO_SOCKETS.keys())
def test_what_names_no_websocket_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"ws://|port|Port"):
        websocket_url(given)


def test_a_websocket_may_be_elsewhere() -> None:
    assert websocket_url("http://host/live/", "/api/socket") == "ws://host/live/api/socket"
    assert websocket_url("ws://host", "/api/socket") == "ws://host/api/socket"
    assert http_side("ws://host/live/api/socket", "/api/socket") == "http://host/live"
    assert http_side("ws://host/live/other", "/api/socket") == "http://host/live"


BASES = {
    "a host": ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
    "a slash at the end": ("http://127.0.0.1:3000/", "http://127.0.0.1:3000"),
    "over TLS": ("https://staging.example", "https://staging.example"),
    "below a path": ("https://host/verity/", "https://host/verity"),
    "credentials": ("https://alice:pa55@host/", "https://alice:pa55@host"),
    "a name beyond ASCII": ("http://bücher.example", "http://xn--bcher-kva.example"),
    "an address of version 6": ("http://[::1]:3000", "http://[::1]:3000"),
    "a scheme in capitals": ("HTTP://host", "http://host"),
}


@pytest.mark.parametrize(("given", "http"), BASES.values(), ids=BASES)
def test_ways_to_name_an_http_server(given: str, http: str) -> None:
    assert http_url(given) == http
    assert http_url(http) == http


NO_BASES = {
    "no scheme": "127.0.0.1:3000",
    "another scheme": "ws://127.0.0.1:3000",
    "no host": "http://",
    "a port that is none": "http://host:70000",
    "a port in words": "http://host:http",
    "a query": "https://host/?a=1",
    "a fragment": "https://host/#b",
    "an empty label": "https://host..example",
}


@pytest.mark.parametrize("given", NO_BASES.values(), ids=NO_BASES)
def test_what_names_no_http_server(given: str) -> None:
    with pytest.raises(ValueError):
        http_url(given)
