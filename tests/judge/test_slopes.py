from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence

import pytest

from pika_locust.judge.evaluate import ThresholdEvaluator, slow_failures
from pika_locust.judge.report import ThresholdResult
from pika_locust.judge.slopes import MOST_READINGS, Slope, SlopeTracker, theil_sen
from pika_locust.judge.thresholds import Threshold, check, parse_option
from pika_locust.judge.verdict import decide, describe, tightest_latency
from pika_locust.load.stages import Hold
from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import Metric, gauge, rate, trend
from pika_locust.metrics.registry import Registry
from pika_locust.metrics.values import GaugeValue

MEMORY = gauge("memory", unit="MB", merge="max")
LATENCY = trend("latency")
PROBE_S, OBSERVE_S = 5, 2


def levels(level: Callable[[float], float], holds: Sequence[Hold], until_s: int, **options: float) -> Slope:
    """The slope of a gauge that is set every 5 s and looked at every 2 s, as the target's memory is."""
    tracker, value = SlopeTracker(MEMORY, **options), GaugeValue(mode="max")
    for at_s in range(until_s + 1):
        if at_s % PROBE_S == 0:
            value.set(level(at_s))
        if at_s % OBSERVE_S == 0 or at_s == until_s:
            tracker.observe(at_s, value.copy(), holds)
    return tracker.fit(holds)


def per_minute(slope: Slope) -> float:
    assert slope.per_minute is not None
    return slope.per_minute


# The estimate


def test_a_leak_is_its_megabytes_a_minute() -> None:
    slope = levels(lambda at_s: 35 + 50 / 60 * at_s, [Hold(1, 120)], 120)
    assert per_minute(slope) == pytest.approx(50, rel=0.1)
    assert slope.interval is not None
    low, high = slope.interval
    assert 40 < low <= per_minute(slope) <= high < 60
    assert slope.held_s == pytest.approx(119 - 30)


def test_what_settles_within_half_a_minute_is_no_growth() -> None:
    slope = levels(lambda at_s: 35 + 200 * (1 - math.exp(-at_s / 6)), [Hold(1, 120)], 120)
    assert 0 <= per_minute(slope) < 2


@pytest.mark.parametrize("at_s", [45, 60, 75, 90, 105])
def test_one_step_of_an_allocation_is_no_leak(at_s: int) -> None:
    slope = levels(lambda now_s: 35 + (16 if now_s >= at_s else 0), [Hold(0, 120)], 120)
    assert per_minute(slope) < 20


