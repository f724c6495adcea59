from __future__ import annotations

import json
from typing import Any

import pytest

from pika_locust.platforms.verity.world_queue import city_of, fingerprint, javascript_number, queue_key, stable_json


@pytest.mark.parametrize(
    ("preferences", "wanted"),
    [
        ({}, "44136fa355b3"),
        (None, "44136fa355b3"),
        ({"mode": "shared"}, "3f932d1eb7dd"),
        ({"mode": "video-session-sustain"}, "590676b5b014"),
        ({"seed": "1-0-123456789"}, "c6e2111c0d10"),
        ({"seed": "1-1-987654321"}, "fa23856eb715"),
        ({"b": 1, "a": [1, {"z": 1, "y": 2}]}, "2da4014350f2"),
        ({"a": [1, {"y": 2, "z": 1}], "b": 1}, "2da4014350f2"),
        ({"mode": "g07"}, "77c37e9d442d"),
        ({"seed": "a"}, "9ac07f4baf7e"),
    ],
    ids=str,
)
def test_preferences_have_the_fingerprint_that_the_real_server_gave_them(preferences: Any, wanted: str) -> None:
    assert fingerprint(preferences) == wanted


@pytest.mark.parametrize(
    ("place", "city"),
    [
        ("australiacentral", "australiacentral"),
        ("  New  York! ", "new-york"),
        ("São Paulo", "s-o-paulo"),
        ("au", "canberra"),
        ("AU", "canberra"),
        ("", "canberra"),
        (None, "canberra"),
        ("!!!", "canberra"),
    ],
)
def test_a_place_becomes_a_city(place: str | None, city: str) -> None:
    assert city_of(place) == city
    assert queue_key(place, {"mode": "shared"}) == f"{city}:3f932d1eb7dd"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"b": null, "a": [true, false], "C": {}}', '{"C":{},"a":[true,false],"b":null}'),
        ('{"é": "é\\n\\u0001\\"", "z": 1.0}', '{"z":1,"é":"é\\n\\u0001\\""}'),
        # JavaScript sorts by UTF-16 code units: the surrogates of an emoji come before U+FF21
        ('{"\\uff21": 1, "😀": 2}', '{"😀":2,"Ａ":1}'),
        ("[9007199254740993, 1e400]", "[9007199254740992,null]"),
    ],
    ids=["keys are sorted at every depth", "only control characters and quotes are escaped", "order", "big numbers"],
)
def test_json_is_written_in_one_way(text: str, wanted: str) -> None:
    assert stable_json(json.loads(text)) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (-2.5, "-2.5"),
        (100.25, "100.25"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (123456789012345680.0, "123456789012345680"),
        (0.000001, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (float("inf"), "null"),
    ],
)
def test_numbers_are_written_as_javascript_does(value: float, wanted: str) -> None:
    assert javascript_number(value) == wanted
