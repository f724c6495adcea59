from __future__ import annotations

import pytest

from pika_locust.platforms.pika.target import http_url, socket_url

NAMED = {
    "a host over http": ("http://localhost:3001", "ws://localhost:3001/ws", "http://localhost:3001"),
    "a host over http with a slash": ("http://localhost:3001/", "ws://localhost:3001/ws", "http://localhost:3001"),
    "a host over https": ("https://staging.example", "wss://staging.example/ws", "https://staging.example"),
    "a socket without a path": ("ws://localhost:3001", "ws://localhost:3001/ws", "http://localhost:3001"),
    "the suite's own form": ("wss://staging.example/ws", "wss://staging.example/ws", "https://staging.example"),
    "a socket's path of its own stays": ("ws://host/live", "ws://host/live", "http://host"),
    "a site below a path": ("https://host/pika", "wss://host/pika/ws", "https://host/pika"),
    "a socket below a path": ("wss://host/pika/ws", "wss://host/pika/ws", "https://host/pika"),
    "a query of a socket stays there": ("ws://host/ws?a=1", "ws://host/ws?a=1", "http://host"),
    "an address of six bytes and more": ("http://[::1]:80", "ws://[::1]:80/ws", "http://[::1]:80"),
}


@pytest.mark.parametrize(("given", "socket", "http"), NAMED.values(), ids=NAMED.keys())
def test_ways_to_name_a_server(given: str, socket: str, http: str) -> None:
    assert socket_url(given) == socket
    assert http_url(socket) == http
    assert socket_url(socket) == socket


WRONG = {
    "no scheme": "localhost:3001",
    "another scheme": "ftp://localhost",
    "no host": "ws:///ws",
    "a port that is none": "http://localhost:http",
    "a port beyond the last": "ws://localhost:70000",
    "nothing": "",
}


@pytest.mark.parametrize("given", WRONG.values(), ids=WRONG.keys())
def test_what_names_no_server_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"ws://|port|Port"):
        socket_url(given)
