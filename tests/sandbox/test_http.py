"""One HTTP connection of the sandbox: requests in, answers out, refusals."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from pika_locust.sandbox.fanout import SLOW_LIMIT_BYTES
from pika_locust.sandbox.http import LARGEST_BODY, Exchange, HttpConnection
from pika_locust.sandbox.world import Answer
from tests.sandbox.echo_world import Transport


class Server:
    """Keeps exchanges for the test to answer."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.exchanges: list[Exchange] = []
        self.connection = HttpConnection(cast(asyncio.Transport, self.transport), self.exchanges.append, "10.0.0.1")

    def said(self) -> list[str]:
        """Lines of the answer, without the date."""
        lines = self.transport.take().decode().split("\r\n")
        return [line for line in lines if not line.startswith("date:")]


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_request_is_taken_apart(server: Server) -> None:
    server.connection.feed(b"POST /a%20b?x=1&y HTTP/1.1\r\nHost: h\r\nX-Two: Value\r\nContent-Length: 5\r\n\r\nhel")
    assert server.exchanges == []
    server.connection.feed(b"lo")
    request = server.exchanges[0].request
    assert (request.method, request.path, request.query, request.body) == ("POST", "/a%20b", "x=1&y", b"hello")
    assert (request.headers["x-two"], request.peer) == ("Value", "10.0.0.1")


def test_an_answer_carries_its_length_and_the_connection_stays(server: Server) -> None:
    server.connection.feed(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    server.exchanges[0].answer(Answer.text("hi", 201))
    assert server.said() == [
        "HTTP/1.1 201 Created",
        "content-type: text/plain; charset=UTF-8",
        "content-length: 2",
        "",
        "hi",
    ]
    assert not server.transport.closed


def test_head_gets_the_length_but_no_body(server: Server) -> None:
    server.connection.feed(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
    server.exchanges[0].answer(Answer(200, b"hello"))
    assert server.said() == ["HTTP/1.1 200 OK", "content-length: 5", "", ""]


@pytest.mark.parametrize(
    "request_bytes",
    [b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"],
    ids=["asked to close", "HTTP/1.0"],
)
def test_a_connection_that_is_not_to_be_kept_is_closed(server: Server, request_bytes: bytes) -> None:
    server.connection.feed(request_bytes)
    server.exchanges[0].answer(Answer(204))
    assert "connection: close" in server.said()
    assert server.transport.closed


def test_pipelined_requests_are_answered_in_order_one_after_the_other(server: Server) -> None:
    server.connection.feed(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
    assert [exchange.request.path for exchange in server.exchanges] == ["/1"]
    server.exchanges[0].answer(Answer(200, b"one"))
    server.exchanges[1].answer(Answer(200, b"two"))
    assert [line for line in server.said() if line.startswith(("one", "two"))] == ["oneHTTP/1.1 200 OK", "two"]


def test_a_stream_is_chunked(server: Server) -> None:
    server.connection.feed(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    exchange = server.exchanges[0]
    exchange.begin(200, (("content-type", "text/event-stream"),))
    exchange.chunk(b"data: 1\n\n")
    exchange.chunk(b"")
    exchange.end()
    assert server.said()[1:] == [
        "content-type: text/event-stream",
        "transfer-encoding: chunked",
        "",
        "9",
        "data: 1\n\n",
        "0",
        "",
        "",
    ]


def test_who_answers_is_notified_of_the_end_of_the_connection(server: Server) -> None:
    server.connection.feed(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    told: list[str] = []
    server.exchanges[0].on_abandoned = lambda: told.append("gone")
    server.connection.lost()
    server.exchanges[0].answer(Answer(200))
    assert (told, server.transport.written) == (["gone"], b"")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"nonsense\r\n\r\n", "400 Bad Request", id="not HTTP"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (LARGEST_BODY + 1)
            + b"x" * (LARGEST_BODY + 1),
            "413 Request Entity Too Large",
            id="too large",
        ),
    ],
)
def test_what_cannot_be_served_is_refused(server: Server, sent: bytes, status: str) -> None:
    server.connection.feed(sent)
    assert server.said()[0] == f"HTTP/1.1 {status}"
    assert server.transport.closed


def test_a_body_that_waits_for_100_continue_is_asked_for(server: Server) -> None:
    server.connection.feed(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert server.transport.take() == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_another_upgrade_is_not_taken_up_but_answered(server: Server) -> None:
    server.connection.feed(b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert [exchange.request.path for exchange in server.exchanges] == ["/x"]


def test_a_client_that_does_not_read_its_stream_is_cut(server: Server) -> None:
    server.connection.feed(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    server.transport.waiting = SLOW_LIMIT_BYTES + 1
    server.exchanges[0].chunk(b"x")
    assert server.transport.aborted
