from __future__ import annotations

import time

import gevent
import gevent.event
import pytest

from pika_locust.wire.websocket import Close, Limits
from tests.wire.websocket_servers import (
    CONTINUATION,
    PING,
    PONG,
    Received,
    Script,
    Talk,
    close_frame,
    frame,
    sending,
    silent,
    talking,
    until,
)

# Limits of a tenth of a second, and how soon after them a connection ends.
pytestmark = [pytest.mark.usefixtures("patience"), pytest.mark.alone]


def test_silence_ends_after_idle_s() -> None:
    received = Received()
    began = time.monotonic()
    with talking(received, limits=Limits(idle_s=0.1)) as (opened, seen):
        for _ in range(3):
            gevent.sleep(0.02)
            opened.send(b"what we send does not count")
        until(lambda: seen.closes)
    assert 0.09 < time.monotonic() - began < 0.6
    assert seen.closes == [Close(1006, by_us=True, error="nothing was received for 0.1 s")]


def test_whatever_is_received_counts_against_idleness() -> None:
    def script(talk: Talk) -> None:
        for data in (frame(b"", PING), frame(b"", PONG), frame(b"text"), frame(b"half", final=False)):
            talk.send(data, pause_s=0.06)
        silent(talk)

    began = time.monotonic()
    with talking(script, limits=Limits(idle_s=0.12)) as (_, seen):
        until(lambda: seen.closes)
    assert time.monotonic() - began > 0.18 + 0.11


def drip(data: bytes, every_s: float) -> Script:
    return sending(*(data[place : place + 1] for place in range(len(data))), pause_s=every_s)


INCOMPLETE: dict[str, Script] = {
    "half a head": sending(b"\x81"),
    "half a frame": sending(frame(b"whole") + frame(b"half")[:4]),
    "half a control frame": sending(frame(b"half", PING)[:4]),
    "a fragmented message without its end": sending(frame(b"a", final=False), frame(b"b", CONTINUATION, final=False)),
    "a message byte by byte": drip(frame(b"x" * 1000), 0.005),
    "endless fragments": sending(
        frame(b"", final=False), *[frame(b"", CONTINUATION, final=False)] * 300, pause_s=0.003
    ),
}


@pytest.mark.parametrize("idle_s", [None, 9.0], ids=["alone", "with a later limit for idleness"])
@pytest.mark.parametrize("script", INCOMPLETE.values(), ids=INCOMPLETE)
def test_a_message_that_is_not_complete_ends_after_read_s(script: Script, idle_s: float | None) -> None:
    began = time.monotonic()
    with talking(script, limits=Limits(read_s=0.1, idle_s=idle_s)) as (_, seen):
        until(lambda: seen.closes)
    assert 0.09 < time.monotonic() - began < 0.6
    assert seen.closes == [Close(1006, by_us=True, error="a message was not complete after 0.1 s")]


def test_every_message_has_the_whole_of_read_s() -> None:
    data = [frame(b"slow", final=False), frame(b"ly", CONTINUATION) + frame(b"slow", final=False)] * 5
    received = Received()

    def script(talk: Talk) -> None:
        talk.send(data[0], pause_s=0.04)
        for _ in range(7):
            talk.send(data[1], pause_s=0.04)
        talk.send(frame(b"ly", CONTINUATION))
        received(talk)

    with talking(script, limits=Limits(read_s=0.07)) as (_, seen):
        until(lambda: len(seen.texts) == 8)
        gevent.sleep(0.1)
        assert seen.closes == [], "nor is there one that is not complete"
    assert seen.texts == [b"slowly"] * 8


def test_a_message_that_comes_slowly_while_we_close_has_the_time_of_the_close() -> None:
    def script(talk: Talk) -> None:
        talk.frame()
        talk.send(frame(b"slowly")[:4], pause_s=0.12)
        talk.send(frame(b"slowly")[4:] + close_frame(1000))
        silent(talk)

    with talking(script, limits=Limits(read_s=0.03, close_s=3)) as (opened, seen):
        opened.close(4000)
        until(lambda: seen.closes)
    assert seen.texts == [b"slowly"]
    assert seen.closes == [Close(4000, by_us=True)]


def test_a_close_that_is_not_answered_ends_after_close_s() -> None:
    def chattering(talk: Talk) -> None:
        while True:
            talk.send(frame(b"chatter"), pause_s=0.005)

    for script in (silent, chattering):
        with talking(script, limits=Limits(close_s=0.08)) as (opened, seen):
            began = time.monotonic()
            opened.close()
            until(lambda seen=seen: seen.closes)  # type: ignore[misc]
            assert 0.07 < time.monotonic() - began < 2
        assert seen.closes == [Close(1006, by_us=True, error="our close frame was not answered")]
