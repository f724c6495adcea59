from __future__ import annotations

import pytest

from pika_locust.judge.evaluate import MIN_SAMPLES, WindowTracker
from pika_locust.judge.expressions import parse
from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import Metric, counter, gauge, rate, trend
from pika_locust.metrics.values import CounterValue, GaugeValue, RateValue, Value

LATENCY = trend("latency")
ERRORS = counter("errors")


def tracked(
    expression: str, metric: Metric, observations: list[tuple[float, Value]], **options: float
) -> WindowTracker:
    tracker = WindowTracker(parse(expression), metric, **options)  # type: ignore[arg-type]
    for at_s, value in observations:
        tracker.observe(at_s, value)
    return tracker


def latencies_by_stretch(*stretches: tuple[int, int]) -> list[tuple[float, Value]]:
    """Cumulative histograms each 10 s: `(count, microseconds)` are the samples of one stretch."""
    whole = Histogram()
    observations: list[tuple[float, Value]] = []
    for place, (count, microseconds) in enumerate(stretches, 1):
        for _ in range(count):
            whole.add(microseconds)
        observations.append((10.0 * place, whole.copy()))
    return observations


def test_the_peak_that_the_whole_run_hides_is_found() -> None:
    fast, slow = (1_000, 10_000), (30, 900_000)
    observations = latencies_by_stretch(fast, fast, fast, slow, fast, fast, fast, fast, fast, fast)
    last = observations[-1][1]
    assert isinstance(last, Histogram)
    assert last.quantile(0.95) == pytest.approx(10_000, rel=1e-3)

    worst = tracked("p(95)<500", LATENCY, observations, window_s=10.0).worst

    assert worst is not None
    assert (worst.seconds, worst.from_s, worst.samples) == (10.0, 30.0, 30)
    assert worst.value == pytest.approx(900, rel=1e-3)


def test_windows_slide_and_are_exact_differences() -> None:
    observations = latencies_by_stretch((20, 1_000), (20, 2_000), (20, 3_000), (20, 4_000), (20, 1_000))
    worst = tracked("avg<5", LATENCY, observations, window_s=20.0).worst

    assert worst is not None
    assert (worst.seconds, worst.from_s, worst.samples) == (20.0, 20.0, 40)
    assert worst.value == pytest.approx(3.5)
    assert worst.interval is not None
    assert worst.interval == pytest.approx((3.34, 3.66), abs=0.02)
    assert worst.conclusive


def test_a_window_between_observations_begins_at_the_last_one_far_enough() -> None:
    values: list[tuple[float, Value]] = [(at, CounterValue(count)) for at, count in ((7, 1), (14, 2), (21, 8), (40, 9))]
    worst = tracked("count<5", ERRORS, values, window_s=10.0).worst

    # at 21 s the latest begin 10 s or more away is 7 s; at 40 s it is 21 s
    assert worst is not None
    assert (worst.seconds, worst.from_s, worst.value) == (14.0, 7.0, 7)


@pytest.mark.parametrize(
    ("expression", "counts", "wanted"),
    [
        pytest.param("count<5", [3, 9, 10, 10], 6, id="the highest for a ceiling"),
        pytest.param("count>5", [3, 9, 10, 10], 0, id="the lowest for a floor"),
        pytest.param("count==2", [3, 5, 10, 10], 5, id="the furthest for an exact value"),
        pytest.param("count!=2", [3, 5, 10, 10], 2, id="the nearest for a forbidden value"),
        pytest.param("rate<5", [3, 9, 10, 10], 0.6, id="a rate per second of the window"),
    ],
)
def test_worst_is_the_direction_that_violates(expression: str, counts: list[int], wanted: float) -> None:
    values: list[tuple[float, Value]] = [(10.0 * (at + 1), CounterValue(count)) for at, count in enumerate(counts)]
    worst = tracked(expression, ERRORS, values, window_s=10.0).worst

    assert worst is not None
    assert worst.value == pytest.approx(wanted)
    assert (worst.interval, worst.conclusive) == (None, True)


def test_the_first_of_equally_bad_windows_stands() -> None:
    values: list[tuple[float, Value]] = [(10.0, CounterValue(2)), (20.0, CounterValue(4)), (30.0, CounterValue(6))]
    worst = tracked("count==0", ERRORS, values, window_s=10.0).worst

    assert worst is not None
    assert (worst.from_s, worst.value) == (0.0, 2)


