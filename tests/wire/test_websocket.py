from __future__ import annotations

import gc
import os
import resource
import socket
import ssl
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import gevent.event
import pytest
from gevent import get_hub
from greenlet import greenlet

from pika_locust.wire import websocket
from pika_locust.wire.websocket import Close, Limits, WebSocket, connect
from tests.wire.http_servers import Certificates, Peer, serving
from tests.wire.websocket_servers import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    Script,
    Seen,
    Talk,
    close_frame,
    echoing,
    frame,
    silent,
    switching,
    talking,
    unmasked,
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def _no_longer_than_this() -> Iterator[None]:
    with gevent.Timeout(20):
        yield


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        gevent.sleep(0.001)


def sending(*pieces: bytes, pause_s: float = 0.0) -> Script:
    """Send this, then read in silence."""

    def script(talk: Talk) -> None:
        talk.send(*pieces, pause_s=pause_s)
        silent(talk)

    return script


class Received:
    """A script that keeps what the client sent, and answers as it is told."""

    def __init__(self, first: bytes = b"", answers: dict[int, bytes] | None = None) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.ended = False
        self._first = first
        self._answers = answers or {}

    def __call__(self, talk: Talk) -> None:
        talk.send(self._first)
        try:
            while (received := talk.frame()) is not None:
                self.frames.append(received)
                talk.send(self._answers.get(received[0], b""))
        finally:
            self.ended = True


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


# Messages


MESSAGES: dict[str, str] = {
    "a short text": "hello",
    "an empty one": "",
    "not only ASCII": "café 🎶 \x00 ü",
    "the longest with a 7-bit length": "x" * 125,
    "the shortest with a 16-bit length": "x" * 126,
    "the longest with a 16-bit length": "x" * 65535,
    "the shortest with a 64-bit length": "x" * 65536,
    "66 kB of two-byte characters": "é" * 33_000,
    "a megabyte": "x" * (1 << 20),
}
SPLITS: dict[str, tuple[int, ...]] = {
    "at once": (),
    "after the first byte": (1,),
    "within and after its head": (1, 2, 3, 5, 9, 11, 14),
    "in odd pieces": (17, 1460, 4099, 65537, 65550, 131_101, 700_001),
}


@pytest.mark.parametrize("text", MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("places", SPLITS.values(), ids=SPLITS)
def test_a_text_goes_there_and_back(text: str, places: tuple[int, ...]) -> None:
    def echo_in_pieces(talk: Talk) -> None:
        while (received := talk.frame()) is not None:
            data = frame(received[1], received[0])
            for start, end in zip((0, *places), (*places, len(data)), strict=True):
                talk.send(data[start:end], pause_s=0.001)

    with talking(echo_in_pieces) as (opened, seen):
        assert opened.send(text.encode())
        until(lambda: seen.texts)
        assert opened.send(b"and again")
        until(lambda: len(seen.texts) == 2)
    assert seen.texts == [text.encode(), b"and again"]
    assert seen.faults == []


def test_many_messages_in_one_packet_come_in_their_order() -> None:
    wanted = [b"%d" % number for number in range(5000)]
    with talking(sending(b"".join(map(frame, wanted)))) as (_, seen):
        until(lambda: len(seen.texts) >= 5000)
    assert seen.texts == wanted


def test_a_read_is_stamped_once_and_before_anything_is_made_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000]

    class Slow(Seen):
        def on_text(self, payload: bytes, at_ns: int) -> None:
            clock[0] += 500
            super().on_text(payload, at_ns)

    read_at: list[int] = []

    def now() -> int:
        clock[0] += 1
        read_at.append(clock[0])
        return clock[0]

    go = gevent.event.Event()

    def script(talk: Talk) -> None:
        go.wait()
        talk.send(frame(b"one") + frame(b"two") + frame(b"thr", final=False))
        gevent.sleep(0.02)
        talk.send(frame(b"ee", CONTINUATION) + frame(b"four", BINARY))
        silent(talk)

    with talking(script, handler=Slow(), limits=Limits(read_s=None)) as (opened, seen):
        monkeypatch.setattr(websocket, "monotonic_ns", now)
        go.set()
        until(lambda: seen.binaries)
        monkeypatch.undo()
        assert read_at == [1001, 2002], "one stamp for each read, and none in between"
        assert seen.stamps == [1001, 1001, 2002, 2002]
        assert opened.received_ns == 2002


