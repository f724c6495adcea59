from __future__ import annotations

import json
from typing import Any

import pytest

from pika_locust.platforms.verity.world_accounts import BadBody, an_object, one_of, problems, read_body, text
from pika_locust.sandbox.world import Request

JSON = "application/json"


def read(body: bytes, kind: str = JSON) -> Any:
    return read_body(Request("POST", "/", "", {"content-type": kind}, body))


@pytest.mark.parametrize(
    ("body", "kind", "wanted"),
    [
        (b'{"a": 1}', JSON, {"a": 1}),
        (b'{"a": 1}', "application/json; charset=utf-8", {"a": 1}),
        (b"[]", JSON, []),
        (b"", JSON, {}),
        (b"  ", JSON, {}),
        (b"city=new+york&x=", "application/x-www-form-urlencoded", {"city": "new york", "x": ""}),
        (b'{"a": 1}', "text/plain", {}),
        (b'{"a": 1}', "", {}),
    ],
)
def test_a_body_is_read_by_its_content_type(body: bytes, kind: str, wanted: Any) -> None:
    assert read(body, kind) == wanted


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"city":', "Unexpected end of JSON input"),
        ('{"a":1', "Expected ',' or '}' after property value in JSON at position 6"),
        ("[1 2]", "Expected ',' or ']' after array element in JSON at position 3"),
        ('{"broken"', "Expected ':' after property name in JSON at position 9"),
        ("{a:1}", "Expected property name or '}' in JSON at position 1"),
        ('{"a":"b', "Unterminated string in JSON at position 7"),
        ('{"a":1}x', "Unexpected non-whitespace character after JSON at position 7"),
        ('{"a":x}', 'Unexpected token \'x\', "{"a":x}" is not valid JSON'),
        ('"text"', 'Unexpected token \'"\', ""text"" is not valid JSON'),
        ('{"a":NaN}', "Unexpected token in JSON"),
    ],
)
def test_json_that_cannot_be_read_is_refused_in_the_words_of_the_real_parser(body: str, message: str) -> None:
    with pytest.raises(BadBody) as refused:
        read(body.encode())
    answer = refused.value.answer
    assert answer.status == 400
    assert json.loads(answer.body) == {"message": message, "error": "Bad Request", "statusCode": 400}


def test_a_body_beyond_100_kilobytes_is_too_large() -> None:
    with pytest.raises(BadBody) as refused:
        read(b'{"a":"' + b"x" * 102_400 + b'"}')
    assert refused.value.answer.status == 413
    assert json.loads(refused.value.answer.body)["message"] == "request entity too large"


CHECKS = {"name": text, "extra": an_object, "choice": one_of("YES", "NO")}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, []),
        ([], []),
        ({"name": None, "extra": None}, []),
        ({"name": "a", "extra": {}, "choice": "NO"}, []),
        ({"name": 5}, ["name must be a string"]),
        ({"extra": [1]}, ["extra must be an object"]),
        ({"choice": "MAYBE"}, ["choice must be one of the following values: YES, NO"]),
        (
            {"extra": "x", "name": 7, "foo": 1},
            [
                "property foo should not exist",
                "name must be a string",
                "extra must be an object",
            ],
        ),
    ],
    ids=str,
)
def test_problems_are_listed_unknown_properties_first(body: Any, found: list[str]) -> None:
    assert problems(body, CHECKS) == found


def test_what_is_needed_is_checked_even_if_it_is_missing() -> None:
    assert problems({}, CHECKS, needed=("name",)) == ["name must be a string"]