@pytest.mark.parametrize(
    ("expression", "metric", "value", "counts"),
    [
        pytest.param("p(95)<5", LATENCY, Histogram([1] * (MIN_SAMPLES - 1)), False, id="19 samples of a percentile"),
        pytest.param("p(95)<5", LATENCY, Histogram([1] * MIN_SAMPLES), True, id="20 samples of a percentile"),
        pytest.param("rate>0.5", rate("checks"), RateValue(10, 9), False, id="19 outcomes"),
        pytest.param("rate>0.5", rate("checks"), RateValue(10, 10), True, id="20 outcomes"),
        pytest.param("max<5", LATENCY, Histogram([1]), True, id="one sample of a maximum"),
        pytest.param("max<5", LATENCY, Histogram(), False, id="no sample of a maximum"),
        pytest.param("value<5", gauge("level"), GaugeValue(1, 1, 1, 1), True, id="one level"),
        pytest.param("value<5", gauge("level"), GaugeValue(), False, id="no level"),
        pytest.param("count==0", ERRORS, CounterValue(0), True, id="a counter at 0"),
    ],
)
def test_how_many_samples_make_a_window(expression: str, metric: Metric, value: Value, counts: bool) -> None:
    tracker = tracked(expression, metric, [(30.0, value)])

    assert (tracker.worst is not None) is counts


def test_the_number_of_samples_can_be_asked_for() -> None:
    assert tracked("p(95)<5", LATENCY, [(30.0, Histogram([1] * 5))], min_samples=5).worst is not None
    assert tracked("p(95)<5", LATENCY, [(30.0, Histogram([1] * 4))], min_samples=5).worst is None


def test_a_run_shorter_than_the_window_has_none() -> None:
    assert tracked("p(95)<5", LATENCY, latencies_by_stretch((50, 1_000), (50, 1_000)), window_s=30.0).worst is None


def test_a_gauge_counts_with_the_level_at_the_windows_end() -> None:
    levels: list[tuple[float, Value]] = [
        (10.0, GaugeValue(5, 5, 5, 1)),
        (20.0, GaugeValue(80, 5, 80, 2)),
        (30.0, GaugeValue(7, 5, 80, 3)),
    ]
    worst = tracked("value<100", gauge("level"), levels, window_s=10.0).worst

    assert worst is not None
    assert (worst.from_s, worst.value) == (10.0, 80)


def test_two_observations_of_one_moment_are_one() -> None:
    values: list[tuple[float, Value]] = [(10.0, CounterValue(2)), (20.0, CounterValue(4)), (20.0, CounterValue(9))]
    tracker = tracked("count<1", ERRORS, values, window_s=10.0)
    tracker.observe(30.0, CounterValue(10))

    assert tracker.worst is not None
    assert (tracker.worst.from_s, tracker.worst.value) == (10.0, 7)


def test_time_and_values_may_not_go_back() -> None:
    tracker = tracked("count<1", ERRORS, [(10.0, CounterValue(5)), (20.0, CounterValue(6))], window_s=10.0)

    with pytest.raises(ValueError, match="in order"):
        tracker.observe(19.0, CounterValue(7))
    with pytest.raises(ValueError, match="cannot subtract"):
        tracker.observe(30.0, CounterValue(1))


def test_a_window_needs_some_length() -> None:
    with pytest.raises(ValueError, match="some length"):
        WindowTracker(parse("count<1"), ERRORS, 0)


def test_memory_stays_within_one_window() -> None:
    tracker = WindowTracker(parse("count<1"), ERRORS, 30.0)
    for second in range(0, 10_000, 5):
        tracker.observe(float(second), CounterValue(second))

    assert len(tracker._begins) <= 8


def test_a_target_that_falls_over_does_not_hide_in_windows_with_few_samples() -> None:
    observations: list[tuple[float, Value]] = [(30.0, RateValue(700, 0))]
    observations += [(30.0 + 10 * fails, RateValue(700, fails)) for fails in range(1, 60)]
    worst = tracked("rate>0.95", rate("checks"), observations, window_s=30.0).worst

    # three in 30 s are too few to say anything, so the window reaches back until there are enough
    assert worst is not None
    assert (worst.value, worst.samples, worst.seconds, worst.from_s) == (0.0, MIN_SAMPLES, 200.0, 30.0)


def test_a_stretch_in_which_nothing_came_is_kept_once() -> None:
    tracker = WindowTracker(parse("p(95)<5"), LATENCY, 30.0)
    for second in range(0, 600, 2):
        tracker.observe(float(second), Histogram(range(1, 50)))

    assert len({id(value) for _, value in tracker._begins}) <= 3
