from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pika_locust.wire.http_models import decode_json, encode_json

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
@example([None, 1 << 70, "\ud800", "null", {"a": None}])
def test_what_is_written_means_the_value_and_is_compact(value: Any) -> None:
    body = encode_json(value)
    assert json.loads(body) == value
    assert len(body.decode()) <= len(json.dumps(value, separators=(",", ":")))


WRITTEN = {
    "letters beyond ASCII as they are": ({"b": "ü"}, '{"b":"ü"}'),
    "a whole number beyond 64 bits": ([1 << 64], "[18446744073709551616]"),
    "keys that are numbers": ({7: 1, None: 2}, '{"7":1,"null":2}'),
    "half a surrogate pair": ("\ud800", '"\\ud800"'),
    "nothing": ([None], "[null]"),
    "the word null": ("null", '"null"'),
    "a date": (date(2030, 1, 2), '"2030-01-02"'),
    "a date beside nothing": ([None, date(2030, 1, 2)], '[null,"2030-01-02"]'),
}


@pytest.mark.parametrize(("value", "text"), WRITTEN.values(), ids=WRITTEN)
def test_values_are_written(value: Any, text: str) -> None:
    assert encode_json(value) == text.encode()


@dataclass
class Song:
    price: float | None


REFUSED = {
    "a dataclass": (Song(1.5), TypeError),
    "a dataclass beside nothing": ([None, Song(float("nan"))], TypeError),
    "a set": ({1}, TypeError),
    "a set beside nothing": ([None, {1}], TypeError),
    "a key that is no string": ({(1, 2): 3}, TypeError),
    "NaN": (float("nan"), ValueError),
    "NaN beside nothing": ([None, {"price": float("nan")}], ValueError),
    "infinity": ([float("inf")], ValueError),
}


@pytest.mark.parametrize(("value", "error"), REFUSED.values(), ids=REFUSED)
def test_what_json_cannot_hold_is_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        encode_json(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="Circular"):
        encode_json(value)


@given(VALUES)
def test_what_the_json_module_writes_is_read(value: Any) -> None:
    def plain(inner: Any) -> Any:
        if isinstance(inner, list):
            return [plain(each) for each in inner]
        if isinstance(inner, dict):
            return {key: plain(each) for key, each in inner.items()}
        is_wide = isinstance(inner, int) and not -(1 << 63) <= inner < 1 << 64
        return float(inner) if is_wide else inner

    assert decode_json(json.dumps(value).encode()) == plain(value)


READ = {
    "half a surrogate pair": (b'"\\ud800"', "\ud800"),
    "a number without end": (b"[1e400]", [float("inf")]),
    "blanks around it": (b" \r\n7\n", 7),
    "64 bits": (b"[18446744073709551615,-9223372036854775808]", [(1 << 64) - 1, -(1 << 63)]),
    "more than 64 bits": (b"18446744073709551616", 18446744073709551616.0),
}


@pytest.mark.parametrize(("body", "value"), READ.values(), ids=READ)
def test_what_is_read(body: bytes, value: Any) -> None:
    found = decode_json(body)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_what_is_nested_too_deeply_is_no_json(depth: int) -> None:
    with pytest.raises(ValueError, match=r"nested too deeply"):
        decode_json(depth * b"[" + depth * b"]")