def test_a_leak_in_steps_is_one() -> None:
    slope = levels(lambda at_s: 35 + 25 * (at_s // 30), [Hold(0, 240)], 240)
    assert per_minute(slope) == pytest.approx(50, rel=0.1)


def test_the_peak_of_what_goes_up_and_down_settles() -> None:
    rng, peak = random.Random(4), [0.0]

    def running_peak(at_s: float) -> float:
        peak.append(max(peak[-1], 100 + 30 * (at_s % 13) / 13 + rng.random()))
        return peak[-1]

    assert per_minute(levels(running_peak, [Hold(0, 120)], 120)) < 2


def test_wild_readings_move_it_little() -> None:
    rng = random.Random(7)
    straight = [(5.0 * i, 3.0 * i + rng.gauss(0, 0.1)) for i in range(20)]
    wild = [(at_s, value + (500 if i in (3, 4, 11, 19) else 0)) for i, (at_s, value) in enumerate(straight)]
    found = theil_sen([wild])
    assert found is not None
    assert found[0] == pytest.approx(0.6, rel=0.1)


def test_holds_at_different_levels_share_a_slope() -> None:
    holds = [Hold(0, 120), Hold(180, 300)]
    slope = levels(lambda at_s: 1000 if at_s > 120 else 100, holds, 300)
    assert per_minute(slope) == 0
    assert slope.held_s == 180
    grows = levels(lambda at_s: at_s / 2 + (1000 if at_s > 120 else 100), holds, 300)
    assert per_minute(grows) == pytest.approx(30, rel=0.05)


def walk(rng: random.Random, kept: float, count: int) -> Iterable[tuple[float, float]]:
    rest = 0.0
    for i in range(count):
        rest = kept * rest + rng.gauss(0, 1)
        yield 5.0 * i, 2.0 * i + rest


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("count", [12, 24, 60])
def test_the_interval_holds_the_truth_however_readings_depend_on_each_other(kept: float, count: int) -> None:
    rng, inside, tries = random.Random(5), 0, 300
    for _ in range(tries):
        found = theil_sen([list(walk(rng, kept, count))])
        assert found is not None
        low, high = found[1]
        inside += low <= 0.4 <= high
    assert inside / tries > 0.88


def test_a_curve_that_settles_slowly_is_no_doubt_about_a_limit_far_away() -> None:
    slope = levels(lambda at_s: 35 + 1.7 * (1 - math.exp(-at_s / 70)), [Hold(0, 120)], 120)
    assert slope.interval is not None
    low, high = slope.interval
    assert 0 < low < per_minute(slope) < high < 2


def test_few_readings_leave_the_interval_open() -> None:
    assert theil_sen([[(0.0, 1.0), (5.0, 2.0), (10.0, 3.0), (15.0, 4.0)]]) == (0.2, (-math.inf, math.inf))
    assert theil_sen([[(0.0, 1.0)], []]) is None


# What is read


def test_ramps_are_left_out() -> None:
    def with_a_ramp(at_s: float) -> float:
        return min(at_s, 300) + max(0.0, at_s - 420)

    assert per_minute(levels(with_a_ramp, [Hold(300, 420)], 720)) == 0


@pytest.mark.parametrize(("until_s", "is_judged"), [(59, False), (60, True)])
def test_a_minute_of_the_same_load_is_enough(until_s: int, is_judged: bool) -> None:
    slope = levels(lambda at_s: at_s, [Hold(0, 300)], until_s)
    assert (slope.per_minute is not None) is is_judged
    assert slope.too_short is not is_judged
    assert slope.why == ("" if is_judged else "the load was never held for a minute")


def test_the_shortest_hold_can_be_set() -> None:
    assert levels(lambda at_s: at_s, [Hold(0, 30)], 30, min_hold_s=20.0).per_minute == pytest.approx(60, rel=0.1)
    assert levels(lambda at_s: at_s, [Hold(0, 30)], 30, min_hold_s=40.0).why == "the load was never held for 40 s"
    with pytest.raises(ValueError, match="needs some length"):
        SlopeTracker(MEMORY, 0)


def test_a_load_that_nobody_knows_of_is_none() -> None:
    tracker = SlopeTracker(MEMORY)
    assert (tracker.fit(None).too_short, tracker.fit(None).why) == (True, "it is not known when the load was held")


def test_a_level_that_was_set_once_is_no_series() -> None:
    tracker, value = SlopeTracker(MEMORY), GaugeValue(mode="max")
    value.set(5)
    for at_s in range(0, 121, 2):
        tracker.observe(at_s, value.copy(), [Hold(0, 120)])
    slope = tracker.fit([Hold(0, 120)])
    assert (slope.per_minute, slope.too_short) == (None, False)
    assert slope.why == "there were fewer than 4 readings while the load was held"


def medians(delay_ms: Callable[[float], float], until_s: int) -> Slope:
    tracker, whole, holds = SlopeTracker(LATENCY), Histogram(), [Hold(0, until_s)]
    for at_s in range(1, until_s + 1):
        for spread in (0.5, 1, 20):
            whole.add(round(delay_ms(at_s) * spread * 1000))
        if at_s % OBSERVE_S == 0:
            tracker.observe(at_s, whole.copy(), holds)
    return tracker.fit(holds)


def test_the_median_of_each_window_grows_and_not_that_of_the_whole_run() -> None:
    assert per_minute(medians(lambda at_s: 10 + at_s / 2, 180)) == pytest.approx(30, rel=0.03)
    assert per_minute(medians(lambda at_s: 10, 180)) == 0


def test_a_long_run_is_read_less_often() -> None:
    slope = medians(lambda at_s: 10 + at_s / 600, 3600)
    assert per_minute(slope) == pytest.approx(0.1, rel=0.05)
    assert MOST_READINGS / 4 < slope.readings <= MOST_READINGS
    assert slope.held_s == 2700  # a quarter of a long hold is left to the server to settle


def test_no_part_of_a_long_run_counts_for_more_than_another() -> None:
    # Were the last minutes read as often as at first, their level would be most of the readings, and the slope 0.
    assert per_minute(levels(lambda at_s: min(at_s, 2700), [Hold(0, 3600)], 3600)) > 30


def test_a_long_ramp_takes_no_readings_from_the_load_that_is_held() -> None:
    slope = levels(lambda at_s: at_s, [Hold(3600, 3720)], 3720)
    assert (per_minute(slope), slope.readings) == (pytest.approx(60, rel=0.05), pytest.approx(18, abs=1))


@pytest.mark.parametrize(("every_s", "is_enough"), [(40, False), (20, True)])
def test_a_line_through_few_readings_says_nothing(every_s: int, is_enough: bool) -> None:
    tracker, value, holds = SlopeTracker(MEMORY), GaugeValue(mode="max"), [Hold(0, 120)]
    for at_s in range(0, 121, 5):
        if at_s % every_s == 0:
            value.set(at_s)
        tracker.observe(at_s, value.copy(), holds)
    assert (tracker.fit(holds).per_minute is not None) is is_enough


# As a threshold


def judged(
    threshold: str, level: Callable[[float], float], holds: Sequence[Hold] | None, until_s: int = 120
) -> ThresholdResult:
    registry = Registry([MEMORY])
    evaluator = ThresholdEvaluator([parse_option(threshold)], [MEMORY], holds=holds)
    memory = registry.gauge("memory")
    for at_s in range(0, until_s + 1, PROBE_S):
        memory.set(level(at_s))
        evaluator.observe(at_s, registry.snapshot())
    (result,) = evaluator.results(registry.snapshot(), until_s)
    return result


def test_growth_fails_for_its_slope_in_words() -> None:
    result = judged("memory:slope<20", lambda at_s: 35 + at_s, [Hold(0, 120)])
    assert (result.status, result.value, result.unit, result.conclusive) == ("fail", pytest.approx(60), "MB/min", True)
    assert result.worst_window is None
    words = "memory slope was 60 MB/min, limit <20 MB/min (19 readings in 90 s of the same load)"
    assert describe(result) == words
    assert [(reason.code, reason.text) for reason in decide(thresholds=[result]).reasons] == [("threshold", words)]


def test_no_growth_passes() -> None:
    result = judged("memory:slope<20", lambda at_s: 35 + at_s / 60, [Hold(0, 120)])
    assert (result.status, result.value) == ("pass", pytest.approx(1))


def test_a_limit_within_the_interval_is_inconclusive() -> None:
    rng = random.Random(1)
    result = judged("memory:slope<20", lambda at_s: 35 + at_s / 3 + rng.gauss(0, 5), [Hold(0, 120)])
    assert not result.conclusive


@pytest.mark.parametrize("holds", [[], [Hold(0, 45)], None])
def test_a_load_that_is_not_held_fails_nothing(holds: Sequence[Hold] | None) -> None:
    result = judged("memory:slope<20", lambda at_s: 35 + at_s, holds)
    why = "it is not known when the load was held" if holds is None else "the load was never held for a minute"
    assert (result.status, result.value) == ("not_observed", None)
    assert describe(result) == f"memory slope was not observed (limit <20 MB/min): {why}"
    assert decide(thresholds=[result], strict=True).verdict == "pass"


@pytest.mark.parametrize(("option", "status"), [("", "no_data"), ("; optional", "not_observed")])
def test_a_load_that_is_held_and_shows_nothing_is_judged_like_everything_else(option: str, status: str) -> None:
    evaluator = ThresholdEvaluator([parse_option(f"memory:slope<20{option}")], [MEMORY], holds=[Hold(0, 120)])
    snapshot = Registry([MEMORY]).snapshot()
    for at_s in range(0, 121, 2):
        evaluator.observe(at_s, snapshot)
    (result,) = evaluator.results(snapshot, 120)
    assert (result.status, result.why) == (status, "")
    assert decide(thresholds=[result], strict=True).verdict == "fail"


def test_the_load_may_be_changed_while_the_test_runs() -> None:
    evaluator = ThresholdEvaluator([parse_option("memory:slope<20")], [MEMORY], holds=[Hold(0, math.inf)])
    registry = Registry([MEMORY])
    for at_s in range(0, 201, PROBE_S):
        registry.gauge("memory").set(min(at_s, 100))
        evaluator.observe(at_s, registry.snapshot())
        if at_s == 100:
            evaluator.holds = [Hold(0, 30), Hold(100, math.inf)]
    (result,) = evaluator.results(registry.snapshot(), 200)
    assert (result.status, result.value) == ("pass", 0)


def test_a_slope_is_legal_for_levels_and_times_and_has_no_windows() -> None:
    metrics = (MEMORY, LATENCY, rate("success"))
    assert check(map(parse_option, ["memory:slope<5", "latency:slope<5"]), metrics) == []
    (problem,) = check([parse_option("success:slope<0.5")], metrics)
    assert problem == "threshold success:slope<0.5: a rate has no slope; legal are rate"
    with pytest.raises(ValueError, match="not by windows"):
        Threshold.of("memory", {"threshold": "slope<5", "window": "30s"})


def durations(*thresholds: str) -> tuple[tuple[ThresholdResult, ...], Registry]:
    metrics: list[Metric] = [trend("http_req_duration"), trend("http_req_failed_duration")]
    registry = Registry(metrics)
    evaluator = ThresholdEvaluator(map(parse_option, thresholds), metrics, holds=[Hold(0, 120)])
    for at_s in range(0, 121, 2):
        registry.trend("http_req_duration").add(10_000)
        registry.trend("http_req_failed_duration").add(900_000)
        evaluator.observe(at_s, registry.snapshot())
    return evaluator.results(registry.snapshot(), 120), registry


def test_a_slope_is_no_latency() -> None:
    results, registry = durations("http_req_duration:slope<1")
    assert [result.status for result in results] == ["pass"]
    assert tightest_latency(results) is None
    assert slow_failures(results, registry.snapshot()) == []
