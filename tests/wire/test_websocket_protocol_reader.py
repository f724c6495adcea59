from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pika_locust.wire.websocket_protocol import MessageReader, ProtocolViolation
from tests.wire.websocket_servers import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame

Event = tuple[str, bytes]


class Told:
    """Listener and controls in one: keeps what it is told, and does `after` with each."""

    def __init__(self, after: Callable[[Event], None] = lambda event: None) -> None:
        self.events: list[Event] = []
        self.stamps: list[int] = []
        self.after = after

    def _keep(self, kind: str, payload: bytes, at_ns: int = 0) -> None:
        self.events.append((kind, payload))
        self.stamps.append(at_ns)
        self.after((kind, payload))

    def on_text(self, payload: bytes, at_ns: int) -> None:
        self._keep("text", payload, at_ns)

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        self._keep("binary", payload, at_ns)

    def on_control(self, opcode: int, payload: bytes) -> None:
        self._keep({CLOSE: "close", PING: "ping", PONG: "pong"}[opcode], payload)


def reading(told: Told, max_bytes: int = 1000) -> MessageReader:
    return MessageReader(told, told, max_bytes)


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The data, cut at these places; some pieces may be empty."""
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


@dataclass
class Stream:
    """Valid bytes, what they say, and when a message is under way."""

    data: bytes = b""
    events: list[Event] = field(default_factory=list)
    messages: list[tuple[int, int]] = field(default_factory=list)
    """Where each message, or control frame between messages, begins and ends."""

    def add_control(self, opcode: int, payload: bytes, inside: bool) -> None:
        start = len(self.data)
        self.data += frame(payload, opcode)
        self.events.append(("ping" if opcode == PING else "pong", payload))
        if not inside:
            self.messages.append((start, len(self.data)))

    def add_message(self, opcode: int, payload: bytes, cuts: Sequence[int], control: tuple[int, bytes] | None) -> None:
        start = len(self.data)
        fragments = pieces(payload, cuts)
        for number, fragment in enumerate(fragments):
            final = number == len(fragments) - 1
            self.data += frame(fragment, CONTINUATION if number else opcode, final=final)
            if control is not None and not final:
                self.add_control(*control, inside=True)
        self.messages.append((start, len(self.data)))
        self.events.append(("text" if opcode == TEXT else "binary", payload))

    def begun(self, read: int) -> int | None:
        """Where the message begins of which only a part is in the first `read` bytes."""
        return next((start for start, end in self.messages if start < read < end), None)


controls = st.tuples(st.sampled_from((PING, PONG)), st.binary(max_size=125))
texts = st.one_of(st.text(max_size=40), st.sampled_from(("x" * 125, "x" * 126, "é" * 200))).map(str.encode)
messages = st.tuples(
    st.one_of(st.tuples(st.just(TEXT), texts), st.tuples(st.just(BINARY), st.binary(max_size=300))),
    st.lists(st.integers(0, 60), max_size=3),
    st.none() | controls,
)


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    stream = Stream()
    for item in draw(st.lists(st.one_of(messages, controls), max_size=8)):
        if len(item) == 3:
            (opcode, payload), cuts, control = item
            stream.add_message(opcode, payload, cuts, control)
        else:
            stream.add_control(*item, inside=False)
    return stream


@settings(deadline=None, max_examples=150)
@given(streams(), st.lists(st.integers(0, 900), max_size=12))
def test_any_split_of_any_valid_stream_gives_the_same_messages(stream: Stream, cuts: list[int]) -> None:
    told = Told()
    reader = reading(told)
    read = 0
    stamp_of: dict[int, int] = {}
    for stamp, piece in enumerate(pieces(stream.data, cuts), 1):
        stamp_of |= dict.fromkeys(range(read, read + len(piece)), stamp)
        read += len(piece)
        reader.take(piece, stamp)
        begun = stream.begun(read)
        assert reader.partial_since_ns == (0 if begun is None else stamp_of[begun])
    assert told.events == stream.events


@settings(deadline=None, max_examples=60)
@given(streams())
def test_byte_by_byte_gives_the_same_messages(stream: Stream) -> None:
    told = Told()
    reader = reading(told)
    for place in range(len(stream.data)):
        reader.take(stream.data[place : place + 1], place)
    assert told.events == stream.events


@settings(deadline=None, max_examples=100)
@given(streams(), st.lists(st.integers(0, 900), max_size=6), st.sets(st.integers(0, 30)))
def test_an_exception_of_the_listener_loses_nothing(stream: Stream, cuts: list[int], faulty: set[int]) -> None:
    def fail(event: Event) -> None:
        if len(told.events) - 1 in faulty:
            raise RuntimeError(len(told.events) - 1)

    told = Told(fail)
    reader = reading(told)
    faults = []
    read = 0
    for stamp, piece in enumerate(pieces(stream.data, cuts), 1):
        read += len(piece)
        while True:
            try:
                reader.take(piece, stamp)
                break
            except RuntimeError as error:
                faults.append(error.args[0])
                piece = b""
        assert bool(reader.partial_since_ns) == (stream.begun(read) is not None)
    assert told.events == stream.events
    assert faults == sorted(faulty & set(range(len(stream.events))))


def test_messages_of_one_read_have_its_stamp_and_a_split_one_that_of_its_last_bytes() -> None:
    told = Told()
    reader = reading(told)
    data = frame(b"one") + frame(b"two") + frame(b"three", BINARY) + frame(b"four")
    reader.take(data[:-1], 10)
    reader.take(data[-1:] + frame(b"five"), 20)
    assert told.stamps == [10, 10, 10, 20, 20]


SIZES = (0, 1, 125, 126, 65535, 65536, 70_000)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text", ["x", "é"])
def test_a_message_of_any_size_within_the_bound(size: int, text: str) -> None:
    payload = (text * size).encode()[: size - size % 2]
    told = Told()
    reading(told, len(payload)).take(frame(payload) + frame(payload, BINARY), 1)
    assert told.events == [("text", payload), ("binary", payload)]


VIOLATIONS: dict[str, tuple[bytes, int]] = {
    "reserved bits": (frame(b"x", reserved=4), 1002),
    "a reserved opcode": (frame(b"x", 3), 1002),
    "a reserved control opcode": (frame(b"", 11), 1002),
    "a masked frame": (frame(b"x", masked=True), 1002),
    "a long ping": (frame(bytes(126), PING), 1002),
    "a fragmented ping": (frame(b"", PING, final=False), 1002),
    "a length that is spelled too long": (b"\x81\x7e\x00\x05hello", 1002),
    "a 64-bit length that is spelled too long": (b"\x81\x7f" + (5).to_bytes(8, "big") + b"hello", 1002),
    "a 64-bit length beyond 63 bits": (b"\x81\x7f\xff" + bytes(7), 1002),
    "a message of 8 exabytes": (b"\x81\x7f\x7f" + b"\xff" * 7, 1009),
    "a message one byte too long": (frame(b"x" * 1001), 1009),
    "a binary message one byte too long": (frame(bytes(1001), BINARY), 1009),
    "a first fragment that is too long": (frame(bytes(1001), BINARY, final=False), 1009),
    "fragments that together are too long": (
        frame(b"x" * 600, final=False) + frame(b"x" * 401, CONTINUATION, final=False),
        1009,
    ),
    "a continuation of nothing": (frame(b"x", CONTINUATION), 1002),
    "a continuation of what is complete": (
        frame(b"ab", final=False) + frame(b"c", CONTINUATION) + frame(b"d", CONTINUATION),
        1002,
    ),
    "a text inside a fragmented one": (frame(b"a", final=False) + frame(b"b"), 1002),
    "a binary inside a fragmented text": (frame(b"a", final=False) + frame(b"b", BINARY, final=False), 1002),
    "text that is not UTF-8": (frame(b"\xff"), 1007),
    "text that ends within a character": (frame("é".encode()[:1]), 1007),
    "a surrogate": (frame(b"\xed\xa0\x80"), 1007),
    "an overlong slash": (frame(b"\xc0\xaf"), 1007),
    "a character beyond the last": (frame(b"\xf4\x90\x80\x80"), 1007),
    "fragments that are not UTF-8 together": (frame(b"\xc3", final=False) + frame(b"(", CONTINUATION), 1007),
    "a long text that is not UTF-8": (frame(b"x" * 500 + b"\x80"), 1007),
}
LEGAL_BEFORE = frame(b"before") + frame(b"held", BINARY)


@pytest.mark.parametrize(("data", "code"), VIOLATIONS.values(), ids=VIOLATIONS)
@pytest.mark.parametrize("step", [1, 7, 1 << 20], ids=["byte by byte", "in sevens", "at once"])
def test_a_violation_ends_with_its_code_however_it_is_split(data: bytes, code: int, step: int) -> None:
    told = Told()
    reader = reading(told)
    everything = LEGAL_BEFORE + data + frame(b"behind")
    raised = []
    for place in range(0, len(everything), step):
        try:
            reader.take(everything[place : place + step], 1)
        except ProtocolViolation as violation:
            raised.append(violation.code)
    assert raised == [code]
    assert told.events[:2] == [("text", b"before"), ("binary", b"held")]
    assert ("text", b"behind") not in told.events
    assert reader.partial_since_ns == 0


def test_a_character_may_be_cut_by_fragments() -> None:
    told = Told()
    encoded = "🎶".encode()
    reading(told).take(frame(encoded[:1], final=False) + frame(b"", 0, final=False) + frame(encoded[1:], 0), 1)
    assert told.events == [("text", encoded)]


@pytest.mark.parametrize("max_bytes", [10, 124, 125, 126, 200])
def test_a_small_bound_holds_for_short_messages_too(max_bytes: int) -> None:
    told = Told()
    reader = reading(told, max_bytes)
    reader.take(frame(b"x" * max_bytes) + frame(b"p" * 125, PING), 1)
    with pytest.raises(ProtocolViolation) as caught:
        reader.take(frame(b"x" * (max_bytes + 1)), 2)
    assert caught.value.code == 1009
    assert told.events == [("text", b"x" * max_bytes), ("ping", b"p" * 125)]


@pytest.mark.parametrize("step", [1, 1 << 20], ids=["byte by byte", "at once"])
def test_data_after_a_close_frame_is_dropped(step: int) -> None:
    told = Told()
    reader = reading(told)
    data = frame(b"a", final=False) + close_frame(4000, b"so") + frame(b"b", CONTINUATION) + frame(b"c") + b"\xff\xff"
    for place in range(0, len(data), step):
        reader.take(data[place : place + step], 1)
    assert told.events == [("close", b"\x0f\xa0so")]
    assert reader.partial_since_ns == 0


def test_after_a_stop_nothing_is_handed_over_not_even_from_the_same_read() -> None:
    for first in (frame(b"one"), frame(b"one", BINARY), frame(b"o", final=False) + frame(b"ne", CONTINUATION)):
        told = Told()
        reader = reading(told)
        told.after = lambda event, reader=reader: reader.stop()  # type: ignore[misc]
        reader.take(first + frame(b"two") + b"\x81", 1)
        reader.take(b"\x05three", 2)
        assert [payload for _, payload in told.events] == [b"one"]
        assert reader.partial_since_ns == 0


def test_a_listener_that_stops_and_raises_is_told_nothing_more() -> None:
    def stop_and_fail(event: Event) -> None:
        reader.stop()
        raise RuntimeError

    told = Told(stop_and_fail)
    reader = reading(told)
    with pytest.raises(RuntimeError):
        reader.take(frame(b"one") + frame(b"two"), 1)
    reader.take(b"", 1)
    assert told.events == [("text", b"one")]


def test_a_new_message_does_not_inherit_the_age_of_the_one_before() -> None:
    told = Told()
    reader = reading(told)
    one = frame(b"o", final=False), frame(b"ne", CONTINUATION)
    reader.take(one[0], 10)
    reader.take(one[1] + frame(b"t", final=False), 20)
    assert reader.partial_since_ns == 20
    reader.take(frame(b"", PING) + b"\x80", 30)
    assert reader.partial_since_ns == 20
    reader.take(b"\x01w" + b"\x81", 40)
    assert reader.partial_since_ns == 40
    reader.take(b"\x00", 50)
    assert reader.partial_since_ns == 0
    assert told.events == [("text", b"one"), ("ping", b""), ("text", b"tw"), ("text", b"")]


@pytest.mark.alone
def test_a_long_message_in_small_reads_is_not_copied_with_each_of_them() -> None:
    told = Told()
    payload = b"x" * (8 << 20)
    reader = reading(told, len(payload))
    data = frame(payload)
    chunks = [data[place : place + 500] for place in range(0, len(data), 500)]
    began = time.perf_counter()
    for chunk in chunks:
        reader.take(chunk, 1)
    # It takes 30 ms; copying would be 70 GB.
    assert time.perf_counter() - began < 1.5
    assert told.events == [("text", payload)]
