"""One WebSocket of the sandbox, against an independent client half."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from pika_locust.sandbox.websocket import WebSocketConnection, text_frame
from pika_locust.sandbox.world import Answer, Request
from tests.sandbox.echo_world import Transport


class Host:
    def __init__(self, refusal: Answer | None = None) -> None:
        self.refusal = refusal
        self.events: list[Any] = []

    def upgrade(self, socket: WebSocketConnection, request: Request) -> Answer | None:
        self.events.append(("upgrade", request.path, request.query, request.headers["host"], request.peer))
        return self.refusal

    def opened(self, socket: WebSocketConnection, request: Request) -> None:
        self.events.append("opened")

    def received(self, socket: WebSocketConnection, data: str | bytes) -> None:
        self.events.append(data)
        if data == "close me":
            socket.close(1009, "Message too large")
        elif data == "cut me":
            socket.cut()

    def ponged(self, socket: WebSocketConnection) -> None:
        self.events.append("ponged")

    def gone(self, socket: WebSocketConnection) -> None:
        self.events.append("gone")

    def paused(self, socket: WebSocketConnection, paused: bool) -> None:
        self.events.append(("paused", paused))

    def slow(self, socket: WebSocketConnection) -> None:
        self.events.append("slow")


class Pair:
    """The connection under test and an independent client, joined without a socket."""

    def __init__(self, refusal: Answer | None = None, mounted: bool = True) -> None:
        self.host = Host(refusal)
        self.transport = Transport()
        host = self.host if mounted else None
        self.connection = WebSocketConnection(
            7, cast(asyncio.Transport, self.transport), lambda r: (host, r), "10.0.0.1"
        )
        self.client = ClientProtocol(parse_uri("ws://example.org/ws?a=1"))
        self.client.send_request(self.client.connect())
        self.response = cast(Response, self.exchange()[0])
        self.host.events = [] if refusal is None and mounted else self.host.events

    def exchange(self) -> list[Any]:
        for data in self.client.data_to_send():
            if data and not self.transport.is_closing():
                self.connection.feed(data)
        self.client.receive_data(self.transport.take())
        if self.transport.closed:
            self.client.receive_eof()
        return self.client.events_received()


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_the_handshake_is_routed_and_accepted() -> None:
    pair = Pair()
    pair.host.events.clear()
    assert pair.response.status_code == 101
    assert "Sec-WebSocket-Extensions" not in pair.response.headers


def test_the_host_gets_the_request() -> None:
    pair = Pair(refusal=Answer.text("Rate limit exceeded", 429))
    assert pair.host.events == [("upgrade", "/ws", "a=1", "example.org", "10.0.0.1")]
    assert (pair.response.status_code, pair.response.body) == (429, b"Rate limit exceeded")
    assert pair.response.headers["content-type"] == "text/plain; charset=UTF-8"
    assert pair.transport.closed


def test_a_path_where_nothing_is_mounted_is_404() -> None:
    pair = Pair(mounted=False)
    assert pair.response.status_code == 404
    assert pair.host.events == []


def test_texts_and_binaries_come_whole_also_in_fragments(pair: Pair) -> None:
    pair.client.send_text("é1".encode())
    pair.client.send_text(b"ab", fin=False)
    pair.client.send_ping(b"in between")
    pair.client.send_continuation(b"cd", fin=True)
    pair.client.send_binary(b"\x00\xff")
    events = pair.exchange()
    assert pair.host.events == ["é1", "ponged", "abcd", b"\x00\xff"]
    assert [(event.opcode, bytes(event.data)) for event in events] == [(Opcode.PONG, b"in between")]


def test_text_that_is_not_utf8_closes_with_1007(pair: Pair, running_loop: None) -> None:
    pair.client.send_text(b"\xff\xfe")
    (event,) = pair.exchange()
    assert Close.parse(bytes(event.data)).code == 1007
    assert pair.host.events == ["gone"]


LAST_WORDS = {
    "bad UTF-8": (b"\xff\xfe", 1007, ["gone"]),
    "what the world closes for": (b"close me", 1009, ["close me", "gone"]),
    "what it does not mind": (b"goodbye", 1000, ["goodbye", "gone"]),
    "what it cuts for": (b"cut me", None, ["cut me", "gone"]),
}


@pytest.mark.parametrize(("text", "code", "events"), LAST_WORDS.values(), ids=LAST_WORDS)
def test_a_message_just_before_a_close_is_answered_like_any_other(
    pair: Pair, running_loop: None, text: bytes, code: int | None, events: list[Any]
) -> None:
    pair.client.send_text(text)
    pair.client.send_ping(b"")
    pair.client.send_close(1000)
    pair.connection.feed(b"".join(pair.client.data_to_send()))
    written = pair.transport.take()
    if code is None:
        assert (written, pair.transport.aborted) == (b"", True)
    else:
        assert written[:3] == b"\x8a\x00\x88", "a pong and one close frame"
        assert len(written) == 4 + written[3]
        assert Close.parse(written[4:]).code == code
        assert pair.transport.closed
    assert [event for event in pair.host.events if event != "ponged"] == events


def test_a_close_is_echoed_and_the_host_called_once(pair: Pair) -> None:
    pair.client.send_close(1001)
    (event,) = pair.exchange()
    assert Close.parse(bytes(event.data)).code == 1001
    assert pair.transport.closed
    pair.connection.lost()
    assert pair.host.events == ["gone"]


def test_a_close_of_ours_waits_for_the_echo(pair: Pair, running_loop: None) -> None:
    pair.client.send_text(b"close me")
    pair.client.send_text(b"ignored")
    (event,) = pair.exchange()
    assert Close.parse(bytes(event.data)) == Close(1009, "Message too large")
    assert not pair.transport.closed
    pair.exchange()
    assert pair.transport.closed
    assert pair.host.events == ["close me", "gone"]


def test_a_cut_leaves_no_close_frame(pair: Pair) -> None:
    pair.client.send_text(b"cut me")
    assert pair.exchange() == []
    assert pair.transport.aborted
    assert pair.host.events == ["cut me", "gone"]


def test_1005_is_sent_as_a_close_frame_without_a_code(pair: Pair, running_loop: None) -> None:
    pair.connection.close(1005, "")
    assert pair.transport.take() == b"\x88\x00"
    assert pair.host.events == ["gone"]


def test_an_unmasked_frame_is_a_protocol_error(pair: Pair) -> None:
    pair.connection.feed(Frame(Opcode.TEXT, b"hi").serialize(mask=False))
    assert Close.parse(pair.transport.take()[2:]).code == 1002
    assert pair.host.events == ["gone"]


def test_a_ping_of_ours_is_empty(pair: Pair) -> None:
    pair.connection.ping()
    assert pair.transport.take() == b"\x89\x00"


def test_back_pressure_is_passed_on_and_a_slow_client_is_cut(pair: Pair) -> None:
    pair.connection.write_paused(True)
    pair.connection.drop()
    pair.connection.write_paused(False)
    assert pair.host.events == [("paused", True), "slow", "gone"]
    assert pair.transport.aborted


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65536, b"\x81\x7f" + (65536).to_bytes(8, "big")),
    ],
)
def test_a_text_frame_is_unmasked_and_final(length: int, head: bytes) -> None:
    assert text_frame("x" * length) == head + b"x" * length


def test_a_lone_surrogate_does_not_break_a_frame() -> None:
    assert text_frame("a\ud800b") == b"\x81\x03a?b"
