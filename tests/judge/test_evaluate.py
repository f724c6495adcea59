from __future__ import annotations

import math

import pytest

from pika_locust.judge.evaluate import certainty, evaluate, statistic
from pika_locust.judge.expressions import parse
from pika_locust.judge.grades import Band
from pika_locust.judge.report import WorstWindow
from pika_locust.judge.thresholds import Threshold, parse_option
from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import Metric, counter, gauge, rate, trend
from pika_locust.metrics.values import CounterValue, GaugeValue, RateValue, Value

LATENCY = trend("latency")
SIZE = trend("size", unit="bytes")
CHECKS = rate("checks")
ERRORS = counter("errors")
MEMORY = gauge("memory", unit="MB")


@pytest.mark.parametrize(
    ("expression", "value", "metric", "wanted"),
    [
        pytest.param("avg<1", Histogram([1_000, 2_000, 6_000]), LATENCY, 3.0, id="an average, in ms from microseconds"),
        pytest.param("min<1", Histogram([1_500, 2_000]), LATENCY, 1.5, id="a minimum in ms"),
        pytest.param("max<1", Histogram([1_500, 2_000]), LATENCY, 2.0, id="a maximum in ms"),
        pytest.param("med<1", Histogram([100, 200, 300, 400]), LATENCY, 0.25, id="a median, between the middle two"),
        pytest.param("p(95)<1", Histogram(range(1, 102)), LATENCY, 0.096, id="a percentile in ms"),
        pytest.param("p(0)<1", Histogram([500, 900]), LATENCY, 0.5, id="p(0) is the minimum"),
        pytest.param("p(100)<1", Histogram([500, 900]), LATENCY, 0.9, id="p(100) is the maximum"),
        pytest.param("max<1", Histogram([1_500, 2_000]), SIZE, 2_000.0, id="bytes stay bytes"),
        pytest.param("rate<1", RateValue(3, 1), CHECKS, 0.75, id="the share of passes"),
        pytest.param("count<1", CounterValue(12), ERRORS, 12, id="a counter's count"),
        pytest.param("rate<1", CounterValue(12), ERRORS, 2.0, id="a counter's rate is per second"),
        pytest.param("value<1", GaugeValue(5, 1, 9, 3), MEMORY, 5, id="a gauge's latest level"),
        pytest.param("max<1", GaugeValue(5, 1, 9, 3), MEMORY, 9, id="a gauge's highest level"),
        pytest.param("min<1", GaugeValue(5, 1, 9, 3), MEMORY, 1, id="a gauge's lowest level"),
    ],
)
def test_the_number_an_expression_speaks_of(expression: str, value: Value, metric: Metric, wanted: float) -> None:
    assert statistic(parse(expression), value, 6.0, metric.scale) == pytest.approx(wanted)
    assert evaluate(Threshold(metric.name, parse(expression)), value, 6.0, metric=metric).value == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("text", "value", "metric", "status"),
    [
        pytest.param("latency:p(95)<500", Histogram([499_000]), LATENCY, "pass", id="a time below its limit"),
        pytest.param("latency:p(95)<500", Histogram([501_000]), LATENCY, "fail", id="a time above its limit"),
        pytest.param(
            "latency:p(95)<500", Histogram([500_000]), LATENCY, "fail", id="a time at its limit is not below it"
        ),
        pytest.param("latency:p(95)<=500", Histogram([500_000]), LATENCY, "pass", id="unless the operator allows it"),
        pytest.param("checks:rate>0.99", RateValue(100, 0), CHECKS, "pass", id="a rate above its limit"),
        pytest.param("checks:rate>0.99", RateValue(99, 1), CHECKS, "fail", id="99.00 % is not above 0.99"),
        pytest.param("errors:count==0", CounterValue(0), ERRORS, "pass", id="an untouched counter has a value: 0"),
        pytest.param("errors:count==0", CounterValue(1), ERRORS, "fail", id="one error is one too many"),
        pytest.param("errors:count>0", CounterValue(0), ERRORS, "fail", id="an untouched counter is not above 0"),
        pytest.param("errors:rate<0.5", CounterValue(0), ERRORS, "pass", id="an untouched counter has a rate: 0"),
        pytest.param("memory:value<512", GaugeValue(400, 400, 900, 2), MEMORY, "pass", id="a level below its limit"),
        pytest.param("memory:value<512", GaugeValue(600, 400, 900, 2), MEMORY, "fail", id="a level above its limit"),
        pytest.param("latency:p(95)<500", Histogram(), LATENCY, "no_data", id="a trend without samples is no data"),
        pytest.param("checks:rate>0.9", RateValue(), CHECKS, "no_data", id="a rate without samples is no data"),
        pytest.param("memory:value<9", GaugeValue(), MEMORY, "no_data", id="a gauge without samples is no data"),
        pytest.param("latency:p(95)>=0", Histogram(), LATENCY, "no_data", id="even where 0 would hold"),
        pytest.param("latency:p(95)<500", None, None, "no_data", id="a metric that nobody declared is no data"),
        pytest.param("errors:count==0", None, None, "no_data", id="nor is a counter that nobody declared 0"),
    ],
)
def test_the_status(text: str, value: Value | None, metric: Metric | None, status: str) -> None:
    assert evaluate(parse_option(text), value, 10.0, metric=metric).status == status


