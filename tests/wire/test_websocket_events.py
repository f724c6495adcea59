from __future__ import annotations

from collections.abc import Callable

import gevent
import gevent.event
import pytest
from gevent import get_hub

from pika_locust.wire.websocket import Close, WebSocket
from tests.wire.websocket_servers import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    Received,
    Script,
    Seen,
    close_frame,
    frame,
    sending,
    talking,
    until,
)

pytestmark = pytest.mark.usefixtures("patience")


class Acting(Seen):
    """Does something with the first message."""

    def __init__(self, act: Callable[[WebSocket], object]) -> None:
        super().__init__()
        self.act = act
        self.socket: WebSocket | None = None

    def on_text(self, payload: bytes, at_ns: int) -> None:
        super().on_text(payload, at_ns)
        if len(self.texts) == 1:
            assert self.socket is not None
            self.act(self.socket)


def acting(act: Callable[[WebSocket], object], *scripts: Script) -> Seen:
    seen = Acting(act)
    with talking(*scripts, handler=seen) as (opened, _):
        seen.socket = opened
        until(lambda: seen.closes)
        gevent.sleep(0.02)
    return seen


THREE = frame(b"one") + frame(b"two") + frame(b"three") + frame(b"not comp")[:5]


def test_nothing_comes_after_on_close_not_even_from_the_same_packet() -> None:
    active = get_hub().loop.activecnt
    seen = acting(lambda opened: opened.abort("enough"), sending(THREE))
    assert seen.order == ["text", "close"]
    assert seen.closes == [Close(1006, by_us=True, error="enough")]
    until(lambda: get_hub().loop.activecnt <= active)


def test_a_handler_that_aborts_and_raises_is_told_so_and_nothing_more() -> None:
    def act(opened: WebSocket) -> None:
        opened.abort("enough")
        raise RuntimeError("and more than enough")

    seen = acting(act, sending(THREE))
    assert seen.order == ["text", "close", "fault"]


def test_a_handler_may_close_and_is_handed_the_rest() -> None:
    received = Received(frame(b"one") + frame(b"two") + frame(b"three"), {CLOSE: frame(b"four") + close_frame(1000)})
    seen = acting(lambda opened: opened.close(), received)
    assert seen.texts == [b"one", b"two", b"three", b"four"]
    assert seen.closes == [Close(1000, by_us=True)]
    assert received.frames == [(CLOSE, b"\x03\xe8")]


def test_a_handler_may_send() -> None:
    received = Received(frame(b"one"), {1: close_frame(1000)})
    seen = acting(lambda opened: opened.send(b"answer"), received)
    assert received.frames[0] == (1, b"answer")
    assert seen.closes == [Close(1000)]


class Faulty(Seen):
    """Raises whenever it is told something."""

    def on_text(self, payload: bytes, at_ns: int) -> None:
        super().on_text(payload, at_ns)
        if payload == b"block":
            gevent.sleep(0.001)
        raise RuntimeError(f"text {len(self.texts)}")

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        super().on_binary(payload, at_ns)
        raise RuntimeError("binary")

    def on_close(self, close: Close) -> None:
        super().on_close(close)
        raise RuntimeError("close")


def test_mistakes_of_the_handler_are_told_to_it_and_reading_goes_on() -> None:
    data = frame(b"1") + frame(b"2", BINARY) + frame(b"block") + frame(b"f", final=False) + frame(b"4", CONTINUATION)
    script = sending(data, frame(b"5") + frame(b"", PING) + close_frame(1000), pause_s=0.01)
    with talking(script, handler=Faulty()) as (_, seen):
        until(lambda: seen.closes)
    assert seen.texts == [b"1", b"block", b"f4", b"5"]
    assert seen.binaries == [b"2"]
    assert seen.closes == [Close(1000)]
    kinds = ["text", "binary", "text", "text", "text", "close"]
    assert seen.order == [entry for kind in kinds for entry in (kind, "fault")]
    blocked = seen.errors.pop(2)
    assert "blocking" in str(blocked).lower(), "a handler that waits is a mistake as well"
    assert [str(fault) for fault in seen.errors] == ["text 1", "binary", "text 3", "text 4", "close"]
