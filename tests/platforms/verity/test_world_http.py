from __future__ import annotations

import json
from typing import Any

import pytest

from pika_locust.platforms.verity.world_http import (
    UnreadableBody,
    a_string,
    an_object,
    check_body,
    one_of,
    parse_body,
)
from pika_locust.sandbox.schema import Refused, optional
from pika_locust.sandbox.world import Request

JSON = "application/json"


def read(body: bytes, kind: str = JSON) -> Any:
    return parse_body(Request("POST", "/", "", {"content-type": kind}, body))


@pytest.mark.parametrize(
    ("body", "kind", "wanted"),
    [
        (b'{"a": 1}', JSON, {"a": 1}),
        (b'{"a": 1}', "application/json; charset=utf-8", {"a": 1}),
        (b"[]", JSON, {}),
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
        ('{"broken"', "Expected ':' after property name in JSON at position 9"),
        ('{"a":x}', 'Unexpected token \'x\', "{"a":x}" is not valid JSON'),
        ('"text"', 'Unexpected token \'"\', ""text"" is not valid JSON'),
        ('{"a":NaN}', "Unexpected token in JSON"),
    ],
)
def test_json_that_cannot_be_read_is_refused_in_the_words_of_the_real_parser(body: str, message: str) -> None:
    with pytest.raises(UnreadableBody) as refused:
        read(body.encode())
    answer = refused.value.answer
    assert answer.status == 400
    assert json.loads(answer.body) == {"message": message, "error": "Bad Request", "statusCode": 400}


def test_a_body_beyond_100_kilobytes_is_too_large() -> None:
    with pytest.raises(UnreadableBody) as refused:
        read(b'{"a":"' + b"x" * 102_400 + b'"}')
    assert refused.value.answer.status == 413
    assert json.loads(refused.value.answer.body)["message"] == "request entity too large"


SCHEMA = {"name": optional(a_string), "extra": optional(an_object), "choice": one_of("YES", "NO")}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, ["choice must be one of the following values: YES, NO"]),
        ({"name": 5, "choice": "NO"}, ["name must be a string"]),
        ({"extra": [1], "choice": "NO"}, ["extra must be an object"]),
        ({"choice": ["NO"]}, ["choice must be one of the following values: YES, NO"]),
        (
            {"extra": "x", "name": 7, "foo": 1, "choice": "YES"},
            ["property foo should not exist", "name must be a string", "extra must be an object"],
        ),
    ],
    ids=str,
)
def test_problems_are_listed_unknown_fields_first(body: Any, found: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        check_body(body, SCHEMA)
    assert refused.value.problems == found


def test_what_may_be_absent_is_none() -> None:
    assert check_body({"extra": None, "choice": "NO"}, SCHEMA) == {"name": None, "extra": None, "choice": "NO"}