@pytest.mark.parametrize(
    ("option", "value", "metric", "expression", "status"),
    [
        pytest.param("allow_empty", Histogram(), LATENCY, "p(95)<5", "pass", id="allow_empty: nothing measured passes"),
        pytest.param(
            "optional", Histogram(), LATENCY, "p(95)<5", "not_observed", id="optional: nothing measured is noted"
        ),
        pytest.param("optional", None, None, "p(95)<5", "not_observed", id="optional: a metric nobody declared"),
        pytest.param(
            "allow_empty", Histogram([9_000]), LATENCY, "p(95)<5", "fail", id="allow_empty excuses no failure"
        ),
        pytest.param("optional", Histogram([9_000]), LATENCY, "p(95)<5", "fail", id="optional excuses no failure"),
        pytest.param("optional", CounterValue(0), ERRORS, "count==0", "not_observed", id="an optional counter at 0"),
        pytest.param("optional", CounterValue(2), ERRORS, "count==2", "pass", id="an optional counter that was seen"),
        pytest.param("allow_empty", CounterValue(0), ERRORS, "count>0", "fail", id="a counter at 0 is not empty"),
    ],
)
def test_what_may_be_empty(
    option: str, value: Value | None, metric: Metric | None, expression: str, status: str
) -> None:
    threshold = Threshold.of("some", {"threshold": expression, option: True})
    result = evaluate(threshold, value, 10.0, metric=metric)

    assert result.status == status
    if status == "not_observed" or value is None:
        assert result.value is None


def test_no_time_has_no_rate() -> None:
    assert evaluate(parse_option("errors:rate<1"), CounterValue(3), 0.0, metric=ERRORS).status == "no_data"
    assert statistic(parse("rate<1"), CounterValue(3), 0.0) is None
    lenient = Threshold.of("errors", {"threshold": "rate<1", "allow_empty": True})
    assert evaluate(lenient, CounterValue(3), 0.0, metric=ERRORS).status == "no_data"


def test_without_its_declaration_a_trend_counts_as_milliseconds() -> None:
    result = evaluate(parse_option("latency:max<500"), Histogram([120_000]), 1.0)

    assert (result.value, result.unit, result.kind) == (120.0, "ms", "trend")


