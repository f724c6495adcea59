from __future__ import annotations

from typing import Any

import pytest

from pika_locust.wire.http_models import ErrorKind, Headers, Response, Timings, TransportError, words_in

HEAD = (
    b"HTTP/1.1 200 Very Well\r\nContent-Type: text/plain; charset=ISO-8859-1\r\nSet-Cookie: a=1\r\n"
    b"set-cookie:b=2, c \r\nX-Odd: a:b: c\r\n\r\nX-Body: no"
)


def response(status: int = 200, head: bytes = HEAD, content: bytes = b"", **rest: Any) -> Response:
    return Response(status, head, content, rest.pop("stamps", (0,) * 7), 0, 0, **rest)


def test_headers_are_found_whatever_their_case() -> None:
    headers = Headers(HEAD)
    assert headers.get("CONTENT-TYPE") == headers["content-type"] == "text/plain; charset=ISO-8859-1"
    assert headers.get_all("Set-Cookie") == ["a=1", "b=2, c"]
    assert headers.get("set-cookie") == "a=1, b=2, c"
    assert headers["x-odd"] == "a:b: c"
    assert "x-body" not in headers, "the body is none of them"
    assert "Set-Cookie" in headers
    assert 7 not in headers
    assert headers.get("nothing") is None
    assert headers.get("nothing", "else") == "else"
    assert len(headers) == 4
    assert [name for name, _ in headers] == ["Content-Type", "Set-Cookie", "set-cookie", "X-Odd"]
    with pytest.raises(KeyError):
        headers["nothing"]


def test_a_response_makes_its_headers_once() -> None:
    one = response()
    assert one.headers is one.headers
    assert len(response(0, b"").headers) == 0


FAILED = {
    "200": (200, None, False),
    "302": (302, None, False),
    "399": (399, None, False),
    "400": (400, None, True),
    "500": (500, None, True),
    "199, which is no final status": (199, None, True),
    "a transport error": (0, TransportError(ErrorKind.DNS, "no such host"), True),
}


@pytest.mark.parametrize(("status", "error", "failed"), FAILED.values(), ids=FAILED)
def test_failed_is_k6_http_req_failed(status: int, error: TransportError | None, failed: bool) -> None:
    one = response(status, error=error)
    assert (one.failed, one.ok) == (failed, not failed)


REASONS = {
    "the server's own words": (200, b"HTTP/1.1 200 Very Well\r\n\r\n", None, "Very Well"),
    "the standard's where there are none": (404, b"HTTP/1.1 404\r\n\r\n", None, "Not Found"),
    "and where they are empty": (503, b"HTTP/1.1 503 \r\n\r\n", None, "Service Unavailable"),
    "none for a status that nobody knows": (799, b"HTTP/1.1 799\r\n\r\n", None, ""),
    "the text of an error": (
        0,
        b"",
        TransportError(ErrorKind.RESET, "the connection was reset"),
        "the connection was reset",
    ),
}


@pytest.mark.parametrize(("status", "head", "error", "reason"), REASONS.values(), ids=REASONS)
def test_a_reason_in_words(status: int, head: bytes, error: TransportError | None, reason: str) -> None:
    assert response(status, head, error=error).reason == reason


TEXTS = {
    "the charset it names": (HEAD, b"\xe9", "é"),
    "UTF-8 where it names none": (b"HTTP/1.1 200 OK\r\n\r\n", "é".encode(), "é"),
    "a charset in quotes": (b'HTTP/1.1 200 OK\r\nContent-Type: a/b;charset="Latin-1"; x=y\r\n\r\n', b"\xe9", "é"),
    "a charset that nobody knows": (
        b"HTTP/1.1 200 OK\r\nContent-Type: a/b; charset=klingon\r\n\r\n",
        "é".encode(),
        "é",
    ),
    "bytes that are no text": (b"HTTP/1.1 200 OK\r\n\r\n", b"a\xff", "a\ufffd"),
}


@pytest.mark.parametrize(("head", "content", "text"), TEXTS.values(), ids=TEXTS)
def test_the_content_as_text(head: bytes, content: bytes, text: str) -> None:
    assert response(200, head, content).text == text


JSON = {
    "an object": (b'{"a": [1, null]}', {"a": [1, None]}),
    "a bare number": (b"7", 7),
    "blanks around it": (b' \r\n{"a": 1}\n', {"a": 1}),
    "letters beyond ASCII": ('"é€"'.encode(), "é€"),
}