@pytest.mark.parametrize("payload", [b"", b"are you there", bytes(125)], ids=["empty", "short", "as long as allowed"])
def test_a_ping_is_answered_with_its_payload(payload: bytes) -> None:
    received = Received(frame(b"a", final=False) + frame(payload, PING) + frame(b"b", CONTINUATION))
    with talking(received) as (_, seen):
        until(lambda: received.frames)
        assert received.frames == [(PONG, payload)]
        until(lambda: seen.texts)
    assert seen.order == ["text", "close"]
    assert seen.texts == [b"ab"]


def test_a_pong_that_nobody_asked_for_is_ignored() -> None:
    received = Received(frame(b"", PONG) + frame(b"news", PONG) + frame(b"text"))
    with talking(received) as (_, seen):
        until(lambda: seen.texts)
        assert seen.order == ["text"]
    assert received.frames == []


def test_our_ping_is_answered_and_shows_in_the_time_of_the_last_read() -> None:
    def script(talk: Talk) -> None:
        while (received := talk.frame()) is not None:
            pinged.append(received)
            talk.send(frame(received[1], PONG))

    pinged: list[tuple[int, bytes]] = []
    with talking(script) as (opened, seen):
        before = opened.received_ns
        assert opened.ping(b"x" * 200)
        until(lambda: opened.received_ns > before)
        assert seen.order == []
    assert pinged == [(PING, b"x" * 125)]


def test_fragments_and_binary_messages() -> None:
    data = (
        frame(b"one", BINARY)
        + frame("é".encode()[:1], final=False)
        + frame("é".encode()[1:], CONTINUATION, final=False)
        + frame(b"", CONTINUATION)
        + frame(b"t", BINARY, final=False)
        + frame(b"wo", CONTINUATION)
    )
    with talking(sending(data)) as (_, seen):
        until(lambda: len(seen.order) == 3)
    assert (seen.texts, seen.binaries) == (["é".encode()], [b"one", b"two"])
    assert seen.order == ["binary", "text", "binary", "close"]


@pytest.mark.parametrize("by", ["one script", "one packet"])
def test_what_comes_with_the_answer_to_the_upgrade_is_not_lost(by: str) -> None:
    def script(peer: Peer) -> None:
        answer = switching(peer.request())
        if by == "one packet":
            peer.send(answer + frame(b"first") + frame(b"second"))
        else:
            peer.send(answer, frame(b"first"), frame(b"second"))
        peer.wait_for_end()

    with serving(script) as server:
        seen = Seen()
        opened = connect(f"ws://127.0.0.1:{server.port}/", seen)
        assert seen.order == [], "nothing is handed over before the caller waits"
        until(lambda: len(seen.texts) == 2)
        opened.abort()
    assert seen.texts == [b"first", b"second"]


# The end


SERVER_CLOSES: dict[str, tuple[bytes, Close, bytes]] = {
    "with a code": (close_frame(1001), Close(1001), b"\x03\xe9"),
    "with a code and a reason": (close_frame(4003, "zu spät".encode()), Close(4003, "zu spät"), b"\x0f\xa3"),
    "without a code": (frame(b"", CLOSE), Close(1005), b""),
}


@pytest.mark.parametrize(("data", "close", "echo"), SERVER_CLOSES.values(), ids=SERVER_CLOSES)
def test_a_close_of_the_server_is_reported_and_echoed(data: bytes, close: Close, echo: bytes) -> None:
    received = Received(frame(b"last") + data + frame(b"too late"))
    with talking(received) as (opened, seen):
        until(lambda: seen.closes)
        until(lambda: received.ended)
        assert not opened.is_open
    assert received.frames == [(CLOSE, echo)]
    assert seen.closes == [close]
    assert (seen.texts, seen.order) == ([b"last"], ["text", "close"])


