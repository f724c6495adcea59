"""However TCP cuts the bytes of an answer, what becomes of it is the same."""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from pika_locust.wire import http_protocol
from pika_locust.wire.http_connection import READ_BYTES
from pika_locust.wire.http_models import TransportError
from pika_locust.wire.http_protocol import MAX_HEAD_BYTES, MAX_INTERIM, ResponseParser

LIMIT = 3000


def verdict(pieces: list[bytes], bodiless: bool) -> Any:
    """What a connection that ends after these pieces makes of them: the answer, and whether the connection could serve
    another (None: not all the pieces were read); or which error."""
    parser = ResponseParser(LIMIT)
    if bodiless:
        parser.expect_no_body()
    try:
        answer, unread = None, len(pieces)
        while answer is None and unread:
            answer = parser.feed(pieces[-unread])
            unread -= 1
        status, head, content, reusable = answer or parser.feed_eof()
    except TransportError as error:
        return (str(error.kind),)
    # What has not been read is found before the next request.
    return status, head.partition(b"\r\n\r\n")[0], content, None if unread else reusable


def cut(raw: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(raw), *(place % (len(raw) + 1) for place in at)})
    pieces = [raw[start:end] for start, end in pairwise(edges)]
    return [piece[i : i + READ_BYTES] for piece in pieces for i in range(0, len(piece), READ_BYTES)]


def chunks(body: bytes, size: int, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    framed = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return framed + b"0\r\n" + trailer + b"\r\n"


STATUS = [b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No", b"HTTP/1.1 304 Old", b"HTTP/1.0 200 OK", b"HTTP/1.1 503 Words of it"]
STATUS += [
    b"HTTP/1.1 101 Switch",
    b"HTTP/2.0 200 OK",
    b"RTSP/1.0 200 OK",
    b"HTTP/1.1 99",
    b"HTTP/1.1 2000",
    b"ssh",
    b"",
]
LINES = [b"Connection: close", b"Connection: keep-alive, Upgrade", b"Upgrade: websocket", b"Set-Cookie: a=b", b"X:"]
LINES += [
    b"Content-Length: 0",
    b"Content-Length: 12345",
    b"Transfer-Encoding: chunked",
    b" folded",
    b"no colon",
    b"\x80: \xff",
]
TAILS = [b"", b"", b"H", b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"\0\0\0"]


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Bytes that are an answer, or nearly one."""
    interim = draw(st.sampled_from([0, 0, 0, 1, 2, MAX_INTERIM, MAX_INTERIM + 1]))
    before = draw(st.sampled_from([b"", b"", b"", b"\r\n", b"\r\n\r\n", b" "]))
    body = draw(st.binary(max_size=40)) * draw(st.sampled_from([1, 1, 50, 200]))
    lines = draw(st.lists(st.sampled_from(LINES), max_size=2))
    coding = draw(st.sampled_from([b"", b"", b"gzip", b"deflate", b"gzip, gzip", b"br"]))
    if coding:
        lines.append(b"Content-Encoding: " + coding)
        body = {b"gzip": gzip.compress(body), b"deflate": zlib.compress(body)}.get(coding, body)
    framing = draw(st.sampled_from(["length", "length", "chunks", "chunks", "end", "short", "long"]))
    if framing == "chunks":
        lines.append(b"Transfer-Encoding: chunked")
        extension = draw(st.sampled_from([b"", b"", b";a=b", b";" + b"e" * 500]))
        trailer = draw(st.sampled_from([b"", b"", b"T: x\r\n", b"T: " + b"x" * 70_000 + b"\r\n"]))
        body = chunks(body, draw(st.integers(1, 100)), extension, trailer)
    elif framing != "end":
        lines.append(b"Content-Length: %d" % max(0, len(body) + {"short": -1, "long": 1}.get(framing, 0)))
    if draw(st.integers(0, 9)) == 0:
        lines.insert(0, b"X: " + b"x" * (MAX_HEAD_BYTES - draw(st.integers(-100, 200))))
    head = b"\r\n".join([draw(st.sampled_from(STATUS[:5] * 3 + STATUS)), *lines, b"", b""])
    raw = b"HTTP/1.1 103 Hints\r\nA: b\r\n\r\n" * interim + before + head + body + draw(st.sampled_from(TAILS))
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, max(0, len(raw) - 1)))
        raw = raw[:place] + draw(st.binary(max_size=2)) + raw[place + draw(st.integers(0, 2)) :]
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.integers(0, 3)) == 0 else raw


@settings(max_examples=500, deadline=None)
@given(answers(), st.lists(st.integers(0, 1 << 20), max_size=6), st.booleans())
def test_what_becomes_of_an_answer_does_not_depend_on_its_pieces(raw: bytes, at: list[int], bodiless: bool) -> None:
    with mock.patch.object(http_protocol, "_FRAMING_BYTES", READ_BYTES):
        whole = verdict(cut(raw, []), bodiless)
        for pieces in (cut(raw, at), [raw[i : i + 1] for i in range(len(raw))] if len(raw) < 2000 else []):
            if pieces:
                found = verdict(pieces, bodiless)
                assert found[:3] == whole[:3]
                assert found[3:] == whole[3:] or None in (found[3], whole[3])
