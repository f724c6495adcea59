from __future__ import annotations

import pytest

from pika_locust.runtime.error_groups import MAX_LENGTH, group_of

GROUPED = {
    "a query": ("URL http://h:1/check?phone=7&token=s3cr3t: code=500", "URL http://h:1/check?...: code=500"),
    "a fragment": ("GET https://h/a#x failed", "GET https://h/a?... failed"),
    "credentials": ("ws://alice:pa55@h:80/ws refused", "ws://h:80/ws refused"),
    "a UUID": ("no user 0b9e8a52-6f0d-4f0c-9d3e-9a1f0c5d7e21", "no user <id>"),
    "a memory address": ("<Thing object at 0x7f1e2a3b4c5d>", "<Thing object at <address>>"),
    "a hash": ("item 9f86d081884c7d659a2f is gone", "item <id> is gone"),
    "a long number": ("order 1234567 not found", "order <number> not found"),
    "a number at the end": ("order 12345", "order <number>"),
    "a time": ("at 1732851234567: late", "at <number>: late"),
}


@pytest.mark.parametrize(("error", "group"), GROUPED.values(), ids=GROUPED)
def test_what_differs_from_one_occurrence_to_the_next_is_taken_out(error: str, group: str) -> None:
    assert group_of(error) == group
    assert group_of(group) == group


@pytest.mark.parametrize(
    "error",
    [
        "127.0.0.1:54321 refused the connection",
        "500 Internal Server Error",
        "closed by the server: 1006",
        "no answer within 10000 ms of 9999",
        "the certificate is not trusted: self-signed certificate",
        "GET http://h:3000/orders/count was answered 503",
        "deadbeef is a word",
        "latency 12.345678 s",
    ],
)
def test_what_tells_kinds_apart_stays(error: str) -> None:
    assert group_of(error) == error.replace("10000", "<number>")


def test_a_text_is_cut_after_it_was_grouped() -> None:
    assert group_of("http://h/?" + "a" * 1000 + " failed") == "http://h/?... failed"
    assert len(group_of("x " * 1_000_000)) == MAX_LENGTH
