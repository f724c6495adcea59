"""What a target sends: frames, HTTP answers, Socket.IO packets. However TCP cuts them, the verdict is the same."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from pika_locust.wire.http_models import TransportError
from pika_locust.wire.http_protocol import ResponseParser
from pika_locust.wire.socketio_protocol import (
    PacketError,
    SocketIoProtocol,
    all_of,
    arguments,
    decode,
    decode_open,
    event_name,
)
from pika_locust.wire.websocket import Close
from pika_locust.wire.websocket_protocol import MessageReader, ProtocolViolation, decode_close
from tests.fuzz.inputs import CUTS, changed, cut, fuzz

LARGEST_BYTES = 1000


# Frames


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A frame as a server sends it."""
    size = len(payload)
    length = bytes((size,)) if size < 126 else b"\x7e" + struct.pack("!H", size)
    return bytes((final << 7 | opcode,)) + length + payload


FRAMES = (
    frame(1, b"hello") + frame(1, "caf\u00e9 \U0001f600".encode()) + frame(2, bytes(5)),
    frame(1, b"a" * 126) + frame(1, b"b" * LARGEST_BYTES),
    frame(1, b"one ", final=False) + frame(9, b"ping") + frame(0, b"two ", final=False) + frame(0, b"three"),
    frame(1, b"last") + frame(8, struct.pack("!H", 1000) + b"bye") + frame(1, b"behind the close"),
    frame(10, b"") + frame(2, b"\0" * 200, final=False) + frame(0, b""),
)
FRAME_FRAGMENTS = (
    b"\x81\x00", b"\x01\x01\xf0", b"\x80\x00", b"\x88\x00", b"\x88\x02\x03\xe8", b"\x89\x00", b"\x81\x7e", b"\x81\x7f",
    b"\x7e\x00\x7d", b"\x7f\x00\x00\x00\x00\x00\x00\x00\x01", b"\xff" * 8, b"\xc1", b"\x81\x80", b"\xf0\x9f",
    b"\xed\xa0\x80",
)  # fmt: skip


