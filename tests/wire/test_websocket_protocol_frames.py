from __future__ import annotations

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.wire import websocket_protocol as frames
from tests.wire.websocket_servers import CLOSE, PING, TEXT, frame, unmasked

SIZES = (0, 1, 3, 4, 5, 125, 126, 127, 255, 256, 257, 65535, 65536, 65537, 1 << 20)


def read_masked(data: bytes) -> tuple[int, bytes, bytes]:
    """First byte, key and payload of a client's frame, and nothing may stand behind it."""
    size, start = data[1] & 0x7F, 2
    assert data[1] & 0x80, "a client must mask"
    if size > 125:
        start = 4 if size == 126 else 10
        size = int.from_bytes(data[2:start], "big")
        assert size >= (126 if start == 4 else 65536), "the shortest spelling is the only legal one"
    key = data[start : start + 4]
    assert len(data) == start + 4 + size
    return data[0], key, unmasked(key, data[start + 4 :])


@pytest.mark.parametrize("size", SIZES)
def test_a_server_reads_what_was_encoded(size: int) -> None:
    payload = bytes(number * 7 % 256 for number in range(size % 1000)) + bytes(size - size % 1000)
    first, _, read = read_masked(frames.encode(payload))
    assert first == 0x81
    assert read == payload


@given(st.binary(max_size=700), st.sampled_from((frames.TEXT, frames.BINARY, frames.PING, frames.PONG)))
def test_any_payload_is_encoded(payload: bytes, opcode: int) -> None:
    first, _, read = read_masked(frames.encode(payload, opcode))
    assert (first, read) == (0x80 | opcode, payload)


def test_every_frame_has_a_key_of_its_own() -> None:
    assert len({read_masked(frames.encode(b"same"))[1] for _ in range(5000)}) >= 4999


def test_a_process_that_is_forked_has_keys_of_its_own() -> None:
    frames.encode(b"there are keys now, for more than one frame")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, b"".join(read_masked(frames.encode(b"same"))[1] for _ in range(100)))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 400)
    os.close(reading)
    os.close(writing)
    ours = {read_masked(frames.encode(b"same"))[1] for _ in range(100)}
    assert len(theirs) == 400
    assert len(ours & {theirs[at : at + 4] for at in range(0, 400, 4)}) <= 1


@pytest.mark.alone
def test_the_work_of_masking_grows_with_the_size_and_no_faster() -> None:
    payload = bytes(1 << 19)
    began = time.perf_counter()
    frames.encode(payload)
    # It takes less than a millisecond; a mask that is put together word by word would take ten seconds.
    assert time.perf_counter() - began < 1.5


CLOSES: dict[str, tuple[int, str, bytes]] = {
    "a code without a reason": (1000, "", b"\x03\xe8"),
    "a code and a reason": (3001, "later", b"\x0b\xb9later"),
    "no code at all": (frames.NO_CODE, "not sent then", b""),
    "a reason as long as allowed": (1000, "x" * 123, b"\x03\xe8" + b"x" * 123),
    "a longer reason is cut": (1000, "x" * 124, b"\x03\xe8" + b"x" * 123),
    "between two characters": (1000, "é" * 62, b"\x03\xe8" + "é".encode() * 61),
}