@pytest.mark.parametrize(
    ("expression", "value", "scale", "conclusive"),
    [
        pytest.param("rate>0.9", RateValue(1_000, 0), 1, True, id="a thousand passes say that 0.9 holds"),
        pytest.param("rate>0.9", RateValue(10, 0), 1, False, id="ten passes do not"),
        pytest.param("rate>0.9", RateValue(920, 80), 1, True, id="92 % of 1,000 is above 90 %"),
        pytest.param("rate>0.9", RateValue(910, 90), 1, False, id="91 % of 1,000 is not surely above 90 %"),
        pytest.param("rate>0.9", RateValue(500, 500), 1, True, id="a clear failure is conclusive"),
        pytest.param("rate==1", RateValue(50, 0), 1, True, id="all of them: the limit is at the end, not inside"),
        pytest.param("rate<=0", RateValue(0, 50), 1, True, id="none of them: the limit is at the end, not inside"),
        pytest.param("p(95)<500", Histogram([10_000] * 71), 1000, False, id="71 samples leave p(95) open above"),
        pytest.param("p(95)<500", Histogram([10_000] * 72), 1000, True, id="72 samples do not"),
        pytest.param(
            "p(95)>500", Histogram([10_000] * 3), 1000, False, id="three samples leave every limit above open"
        ),
        pytest.param("med<10", Histogram([10_000] * 50), 1000, True, id="a median whose samples are all alike"),
        pytest.param("med<500", Histogram(range(1_000, 1_000_000, 1_000)), 1000, False, id="a median at its limit"),
        pytest.param("avg<500", Histogram(range(1_000, 1_000_000, 1_000)), 1000, False, id="an average at its limit"),
        pytest.param("avg<700", Histogram(range(1_000, 1_000_000, 1_000)), 1000, True, id="an average well below it"),
        pytest.param("avg<700", Histogram([5_000]), 1000, False, id="one sample says nothing about an average"),
    ],
)
def test_what_is_conclusive(expression: str, value: Value, scale: int, conclusive: bool) -> None:
    interval, got = certainty(parse(expression), value, scale)

    assert got is conclusive
    assert interval is not None
    found = statistic(parse(expression), value, 1.0, scale)
    assert found is not None
    assert interval[0] <= found <= interval[1]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        pytest.param("count==0", CounterValue(7), id="a count"),
        pytest.param("value<7", GaugeValue(1, 1, 1, 1), id="a level"),
        pytest.param("min<7", Histogram([1, 2]), id="a minimum"),
        pytest.param("max<7", Histogram([1, 2]), id="a maximum"),
        pytest.param("p(100)<7", Histogram([1, 2]), id="the highest percentile"),
        pytest.param("p(95)<7", Histogram(), id="nothing"),
        pytest.param("rate<7", RateValue(), id="no attempts"),
    ],
)
def test_facts_have_no_interval_and_are_conclusive(expression: str, value: Value) -> None:
    assert certainty(parse(expression), value) == (None, True)


def test_an_end_that_the_samples_leave_open_is_infinite() -> None:
    interval, conclusive = certainty(parse("p(95)<500"), Histogram([10_000, 20_000, 30_000]), 1000)

    # the second of three is low enough for 97.5 %, none is high enough
    assert interval == pytest.approx((20.0, math.inf), rel=1e-3)
    assert not conclusive
    assert certainty(parse("p(5)>500"), Histogram([10_000, 20_000, 30_000]), 1000)[0] == pytest.approx(
        (-math.inf, 20.0), rel=1e-3
    )
    assert certainty(parse("p(95)<500"), Histogram([7_000]), 1000)[0] == (-math.inf, math.inf)


def test_the_interval_is_in_reported_units() -> None:
    result = evaluate(parse_option("latency:p(95)<50"), Histogram(range(1_000, 101_000, 100)), 1.0, metric=LATENCY)

    assert result.value == pytest.approx(95.905, rel=1e-3)
    assert result.interval == pytest.approx((94.5, 97.3), abs=0.3)
    assert (result.samples, result.conclusive, result.status) == (1_000, True, "fail")


WORST = WorstWindow(30.0, 60.0, 950.0, 400, (900.0, 990.0), True)


def test_a_window_judges_by_its_worst() -> None:
    threshold = Threshold.of("latency", {"threshold": "p(95)<500", "window": "30s"})
    result = evaluate(threshold, Histogram([10_000] * 5_000), 300.0, WORST, metric=LATENCY)

    assert (result.status, result.value, result.samples, result.interval) == ("fail", 950.0, 400, (900.0, 990.0))
    assert (result.worst_window, result.window_s) == (WORST, 30.0)


def test_without_a_window_the_worst_is_shown_and_decides_nothing() -> None:
    result = evaluate(parse_option("latency:p(95)<500"), Histogram([10_000] * 5_000), 300.0, WORST, metric=LATENCY)

    assert (result.status, result.value, result.samples) == ("pass", 10.0, 5_000)
    assert (result.worst_window, result.window_s) == (WORST, None)


def test_a_window_that_never_filled_judges_the_whole() -> None:
    threshold = Threshold.of("latency", {"threshold": "p(95)<500", "window": "30s"})
    result = evaluate(threshold, Histogram([600_000] * 5), 10.0, None, metric=LATENCY)

    assert (result.status, result.value, result.samples, result.window_s) == (
        "fail",
        pytest.approx(600, rel=1e-3),
        5,
        None,
    )


