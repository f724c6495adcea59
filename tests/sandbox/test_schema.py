"""Checks of JSON bodies: what each lets through, and the sentence for what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from pika_locust.sandbox.schema import (
    Check,
    Refused,
    absent_or,
    fields,
    flag,
    list_of,
    number,
    one_of,
    optional,
    read_fields,
    read_json,
    text,
    utf16_units,
    whole,
)


@pytest.mark.parametrize(
    ("check", "value", "accepted"),
    [
        (text(), "", ""),
        (text(2, 3), "abc", "abc"),
        (text(pattern=r"[a-z]+@x"), "me@x", "me@x"),
        (whole(1, 9), 9, 9),
        (whole(), 2.0, 2),
        (number(0), 0.5, 0.5),
        (number(), 148.0, 148),
        (number(), 10**400, 10**400),
        (text(2, 2), "💃", "💃"),
        (flag, False, False),
        (one_of("tea", "coffee"), "tea", "tea"),
        (one_of(1, 2), 2, 2),
        (list_of(whole(0), 1), [0, 3], [0, 3]),
        (fields({"a": text(1)}), {"a": "x", "b": 1}, {"a": "x"}),
        (optional(text(1)), None, None),
        (optional(whole(), 7), None, 7),
        (optional(whole(), 7), 8, 8),
    ],
)
def test_what_is_accepted(check: Check, value: Any, accepted: Any) -> None:
    result = check(value)
    assert (result, type(result)) == (accepted, type(accepted))


@pytest.mark.parametrize(
    ("check", "value", "says"),
    [
        (text(1, 3), "", "must be a string of 1 to 3 characters"),
        (text(1, 3), "four", "must be a string of 1 to 3 characters"),
        (text(), None, "must be a string of 0 to 10000 characters"),
        (text(pattern=r"\d+"), "12x", r"must match \d+"),
        (whole(), True, "must be a whole number"),
        (whole(), 1.5, "must be a whole number"),
        (whole(), float("nan"), "must be a whole number"),
        (whole(), float("inf"), "must be a whole number"),
        (whole(), "1", "must be a whole number"),
        (whole(1), 0, "must be at least 1"),
        (whole(1, 9), 10, "must be at most 9"),
        (number(), True, "must be a number"),
        (number(0.5), 0.4, "must be at least 0.5"),
        (number(0, 1), float("nan"), "must be a finite number"),
        (number(), float("inf"), "must be a finite number"),
        (text(0, 2), "💃x", "must be a string of 0 to 2 characters"),
        (absent_or(text()), None, "must be a string of 0 to 10000 characters"),
        (flag, 1, "must be true or false"),
        (one_of("a", "b"), "c", "must be one of a, b"),
        (one_of(0, 1), True, "must be one of 0, 1"),
        (list_of(text(), 1, 2), [], "must be a list of 1 to 2 entries"),
        (list_of(whole()), [1, "x"], "entry 1: must be a whole number"),
        (fields({}), [], "must be an object"),
        (optional(text(1)), 5, "must be a string of 1 to 10000 characters"),
    ],
)
def test_what_is_refused_and_with_which_words(check: Check, value: Any, says: str) -> None:
    with pytest.raises(ValueError) as refused:
        check(value)
    assert str(refused.value) == says


SCHEMA = {"id": text(1), "to": fields({"city": text(1), "zip": whole()}), "note": optional(text())}


def test_an_object_s_fields_come_back_and_no_others() -> None:
    body = read_json(b'{"id": "a", "to": {"city": "X", "zip": 1}, "more": 1}', SCHEMA)
    assert body == {"id": "a", "to": {"city": "X", "zip": 1}, "note": None}


def test_a_field_that_may_be_absent_is_then_absent_from_what_is_accepted() -> None:
    schema = {"id": text(1), "note": absent_or(text())}
    assert read_fields({"id": "a"}, schema) == {"id": "a"}
    assert read_fields({"id": "a", "note": ""}, schema) == {"id": "a", "note": ""}
    with pytest.raises(Refused, match="note must be a string"):
        read_fields({"id": "a", "note": None}, schema)


@pytest.mark.parametrize(("value", "length"), [("abc", 3), ("é", 1), ("💃", 2), ("\ud800", 1), ("", 0)])
def test_lengths_are_in_utf16_units(value: str, length: int) -> None:
    assert utf16_units(value) == length


def test_every_problem_is_named_with_its_place() -> None:
    with pytest.raises(Refused) as refused:
        read_fields({"to": {"city": "", "zip": "1"}}, SCHEMA)
    assert refused.value.problems == [
        "id must be a string of 1 to 10000 characters",
        "to.city must be a string of 1 to 10000 characters",
        "to.zip must be a whole number",
    ]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b'{"id": NaN}', "the body is not JSON"),
        (b"[1]", "the body must be a JSON object"),
        (b"", "id must be a string of 1 to 10000 characters"),
    ],
)
def test_a_body_that_is_no_object(data: bytes, says: str) -> None:
    with pytest.raises(Refused) as refused:
        read_json(data, {"id": text(1)})
    assert refused.value.problems == [says]
