from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.wire.http_json import json_encoder

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_the_text_is_that_of_json_dumps(value: Any) -> None:
    text = json_encoder()(value)
    assert text == json.dumps(value, separators=(",", ":"))
    assert text.isascii()


REFUSED = {
    "a set": ({1}, TypeError),
    "a key that is no string": ({(1, 2): 3}, TypeError),
    "NaN": (float("nan"), ValueError),
    "infinity": ([float("inf")], ValueError),
}


@pytest.mark.parametrize(("value", "error"), REFUSED.values(), ids=REFUSED)
def test_what_json_cannot_hold_is_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        json_encoder()(value)


def test_a_value_that_contains_itself_is_refused_and_leaves_no_trace() -> None:
    encode = json_encoder()
    value: list[Any] = []
    value.append(value)
    with pytest.raises(RecursionError):
        encode(value)
    assert encode([1]) == "[1]"


def without(*_: Any) -> Any:
    raise TypeError("another signature")


def different(*_: Any) -> Any:
    return lambda value, level: ("something else",)


@pytest.mark.parametrize("make", [None, without, different], ids=["missing", "another signature", "another result"])
def test_a_python_without_the_known_c_encoder_writes_the_same(make: Any) -> None:
    assert json_encoder(make)({"a": [1, 2.5, None, "é"]}) == '{"a":[1,2.5,null,"\\u00e9"]}'
