from __future__ import annotations

import time

import gevent
import gevent.event
import pytest
from gevent import get_hub

from pika_locust.clock import replaced
from pika_locust.wire.websocket import Close, Limits
from tests.wire.websocket_servers import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    Received,
    Seen,
    Talk,
    close_frame,
    echoing,
    frame,
    sending,
    silent,
    talking,
    unmasked,
    until,
)

pytestmark = pytest.mark.usefixtures("patience")


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
    assert seen.errors == []


def test_many_messages_in_one_packet_come_in_their_order() -> None:
    wanted = [b"%d" % number for number in range(5000)]
    with talking(sending(b"".join(map(frame, wanted)))) as (_, seen):
        until(lambda: len(seen.texts) >= 5000)
    assert seen.texts == wanted


def test_a_read_is_stamped_once_and_before_anything_is_made_of_it() -> None:
    clock = [1000]

    class Slow(Seen):
        def on_text(self, payload: bytes, at_ns: int) -> None:
            clock[0] += 500
            super().on_text(payload, at_ns)

    def now() -> int:
        clock[0] += 1
        return clock[0]

    go = gevent.event.Event()

    def script(talk: Talk) -> None:
        go.wait()
        talk.send(frame(b"one") + frame(b"two") + frame(b"thr", final=False))
        gevent.sleep(0.02)
        talk.send(frame(b"ee", CONTINUATION) + frame(b"four", BINARY))
        silent(talk)

    with talking(script, handler=Slow(), limits=Limits(read_s=None)) as (opened, seen):
        with replaced(now, time.time):
            go.set()
            until(lambda: seen.binaries)
        one, two, three, four = seen.stamps
        assert one == two < 1500 < 2000 < three == four, "one stamp for each read, and none in between"
        assert opened.received_ns == four


@pytest.mark.parametrize("payload", [b"", b"are you there", bytes(125)], ids=["empty", "short", "as long as allowed"])
def test_a_ping_is_answered_with_its_payload(payload: bytes) -> None:
    received = Received(frame(b"a", final=False) + frame(payload, PING) + frame(b"b", CONTINUATION))
    with talking(received) as (_, seen):
        until(lambda: received.frames)
        assert received.frames == [(PONG, payload)]
        until(lambda: seen.texts)
    assert seen.order == ["text", "close"]
    assert seen.texts == [b"ab"]


def test_of_many_pings_at_once_the_last_is_answered() -> None:
    received = Received(frame(b"text") + b"".join(frame(b"%d" % number, PING) for number in range(1000)))
    with talking(received) as (_, seen):
        until(lambda: (PONG, b"999") in received.frames)
        assert len(received.frames) <= 3, "one for each read"
        assert seen.texts == [b"text"]


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
    # What an earlier test left may end meanwhile; nothing may come on top.
    until(lambda: get_hub().loop.activecnt <= active)


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
    until(lambda: get_hub().loop.activecnt <= active)


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


def test_the_helpers_mask_as_the_protocol_says() -> None:
    assert unmasked(b"\x37\xfa\x21\x3d", b"\x7f\x9f\x4d\x51\x58") == b"Hello", "RFC 6455, section 5.7"
