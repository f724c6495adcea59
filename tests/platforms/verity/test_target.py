from __future__ import annotations

import pytest

from pika_locust.platforms.verity.target import base_url, socket_url

SOCKETS = "/socket.io/?EIO=4&transport=websocket"
NAMED = {
    "a host": ("http://127.0.0.1:3000", "http://127.0.0.1:3000", "ws://127.0.0.1:3000"),
    "a slash at the end": ("http://127.0.0.1:3000/", "http://127.0.0.1:3000", "ws://127.0.0.1:3000"),
    "over TLS": ("https://staging.example", "https://staging.example", "wss://staging.example"),
    "below a path": ("https://host/verity/", "https://host/verity", "wss://host/verity"),
    "a query and a fragment are dropped": ("https://host/?a=1#b", "https://host", "wss://host"),
    "an address of version 6": ("http://[::1]:3000", "http://[::1]:3000", "ws://[::1]:3000"),
    "a scheme in capitals": ("HTTP://host", "http://host", "ws://host"),
}


@pytest.mark.parametrize(("given", "http", "socket"), NAMED.values(), ids=NAMED)
def test_ways_to_name_a_server(given: str, http: str, socket: str) -> None:
    assert base_url(given) == http
    assert base_url(http) == http
    assert socket_url(http) == socket + SOCKETS


WRONG = {
    "no scheme": "127.0.0.1:3000",
    "another scheme": "ws://127.0.0.1:3000",
    "no host": "http://",
    "a port that is none": "http://host:70000",
    "a port in words": "http://host:http",
}


@pytest.mark.parametrize("given", WRONG.values(), ids=WRONG)
def test_what_names_no_server(given: str) -> None:
    with pytest.raises(ValueError):
        base_url(given)
