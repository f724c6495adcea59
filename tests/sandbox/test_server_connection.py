"""One TCP connection of the sandbox: what its first head makes of it."""

from __future__ import annotations

import asyncio
import itertools
from typing import cast

import pytest

from pika_locust.sandbox.http import Exchange
from pika_locust.sandbox.server import LARGEST_HEAD, Connection
from pika_locust.sandbox.websocket import SocketOwner
from pika_locust.sandbox.world import Answer, Request
from tests.sandbox.echo_world import Transport

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nuPgRaDe:  WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Owner:
    def __init__(self) -> None:
        self.ids = itertools.count(1)
        self.log: list[str] = []

    def handle(self, exchange: Exchange) -> None:
        self.log.append(f"http {exchange.request.path}")
        exchange.answer(Answer(204))

    def route(self, request: Request) -> tuple[SocketOwner | None, Request]:
        self.log.append(f"websocket {request.path}")
        return None, request

    def next_socket_id(self) -> int:
        return next(self.ids)

    def connected(self, connection: Connection) -> None:
        self.log.append("connected")

    def disconnected(self, connection: Connection) -> None:
        self.log.append("disconnected")


@pytest.mark.parametrize(
    ("sent", "handler"),
    [
        pytest.param(UPGRADE, "websocket /ws", id="an upgrade, whatever its case"),
        pytest.param(b"GET /ws HTTP/1.1\r\nHost: h\r\n\r\n", "http /ws", id="a plain request for the same path"),
        pytest.param(b"GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n\r\n", "http /a", id="another upgrade"),
        pytest.param(
            b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 24\r\n\r\n\r\nupgrade: websocket\r\n\r\n",
            "http /a",
            id="a body that looks like one",
        ),
    ],
)
@pytest.mark.parametrize("step", [1, 1000], ids=["byte by byte", "at once"])
def test_the_first_head_decides(sent: bytes, handler: str, step: int) -> None:
    owner, transport = Owner(), Transport()
    connection = Connection(owner)
    connection.connection_made(cast(asyncio.Transport, transport))
    for start in range(0, len(sent), step):
        connection.data_received(sent[start : start + step])
    connection.connection_lost(None)
    assert owner.log == ["connected", handler, "disconnected"]
    assert transport.written.startswith(b"HTTP/1.1 ")


def test_an_endless_head_is_cut() -> None:
    transport = Transport()
    connection = Connection(Owner())
    connection.connection_made(cast(asyncio.Transport, transport))
    connection.data_received(b"GET / HTTP/1.1\r\nX: " + b"x" * LARGEST_HEAD)
    assert transport.aborted
