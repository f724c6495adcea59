"""The server side of an HTTP/1.1 connection, on httptools and asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus

import httptools

from pika_locust.sandbox.fanout import SLOW_LIMIT_BYTES
from pika_locust.sandbox.world import Answer, Headers, Request

LARGEST_BODY = 16 * 1024 * 1024

Handler = Callable[["Exchange"], None]
"""Takes an exchange over: it must be answered, now or later."""


class Exchange:
    """One request and its answer. After `answer` or `end` nothing more may be written."""

    def __init__(self, connection: HttpConnection, request: Request, keep_alive: bool) -> None:
        self.request = request
        self.on_abandoned: Callable[[], None] | None = None
        self._connection: HttpConnection | None = connection
        self._keep_alive = keep_alive

    def answer(self, answer: Answer) -> None:
        """The whole answer."""
        body = b"" if self.request.method == "HEAD" else answer.body
        headers = (*answer.headers, ("content-length", str(len(answer.body))))
        self._write(self._head(answer.status, headers) + body)
        self._finish()

    def begin(self, status: int, headers: Headers) -> None:
        """Status and headers of an answer that comes in pieces."""
        self._write(self._head(status, (*headers, ("transfer-encoding", "chunked"))))

    def chunk(self, data: bytes) -> None:
        """A piece of an answer."""
        if data:
            self._write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        """The end of an answer in pieces."""
        self._write(b"0\r\n\r\n")
        self._finish()

    def abandon(self) -> None:
        """The client is gone."""
        self._connection = None
        if self.on_abandoned is not None:
            self.on_abandoned()

    def _head(self, status: int, headers: Headers) -> bytes:
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"date: {formatdate(usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if not self._keep_alive:
            lines.append("connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _write(self, data: bytes) -> None:
        if self._connection is not None:
            self._connection.write(data)

    def _finish(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.finished(self._keep_alive)


class HttpConnection:
    """Parses requests one after the other and hands each to `handle`; pipelined ones wait for their turn."""

    def __init__(self, transport: asyncio.Transport, handle: Handler, peer: str) -> None:
        self._transport = transport
        self._handle = handle
        self._peer = peer
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._start_request()

    def feed(self, data: bytes) -> None:
        """Takes bytes from the client."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # an upgrade to something other than a WebSocket is not taken up; the request itself is complete
        except httptools.HttpParserCallbackError as error:
            # not the client's mistake: whatever handles the request has failed
            raise error.__context__ or error from None
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST)

    def lost(self) -> None:
        """The connection ended."""
        self._waiting.clear()
        if self._current is not None:
            self._current.abandon()

    def write_paused(self, paused: bool) -> None:
        """Streams are cut by their size, not paused."""

    def write(self, data: bytes) -> None:
        if self._transport.get_write_buffer_size() > SLOW_LIMIT_BYTES:
            self._transport.abort()
        elif not self._transport.is_closing():
            self._transport.write(data)

    def finished(self, keep_alive: bool) -> None:
        """The current exchange is answered."""
        self._current = None
        if not keep_alive:
            self._transport.close()
        elif self._waiting:
            self._next()

    # httptools calls these

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > LARGEST_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode()
        request = Request(method, path, query, self._headers, b"".join(self._body), self._peer)
        self._waiting.append(Exchange(self, request, self._parser.should_keep_alive()))
        self._start_request()
        if self._current is None:
            self._next()

    def _start_request(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    def _next(self) -> None:
        self._current = self._waiting.popleft()
        self._handle(self._current)

    def _refuse(self, status: HTTPStatus) -> None:
        if not self._transport.is_closing():
            head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self._transport.write(head.encode())
            self._transport.close()
