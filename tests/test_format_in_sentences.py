from __future__ import annotations

import math

import pytest

from pika_locust.format import clock, plain, significant, with_unit


@pytest.mark.parametrize(
    ("value", "beside", "text"),
    [
        pytest.param(914.3, 500, "914", id="no decimals from a hundred on"),
        pytest.param(12_345.6, None, "12,346", id="thousands are separated"),
        pytest.param(12_345_678, None, "12,345,678", id="whole numbers in full"),
        pytest.param(0, None, "0", id="nothing"),
        pytest.param(12.34, None, "12.3", id="three digits"),
        pytest.param(0.94312, None, "0.943", id="a share"),
        pytest.param(0.000123456, None, "0.000123", id="a small share"),
        pytest.param(9.50, None, "9.5", id="no zeros at the end"),
        pytest.param(100.2, None, "100", id="zeros of a whole number stay"),
        pytest.param(-3.14159, None, "-3.14", id="a negative difference"),
        pytest.param(500.04, 500, "500.04", id="just above the limit does not look like it"),
        pytest.param(499.996, 500, "499.996", id="just below the limit does not look like it"),
        pytest.param(0.98996, 0.99, "0.98996", id="a share just below its limit"),
        pytest.param(500.0, 500, "500", id="at the limit"),
        pytest.param(math.nan, 1, "nan", id="no number"),
        pytest.param(math.inf, 1, "inf", id="no end"),
    ],
)
def test_numbers(value: float, beside: float | None, text: str) -> None:
    assert significant(value, beside) == text


@pytest.mark.parametrize(
    ("value", "text"), [(500.0, "500"), (0.95, "0.95"), (3_600_000.0, "3,600,000"), (0.001, "0.001")]
)
def test_limits_as_they_were_written(value: float, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (30, "0:30"), (59.9, "0:59"), (725, "12:05"), (3_723, "1:02:03")]
)
def test_moments(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_units() -> None:
    assert with_unit("5", "ms") == "5 ms"
    assert with_unit("5", "") == "5"