BAD_CLOSES: dict[str, tuple[bytes, int]] = {
    "one byte": (frame(b"\x03", CLOSE), 1002),
    "a code that must not be sent": (close_frame(1006), 1002),
    "a reason that is not UTF-8": (close_frame(1000, b"\xff"), 1007),
    "a fragmented one": (frame(b"\x03\xe8", CLOSE, final=False), 1002),
}
VIOLATIONS: dict[str, tuple[bytes, int]] = {
    **{f"a bad close frame: {name}": case for name, case in BAD_CLOSES.items()},
    "reserved bits": (frame(b"x", reserved=4), 1002),
    "a masked frame": (frame(b"x", masked=True), 1002),
    "a continuation of nothing": (frame(b"x", CONTINUATION), 1002),
    "text that is not UTF-8": (frame(b"\xff"), 1007),
    "a message that is too big": (frame(b"x" * 1001), 1009),
    "garbage behind half a fragmented message": (frame(b"x", final=False) + b"\x8f\x00", 1002),
}


@pytest.mark.parametrize(("data", "code"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_violation_is_said_to_the_server_and_ends_the_connection(data: bytes, code: int) -> None:
    received = Received(frame(b"before") + data + frame(b"behind"))
    active = get_hub().loop.activecnt
    with talking(received, limits=Limits(max_message_bytes=1000)) as (_, seen):
        until(lambda: seen.closes)
        until(lambda: received.ended)
    (close,) = seen.closes
    assert (close.code, close.by_us) == (code, True)
    assert close.error.startswith("the server sent ")
    assert received.frames == [(CLOSE, code.to_bytes(2, "big"))]
    assert seen.texts == [b"before"]
    assert get_hub().loop.activecnt == active, "no timer is left for the message that will never be complete"


OUR_CLOSES: dict[str, tuple[int, str, bytes]] = {
    "an ordinary one": (1000, "", b"\x03\xe8"),
    "one with a reason": (4000, "bye 👋", b"\x0f\xa0" + "bye 👋".encode()),
    "one without a code": (1005, "", b""),
}


@pytest.mark.parametrize(("code", "reason", "payload"), OUR_CLOSES.values(), ids=OUR_CLOSES)
def test_our_close_is_answered(code: int, reason: str, payload: bytes) -> None:
    received = Received(answers={CLOSE: frame(b"still") + frame(b"\x03\xe8", CLOSE)})
    with talking(received) as (opened, seen):
        opened.close(code, reason)
        assert not opened.is_open
        assert seen.closes == []
        opened.close(4444, "a second one does nothing")
        until(lambda: seen.closes)
        until(lambda: received.ended)
    assert received.frames == [(CLOSE, payload)]
    assert seen.closes == [Close(code, reason, by_us=True)]
    assert (seen.texts, seen.order) == ([b"still"], ["text", "close"])


def test_a_code_that_must_not_be_sent_is_the_callers_mistake() -> None:
    with talking(echoing) as (opened, seen):
        with pytest.raises(ValueError, match="close code 1006"):
            opened.close(1006)
        assert opened.is_open
        opened.close()
        until(lambda: seen.closes)
    assert seen.closes == [Close(1000, by_us=True)]


def test_while_we_close_pings_are_not_answered_and_a_bad_answer_is_not_answered_either() -> None:
    received = Received(answers={CLOSE: frame(b"", PING) + frame(b"\x01", CLOSE)})
    with talking(received) as (opened, seen):
        opened.close()
        until(lambda: received.ended)
    assert received.frames == [(CLOSE, b"\x03\xe8")]
    assert seen.closes == [Close(1002, by_us=True, error="the server sent a close frame of one byte")]


@pytest.mark.parametrize("closing", [False, True], ids=["out of the blue", "as an answer to our close"])
def test_an_end_without_a_close_frame_is_1006(closing: bool) -> None:
    def script(talk: Talk) -> None:
        if closing:
            talk.frame()

    with talking(script) as (opened, seen):
        if closing:
            opened.close()
        until(lambda: seen.closes)
    error = "the server ended the connection without a close frame"
    assert seen.closes == [Close(1006, by_us=closing, error=error)]


def test_an_end_in_the_middle_of_a_message_is_1006() -> None:
    active = get_hub().loop.activecnt
    with talking(lambda talk: talk.send(frame(b"whole") + frame(b"half")[:4])) as (_, seen):
        until(lambda: seen.closes)
    assert [close.code for close in seen.closes] == [1006]
    assert seen.texts == [b"whole"]
    assert get_hub().loop.activecnt == active


def test_a_reset_is_1006() -> None:
    def script(talk: Talk) -> None:
        talk.send(frame(b"before"))
        talk.frame()
        talk.peer.reset()

    with talking(script) as (opened, seen):
        until(lambda: seen.texts)
        opened.send(b"reset, please")
        until(lambda: seen.closes)
    assert seen.closes == [Close(1006, error="the connection broke: Connection reset by peer")]


LAST_WORDS: dict[str, tuple[bytes, Close]] = {
    "with a close frame": (close_frame(4008, b"too many"), Close(4008, "too many")),
    "without one": (b"", Close(1006, error="the server ended the connection without a close frame")),
}


@pytest.mark.parametrize(("data", "close"), LAST_WORDS.values(), ids=LAST_WORDS)
def test_a_send_that_finds_the_connection_gone_still_reads_why(data: bytes, close: Close) -> None:
    """The server closes without having read everything: the kernel resets, and the next send fails before the read."""
    gone = gevent.event.Event()

    def script(talk: Talk) -> None:
        talk.frame()
        talk.peer.socket.sendall(frame(b"last words") + data)
        talk.peer.close()
        gone.set()

    with talking(script) as (opened, seen):
        opened.send(b"one")
        opened.send(b"two, which is not read")
        gone.wait()
        time.sleep(0.01)
        assert seen.order == [], "this test needs to be faster than the event loop"
        assert not opened.send(b"three")
        assert not opened.send(b"four")
        assert seen.order == [], "not from inside a send"
        until(lambda: seen.closes)
    assert seen.texts == [b"last words"]
    assert seen.closes == [close]


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
            assert 0.07 < time.monotonic() - began < 0.5
        assert seen.closes == [Close(1006, by_us=True, error="our close frame was not answered")]


def test_abort_drops_the_connection_at_once() -> None:
    received = Received()
    with talking(received) as (opened, seen):
        opened.abort("no PONG for 5 s")
        assert seen.closes == [Close(1006, by_us=True, error="no PONG for 5 s")]
        opened.abort()
        opened.close()
        until(lambda: received.ended)
    assert received.frames == []
    assert len(seen.closes) == 1


@pytest.mark.parametrize("end", ["close", "abort", "the server's close"])
def test_nothing_is_sent_after_the_end(end: str) -> None:
    received = Received(close_frame(1000) if end.startswith("the server") else b"", {CLOSE: close_frame(1000)})
    with talking(received) as (opened, seen):
        if end == "close":
            opened.close()
        elif end == "abort":
            opened.abort()
        else:
            until(lambda: seen.closes)
        assert not opened.send(b"too late")
        assert not opened.ping()
        until(lambda: seen.closes)
        until(lambda: received.ended)
        assert not opened.send(b"too late")
        assert not opened.ping()
    assert {opcode for opcode, _ in received.frames} <= {CLOSE}


# Time


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


# A server that does not read


def not_reading(talk: Talk) -> None:
    gevent.sleep(30)


def test_a_server_that_does_not_read_is_given_up_and_others_are_not_held() -> None:
    limits = Limits(max_unsent_bytes=100_000)
    with talking(not_reading, limits=limits) as (stuck, seen), talking(echoing) as (other, other_seen):
        accepted = 0
        while stuck.send(bytes(50_000)):
            accepted += 50_000
            assert accepted < 50_000_000
        assert seen.closes == [], "not from inside a send"
        assert not stuck.is_open
        assert not stuck.send(b"more")
        other.send(b"ping")
        until(lambda: other_seen.texts, 0.5)
        assert seen.closes == [
            Close(1006, by_us=True, error="the server does not read: more than 100,000 bytes are unsent")
        ]
        assert other.is_open


def test_what_a_slow_server_could_not_take_is_sent_in_order_later(certificates: Certificates) -> None:
    messages = [bytes([number % 256]) * 60_000 for number in range(150)]
    for tls in (None, certificates):
        got: list[tuple[int, bytes]] = []

        def script(talk: Talk, got: list[tuple[int, bytes]] = got) -> None:
            gevent.sleep(0.1)
            while (received := talk.frame()) is not None:
                got.append(received)
                if len(got) % 10 == 0:
                    gevent.sleep(0.001)

        with talking(script, limits=Limits(max_unsent_bytes=1 << 24), certificates=tls) as (opened, _):
            active = get_hub().loop.activecnt
            assert all(opened.send(message) for message in messages)
            assert opened._unsent, "this test needs a server that is slow enough"
            until(lambda got=got: len(got) == 150)  # type: ignore[misc]
            assert opened._unsent is None
            assert opened._write_watcher is None
            assert get_hub().loop.activecnt <= active
        assert got == [(1, message) for message in messages]


def test_a_close_waits_behind_what_is_unsent() -> None:
    got: list[tuple[int, bytes]] = []

    def script(talk: Talk) -> None:
        gevent.sleep(0.05)
        while (received := talk.frame()) is not None:
            got.append(received)
            if received[0] == CLOSE:
                talk.send(frame(received[1], CLOSE))

    with talking(script, limits=Limits(max_unsent_bytes=1 << 24)) as (opened, seen):
        for _ in range(100):
            opened.send(bytes(100_000))
        opened.close(4000)
        until(lambda: seen.closes)
    assert [opcode for opcode, _ in got] == [1] * 100 + [CLOSE]
    assert seen.closes == [Close(4000, by_us=True)]


def test_a_reset_while_something_is_unsent() -> None:
    def script(talk: Talk) -> None:
        talk.send(frame(b"never mind"))
        gevent.sleep(0.02)
        talk.peer.reset()

    active = get_hub().loop.activecnt
    with talking(script) as (opened, seen):
        while opened._unsent is None:
            opened.send(bytes(100_000))
        until(lambda: seen.closes)
    assert [close.code for close in seen.closes] == [1006]
    assert get_hub().loop.activecnt == active


# The handler


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
    assert get_hub().loop.activecnt == active


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
    blocked = seen.faults.pop(2)
    assert "blocking" in str(blocked).lower(), "a handler that waits is a mistake as well"
    assert [str(fault) for fault in seen.faults] == ["text 1", "binary", "text 3", "text 4", "close"]


# TLS


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
@pytest.mark.parametrize("size", [0, 5, 126, 16_384, 70_000, 1 << 20])
def test_messages_over_tls(certificates: Certificates, size: int, version: ssl.TLSVersion) -> None:
    with talking(echoing, certificates=certificates, tls_version=version) as (opened, seen):
        for number in range(3):
            assert opened.send(b"%d" % number * size)
        until(lambda: len(seen.texts) == 3)
        opened.close(4000, "done")
        until(lambda: seen.closes)
    assert seen.texts == [b"%d" % number * size for number in range(3)]
    assert seen.closes == [Close(4000, "done", by_us=True)]


def test_many_small_frames_in_one_tls_record(certificates: Certificates) -> None:
    wanted = [b"%d" % number for number in range(1500)]
    data = b"".join(map(frame, wanted))
    assert len(data) < 16_384, "or it is not one record"
    with talking(sending(data), certificates=certificates) as (_, seen):
        until(lambda: len(seen.texts) >= 1500)
    assert seen.texts == wanted
    assert len(set(seen.stamps)) == 1


def test_what_comes_in_one_tls_record_with_the_answer_to_the_upgrade_is_handed_over_at_once(
    certificates: Certificates,
) -> None:
    def script(peer: Peer) -> None:
        peer.send(switching(peer.request()) + frame(b"first") + frame(b"second"))
        peer.wait_for_end()

    with serving(script, tls=certificates.server_context()) as server:
        seen = Seen()
        opened = connect(f"wss://127.0.0.1:{server.port}/", seen, ca_file=certificates.authority)
        assert seen.order == []
        until(lambda: len(seen.texts) == 2, 0.5)
        opened.abort()


def test_an_abort_before_that_is_the_end(certificates: Certificates) -> None:
    with serving(
        lambda peer: peer.send(switching(peer.request()) + frame(b"x")), tls=certificates.server_context()
    ) as server:
        seen = Seen()
        connect(f"wss://127.0.0.1:{server.port}/", seen, ca_file=certificates.authority).abort()
        gevent.sleep(0.02)
    assert seen.order == ["close"]


@pytest.mark.parametrize("how", ["with its farewell", "without", "by a reset"])
def test_the_end_of_a_tls_connection_is_1006(certificates: Certificates, how: str) -> None:
    def script(talk: Talk) -> None:
        talk.send(frame(b"before"))
        talk.frame()
        if how == "with its farewell":
            talk.peer.socket.unwrap()
        elif how == "by a reset":
            talk.peer.reset()

    with talking(script, certificates=certificates) as (opened, seen):
        until(lambda: seen.texts)
        opened.send(b"end it")
        until(lambda: seen.closes)
    (close,) = seen.closes
    assert (close.code, close.by_us) == (1006, False)
    assert close.error


def test_garbage_in_the_place_of_tls_is_1006(certificates: Certificates) -> None:
    def script(talk: Talk) -> None:
        os.write(talk.peer.socket.fileno(), b"\x81\x05hello, in the clear")
        gevent.sleep(5)

    with talking(script, certificates=certificates) as (_, seen):
        until(lambda: seen.closes)
    assert [close.code for close in seen.closes] == [1006]
    assert seen.closes[0].error.startswith("the connection broke: ")


@contextmanager
def another_process(program: str, *arguments: str) -> Iterator[tuple[int, Callable[[str], None]]]:
    """A Python process, the port that it prints, and a way to send it a line."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def say(line: str) -> None:
            stdin.write(f"{line}\n")
            stdin.flush()

        try:
            yield int(stdout.readline()), say
        finally:
            process.kill()


FLOOD = """
    import socket, ssl, sys
    from tests.wire.websocket_servers import frame, switching

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    raw, _ = listener.accept()
    connection = context.wrap_socket(raw, server_side=True)
    connection.sendall(switching(connection.recv(65536)))
    records = frame(b"x" * 16000) * 16
    try:
        while True:
            connection.sendall(records)
    except OSError:
        pass
"""


def test_a_tls_server_that_never_pauses_does_not_hold_the_event_loop(certificates: Certificates) -> None:
    class Working(Seen):
        def on_text(self, payload: bytes, at_ns: int) -> None:
            self.texts.append(payload[:1])
            end = time.perf_counter() + 0.0005
            while time.perf_counter() < end:
                pass

    with another_process(FLOOD, certificates.chain, certificates.key) as (port, _):
        seen = Working()
        opened = connect(f"wss://127.0.0.1:{port}/", seen, ca_file=certificates.authority)
        gaps = []
        end = time.monotonic() + 0.6
        while (now := time.monotonic()) < end:
            gevent.sleep(0.001)
            gaps.append(time.monotonic() - now)
        opened.abort()
    assert len(seen.texts) > 100
    assert max(gaps) < 0.2


class OpenSslServer:
    """`openssl s_server`, which can be told to renegotiate and to change keys in the middle of a connection."""

    def __init__(self, certificates: Certificates, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = ["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}", "-cert", certificates.chain]
        self._process = subprocess.Popen(
            [*command, "-key", certificates.key, "-naccept", "1", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.output = b""
        self.wait_for(b"ACCEPT")

    def wait_for(self, words: bytes) -> None:
        """Read until these words have come, in the greenlet's own time."""
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

        def come() -> bool:
            try:
                self.output += os.read(self._process.stdout.fileno(), 65536)  # type: ignore[union-attr]
            except BlockingIOError:
                pass
            return words in self.output

        until(come)

    def say(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()
        gevent.sleep(0.05)

    def upgrade(self) -> None:
        self.wait_for(b"\r\n\r\n")
        self.say(switching(self.output[self.output.index(b"GET ") :]))

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


TLS_TALK: dict[str, tuple[tuple[str, ...], bytes]] = {
    "new keys of TLS 1.3": (("-tls1_3",), b"k\n"),
    "new keys of TLS 1.3 on both sides": (("-tls1_3",), b"K\n"),
    "a renegotiation of TLS 1.2": (("-tls1_2",), b"r\n"),
    "tickets and nothing else": (("-tls1_3", "-num_tickets", "5"), b""),
}


@pytest.mark.parametrize(("options", "command"), TLS_TALK.values(), ids=TLS_TALK)
def test_what_tls_says_for_itself_neither_blocks_nor_is_heard(
    certificates: Certificates, options: tuple[str, ...], command: bytes
) -> None:
    server = OpenSslServer(certificates, *options)
    opened: WebSocket | None = None
    try:
        upgrading = gevent.spawn(server.upgrade)
        seen = Seen()
        opened = connect(f"wss://127.0.0.1:{server.port}/", seen, ca_file=certificates.authority)
        upgrading.get()
        server.say(frame(b"before the talk!\n"))
        until(lambda: seen.texts)
        for number in range(3):
            if command:
                server.say(command)
            longest = [0.0]

            def tick(longest: list[float] = longest) -> None:
                for _ in range(20):
                    began = time.monotonic()
                    gevent.sleep(0.001)
                    longest[0] = max(longest[0], time.monotonic() - began)

            tick()
            assert longest[0] < 0.1
            assert opened.send(b"x" * 30)
            server.say(frame(b"behind the talk\n"))
            until(lambda number=number: len(seen.texts) == 2 + number)  # type: ignore[misc]
        assert seen.closes == []
        assert opened.is_open
    finally:
        if opened is not None:
            opened.abort()
        server.stop()


def test_bytes_that_tls_could_not_send_are_sent_again_as_they_were(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL has encrypted a part of what it did not send: to offer it anything else would spoil the stream."""
    offered: list[tuple[int, bytes]] = []
    got: list[tuple[int, bytes]] = []
    read = gevent.event.Event()

    def script(talk: Talk) -> None:
        read.wait()
        while (received := talk.frame()) is not None:
            got.append(received)

    with talking(script, certificates=certificates, limits=Limits(max_unsent_bytes=1 << 26)) as (opened, _):
        inner = opened._sock

        class Watching:
            def send(self, data: bytes) -> int:
                sent = int(inner.send(data))
                offered.append((sent, bytes(data)))
                return sent

            def __getattr__(self, name: str) -> Any:
                return getattr(inner, name)

        opened._sock = Watching()
        message = os.urandom(1 << 20).hex().encode()
        while opened._unsent is None:
            opened.send(message)
        sent_before = len(offered)
        refused = offered[-1]
        assert refused[0] == 0, "gevent's way to say that TLS wants to write"
        opened.send(b"behind it")
        assert len(offered) == sent_before, "not even tried while something is unsent"
        read.set()
        until(lambda: got and got[-1] == (1, b"behind it"))
        assert offered[sent_before][1].startswith(refused[1])
    assert {payload for _, payload in got[:-1]} == {message}


# What a connection costs


def greenlets() -> int:
    gc.collect()
    return sum(isinstance(thing, greenlet) for thing in gc.get_objects())


CROWD = """
    import socket, sys
    from tests.wire.websocket_servers import close_frame, frame, switching

    wanted = int(sys.argv[1])
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    connections = []
    while len(connections) < wanted:
        connection, _ = listener.accept()
        connection.sendall(switching(connection.recv(65536)))
        connections.append(connection)
    for line in sys.stdin:
        data = close_frame(1000) if line == "close\\n" else frame(line.strip().encode())
        for connection in connections:
            try:
                connection.sendall(data)
            except OSError:
                pass
"""


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_two_thousand_connections_without_a_greenlet_and_without_a_trace() -> None:
    crowd = 2000
    with another_process(CROWD, str(crowd)) as (port, say):
        gevent.sleep(0)
        before = greenlets(), open_files(), get_hub().loop.activecnt
        handlers = [Seen() for _ in range(crowd)]
        began = time.monotonic()
        opened = [connect(f"ws://127.0.0.1:{port}/ws", handler) for handler in handlers]
        connecting_s = time.monotonic() - began
        assert greenlets() == before[0]
        assert open_files() == before[1] + crowd
        assert get_hub().loop.activecnt == before[2] + crowd, "one watcher each"
        say("first")
        say("second")
        until(lambda: all(len(handler.texts) == 2 for handler in handlers))
        assert greenlets() == before[0]
        half = crowd // 2
        for connection in opened[:half]:
            connection.abort()
        say("close")
        until(lambda: all(handler.closes for handler in handlers))
        gevent.sleep(0)
        assert (greenlets(), open_files(), get_hub().loop.activecnt) == before
    assert all(handler.texts == [b"first", b"second"] for handler in handlers)
    assert {handler.closes[0].code for handler in handlers[:half]} == {1006}
    assert [handler.closes for handler in handlers[half:]] == [[Close(1000)]] * half
    assert connecting_s < 8


ENDS: dict[str, tuple[Script, Callable[[WebSocket], object]]] = {
    "the server's close": (sending(close_frame(1000)), lambda opened: None),
    "the server's end": (lambda talk: None, lambda opened: None),
    "our close": (echoing, lambda opened: opened.close()),
    "an abort": (silent, lambda opened: opened.abort()),
    "a violation": (sending(b"\xff\xff"), lambda opened: None),
    "silence": (silent, lambda opened: None),
    "an incomplete message": (sending(b"\x81"), lambda opened: None),
    "an unanswered close": (silent, lambda opened: opened.close()),
    "a server that does not read": (not_reading, lambda opened: [opened.send(bytes(1 << 20)) for _ in range(40)]),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(("script", "act"), ENDS.values(), ids=ENDS)
def test_no_end_leaves_anything_behind(
    certificates: Certificates, script: Script, act: Callable[[WebSocket], object], tls: bool
) -> None:
    limits = Limits(idle_s=0.15, read_s=0.05, close_s=0.05)
    gevent.sleep(0)
    before = open_files(), get_hub().loop.activecnt
    with talking(script, limits=limits, certificates=certificates if tls else None) as (opened, seen):
        act(opened)
        until(lambda: seen.closes)
        for slot in ("_read_watcher", "_write_watcher", "_timer", "_unsent", "_sock"):
            assert getattr(opened, slot) is None
        gevent.sleep(0.2)
        assert seen.order.count("close") == 1
        assert seen.order[-1] == "close"
    gevent.sleep(0.01)
    assert (open_files(), get_hub().loop.activecnt) == before


def test_a_closed_connection_is_not_kept_alive_by_anything() -> None:
    with talking(echoing, limits=Limits(idle_s=5, read_s=5)) as (opened, seen):
        opened.send(b"hello")
        until(lambda: seen.texts)
        opened.close()
        until(lambda: seen.closes)
    del opened
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, WebSocket)]


def test_the_helpers_mask_as_the_protocol_says() -> None:
    assert unmasked(b"\x37\xfa\x21\x3d", b"\x7f\x9f\x4d\x51\x58") == b"Hello", "RFC 6455, section 5.7"
