from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pika_locust.load.rate_curve import RateCurve
from tests.load import exact

SPIKE = RateCurve(20, [(60, 400), (120, 400), (60, 20), (60, 0)])


@pytest.mark.parametrize(
    ("at_s", "integral", "rate"),
    [
        pytest.param(0, 0, 20, id="nothing has come at the start"),
        pytest.param(-5, 0, 20, id="nothing has come before the start"),
        pytest.param(30, 20 * 30 + 190 * 30 / 2, 210, id="half-way up, a triangle on a rectangle"),
        pytest.param(60, 12_600, 400, id="at the end of the first stage"),
        pytest.param(100, 28_600, 400, id="on the plateau"),
        pytest.param(210, 73_200 - 210 * 30 + 95 * 30, 210, id="half-way down"),
        pytest.param(300, 73_800, 0, id="all of it at the end"),
        pytest.param(1000, 73_800, 0, id="and no more afterwards"),
    ],
)
def test_the_integral_and_the_rate_of_the_token_purchase_spike(at_s: float, integral: float, rate: float) -> None:
    assert SPIKE.integral(at_s) == integral
    assert SPIKE.rate(at_s) == rate
    assert (SPIKE.duration_s, SPIKE.ends_s, SPIKE.peak) == (300, (60, 180, 240, 300), 400)


def test_the_integral_is_exact_where_floats_are_not() -> None:
    assert RateCurve(10, [(0.3, 10)]).integral(0.3) == 3
    assert RateCurve(0.1, [(0.1, 0.1), (0.2, 0.1)]).integral(9) == Fraction(3, 100)
    assert RateCurve(1, [(1, 1)], time_unit_s=3600).integral(1) == Fraction(1, 3600)


@pytest.mark.parametrize(
    ("curve", "count", "at_s"),
    [
        pytest.param(SPIKE, 12_600, 60.0, id="a number reached on a boundary is reached at the boundary"),
        pytest.param(SPIKE, 60_600, 180.0, id="so it is at the end of the plateau"),
        pytest.param(SPIKE, 73_800, 300.0, id="and at the end of a ramp to 0, where the rate has vanished"),
        pytest.param(RateCurve(0, [(8, 4)]), 2, 8**0.5, id="a ramp from 0 begins with a root"),
        pytest.param(RateCurve(0, [(8, 4)]), 0, 0.0, id="zero is reached at once"),
        pytest.param(RateCurve(5, [(0, 10), (2, 10)]), 20, 2.0, id="a stage of no duration is a jump"),
        pytest.param(RateCurve(1, [(2, 1), (5, 0), (0, 2), (1, 2)]), 5, 7 + 0.5 / 2, id="a jump up after a ramp down"),
        pytest.param(RateCurve(1, [(2, 1), (0, 0), (9, 0), (0, 1), (2, 1)]), 2, 2.0, id="before a pause, not after"),
        pytest.param(RateCurve(1, [(2, 1), (0, 0), (9, 0), (0, 1), (2, 1)]), 3, 12.0, id="a pause moves the rest"),
        pytest.param(RateCurve(6, [(3, 6)], 60), 0, 0.0, id="a time unit of a minute, at the start"),
        pytest.param(RateCurve(60, [(3, 60)], 60), 2, 2.0, id="a time unit of a minute, later"),
    ],
)
def test_when_a_number_is_reached(curve: RateCurve, count: int, at_s: float) -> None:
    assert curve.reaches_s(count) == pytest.approx(at_s, abs=1e-12)
    assert curve.passes_s(count) == pytest.approx(at_s, abs=1e-12)


def test_a_number_that_is_never_reached() -> None:
    with pytest.raises(IndexError):
        SPIKE.reaches_s(73_801)
    with pytest.raises(IndexError):
        SPIKE.passes_s(73_800.5)


@pytest.mark.parametrize(
    ("start_rate", "stages"),
    [
        pytest.param(0, [(3600, 10_000)], id="an hour's ramp from 0 to 10,000/s"),
        pytest.param(10_000, [(3600, 0)], id="an hour's ramp from 10,000/s to 0"),
        pytest.param(9_999.7, [(3600, 0)], id="a ramp to 0 whose root, taken forwards, is off by 44 µs"),
        pytest.param(10_000, [(7200, 10_000), (7201, 9_999)], id="four hours, at last with almost no slope"),
        pytest.param(3, [(1, 10_000), (10_800, 9_999), (0.1, 1), (7200, 0)], id="five hours, steep and flat"),
        pytest.param(0, [(36_000, 1)], id="one more arrival a second within ten hours"),
        pytest.param(1, [(36_000, 0)], id="one arrival a second, fading within ten hours"),
        pytest.param(7, [(0.7, 11), (3600.3, 13), (0.3, 0)], id="boundaries between two arrivals"),
    ],
)
def test_hours_at_ten_thousand_a_second_are_right_to_a_nanosecond(
    start_rate: float, stages: list[tuple[float, float]]
) -> None:
    curve = RateCurve(start_rate, stages)
    second = [(Fraction(str(duration)), Fraction(str(rate))) for duration, rate in stages]
    last = int(curve.integral(1e9))
    edges = [int(curve.integral(end_s)) + step for end_s in curve.ends_s for step in (-1, 0, 1)]
    counts = {1, 2, 3, last - 2, last - 1, last, *(last * part // 997 for part in range(1, 997)), *edges}
    worst = Fraction(0)
    for count in counts:
        if 0 < count <= last:
            want = exact.due_s(Fraction(str(start_rate)), second, count)
            assert want is not None, count
            worst = max(worst, abs(Fraction(curve.reaches_s(count)) - want))
    assert worst < Fraction(1, 10**9), f"off by {float(worst)} s"


RATES = st.integers(0, 10_000) | st.sampled_from([0, 0.1, 0.5, 1.5])
DURATIONS = st.integers(0, 20_000).map(lambda thousandths: thousandths / 1000) | st.sampled_from([0, 3600, 10_800])


@given(RATES, st.lists(st.tuples(DURATIONS, RATES), min_size=1, max_size=5), st.floats(0, 1))
@example(0, [(0, 5), (2, 5), (0, 0), (3, 0), (2, 1)], 1.0)
def test_both_implementations_agree(start_rate: float, stages: list[tuple[float, float]], part: float) -> None:
    curve = RateCurve(start_rate, stages)
    total = curve.integral(1e9)
    count = int(total * Fraction(part))
    if count:
        second = [(Fraction(str(duration)), Fraction(str(rate))) for duration, rate in stages]
        want = exact.due_s(Fraction(str(start_rate)), second, count)
        assert want is not None
        assert curve.reaches_s(count) == pytest.approx(float(want), abs=1e-9)


@given(RATES, st.lists(st.tuples(DURATIONS, RATES), min_size=1, max_size=5), st.floats(0, 1))
def test_the_integral_at_that_time_is_that_number(
    start_rate: float, stages: list[tuple[float, float]], part: float
) -> None:
    curve = RateCurve(start_rate, stages)
    area = float(curve.integral(1e9)) * part
    at_s = curve.passes_s(area)
    # The clock of `integral` ticks in nanoseconds.
    assert float(curve.integral(at_s)) == pytest.approx(area, abs=1e-9 * (1 + curve.peak), rel=1e-9)
    assert 0 <= at_s <= curve.duration_s


def test_each_stage_has_a_rate_at_its_beginning_and_at_its_end() -> None:
    curve = RateCurve(20, [(60.0, 400), (0.0, 100), (30.0, 0)], 2.0)
    assert curve.stage_rates == ((10.0, 200.0), (200.0, 50.0), (50.0, 0.0))
