"""A head whose bytes were read before need not be read again: what becomes of an answer is the same."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pika_locust.wire import http_protocol
from pika_locust.wire.http_models import TransportError
from pika_locust.wire.http_protocol import KnownHeads, ResponseParser
from tests.wire.http_servers import chunked, content
from tests.wire.test_http_protocol_pieces import answers, cut, verdict


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> KnownHeads:
    heads = KnownHeads()
    monkeypatch.setattr(http_protocol, "KNOWN_HEADS", heads)
    return heads


class NoHeads(KnownHeads):
    """Knows none, and learns none."""

    def learn(self, data: bytes, status: int, content: bytes) -> None:
        pass


@settings(max_examples=500, deadline=None)
@given(answers(), st.lists(st.integers(0, 1 << 20), max_size=3), st.booleans())
def test_what_becomes_of_an_answer_does_not_depend_on_what_is_known(raw: bytes, at: list[int], bodiless: bool) -> None:
    heads = KnownHeads()
    for pieces in (cut(raw, []), cut(raw, at)):
        if not pieces:
            continue
        with mock.patch.object(http_protocol, "KNOWN_HEADS", NoHeads()):
            expected = verdict(pieces, bodiless)
        with mock.patch.object(http_protocol, "KNOWN_HEADS", heads):
            for _ in range(3):
                assert verdict(pieces, bodiless) == expected


WHOLE = [
    content(b"hello"),
    content(b'{"a":1}'),
    content(b"hello", "404 Not Found"),
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    chunked(b"hel", b"lo"),
    b"HTTP/1.1 103 Hints\r\n\r\n" + content(b"hinted"),
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WHOLE), st.booleans()), min_size=1, max_size=12))
def test_answers_on_one_connection_are_told_apart_whichever_are_known(sequence: list[tuple[bytes, bool]]) -> None:
    def told(heads: KnownHeads) -> list[Any]:
        with mock.patch.object(http_protocol, "KNOWN_HEADS", heads):
            parser = ResponseParser(1000)
            found = []
            for raw, is_cut in sequence:
                pieces = (raw[:9], raw[9:]) if is_cut else (raw,)
                answer = [parser.feed(piece) for piece in pieces][-1]
                assert answer is not None
                found.append((answer[0], answer[1].partition(b"\r\n\r\n")[0], *answer[2:]))
            return found

    heads = KnownHeads()
    assert told(heads) == told(heads) == told(NoHeads())


def test_a_known_head_is_not_read_again(known: KnownHeads) -> None:
    parser = ResponseParser(1000)
    first = parser.feed(content(b"hello"))
    parser._feed = None  # type: ignore[assignment]
    head = content(b"hello").removesuffix(b"hello")
    assert parser.feed(content(b"hallo")) == (200, head, b"hallo", True)
    assert first == (200, content(b"hello"), b"hello", True)
    with pytest.raises(TypeError):
        parser.feed(content(b"hello there"))


def test_a_known_head_says_nothing_of_what_is_not_one_whole_answer(known: KnownHeads) -> None:
    whole = content(b"hello")
    for part in (whole, whole + b"H", whole + whole, whole[:-1]):
        answer = ResponseParser(1000).feed(part)
        assert len(known) == 1
        if part == whole[:-1]:
            assert answer is None
        else:
            assert answer is not None
            assert (answer[2], answer[3]) == (b"hello", part == whole)


NOT_LEARNED: dict[str, bytes] = {
    "the connection ends": content(b"hello", "200 OK", "Connection: close"),
    "packed": content(b"{}", "200 OK", "Content-Encoding: br"),
    "in chunks": chunked(b"hello"),
    "more behind it": content(b"hello") + b"\r\n",
    "a head that is too long": content(b"hello", "200 OK", "X: " + "x" * KnownHeads.LONGEST_BYTES),
}


@pytest.mark.parametrize("raw", NOT_LEARNED.values(), ids=NOT_LEARNED)
def test_what_is_not_learned(known: KnownHeads, raw: bytes) -> None:
    assert ResponseParser(1000).feed(raw) is not None
    assert len(known) == 0


def test_a_known_head_does_not_lift_another_clients_bound(known: KnownHeads) -> None:
    assert ResponseParser(1000).feed(content(b"hello")) is not None
    with pytest.raises(TransportError, match="exceeds 4 bytes"):
        ResponseParser(4).feed(content(b"hello"))


def test_a_closed_parser_knows_no_answer(known: KnownHeads) -> None:
    parser = ResponseParser(1000)
    parser.feed(content(b""))
    parser.close()
    with pytest.raises(RuntimeError):
        parser.feed(content(b""))


def numbered(number: int) -> bytes:
    return content(b"hello", "200 OK", f"X-Request-Id: {number}")


def test_where_each_head_is_new_looking_is_given_up_for_a_while(known: KnownHeads) -> None:
    parser = ResponseParser(1000)
    for number in range(KnownHeads.MOST + 1):
        parser.feed(numbered(number))
    assert len(known) <= KnownHeads.MOST
    parser.feed(content(b"hello"))
    assert known.find(content(b"hello"), 1000) is None
    for _ in range(KnownHeads.PAUSE):
        known.find(b"", 1000)
    parser.feed(content(b"hello"))
    assert known.find(content(b"hello"), 1000) is not None


def test_heads_that_change_each_second_go_on_being_looked_up(known: KnownHeads) -> None:
    parser = ResponseParser(1000)
    for number in range(3 * KnownHeads.MOST):
        for _ in range(6):
            parser.feed(numbered(number))
        assert len(known) <= KnownHeads.MOST
    assert known.find(numbered(number), 1000) is not None