@pytest.mark.parametrize(("code", "reason", "payload"), CLOSES.values(), ids=CLOSES)
def test_a_close_frame(code: int, reason: str, payload: bytes) -> None:
    first, _, read = read_masked(frames.encode_close(code, reason))
    assert (first, read) == (0x80 | frames.CLOSE, payload)


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65536])
def test_a_code_that_must_not_be_sent_is_not_sent(code: int) -> None:
    with pytest.raises(ValueError, match=f"close code {code}"):
        frames.encode_close(code)


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_is_decoded_once_it_is_complete(size: int) -> None:
    data = b"before" + frame(bytes(size), frames.BINARY) + b"behind"
    decoded = frames.decode(data, 6, size)
    assert decoded == frames.Frame(frames.BINARY, True, bytes(size), len(data) - 6)
    for missing in {1, 2, size // 2 + 1, size + 1}:
        cut = len(data) - 6 - missing
        if cut >= 6:
            assert frames.decode(data[:cut], 6, size) is None
    head, payload = frames.extent(data, 6)
    assert 6 + head + payload == len(data) - 6


def test_the_extent_of_a_frame_is_a_lower_bound_as_long_as_its_length_is_not_there() -> None:
    data = frame(bytes(70_000))
    assert [frames.extent(data[:size], 0) for size in (0, 1, 2, 9, 10)] == [
        (2, 0),
        (2, 0),
        (10, 0),
        (10, 0),
        (10, 70_000),
    ]
    assert frames.extent(frame(bytes(200))[:3], 0) == (4, 0)


VIOLATIONS: dict[str, tuple[bytes, int, str]] = {
    "the first reserved bit": (frame(b"x", reserved=4), 1002, "reserved bits"),
    "the second reserved bit": (frame(b"x", reserved=2), 1002, "reserved bits"),
    "the third reserved bit": (frame(b"x", reserved=1), 1002, "reserved bits"),
    **{f"opcode {code:#x}": (frame(b"x", code), 1002, f"reserved opcode {code:#x}") for code in (3, 4, 5, 6, 7)},
    **{f"opcode {code:#x}": (frame(b"", code), 1002, f"reserved opcode {code:#x}") for code in (11, 12, 13, 14, 15)},
    "a masked text frame": (frame(b"x", masked=True), 1002, "a masked frame"),
    "a masked empty frame": (frame(b"", masked=True), 1002, "a masked frame"),
    "a masked ping": (frame(b"", PING, masked=True), 1002, "a masked frame"),
    "a ping of 126 bytes": (frame(bytes(126), PING), 1002, "longer than 125"),
    "a close frame of 64 kB": (frame(bytes(65536), CLOSE), 1002, "longer than 125"),
    "a fragmented ping": (frame(b"x", PING, final=False), 1002, "fragmented"),
    "a fragmented close frame": (frame(b"\x03\xe8", CLOSE, final=False), 1002, "fragmented"),
    "a short length in 16 bits": (b"\x81\x7e\x00\x7d" + bytes(125), 1002, "length"),
    "a 16-bit length in 64 bits": (b"\x81\x7f" + (65535).to_bytes(8, "big"), 1002, "length"),
    "a length of more than 63 bits": (b"\x81\x7f\x80" + bytes(7), 1002, "length"),
    "one byte too many": (frame(bytes(1001)), 1009, "more than 1,000 bytes"),
    "63 bits' worth of bytes": (b"\x81\x7f\x7f" + b"\xff" * 7, 1009, "more than 1,000 bytes"),
    "one continuation too long": (frame(bytes(1001), 0), 1009, "more than 1,000 bytes"),
}


@pytest.mark.parametrize(("data", "code", "words"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_violation_is_seen_with_the_head_of_the_frame(data: bytes, code: int, words: str) -> None:
    head = {126: 4, 127: 10}.get(data[1] & 0x7F, 2)
    if data[1] & 0x80 or data[0] & 0x78 or data[0] in (3, 4, 5, 6, 7):
        head = 2
    with pytest.raises(frames.ProtocolViolation) as caught:
        frames.decode(data[:head], 0, 1000)
    assert caught.value.code == code
    assert words in str(caught.value)


def test_control_frames_are_within_any_bound() -> None:
    assert frames.decode(frame(bytes(125), PING), 0, 10) == frames.Frame(frames.PING, True, bytes(125), 127)


GOOD_CLOSES: dict[str, tuple[bytes, int, str]] = {
    "an empty one": (b"", 1005, ""),
    "a code": (b"\x03\xe8", 1000, ""),
    "the last one that is assigned": (b"\x03\xf6", 1014, ""),
    "the first one for libraries": (b"\x0b\xb8", 3000, ""),
    "the last one for applications": (b"\x13\x87", 4999, ""),
    "a reason in UTF-8": (b"\x0f\xa0" + "café 🎶".encode(), 4000, "café 🎶"),
}


@pytest.mark.parametrize(("payload", "code", "reason"), GOOD_CLOSES.values(), ids=GOOD_CLOSES)
def test_a_close_payload_is_read(payload: bytes, code: int, reason: str) -> None:
    assert frames.decode_close(payload) == (code, reason)


BAD_CLOSES: dict[str, tuple[bytes, int]] = {
    "one byte": (b"\x03", 1002),
    **{
        f"code {code}": (code.to_bytes(2, "big"), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
    "a reason that is not UTF-8": (b"\x03\xe8\xff", 1007),
    "a reason cut within a character": (b"\x03\xe8" + "é".encode()[:1], 1007),
    "a surrogate as a reason": (b"\x03\xe8\xed\xa0\x80", 1007),
}


@pytest.mark.parametrize(("payload", "code"), BAD_CLOSES.values(), ids=BAD_CLOSES)
def test_a_bad_close_payload_is_a_violation(payload: bytes, code: int) -> None:
    with pytest.raises(frames.ProtocolViolation) as caught:
        frames.decode_close(payload)
    assert caught.value.code == code


@given(st.binary(max_size=300), st.integers(0, 20), st.integers(0, 200))
def test_any_bytes_are_a_frame_or_none_or_a_violation(data: bytes, start: int, max_bytes: int) -> None:
    try:
        decoded = frames.decode(data, start, max_bytes)
    except frames.ProtocolViolation:
        return
    if decoded is not None:
        assert start + 2 <= decoded.end <= len(data)
        assert data[start:].startswith(frame(decoded.payload, decoded.opcode, final=decoded.final))


def test_the_names_of_the_opcodes_are_those_of_the_protocol() -> None:
    assert (frames.TEXT, frames.BINARY, frames.CONTINUATION) == (TEXT, 2, 0)
    assert (frames.CLOSE, frames.PING, frames.PONG) == (8, 9, 10)
