from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pika_locust.load.arrivals import ArrivalRate, ArrivalStage, ConstantArrivalRate, RampingArrivalRate, Stretch
from tests.load import exact


def ramping(start_rate: float, *stages: tuple[float, float], time_unit_s: float = 1.0) -> RampingArrivalRate:
    return RampingArrivalRate(
        stages=tuple(ArrivalStage(*stage) for stage in stages),
        start_rate=start_rate,
        time_unit_s=time_unit_s,
        pre_allocated_vus=800,
        max_vus=1200,
    )


def constant(rate: float, duration_s: float, time_unit_s: float = 1.0) -> ConstantArrivalRate:
    return ConstantArrivalRate(rate=rate, duration_s=duration_s, time_unit_s=time_unit_s, pre_allocated_vus=50)


SPIKE = ramping(20, (60, 400), (120, 400), (60, 20), (60, 0))


def test_the_token_purchase_spike_has_the_arrivals_its_suite_expects() -> None:
    schedule = SPIKE.schedule()
    assert schedule.total == 73_800
    assert schedule.stage_counts() == (12_600, 48_000, 12_600, 600)
    assert schedule.due_s(73_799) == 300.0


K6 = (0, (5, 1), (1, 1), (5, 0))
"""The schedule of k6's own test (lib/executor/ramping_arrival_rate_test.go, TestRampingArrivalRateCal)."""

FASTER = [1825, 2581, 3162, 3651, 4082, 4472, 4830, 5166, 5499, 5833, 6169, 6527, 6917, 7348, 7837, 8418, 9174, 10999]


@pytest.mark.parametrize(
    ("time_unit_s", "index", "count", "due_ms"),
    [
        pytest.param(1, 0, 1, [3162, 4472, 5500, 6527, 7837, 11000], id="undivided"),
        pytest.param(1, 0, 3, [3162, 6527], id="the first of three instances"),
        pytest.param(1, 1, 3, [4472, 7837], id="the second of three"),
        pytest.param(1, 2, 3, [5500, 11000], id="the third of three"),
        pytest.param(
            1 / 3,
            0,
            1,
            FASTER,
            id="a time unit of a third of a second is three times as fast",
        ),
    ],
)
def test_ramping_arrivals_come_when_they_do_in_k6(time_unit_s: float, index: int, count: int, due_ms: list) -> None:
    got = list(ramping(*K6, time_unit_s=time_unit_s).schedule().stripe(index, count))
    assert [number for number, _ in got] == list(range(index, index + count * len(due_ms), count))
    assert [due_s * 1000 for _, due_s in got] == pytest.approx(due_ms, rel=1e-3)


@pytest.mark.parametrize(
    ("load", "due_s"),
    [
        pytest.param(constant(2, 2), [0, 0.5, 1, 1.5], id="constant: the first at 0, none at the very end"),
        pytest.param(constant(1, 10, 3), [0, 3, 6, 9], id="constant: a gap that does not divide the duration"),
        pytest.param(constant(30, 4, 60), [0, 2], id="constant: half a minute's rate"),
        pytest.param(ramping(2, (2, 2)), [0.5, 1, 1.5, 2], id="ramping: the first after a gap, one at the very end"),
        pytest.param(ramping(1, (10, 1), time_unit_s=3), [3, 6, 9], id="ramping: an arrival that would come too late"),
        pytest.param(ramping(0, (0.9, 1), (0.05, 1)), [], id="ramping: not even one"),
        pytest.param(ramping(3, (0, 1), (2, 1)), [1, 2], id="ramping: a jump at the start"),
    ],
)
def test_the_two_executors_count_from_different_ends_as_in_k6(load: ArrivalRate, due_s: list[float]) -> None:
    schedule = load.schedule()
    assert [due for _, due in schedule.stripe(0, 1)] == pytest.approx(due_s, abs=1e-9)
    assert schedule.total == len(due_s)
    assert sum(schedule.stage_counts()) == len(due_s)


def test_an_arrival_that_does_not_exist() -> None:
    for number in (-1, 73_800):
        with pytest.raises(IndexError, match=f"no arrival {number}: they go from 0 to 73799"):
            SPIKE.schedule().due_s(number)


