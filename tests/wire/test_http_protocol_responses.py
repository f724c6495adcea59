from __future__ import annotations

import gzip

import pytest

from pika_locust.wire.http_models import ErrorKind, TransportError
from pika_locust.wire.http_protocol import MAX_HEAD_BYTES, MAX_INTERIM, ResponseParser
from tests.wire.http_servers import chunked, content

LIMIT = 210_000


def read(pieces: list[bytes], *, bodiless: bool = False, ends: bool = False) -> tuple[int, bytes, bool] | None:
    """Status, content and persistence of the answer, which must be complete with the last piece and not before."""
    parser = ResponseParser(LIMIT)
    if bodiless:
        parser.expect_no_body()
    answer = None
    for piece in pieces:
        assert answer is None, "complete too early"
        answer = parser.feed(piece)
    if ends:
        assert answer is None, "complete too early"
        answer = parser.feed_eof()
    return None if answer is None else (answer[0], answer[2], answer[3])


ANSWERS = {
    "a JSON body with a length": (content(b'{"a": 1}'), (200, b'{"a": 1}', True)),
    "a text body with a length": (content(b"hello"), (200, b"hello", True)),
    "a text body that ends with empty lines": (content(b"hello\r\n\r\n\n"), (200, b"hello\r\n\r\n\n", True)),
    "chunks that end with empty lines": (chunked(b"hello\r\n\r\n", b"\r\n"), (200, b"hello\r\n\r\n\r\n", True)),
    "no body: length 0": (content(b"", "201 Created"), (201, b"", True)),
    "no body: 204": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", True)),
    "no body: 304, whatever length it names": (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        (304, b"", True),
    ),
    "chunks": (chunked(b"one", b" two", b" three"), (200, b"one two three", True)),
    "no chunk but the last": (chunked(), (200, b"", True)),
    "chunks with an extension and a trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\none\r\n0\r\nX-Sum: 1\r\n\r\n",
        (200, b"one", True),
    ),
    "Connection: close is honoured": (content(b"x", "200 OK", "Connection: close"), (200, b"x", False)),
    "connection: Keep-Alive, CLOSE among others": (content(b"x", "200 OK", "connection: a, CLOSE"), (200, b"x", False)),
    "HTTP/1.0 ends the connection": (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", (200, b"x", False)),
    "HTTP/1.0 with keep-alive goes on": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
        (200, b"x", True),
    ),
    "the word close in another header means nothing": (content(b"x", "200 OK", "X-Door: close"), (200, b"x", True)),
    "100 Continue before the answer": (b"HTTP/1.1 100 Continue\r\n\r\n" + content(b"x"), (200, b"x", True)),
    "several interim answers with headers": (
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        + content(b"", "404 Not Found"),
        (404, b"", True),
    ),
    "an interim answer before one without a body": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        (204, b"", True),
    ),
    "a body in gzip": (content(gzip.compress(b"packed"), "200 OK", "Content-Encoding: gzip"), (200, b"packed", True)),
    "chunks of gzip": (
        chunked(gzip.compress(b"packed")[:9], gzip.compress(b"packed")[9:], headers=("CONTENT-ENCODING: GZIP",)),
        (200, b"packed", True),
    ),
    "an unusual status and no reason": (b"HTTP/1.1 599\r\nContent-Length: 0\r\n\r\n", (599, b"", True)),
}