def test_a_window_without_samples_is_no_data() -> None:
    threshold = Threshold.of("latency", {"threshold": "p(95)<500", "window": "30s"})

    assert evaluate(threshold, Histogram(), 10.0, None, metric=LATENCY).status == "no_data"


def test_a_window_does_not_make_an_optional_counter_observed() -> None:
    threshold = Threshold.of("errors", {"threshold": "count==0", "window": "30s", "optional": True})
    worst = WorstWindow(30.0, 0.0, 0.0)

    assert evaluate(threshold, CounterValue(0), 60.0, worst, metric=ERRORS).status == "not_observed"


@pytest.mark.parametrize(
    ("spec", "value", "duration_s", "abort"),
    [
        pytest.param({"abortOnFail": True}, Histogram([900_000]), 1.0, True, id="failed, and asked to abort"),
        pytest.param({}, Histogram([900_000]), 1.0, False, id="failed, and not asked"),
        pytest.param({"abortOnFail": True}, Histogram([100_000]), 1.0, False, id="asked, and passed"),
        pytest.param({"abortOnFail": True}, Histogram(), 1.0, False, id="nothing measured yet aborts nothing"),
        pytest.param(
            {"abortOnFail": True, "delayAbortEval": "10s"}, Histogram([900_000]), 9.9, False, id="not before the delay"
        ),
        pytest.param({"abortOnFail": True, "delayAbortEval": "10s"}, Histogram([900_000]), 10.0, True, id="after it"),
    ],
)
def test_when_to_abort(spec: dict[str, object], value: Value, duration_s: float, abort: bool) -> None:
    threshold = Threshold.of("latency", {"threshold": "p(95)<500", **spec})

    assert evaluate(threshold, value, duration_s, metric=LATENCY).abort is abort


@pytest.mark.parametrize(
    ("count", "window", "abort"),
    [
        pytest.param(0, {}, False, id="a counter that nothing has touched yet"),
        pytest.param(1, {}, True, id="one that has begun and is too low"),
        pytest.param(1, {"window": "30s"}, True, id="one that stood still for a window"),
    ],
)
def test_a_floor_under_a_counter_aborts_nothing_before_it_counts(
    count: int, window: dict[str, object], abort: bool
) -> None:
    threshold = Threshold.of("errors", {"threshold": "count>5", "abortOnFail": True, **window})
    result = evaluate(threshold, CounterValue(count), 40.0, WorstWindow(30.0, 10.0, 0.0), metric=ERRORS)

    assert (result.status, result.abort) == ("fail", abort)


@pytest.mark.parametrize(
    ("option", "samples", "status"),
    [
        pytest.param({}, [10_000] * 100, "no_data", id="what holds for some of the samples may not for the others"),
        pytest.param({}, [900_000] * 100, "fail", id="what fails fails"),
        pytest.param({"allow_empty": True}, [], "no_data", id="nor is it known to be empty"),
        pytest.param({"optional": True}, [], "no_data", id="nor known to be hidden"),
    ],
)
def test_samples_that_may_belong_here_keep_a_threshold_from_passing(
    option: dict[str, object], samples: list[int], status: str
) -> None:
    threshold = Threshold.of("latency{kind:like}", {"threshold": "p(95)<500", **option})
    result = evaluate(threshold, Histogram(samples), 60.0, metric=LATENCY, overflowed=7)

    assert (result.status, result.overflowed) == (status, 7)


def test_the_grade_stands_beside_the_status() -> None:
    bands = [Band("latency", "p(95)", "<100", "<400")]
    values = {50_000: "healthy", 200_000: "warning", 450_000: "critical"}

    for microseconds, grade in values.items():
        result = evaluate(
            parse_option("latency:p(95)<500"), Histogram([microseconds]), 1.0, metric=LATENCY, bands=bands
        )
        assert (result.status, result.grade) == ("pass", grade)
    assert evaluate(parse_option("latency:p(95)<500"), Histogram(), 1.0, metric=LATENCY, bands=bands).grade is None


def test_the_result_carries_what_a_reader_needs() -> None:
    threshold = Threshold.of("memory{host:a}", {"threshold": "value < 512", "about": "the server's"})
    result = evaluate(threshold, GaugeValue(400, 1, 900, 7), 1.0, metric=MEMORY)

    assert (result.metric, result.expression, result.about) == ("memory{host:a}", "value < 512", "the server's")
    assert (result.kind, result.unit, result.samples) == ("gauge", "MB", 7)
