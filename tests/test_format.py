from __future__ import annotations

import math

import pytest

from pika_locust import format as humanise


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(0, "0", id="nothing is a bare zero"),
        pytest.param(1_234_567, "1,234,567", id="thousands are separated"),
        pytest.param(9.0, "9", id="a whole count has no decimals"),
        pytest.param(12.34, "12.3", id="three digits are enough"),
        pytest.param(1.234, "1.23", id="small values keep two decimals"),
        pytest.param(0.0123, "0.012", id="very small values keep three"),
        pytest.param(0.00004, "0.00004", id="what is not zero is never shown as zero"),
        pytest.param(-0.5, "-0.50", id="negative values keep their sign"),
        pytest.param(99.96, "100", id="rounding up to the next size drops the decimals"),
        pytest.param(3_600_000_000_000, "3,600,000,000,000", id="large numbers keep their digits"),
        pytest.param(10**18, "1e+18", id="huge numbers get an exponent"),
        pytest.param(1e-12, "1e-12", id="tiny numbers get an exponent"),
        pytest.param(None, "-", id="absent"),
        pytest.param(math.nan, "-", id="not a number"),
        pytest.param(-math.inf, "-", id="infinite"),
    ],
)
def test_a_number_is_short_and_true(value: float | None, shown: str) -> None:
    assert humanise.number(value) == shown


@pytest.mark.parametrize(
    ("value", "unit", "limit", "shown"),
    [
        pytest.param(3000.4, "ms", 3000, "3,000.4 ms", id="just over the limit shows a decimal"),
        pytest.param(2999.96, "ms", 3000, "2,999.96 ms", id="just under it shows as many as needed"),
        pytest.param(3000.0, "ms", 3000, "3,000 ms", id="exactly the limit is the limit"),
        pytest.param(19.0, "ms", None, "19.0 ms", id="a measured time keeps its decimals when whole"),
        pytest.param(9, "messages", None, "9 messages", id="a count with a unit"),
        pytest.param(0.9997, "%", None, "99.97 %", id="a ratio becomes a percentage"),
        pytest.param(0.99999997, "%", None, "99.999997 %", id="almost all is not 100 %"),
        pytest.param(0.00000003, "%", None, "0.000003 %", id="almost none is not 0 %"),
        pytest.param(1.0, "%", None, "100 %", id="all"),
        pytest.param(0.0, "%", 0.01, "0 %", id="none"),
        pytest.param(0.07, "%", 0.07, "7.00 %", id="the limit itself, in spite of binary fractions"),
        pytest.param(0.070001, "%", 0.07, "7.0001 %", id="a ratio just over its limit"),
        pytest.param(None, "ms", 3000, "-", id="an absent value has no unit"),
        pytest.param(math.inf, "%", None, "-", id="an infinite ratio"),
    ],
)
def test_rounding_never_changes_the_side_of_a_limit(value: float, unit: str, limit: float | None, shown: str) -> None:
    assert humanise.amount(value, unit, limit) == shown


def test_an_interval_names_its_unit_once() -> None:
    assert humanise.span(11.0, 14.9, "ms") == "11.0 .. 14.9 ms"
    assert humanise.span(0.9985, 0.9999, "%", "–") == "99.85–99.99 %"
    assert humanise.span(3, 12, "") == "3 .. 12"


def test_an_open_end_of_an_interval_is_no_number() -> None:
    assert humanise.span(11.0, math.inf, "ms") == ">= 11.0 ms"
    assert humanise.span(-math.inf, 0.25, "%", at_most="≤") == "≤ 25.00 %"
    assert humanise.span(-math.inf, math.inf, "ms") == "open"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (41.9, "0:41"), (61.2, "1:01"), (3599, "59:59"), (3600, "1:00:00"), (-1, "0:00"), (None, "-"),
     (math.nan, "-")],
)  # fmt: skip
def test_a_duration_reads_like_a_stopwatch(seconds: float | None, shown: str) -> None:
    assert humanise.clock(seconds) == shown


def test_plurals() -> None:
    assert [humanise.plural(n, "worker") for n in (0, 1, 1200)] == ["0 workers", "1 worker", "1,200 workers"]
    assert humanise.plural(2, "query", "queries") == "2 queries"


@pytest.mark.parametrize(
    ("words", "columns", "kept"),
    [
        pytest.param("short", 5, "short", id="what fits stays"),
        pytest.param("too long", 6, "too...", id="the ellipsis is within the width"),
        pytest.param("超负荷了", 7, "超负...", id="wide characters count twice"),
        pytest.param("word", 2, "..", id="hardly any space"),
        pytest.param("word", 0, "", id="no space"),
    ],
)
def test_cut_keeps_to_the_width(words: str, columns: int, kept: str) -> None:
    assert humanise.cut(words, columns) == kept
    assert humanise.width_of(kept) <= columns