def test_hours_at_ten_thousand_a_second_do_not_drift() -> None:
    schedule = constant(10_000, 3 * 3600).schedule()
    assert schedule.total == 108_000_000
    for number in (1, 3, 9_999, 35_999_999, 71_234_567, 107_999_999):
        assert abs(Fraction(schedule.due_s(number)) - Fraction(number, 10_000)) < Fraction(1, 10**10)
    ramps = ramping(0, (5400, 10_000), (3600, 10_000), (5400, 0)).schedule()
    assert ramps.total == 27_000_000 + 36_000_000 + 27_000_000
    stages = [(Fraction(5400), Fraction(10_000)), (Fraction(3600), Fraction(10_000)), (Fraction(5400), Fraction(0))]
    for number in (
        0,
        1,
        26_999_998,
        26_999_999,
        27_000_000,
        62_999_999,
        63_000_000,
        89_999_990,
        89_999_998,
        89_999_999,
    ):
        want = exact.due_s(Fraction(0), stages, number + 1)
        assert want is not None
        assert abs(Fraction(ramps.due_s(number)) - want) < Fraction(1, 10**9), number


def test_a_cut_schedule_keeps_numbers_and_times() -> None:
    whole = SPIKE.schedule()
    cut = whole.cut(200)
    # 20 s into the ramp down: 20 · 400 less the triangle 20² / 2 · 380 / 60, which is 6,733 and a third.
    assert cut.total == 60_600 + 6_733
    assert (cut.duration_s, cut.stage_counts()) == (200, (12_600, 48_000, cut.total - 60_600, 0))
    assert cut.due_s(cut.total - 1) == whole.due_s(cut.total - 1) <= 200 < whole.due_s(cut.total)
    assert whole.cut(1000).total == whole.total
    assert cut.cut(1000).duration_s == 200
    assert whole.cut(0).total == 0
    assert constant(10, 60).schedule().cut(30).total == 300
    assert constant(10, 60).schedule().cut(30.05).total == 301


SEEDS = st.none() | st.integers(0, 2**64)
LOADS = st.one_of(
    st.builds(constant, st.integers(1, 40), st.integers(1, 20), st.sampled_from([1, 3, 60])),
    st.builds(
        lambda start, stages: ramping(start, *stages),
        st.integers(0, 30),
        st.lists(st.tuples(st.integers(0, 8), st.integers(0, 30)), min_size=1, max_size=4),
    ),
)


@given(LOADS, SEEDS, st.integers(1, 7))
def test_the_stripes_together_are_the_schedule_in_order(load: ArrivalRate, seed: int | None, count: int) -> None:
    schedule = load.schedule(seed)
    stripes = [list(load.schedule(seed).stripe(index, count)) for index in range(count)]
    together = sorted(arrival for arrivals in stripes for arrival in arrivals)
    assert together == [(number, schedule.due_s(number)) for number in range(schedule.total)]
    due = [due_s for _, due_s in together]
    assert due == sorted(due)
    assert all(0 <= due_s <= schedule.duration_s for due_s in due)
    assert sum(schedule.stage_counts()) == schedule.total


@given(LOADS, SEEDS, st.floats(0, 30))
def test_a_cut_leaves_exactly_what_is_due_by_then(load: ArrivalRate, seed: int | None, at_s: float) -> None:
    at_s = round(at_s, 6)
    schedule = load.schedule(seed)
    due = [due_s for _, due_s in schedule.stripe(0, 1)]
    inclusive = seed is not None or isinstance(load, RampingArrivalRate)
    # Where an arrival falls on the cut, a float cannot say on which side; the schedule can.
    least = sum(due_s < at_s - 1e-9 for due_s in due)
    most = sum(due_s <= at_s + 1e-9 for due_s in due)
    assert least <= schedule.cut(at_s).total <= most
    if at_s in due and seed is None and at_s < schedule.duration_s:
        assert schedule.cut(at_s).total == due.index(at_s) + inclusive


def test_random_arrivals_follow_the_rate() -> None:
    """Given how many there are, their times are distributed as the integral over the time has it."""
    schedule = SPIKE.schedule(poisson_seed=5)
    assert abs(schedule.total - 73_800) < 3 * 73_800**0.5
    integral = schedule.curve.integral
    shares = [float(integral(schedule.due_s(number)) / 73_800) for number in range(0, schedule.total, 20)]
    assert stats.kstest(shares, "uniform").pvalue > 0.01


