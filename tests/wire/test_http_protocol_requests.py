from __future__ import annotations

from typing import Any

import pytest

from pika_locust.wire.http_protocol import RequestWriter

FIXED = "Host: example.test\r\nUser-Agent: pika-locust\r\n"
JSON = "Content-Type: application/json\r\n"
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


def write(method: str = "GET", path: str = "/", **rest: Any) -> str:
    return RequestWriter("example.test", "", {}).write(method, path, **rest).decode("latin-1")


WRITTEN = {
    "GET has no body and no length": (("GET", "/a"), {}, f"GET /a HTTP/1.1\r\n{FIXED}\r\n"),
    "DELETE has no body and no length": (("DELETE", "/a"), {}, f"DELETE /a HTTP/1.1\r\n{FIXED}\r\n"),
    "POST without a body says so": (("POST", "/a"), {}, f"POST /a HTTP/1.1\r\n{FIXED}Content-Length: 0\r\n\r\n"),
    "JSON is compact, in UTF-8": (
        ("POST", "/a"),
        {"json": {"a": [1, 2], "b": "ü"}},
        f"POST /a HTTP/1.1\r\n{FIXED}{JSON}Content-Length: 20\r\n\r\n" + '{"a":[1,2],"b":"Ã¼"}',
    ),
    "an empty object is a body": (
        ("POST", "/a"),
        {"json": {}},
        f"POST /a HTTP/1.1\r\n{FIXED}{JSON}Content-Length: 2\r\n\r\n{{}}",
    ),
    "DELETE may have a body": (
        ("DELETE", "/a"),
        {"json": 1},
        f"DELETE /a HTTP/1.1\r\n{FIXED}{JSON}Content-Length: 1\r\n\r\n1",
    ),
    "bytes go as they are": (
        ("PUT", "/a"),
        {"data": b"\xff\0"},
        f"PUT /a HTTP/1.1\r\n{FIXED}Content-Length: 2\r\n\r\n\xff\0",
    ),
    "text goes as UTF-8": (
        ("PUT", "/a"),
        {"data": "é"},
        f"PUT /a HTTP/1.1\r\n{FIXED}Content-Length: 2\r\n\r\n\xc3\xa9",
    ),
    "an empty text is a body": (("GET", "/a"), {"data": ""}, f"GET /a HTTP/1.1\r\n{FIXED}Content-Length: 0\r\n\r\n"),
    "a mapping goes as a form": (
        ("POST", "/a"),
        {"data": {"q": "a b", "n": [1, 2]}},
        f"POST /a HTTP/1.1\r\n{FIXED}{FORM}Content-Length: 13\r\n\r\nq=a+b&n=1&n=2",
    ),
    "a header of the request": (("GET", "/"), {"headers": {"X-A": "1"}}, f"GET / HTTP/1.1\r\n{FIXED}X-A: 1\r\n\r\n"),
    "its own content type": (
        ("POST", "/"),
        {"json": 1, "headers": {"content-type": "text/x"}},
        f"POST / HTTP/1.1\r\n{FIXED}content-type: text/x\r\nContent-Length: 1\r\n\r\n1",
    ),
    "its own host, which stands alone": (
        ("GET", "/"),
        {"headers": {"HOST": "other.test", "X-A": "1"}},
        "GET / HTTP/1.1\r\nUser-Agent: pika-locust\r\nHOST: other.test\r\nX-A: 1\r\n\r\n",
    ),
    "parameters": (
        ("GET", "/a"),
        {"params": {"q": "a b&c", "n": [1, 2]}},
        f"GET /a?q=a+b%26c&n=1&n=2 HTTP/1.1\r\n{FIXED}\r\n",
    ),
    "parameters after a query": (
        ("GET", "/a?x=1"),
        {"params": [("y", "2")]},
        f"GET /a?x=1&y=2 HTTP/1.1\r\n{FIXED}\r\n",
    ),
    "a path without its slash": (("GET", "a"), {}, f"GET /a HTTP/1.1\r\n{FIXED}\r\n"),
    "no path": (("GET", ""), {}, f"GET / HTTP/1.1\r\n{FIXED}\r\n"),
    "a query alone": (("GET", "?a=1"), {}, f"GET /?a=1 HTTP/1.1\r\n{FIXED}\r\n"),
    "a fragment stays at home": (("GET", "/a#part"), {}, f"GET /a HTTP/1.1\r\n{FIXED}\r\n"),
    "blanks and letters beyond ASCII": (("GET", "/a b/é"), {}, f"GET /a%20b/%C3%A9 HTTP/1.1\r\n{FIXED}\r\n"),
    "what is encoded stays so": (("GET", "/a%20b c"), {}, f"GET /a%20b%20c HTTP/1.1\r\n{FIXED}\r\n"),
    "line breaks in a path are encoded": (("GET", "/a\r\nX: y"), {}, f"GET /a%0D%0AX:%20y HTTP/1.1\r\n{FIXED}\r\n"),
    "a URL as a parameter of the query": (
        ("GET", "/a?to=http://x/"),
        {},
        f"GET /a?to=http://x/ HTTP/1.1\r\n{FIXED}\r\n",
    ),
    "a whole target": (("GET", "/a"), {"target": "/b?c"}, f"GET /b?c HTTP/1.1\r\n{FIXED}\r\n"),
}


