"""One TCP connection: its first bytes say whether it is a WebSocket or HTTP."""

from __future__ import annotations

import asyncio
import re
from typing import Protocol, cast

from pika_locust.sandbox.http import Exchange, HttpConnection
from pika_locust.sandbox.websocket import SocketOwner, WebSocketConnection
from pika_locust.sandbox.world import Request

LARGEST_HEAD = 64 * 1024
_ASKS_FOR_WEBSOCKET = re.compile(rb"\r\nupgrade:[^\r\n]*websocket", re.IGNORECASE)


class ConnectionOwner(Protocol):
    """Where connections report."""

    def handle(self, exchange: Exchange, /) -> None: ...

    def route(self, request: Request, /) -> tuple[SocketOwner | None, Request]: ...

    def next_socket_id(self) -> int: ...

    def connected(self, connection: Connection) -> None: ...

    def disconnected(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """Buffers up to the end of the first head, then leaves everything to the half that fits."""

    def __init__(self, desk: ConnectionOwner) -> None:
        self._desk = desk
        self._head = b""
        self._half: WebSocketConnection | HttpConnection | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's, but have the same methods
        self._transport = cast(asyncio.Transport, transport)
        self._desk.connected(self)

    def data_received(self, data: bytes) -> None:
        if self._half is not None:
            self._half.feed(data)
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end >= 0:
            self._decide(end)
        elif len(self._head) > LARGEST_HEAD:
            self.abort()

    def pause_writing(self) -> None:
        if self._half is not None:
            self._half.write_paused(True)

    def resume_writing(self) -> None:
        if self._half is not None:
            self._half.write_paused(False)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._half is not None:
            self._half.lost()
        self._desk.disconnected(self)

    def abort(self) -> None:
        """Ends the connection at once, without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _decide(self, end: int) -> None:
        assert self._transport is not None
        peer = self._transport.get_extra_info("peername")
        address = peer[0] if peer else ""
        if _ASKS_FOR_WEBSOCKET.search(self._head, 0, end):
            self._half = WebSocketConnection(self._desk.next_socket_id(), self._transport, self._desk.route, address)
        else:
            self._half = HttpConnection(self._transport, self._desk.handle, address)
        head, self._head = self._head, b""
        self._half.feed(head)