def test_random_arrivals_are_the_same_for_everybody_and_others_for_another_seed() -> None:
    first, again, other = (SPIKE.schedule(poisson_seed=seed).cut(20) for seed in (5, 5, 6))
    assert list(first.stripe(1, 3)) == list(again.stripe(1, 3))
    assert list(first.stripe(1, 3)) != list(other.stripe(1, 3))


@pytest.mark.parametrize(
    ("load", "problems"),
    [
        pytest.param(SPIKE, [], id="a good ramp"),
        pytest.param(constant(10, 120), [], id="a good constant rate"),
        pytest.param(
            ConstantArrivalRate(rate=0, duration_s=0.5, time_unit_s=0, pre_allocated_vus=-1, max_vus=-2),
            [
                "rate must be above 0, got 0",
                "duration must be at least 1 s, got 0.5 s",
                "the time unit must be above 0, got 0 s",
                "pre-allocated VUs must not be below 0, got -1",
                "max VUs (-2) must not be below the pre-allocated ones (-1)",
            ],
            id="all mistakes of a constant rate at once",
        ),
        pytest.param(
            RampingArrivalRate(
                stages=(ArrivalStage(5, 1), ArrivalStage(-1, -2)),
                start_rate=-3,
                time_unit_s=-1,
                pre_allocated_vus=10,
                max_vus=9,
            ),
            [
                "start rate must not be below 0, got -3",
                "stage 2 cannot last -1 s",
                "stage 2 cannot lead to a rate of -2",
                "the time unit must be above 0, got -1 s",
                "max VUs (9) must not be below the pre-allocated ones (10)",
            ],
            id="all mistakes of a ramp at once",
        ),
        pytest.param(
            RampingArrivalRate(stages=(), pre_allocated_vus=1), ["there must be at least one stage"], id="no stages"
        ),
    ],
)
def test_mistakes(load: ArrivalRate, problems: list[str]) -> None:
    assert load.problems() == problems


@pytest.mark.parametrize(
    ("load", "text"),
    [
        pytest.param(
            SPIKE,
            "ramping arrival rate: 20/s, 1m → 400/s, 2m at 400/s, 1m → 20/s, 1m → 0/s (800 to 1200 users)",
            id="a ramp",
        ),
        pytest.param(constant(10, 120), "constant arrival rate: 10/s for 2m (50 users)", id="a constant rate"),
        pytest.param(constant(10, 90, 60), "constant arrival rate: 10/1m for 1m30s (50 users)", id="a rate a minute"),
    ],
)
def test_a_line_that_describes_it(load: ArrivalRate, text: str) -> None:
    assert load.describe() == text


STRETCHES: dict[str, tuple[float, list[Stretch]]] = {
    "the whole schedule": (
        99.0,
        [Stretch(4.0, 5.0, 60.0, 130), Stretch(4.0, 60.0, 60.0, 240), Stretch(2.0, 20.0, 0.0, 20)],
    ),
    "cut in the middle of a ramp": (2.0, [Stretch(2.0, 5.0, 32.5, 37)]),
    "cut at a stage's end": (4.0, [Stretch(4.0, 5.0, 60.0, 130)]),
    "cut in the last stage": (
        9.0,
        [Stretch(4.0, 5.0, 60.0, 130), Stretch(4.0, 60.0, 60.0, 240), Stretch(1.0, 20.0, 10.0, 15)],
    ),
}


@pytest.mark.parametrize(("cut_s", "stretches"), STRETCHES.values(), ids=STRETCHES)
def test_what_a_cut_leaves_of_the_stages(cut_s: float, stretches: list[Stretch]) -> None:
    stages = (ArrivalStage(4.0, 60.0), ArrivalStage(4.0, 60.0), ArrivalStage(0.0, 20.0), ArrivalStage(2.0, 0.0))
    rate = RampingArrivalRate(start_rate=5, stages=stages, pre_allocated_vus=1)
    schedule = rate.schedule().cut(cut_s)
    assert list(schedule.stretches()) == stretches
    assert sum(stretch.arrivals for stretch in stretches) == schedule.total