@pytest.mark.parametrize(("content", "value"), JSON.values(), ids=JSON)
def test_the_content_as_json(content: bytes, value: object) -> None:
    assert response(200, HEAD, content).json() == value


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"a": 1} x', b'{"a": ', b"\xff", b"[1,]"])
def test_what_is_no_json_raises(content: bytes) -> None:
    with pytest.raises(ValueError):
        response(200, HEAD, content).json()
    assert response(200, HEAD, content).json_object() == {}


@pytest.mark.parametrize(
    ("content", "value"), [(b'{"a": 1}', {"a": 1}), (b"[1]", {}), (b"null", {}), (b"[" * 99_999, {})]
)
def test_the_content_as_an_object(content: bytes, value: object) -> None:
    assert response(200, HEAD, content).json_object() == value


TIMINGS = {
    "a kept connection": ((1_000, 1_000, 11_000, 61_000, 161_000, 0, 0), Timings(0, 0, 0, 10, 50, 100)),
    "a new one": (
        (0, 900_000, 910_000, 960_000, 960_000, 500_000, 300_000),
        Timings(100, 500, 300, 10, 50, 0),
    ),
    "one that never came to be": ((0, 70_000, 70_000, 70_000, 70_000, 70_000, 0), Timings(0, 70, 0, 0, 0, 0)),
    "whole microseconds that add up": ((0, 1_999, 2_501, 3_401, 4_501, 0, 0), Timings(1, 0, 0, 0, 1, 1)),
    "never less than nothing": ((999, 2_000, 2_000, 2_000, 2_000, 1_001, 1_001), Timings(0, 1, 1, 0, 0, 0)),
}


@pytest.mark.parametrize(("stamps", "expected"), TIMINGS.values(), ids=TIMINGS)
def test_phases_in_microseconds(stamps: tuple[int, ...], expected: Timings) -> None:
    one = response(stamps=stamps)
    assert one.timings == expected
    assert one.duration_us == one.timings.duration_us == (stamps[4] - stamps[1]) // 1000
    assert (one.started_ns, one.done_ns) == (stamps[0], stamps[4])


def test_it_shows_itself() -> None:
    assert repr(response(201, content=b"abc")) == "<Response 201 3 bytes>"
    assert repr(response(0, error=TransportError(ErrorKind.DNS, "no such host"))) == "<Response dns: no such host>"
    assert repr(Headers(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n")) == "Headers([('A', 'b')])"


WORDS = {
    "a message": (b'{"message":"Insufficient token balance","statusCode":400}', "Insufficient token balance"),
    "several": (b'{"message":["email must be an email","name is short"]}', "email must be an email; name is short"),
    "an error": (b' {"error": "sold\\n out"}', "sold out"),
    "one inside of another": (b'{"error":{"code":7,"message":"no such card"}}', "no such card"),
    "an object without any": (b'{"left": 0}', '{"left": 0}'),
    "an empty object": (b"{}", ""),
    "half an object": (b'{"message":"Insuff', '{"message":"Insuff'),
    "text": (b"out of\r\n  order\n", "out of order"),
    "text that goes on": (b"x" * 5000, "x" * 120),
    "a page": (b"<!doctype html><title>\n502 Bad\nGateway</title><h1>nginx</h1>", "502 Bad Gateway"),
    "a page without a title": (b"<html><style>h1 {}</style><h1>Not <b>here</b></h1>", "Not here"),
    "markup alone": (b"<html>", "<html>"),
    "bytes": (b"\xff\x00", "\ufffd\x00"),
    "brackets without end": (b"[" * 100_000, "[" * 120),
    "nothing": (b"", ""),
}


@pytest.mark.parametrize(("body", "words"), WORDS.values(), ids=WORDS)
def test_what_a_body_says(body: bytes, words: str) -> None:
    assert words_in(body) == words


def test_an_answer_in_words() -> None:
    moved = Response(301, b"HTTP/1.1 301 Moved Permanently\r\nLocation: https://x.example/y\r\n\r\n", b"", NEVER, 0, 0)
    assert moved.summary == "301 Moved Permanently to https://x.example/y"
    broke = Response(400, b"HTTP/1.1 400\r\n\r\n", b'{"message":"Insufficient token balance"}', NEVER, 0, 0)
    assert broke.summary == "400 Bad Request (Insufficient token balance)"
    refused = Response(0, b"", b"", NEVER, 0, 0, TransportError(ErrorKind.RESET, "the connection was reset"))
    assert refused.summary == "reset: the connection was reset"


NEVER = (0, 0, 0, 0, 0, 0, 0)