@pytest.mark.parametrize(("arguments", "rest", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_requests_are_written(arguments: tuple[str, str], rest: dict[str, Any], expected: str) -> None:
    assert write(*arguments, **rest) == expected


REFUSED = {
    "a line break in a value": {"headers": {"X-A": "1\r\nX-B: 2"}},
    "a line feed in a value": {"headers": {"X-A": "1\nX-B: 2"}},
    "a carriage return in a value": {"headers": {"X-A": "1\rX"}},
    "a NUL in a value": {"headers": {"X-A": "1\0"}},
    "a value beyond Latin-1": {"headers": {"X-A": "€"}},
    "a name with a blank": {"headers": {"X A": "1"}},
    "a name with a colon": {"headers": {"X:": "1"}},
    "no name": {"headers": {"": "1"}},
    "a length of the caller's": {"headers": {"Content-Length": "3"}},
    "a transfer coding of the caller's": {"headers": {"transfer-encoding": "chunked"}},
    "two bodies": {"json": 1, "data": b"1"},
    "a URL instead of a path": {"path": "http://elsewhere.test/a"},
}


@pytest.mark.parametrize("rest", REFUSED.values(), ids=REFUSED)
def test_a_request_that_cannot_be_written_is_refused(rest: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        write("POST", **rest)


def test_headers_of_the_writer_go_with_every_request_and_can_change() -> None:
    writer = RequestWriter("h", "/base", {"X-A": "1", "Content-Type": "text/x"})
    assert writer.write("POST", "/p", json=1) == (
        b"POST /base/p HTTP/1.1\r\nHost: h\r\nUser-Agent: pika-locust\r\nX-A: 1\r\nContent-Type: text/x\r\n"
        b"Content-Length: 1\r\n\r\n1"
    )
    writer.set_headers({"x-a": "2", "content-TYPE": None, "User-Agent": None, "X-B": "3", "X-C": None})
    assert writer.headers == {"host": "h", "x-a": "2", "x-b": "3"}
    assert (
        writer.write("GET", "/", headers={"X-B": "4"}) == b"GET /base/ HTTP/1.1\r\nHost: h\r\nx-a: 2\r\nX-B: 4\r\n\r\n"
    )
    assert writer.write("GET", "/") == b"GET /base/ HTTP/1.1\r\nHost: h\r\nx-a: 2\r\nX-B: 3\r\n\r\n"
    with pytest.raises(ValueError, match="line break"):
        writer.set_headers({"X-B": "5\r\n"})
    assert writer.headers["x-b"] == "3", "a refused change changes nothing"


def test_the_target_of_a_path_is_below_the_prefix() -> None:
    assert RequestWriter("h", "/base", {}).target("/a b", {"c": 1}) == "/base/a%20b?c=1"
