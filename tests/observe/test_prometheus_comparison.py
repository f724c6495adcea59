from __future__ import annotations

import math

import pytest

from pika_locust.judge.report import Observed
from pika_locust.observe.prometheus import MAX_SERIES, Labels, Reading, compare, left_out

ONE: Labels = (("__name__", "keys"), ("db", "one"))
TWO: Labels = (("__name__", "keys"), ("db", "two"))


def reading(series: dict[Labels, float] | None = None, problem: str = "") -> Reading:
    return Reading("keys", series or {}, problem)


def row(labels: Labels, start: float | None, end: float | None, difference: float | None, note: str = "") -> Observed:
    return Observed("keys", dict(labels), start, end, difference, note)


NOTHING: Labels = ()
GONE = reading(problem="connection refused")
PAIRS: dict[str, tuple[Reading, Reading, list[Observed]]] = {
    "a counter that grew": (reading({ONE: 10.0}), reading({ONE: 25.0}), [row(ONE, 10.0, 25.0, 15.0)]),
    "a gauge that fell": (reading({ONE: 10.0}), reading({ONE: 4.0}), [row(ONE, 10.0, 4.0, -6.0)]),
    "nothing moved": (reading({ONE: 0.0}), reading({ONE: 0.0}), [row(ONE, 0.0, 0.0, 0.0)]),
    "a scalar has no labels": (reading({(): 1.0}), reading({(): 2.0}), [row((), 1.0, 2.0, 1.0)]),
    "series are paired by their labels, whatever their order": (
        reading({TWO: 2.0, ONE: 1.0}),
        reading({ONE: 11.0, TWO: 22.0}),
        [row(ONE, 1.0, 11.0, 10.0), row(TWO, 2.0, 22.0, 20.0)],
    ),
    "a series that came": (
        reading({ONE: 1.0}),
        reading({ONE: 1.0, TWO: 5.0}),
        [row(ONE, 1.0, 1.0, 0.0), row(TWO, None, 5.0, None, "not observed at the start: no such series")],
    ),
    "a series that went": (
        reading({ONE: 1.0}),
        reading(),
        [row(ONE, 1.0, None, None, "not observed at the end: no such series")],
    ),
    "a Prometheus that went": (
        reading({ONE: 1.0}),
        GONE,
        [row(ONE, 1.0, None, None, "not observed at the end: connection refused")],
    ),
    "a Prometheus that came": (
        GONE,
        reading({ONE: 1.0}),
        [row(ONE, None, 1.0, None, "not observed at the start: connection refused")],
    ),
    "no Prometheus": (GONE, GONE, [row(NOTHING, None, None, None, "not observed: connection refused")]),
    "no such series": (reading(), reading(), [row(NOTHING, None, None, None, "not observed: no such series")]),
    "nothing, for two reasons": (
        reading(),
        GONE,
        [row(NOTHING, None, None, None, "not observed: no such series (start), connection refused (end)")],
    ),
    "infinite at both ends": (
        reading({ONE: math.inf}),
        reading({ONE: math.inf}),
        [row(ONE, math.inf, math.inf, None, "+Inf at the start; +Inf at the end")],
    ),
    "infinite at one end": (
        reading({ONE: 3.0}),
        reading({ONE: -math.inf}),
        [row(ONE, 3.0, -math.inf, None, "-Inf at the end")],
    ),
    "further apart than a float reaches": (
        reading({ONE: -1.7e308}),
        reading({ONE: 1.7e308}),
        [row(ONE, -1.7e308, 1.7e308, None)],
    ),
}


@pytest.mark.parametrize(("start", "end", "rows"), PAIRS.values(), ids=PAIRS)
def test_start_and_end_side_by_side(start: Reading, end: Reading, rows: list[Observed]) -> None:
    assert list(compare(start, end)) == rows


def test_what_is_no_number_has_no_difference() -> None:
    (found,) = compare(reading({ONE: math.nan}), reading({ONE: 3.0}))
    assert math.isnan(found.start or 0.0)
    assert (found.end, found.difference, found.note) == (3.0, None, "NaN at the start")


def many(first: int, last: int) -> dict[Labels, float]:
    return {(("db", f"{number:04}"),): 1.0 * number for number in range(first, last)}


def test_the_rows_of_one_query_are_bounded_and_the_same_at_both_ends() -> None:
    start, end = reading(many(5, 1000)), reading(many(0, 900))
    rows = compare(start, end)
    assert [found.labels["db"] for found in rows] == [f"{number:04}" for number in range(MAX_SERIES)]
    assert [found.start for found in rows[:6]] == [None] * 5 + [5.0]
    assert left_out(start, end) == (
        "keys: the first 20 of 1,000 series are listed, in the order of their labels; "
        "a sum() in the query would take them all"
    )


def test_as_many_as_fit_need_no_note() -> None:
    assert left_out(reading(many(0, MAX_SERIES)), reading()) is None
    assert left_out(GONE, GONE) is None
