from __future__ import annotations

import pytest

from pika_locust.wire.http import redirect
from pika_locust.wire.http_dial import Origin
from pika_locust.wire.http_models import Response

FOLLOWED = {
    "302 after GET": (302, "GET", "/b", ("GET", "/b")),
    "301 turns POST into GET": (301, "POST", "/b", ("GET", "/b")),
    "302 turns POST into GET": (302, "POST", "/b", ("GET", "/b")),
    "301 turns DELETE into GET": (301, "DELETE", "/b", ("GET", "/b")),
    "302 turns PUT into GET": (302, "PUT", "/b", ("GET", "/b")),
    "302 leaves HEAD alone": (302, "HEAD", "/b", ("HEAD", "/b")),
    "303 turns PUT into GET": (303, "PUT", "/b", ("GET", "/b")),
    "303 leaves HEAD alone": (303, "HEAD", "/b", ("HEAD", "/b")),
    "307 leaves POST alone": (307, "POST", "/b", ("POST", "/b")),
    "308 leaves POST alone": (308, "POST", "/b", ("POST", "/b")),
    "a relative place": (302, "GET", "c?d=e", ("GET", "/a/c?d=e")),
    "a query alone": (302, "GET", "?d=e", ("GET", "/a/b?d=e")),
    "a whole URL": (302, "GET", "http://example.test:81/b", ("GET", "/b")),
    "a whole URL without a path": (302, "GET", "http://EXAMPLE.test:81", ("GET", "/")),
    "a fragment is nobody's business": (302, "GET", "/b#c", ("GET", "/b")),
}


def respond(status: int, *locations: str) -> Response:
    lines = "".join(f"Location: {location}\r\n" for location in locations)
    return Response(status, f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode(), b"", (0,) * 7, 0, 0)


@pytest.mark.parametrize(("status", "method", "location", "expected"), FOLLOWED.values(), ids=FOLLOWED)
def test_a_redirect_within_the_origin(status: int, method: str, location: str, expected: tuple[str, str]) -> None:
    assert redirect(Origin("http://example.test:81/a"), "/a/b", method, respond(status, location)) == expected


IGNORED = {
    "an answer that is no redirect": (200, "/b"),
    "304": (304, "/b"),
    "300 leaves the choice to people": (300, "/b"),
    "no place named": (302,),
    "two places named": (302, "/b", "/c"),
    "another host": (302, "http://elsewhere.test:81/b"),
    "another port": (302, "http://example.test/b"),
    "another scheme": (302, "https://example.test:81/b"),
    "another host, without a scheme": (302, "//elsewhere.test/b"),
    "no URL for a client like this": (302, "mailto:me@example.test"),
    "a port that is none": (302, "http://example.test:99999/"),
    "a blank in it": (302, "/b c"),
}


@pytest.mark.parametrize("answer", IGNORED.values(), ids=IGNORED)
def test_other_answers_lead_nowhere(answer: tuple[int, str]) -> None:
    assert redirect(Origin("http://example.test:81"), "/a", "GET", respond(*answer)) is None