@pytest.mark.parametrize(("raw", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_the_same_however_it_is_cut(raw: bytes, expected: tuple[int, bytes, bool]) -> None:
    assert read([raw]) == expected
    assert read([raw[i : i + 1] for i in range(len(raw))]) == expected
    for cut in range(1, len(raw)):
        assert read([raw[:cut], raw[cut:]]) == expected, f"cut at {cut}"


@pytest.mark.parametrize(("raw", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_stands_whatever_follows_it_and_the_connection_does_not(
    raw: bytes, expected: tuple[int, bytes, bool]
) -> None:
    for surplus in (b"H", b"\0", content(b"second"), content(b"second")[:-1], b"\r\n", b"\n", b"\r", b"\r\n" * 9):
        assert read([raw + surplus]) == (*expected[:2], False)
        for cut in (10, len(raw) - 2, len(raw) - 1):
            assert read([raw[:cut], raw[cut:] + surplus]) == (*expected[:2], False)


def test_one_parser_reads_one_answer_after_the_other() -> None:
    parser = ResponseParser(LIMIT)
    for raw, expected in [pair for pair in ANSWERS.values() if pair[1][2]] * 2:
        answer = parser.feed(raw)
        assert answer is not None
        assert (answer[0], answer[2], answer[3]) == expected
        assert parser.feed(raw[:10]) is None
        answer = parser.feed(raw[10:])
        assert answer is not None
        assert (answer[0], answer[2], answer[3]) == expected
        assert answer[1].startswith(b"HTTP/1.")


HEADS = {
    "with a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", (200, b"", True)),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", (200, b"", True)),
    "with neither": (b"HTTP/1.1 404 Not Found\r\nX: y\r\n\r\n", (404, b"", True)),
    "and the connection closes": (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n",
        (200, b"", False),
    ),
    "of an old server": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", (200, b"", False)),
    "after an interim answer": (
        b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        (200, b"", True),
    ),
    "that promises gzip": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n", (200, b"", True)),
}


@pytest.mark.parametrize(("raw", "expected"), HEADS.values(), ids=HEADS)
def test_an_answer_to_head_has_no_body(raw: bytes, expected: tuple[int, bytes, bool]) -> None:
    for cut in range(1, len(raw)):
        assert read([raw[:cut], raw[cut:]], bodiless=True) == expected
    assert read([raw + b"body"], bodiless=True) == (*expected[:2], False)
    parser = ResponseParser(LIMIT)
    parser.expect_no_body()
    parser.feed(raw)
    answer = parser.feed(content(b"next"))
    assert answer is not None
    assert answer[2] == b"next", "the answer to GET after it has one again"


ENDS = {
    "a body without a length": ([b"HTTP/1.1 200 OK\r\n\r\nab", b"cd"], (200, b"abcd", False)),
    "no body at all": ([b"HTTP/1.1 200 OK\r\n\r\n"], (200, b"", False)),
    "after an interim answer": ([b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 500 No\r\n\r\nab"], (500, b"ab", False)),
    "a body in gzip": (
        [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"x")],
        (200, b"x", False),
    ),
}


@pytest.mark.parametrize(("pieces", "expected"), ENDS.values(), ids=ENDS)
def test_the_end_of_the_connection_ends_the_answer(pieces: list[bytes], expected: tuple[int, bytes, bool]) -> None:
    assert read(pieces, ends=True) == expected


CUT_OFF = {
    "nothing came": ([], "closed without an answer"),
    "in the status line": ([b"HTTP/1.1 2"], "closed in the middle of the answer"),
    "in the head": ([b"HTTP/1.1 200 OK\r\nContent-Le"], "closed in the middle of the answer"),
    "in a body with a length": (
        [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"],
        "closed in the middle of the answer",
    ),
    "in a body with a length, as announced": (
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nab"],
        "closed in the middle of the answer",
    ),
    "in the chunks": (
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"],
        "closed in the middle of the answer",
    ),
    "after an interim answer": ([b"HTTP/1.1 100 Continue\r\n\r\n"], "closed in the middle of the answer"),
}


@pytest.mark.parametrize(("pieces", "text"), CUT_OFF.values(), ids=CUT_OFF)
def test_an_answer_that_was_cut_off_is_an_error(pieces: list[bytes], text: str) -> None:
    with pytest.raises(TransportError) as caught:
        read(pieces, ends=True)
    assert (caught.value.kind, caught.value.text) == (ErrorKind.CLOSED, text)


WRONG = {
    "another protocol": (b"SSH-2.0-OpenSSH_9\r\n", ErrorKind.PROTOCOL),
    "a relative of HTTP": (b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", ErrorKind.PROTOCOL),
    "a later HTTP": (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", ErrorKind.PROTOCOL),
    "an empty line before the answer": (b"\r\n" + content(b"x"), ErrorKind.PROTOCOL),
    "two empty lines before the answer": (b"\r\n\r\n" + content(b"x"), ErrorKind.PROTOCOL),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", ErrorKind.PROTOCOL),
    "a negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", ErrorKind.PROTOCOL),
    "length and chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ErrorKind.PROTOCOL,
    ),
    "a chunk size that is no number": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        ErrorKind.PROTOCOL,
    ),
    "line feeds alone": (b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", ErrorKind.PROTOCOL),
    "a protocol that nobody asked for": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        ErrorKind.PROTOCOL,
    ),
    "gzip of more members than anybody needs": (
        content(gzip.compress(b"") * 10_001, "200 OK", "Content-Encoding: gzip"),
        ErrorKind.PROTOCOL,
    ),
    "interim answers without end": (b"HTTP/1.1 103 Hints\r\n\r\n" * (MAX_INTERIM + 1), ErrorKind.PROTOCOL),
    "chunks with more framing than anybody needs": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * 1_300_000 + b"\r\nx\r\n",
        ErrorKind.TOO_LARGE,
    ),
    "gzip that is none": (content(b"plain", "200 OK", "Content-Encoding: gzip"), ErrorKind.PROTOCOL),
    "a body over the bound": (content(b"x" * (LIMIT + 1)), ErrorKind.TOO_LARGE),
    "JSON over the bound": (content(b"{" * (LIMIT + 1)), ErrorKind.TOO_LARGE),
    "chunks over the bound": (chunked(b"x" * LIMIT, b"x"), ErrorKind.TOO_LARGE),
    "gzip that unpacks to more than the bound": (
        content(gzip.compress(b"\0" * 300_000), "200 OK", "Content-Encoding: gzip"),
        ErrorKind.TOO_LARGE,
    ),
    "a head over the bound": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n", ErrorKind.TOO_LARGE),
    "an endless head": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES, ErrorKind.TOO_LARGE),
}


@pytest.mark.parametrize(("raw", "kind"), WRONG.values(), ids=WRONG)
def test_what_is_no_answer_is_an_error(raw: bytes, kind: ErrorKind) -> None:
    for size in (65536, 1000, 7, 4):
        with pytest.raises(TransportError) as caught:
            read([raw[i : i + size] for i in range(0, len(raw), size)])
        assert caught.value.kind is kind, f"in pieces of {size}: {caught.value}"


def test_as_many_interim_answers_as_may_be_are_skipped() -> None:
    raw = b"HTTP/1.1 103 Hints\r\n\r\n" * MAX_INTERIM + content(b"x")
    assert read([raw]) == (200, b"x", True)


def test_a_body_at_the_bound_is_read() -> None:
    for raw in (content(b"x" * LIMIT), content(b"[" * LIMIT), chunked(b"x" * (LIMIT - 1), b"x")):
        assert read([raw]) is not None
        assert read([raw[:50], raw[50:]]) is not None


def test_an_endless_body_is_given_up_at_the_bound() -> None:
    parser = ResponseParser(LIMIT)
    parser.feed(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(LIMIT // 2):
        assert parser.feed(b"xy") is None
    with pytest.raises(TransportError) as caught:
        parser.feed(b"x")
    assert caught.value.kind is ErrorKind.TOO_LARGE


def test_a_closed_parser_takes_no_more() -> None:
    parser = ResponseParser(LIMIT)
    parser.close()
    parser.close()
    with pytest.raises(RuntimeError):
        parser.feed(content(b"x"))