class Messages:
    """Collects what a reader hands over."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def on_text(self, payload: bytes, at_ns: int) -> None:
        self.seen.append(("text", payload.decode()))

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        self.seen.append(("binary", payload))

    def on_control(self, opcode: int, payload: bytes) -> None:
        self.seen.append(("control", opcode, payload))


def messages(pieces: list[bytes]) -> list[tuple[Any, ...]]:
    """What a stream of frames comes to, the violation that ends it included."""
    found = Messages()
    reader = MessageReader(found, found, LARGEST_BYTES)
    try:
        for at_ns, piece in enumerate(pieces, 1):
            reader.take(piece, at_ns)
    except ProtocolViolation as violation:
        found.seen.append(("violation", violation.code, str(violation)))
    return found.seen


@fuzz(data=changed(FRAMES, FRAME_FRAGMENTS) | st.binary(max_size=200), at=CUTS)
def test_frames(data: bytes, at: list[int]) -> None:
    assert messages(cut(data, at)) == messages([data])


@fuzz(payload=changed((b"", b"\x03\xe8", b"\x03\xe8bye", b"\x0f\xa0caf\xc3\xa9"), (b"\xff", b"\x03\xed", b"\xc3")))
def test_close_frames(payload: bytes) -> None:
    with suppress(ProtocolViolation):
        code, reason = decode_close(payload)
        assert 1000 <= code < 5000
        assert isinstance(reason, str)


# HTTP answers


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """An HTTP answer with a length."""
    lines = (b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
GZIPPED = gzip.compress(b"hello " * 20, mtime=0)
ANSWERS = (
    answer(b'{"a": 1}'),
    answer(b"", status=b"404 Not Found"),
    answer(b"x" * LARGEST_BYTES),
    answer(b"x", b"Connection: close"),
    answer(GZIPPED, b"Content-Encoding: gzip"),
    answer(GZIPPED + gzip.compress(b"", mtime=0), b"Content-Encoding: gzip, identity"),
    answer(zlib.compress(b"hello"), b"content-encoding: deflate"),
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer(b"late"),
    CHUNKED + b"\r\n3\r\none\r\n4;a=b\r\n two\r\n0\r\n\r\n",
    CHUNKED + b"Trailer: X\r\n\r\n3\r\none\r\n0\r\nX-Sum: 1\r\n\r\n",
    CHUNKED + b"Content-Encoding: gzip\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(GZIPPED), GZIPPED),
)
HTTP_FRAGMENTS = (
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b" ", b":", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b"HTTP/1.0", b"HTTP/2",
    b"0\r\n\r\n", b"Content-Length: 5\r\n", b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"f" * 17, b"Content-Encoding: gzip\r\n",
    b"Content-Encoding: gzip, gzip, gzip, gzip, gzip\r\n", b"Connection: close\r\n", b"-1", b"\x80\xff",
)  # fmt: skip


def verdict(pieces: list[bytes], head_only: bool) -> tuple[Any, ...]:
    """What becomes of a request that is answered so, and whether its connection may be used again."""
    parser = ResponseParser(LARGEST_BYTES)
    if head_only:
        parser.expect_no_body()
    try:
        for index, piece in enumerate(pieces, 1):
            found = parser.feed(piece)
            if found is not None:
                status, _, content, persists = found
                # Such a connection is found unusable when it is about to be used again.
                return status, content, persists and index == len(pieces)
        status, _, content, persists = parser.feed_eof()
        return status, content, persists
    except TransportError as error:
        return (error.kind,)
    finally:
        parser.close()


@fuzz(data=changed(ANSWERS, HTTP_FRAGMENTS) | st.binary(max_size=200), at=CUTS, head_only=st.booleans())
def test_http_answers(data: bytes, at: list[int], head_only: bool) -> None:
    assert verdict(cut(data, at), head_only) == verdict([data] if data else [], head_only)


# Socket.IO packets

PACKETS = (
    b'0{"sid":"abc","pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}',
    b"1", b"2", b"2probe", b"3", b"5", b"6", b"40", b'40{"sid":"x"}', b'40/queue,{"sid":"x"}', b"41", b"41/queue,",
    b'42["said","hello"]', b'42/queue,["state",{"a":[1,2]}]', b'4212["call",1]', b'42/queue,7["call"]',
    b'430[{"ok":true}]', b'43/queue,1[]', b'44{"message":"no"}', b'44/queue,"no"',
    b'451-["file",{"_placeholder":true,"num":0}]', b'461-3[]',
)  # fmt: skip
PACKET_FRAGMENTS = (
    b"4", b"42", b"43", b"/", b"/queue", b",", b"?", b"[", b'["', b'"]', b"{", b"\\", b"\\ud800", b"-", b"9" * 20,
    b"[" * 2000, b"null", b"NaN", b"1e999", b"\xff", b"\0",
)  # fmt: skip


class Protocol(SocketIoProtocol):
    """A client without a socket: what it writes is dropped, what it is told is read to the end."""

    def __init__(self) -> None:
        super().__init__(self)
        self.dismissals = 0

    @property
    def is_open(self) -> bool:
        return True

    def _write(self, message: bytes) -> bool:
        assert isinstance(message, bytes)
        return True

    def _heard(self, at_ns: int) -> None:
        assert self.opening is not None or self.counts.pings

    def _dismissed(self) -> None:
        self.dismissals += 1

    def on_connect(self, namespace: str) -> None:
        assert self.is_connected(namespace)

    def on_connect_error(self, namespace: str, data: bytes) -> None:
        assert not self.is_connected(namespace)

    def on_event(self, namespace: str, name: bytes, payload: bytes, at_ns: int) -> None:
        read(arguments, payload)

    def on_call(self, namespace: str, name: bytes, payload: bytes, ack_id: int, at_ns: int) -> None:
        self.ack(namespace, ack_id)

    def on_kicked(self, namespace: str) -> None:
        assert not self.is_connected(namespace)

    def on_trouble(self, words: str) -> None:
        assert words

    def on_close(self, close: Close) -> None:
        raise AssertionError("nothing closed it")

    def on_internal_error(self, error: BaseException) -> None:
        raise error


def read(reader: Any, data: bytes) -> Any:
    """What a reader makes of it; None of what it refuses."""
    try:
        return reader(data)
    except PacketError:
        return None


@fuzz(packet=changed(PACKETS, PACKET_FRAGMENTS) | st.binary(max_size=100))
def test_socket_io_packets(packet: bytes) -> None:
    for reader in (decode, decode_open, event_name, arguments, all_of):
        read(reader, packet)


@fuzz(packets=st.lists(changed(PACKETS, PACKET_FRAGMENTS), max_size=12))
def test_socket_io_connections(packets: list[bytes]) -> None:
    client = Protocol()
    acks: list[bytes | None] = []
    client.open("/")
    client.open("/queue", {"token": "t"})
    for at_ns, packet in enumerate(packets):
        client.on_text(packet, at_ns)
        for namespace in ("/", "/queue"):
            client.emit(namespace, "say", "hello", on_ack=lambda data, at_ns: acks.append(data))
        client.on_binary(packet, at_ns)
    counts = client.counts
    assert counts.received == 2 * len(packets)
    for data in acks:
        assert data is None or read(all_of, data) is None or isinstance(json.loads(data), list)
