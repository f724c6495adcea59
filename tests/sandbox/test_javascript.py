from __future__ import annotations

import json
import re

import pytest

from pika_locust.sandbox.javascript import Cuids, base36, iso, javascript_number, stable_json

# the second user of the recordings was made at this time: 2026-11-21T03:10:25.675Z
NOW = 1_795_230_625.675


@pytest.mark.parametrize(
    ("number", "width", "text"), [(0, 4, "0000"), (35, 1, "z"), (36, 3, "010"), (1234567, 2, "qglj")]
)
def test_numbers_in_base_36(number: int, width: int, text: str) -> None:
    assert base36(number, width) == text
    assert int(text, 36) == number


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (NOW, "2026-11-21T03:10:25.675Z"),
        (1_795_230_767.5294, "2026-11-21T03:12:47.529Z"),
        (1_795_230_767, "2026-11-21T03:12:47.000Z"),
        (0.0, "1970-01-01T00:00:00.000Z"),
        (-1.0, "1969-12-31T23:59:59.000Z"),
    ],
)
def test_times_are_written_as_javascript_does(at: float, text: str) -> None:
    assert iso(at) == text


def test_a_cuid_begins_with_its_time_and_number_and_does_not_repeat() -> None:
    one, other = Cuids(), Cuids()
    first, second = one.new(NOW), one.new(NOW)
    assert re.fullmatch(r"c[a-z0-9]{24}", first)
    # as the recorded cmwptyo3v0030ik7dciltd17l
    assert first.startswith("cmwptyo3v0001")
    assert second.startswith("cmwptyo3v0002")
    assert first[13:17] == second[13:17]
    assert len({maker.new(NOW) for maker in (one, other) for _ in range(500)}) == 1000


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
