"""The server side of a WebSocket connection, on `websockets`' sans-I/O protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Protocol

from websockets.datastructures import Headers
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request as UpgradeRequest
from websockets.http11 import Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from pika_locust.sandbox.world import Answer, Request

CLOSE_TIMEOUT_S = 5.0
NO_CODE = 1005
_CLOSE_FRAME = b"\x88"
LARGEST_MESSAGE = 16 * 1024 * 1024


class SocketOwner(Protocol):
    """Whom a WebSocket belongs to."""

    def upgrade(self, socket: WebSocketConnection, request: Request) -> Answer | None: ...

    def opened(self, socket: WebSocketConnection, request: Request) -> None: ...

    def received(self, socket: WebSocketConnection, data: str | bytes) -> None: ...

    def ponged(self, socket: WebSocketConnection) -> None: ...

    def gone(self, socket: WebSocketConnection) -> None: ...

    def paused(self, socket: WebSocketConnection, paused: bool) -> None: ...

    def slow(self, socket: WebSocketConnection) -> None: ...


Router = Callable[[Request], tuple[SocketOwner | None, Request]]
"""Finds the host for a path, and the request as that host knows it; None when nothing is mounted there."""


def text_frame(text: str) -> bytes:
    """A whole text frame as a server sends it."""
    return Frame(Opcode.TEXT, text.encode("utf-8", "replace")).serialize(mask=False)


def binary_frame(data: bytes) -> bytes:
    """A whole binary frame as a server sends it."""
    return Frame(Opcode.BINARY, data).serialize(mask=False)


class WebSocketConnection:
    """One WebSocket: handshake, messages out of frames, answers to control frames, the closing handshake.

    `gone` is called exactly once for each `opened`, as soon as the socket can no longer be used.
    """

    def __init__(self, socket_id: int, transport: asyncio.Transport, route: Router, peer: str) -> None:
        self.id = socket_id
        self.joined_at = 0
        self.missed = 0
        self.direct = 0
        self._transport = transport
        self._route = route
        self._peer = peer
        self._host: SocketOwner | None = None
        self._open = False
        self._protocol = ServerProtocol(max_size=LARGEST_MESSAGE)
        self._parts: list[bytes] = []
        self._is_text = True

    def feed(self, data: bytes) -> None:
        """Takes bytes from the client."""
        protocol = self._protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
            elif isinstance(event, UpgradeRequest):
                self._handshake(event)
        if self._open and protocol.state is not State.OPEN:
            self._gone()
        self._drain()

    def lost(self) -> None:
        """The connection ended."""
        self._gone()

    def write_paused(self, paused: bool) -> None:
        if self._open and self._host is not None:
            self._host.paused(self, paused)

    # what the fan-out needs of a member

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def waiting_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def drop(self) -> None:
        if self._host is not None:
            self._host.slow(self)
        self.cut()

    # what effects need

    def ping(self) -> None:
        if self._open and self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
            self._drain()

    def close(self, code: int, reason: str) -> None:
        """Starts the closing handshake; a client that does not answer is cut after a while. 1005 is sent as no code."""
        if self._open:
            self._gone()
            if self._protocol.state is not State.OPEN:
                self._close_instead(b"" if code == NO_CODE else Close(code, reason).serialize())
            elif code == NO_CODE:
                self._protocol.send_close()
            else:
                self._protocol.send_close(code, reason)
            self._drain()
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self._transport.abort)

    def _close_instead(self, payload: bytes) -> None:
        """Close for a message that the client's own close frame came right behind: `websockets` has read both, and has
        its answer to that ready, which says nothing of the message."""
        ours = Frame(Opcode.CLOSE, payload).serialize(mask=False)
        self._send(ours if data[:1] == _CLOSE_FRAME else data for data in self._protocol.data_to_send())

    def cut(self) -> None:
        """Ends the connection without a close frame."""
        self._gone()
        self._transport.abort()

    def _handshake(self, event: UpgradeRequest) -> None:
        headers = {name.lower(): value for name, value in event.headers.raw_items()}
        path, _, query = event.path.partition("?")
        self._host, request = self._route(Request("GET", path, query, headers, peer=self._peer))
        refusal = self._host.upgrade(self, request) if self._host is not None else Answer.text("404 Not Found", 404)
        if refusal is not None:
            self._protocol.send_response(_response(refusal))
            return
        response = self._protocol.accept(event)
        self._protocol.send_response(response)
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS and self._host is not None:
            self._drain()
            self._open = True
            self._host.opened(self, request)

    def _frame(self, frame: Frame) -> None:
        if not self._open or self._host is None:
            return
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            self._parts.append(bytes(frame.data))
            if frame.fin:
                whole = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
                self._parts = []
                self._message(self._host, whole)
        elif frame.opcode in (Opcode.PING, Opcode.PONG):
            self._host.ponged(self)

    def _message(self, host: SocketOwner, data: bytes) -> None:
        if not self._is_text:
            host.received(self, data)
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.close(1007, "Received data is not UTF-8")
            return
        host.received(self, text)

    def _gone(self) -> None:
        if self._open:
            self._open = False
            if self._host is not None:
                self._host.gone(self)

    def _drain(self) -> None:
        self._send(self._protocol.data_to_send())

    def _send(self, pieces: Iterable[bytes]) -> None:
        for data in pieces:
            if self._transport.is_closing():
                return
            if data:
                self._transport.write(data)
            else:
                self._transport.close()


def _response(answer: Answer) -> Response:
    headers = Headers([("Connection", "close"), ("Content-Length", str(len(answer.body)))])
    for name, value in answer.headers:
        headers[name] = value
    return Response(answer.status, HTTPStatus(answer.status).phrase, headers, answer.body)
