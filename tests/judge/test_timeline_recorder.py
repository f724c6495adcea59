from __future__ import annotations

import pytest

from pika_locust.judge import Threshold, ThresholdEvaluator, ThresholdResult
from pika_locust.judge.timeline_recorder import MOST_ERRORS, MOST_NAMES, NAMES_EVERY, OTHER_ERRORS, TimelineRecorder
from pika_locust.metrics import Registry, counter, gauge, rate, trend

METRICS = (counter("hits"), gauge("level"), rate("failed"), trend("wait"))


def recorder(most_points: int = 100, series: tuple[str, ...] = ()) -> tuple[TimelineRecorder, Registry]:
    return TimelineRecorder(METRICS, series, most_points), Registry(METRICS)


def test_each_interval_has_what_was_measured_in_it() -> None:
    timeline, registry = recorder()
    registry.counter("hits").add(10)
    registry.gauge("level").set(3)
    registry.rate("failed").add(True)
    registry.rate("failed").add(False)
    for ms in range(1, 101):
        registry.trend("wait").add(ms * 1000)
    timeline.observe(2.0, registry.snapshot(), load={"users": 5})
    registry.counter("hits").add(2)
    registry.trend("wait").add(7000)
    timeline.observe(6.0, registry.snapshot(), load={"users": 7})
    found = timeline.timeline
    assert found.times_s == [2.0, 6.0]
    assert found.load == {"users": [5, 7]}
    assert found.metrics["hits"] == {"rate": [5, 0.5]}
    assert found.metrics["level"] == {"value": [3, 3]}
    assert found.metrics["failed"] == {"rate": [0.5, None], "count": [2, 0]}
    wait = found.metrics["wait"]
    assert wait["count"] == [100, 1]
    assert wait["p50"][0] == pytest.approx(50.5, rel=0.01)
    assert wait["p95"][0] == pytest.approx(95.05, rel=0.01)
    assert wait["p99"] == [pytest.approx(99.01, rel=0.01), pytest.approx(7, rel=0.01)]


def test_what_begins_later_has_nothing_before_and_what_stops_has_zero() -> None:
    timeline, registry = recorder()
    timeline.observe(2.0, registry.snapshot())
    registry.counter("hits").add(4)
    timeline.observe(4.0, registry.snapshot())
    timeline.observe(6.0, registry.snapshot())
    assert timeline.timeline.metrics == {"hits": {"rate": [None, 2, 0]}}


def test_a_trend_is_told_apart_by_name_and_a_series_as_a_threshold_asks_for_it() -> None:
    timeline, registry = recorder(series=("failed{name:a}", "wait{method:GET,name:a}"))
    for name in ("a", "b"):
        registry.trend("wait").tagged(name=name, method="GET").add(1000)
        registry.rate("failed").tagged(name=name).add(name == "a")
    timeline.observe(2.0, registry.snapshot())
    found = timeline.timeline.metrics
    assert found.keys() == {
        "wait",
        "wait{name:a}",
        "wait{name:b}",
        "wait{method:GET,name:a}",
        "failed",
        "failed{name:a}",
    }
    assert found["wait"]["count"] == [2]
    assert found["wait{name:a}"]["count"] == [1]
    assert found["failed{name:a}"]["rate"] == [1]


def test_a_name_that_no_threshold_speaks_of_has_a_figure_each_fifth_interval_and_loses_no_sample() -> None:
    timeline, registry = recorder(series=("wait", "wait{name:a}"))
    for second in range(1, NAMES_EVERY + 4):
        for name in ("a", "b"):
            registry.trend("wait").tagged(name=name).add(second * 1000)
        timeline.observe(float(second), registry.snapshot(), is_last=second == NAMES_EVERY + 3)
    found = timeline.timeline.metrics
    assert found["wait"]["count"] == [2] * 8
    assert found["wait{name:a}"]["count"] == [1] * 8
    assert found["wait{name:b}"]["count"] == [1, None, None, None, None, 5, None, 2]
    assert found["wait{name:b}"]["p50"] == [
        1,
        None,
        None,
        None,
        None,
        pytest.approx(4, rel=0.01),
        None,
        pytest.approx(7, rel=0.01),
    ]


def test_the_first_figures_of_a_name_after_a_start_anew_are_of_its_first_interval() -> None:
    timeline, registry = recorder(series=("wait",))
    for second in (1.0, 2.0):
        registry.trend("wait").tagged(name="a").add(1000)
        timeline.observe(second, registry.snapshot())
    timeline.start_anew()
    anew = Registry(METRICS)
    anew.trend("wait").tagged(name="a").add(1000)
    timeline.observe(3.0, anew.snapshot())
    assert timeline.timeline.metrics["wait{name:a}"]["count"] == [1, None, 1]


def test_what_thresholds_have_folded_is_recorded_as_if_it_had_been_folded_here() -> None:
    evaluator = ThresholdEvaluator([Threshold.of("wait", "p(95)<300"), Threshold.of("failed", "rate>0.9")], METRICS)
    series = ("wait", "failed")
    (alone, registry), (together, _) = recorder(series=series), recorder(series=series)
    for at_s in (2.0, 4.0, 6.0):
        for name in ("a", "b", "c"):
            registry.trend("wait").tagged(name=name).add_all([int(at_s * 1000), 7000])
            registry.rate("failed").tagged(name=name).add(name == "a")
        snapshot = registry.snapshot()
        alone.observe(at_s, snapshot)
        together.observe(at_s, snapshot, folded=evaluator.values(snapshot))
    assert together.timeline == alone.timeline
    assert alone.timeline.metrics["wait"]["count"] == [6, 6, 6]
    assert alone.timeline.metrics["failed"]["rate"] == [0.3333, 0.3333, 0.3333]


def test_what_no_threshold_speaks_of_is_whole_and_phases_of_requests_are_left_out() -> None:
    metrics = (trend("http_req_duration"), trend("http_req_waiting"), trend("http_req_sending"), trend("wait"))
    registry = Registry(metrics)
    for metric in metrics:
        registry.trend(metric.name).tagged(name="a").add(1000)
    timeline = TimelineRecorder(metrics, ["http_req_waiting"])
    timeline.observe(2.0, registry.snapshot())
    assert set(timeline.timeline.metrics) == {
        "http_req_duration", "http_req_duration{name:a}", "http_req_waiting", "http_req_waiting{name:a}", "wait",
    }  # fmt: skip


def test_names_without_end_take_no_room_without_end() -> None:
    timeline, registry = recorder(series=("wait",))
    for number in range(3 * MOST_NAMES):
        registry.trend("wait").tagged(name=f"page {number}").add(1)
    timeline.observe(2.0, registry.snapshot())
    assert len(timeline.timeline.metrics) == 1 + MOST_NAMES
    assert timeline.timeline.metrics["wait"]["count"] == [3 * MOST_NAMES]


def test_errors_by_kind_and_the_rest_together() -> None:
    timeline, registry = recorder()
    kinds = [(f"error {number}", 10) for number in range(MOST_ERRORS + 5)]
    timeline.observe(2.0, registry.snapshot(), errors=kinds)
    timeline.observe(4.0, registry.snapshot(), errors=[*kinds[1:], ("error 0", 14), ("error late", 6)])
    errors = timeline.timeline.errors
    assert len(errors) == MOST_ERRORS + 1
    assert errors["error 0"] == [5, 2]
    assert errors["error 1"] == [5, 0]
    assert errors[OTHER_ERRORS] == [25, 3]


def test_figures_that_start_anew_are_not_subtracted() -> None:
    timeline, registry = recorder()
    registry.counter("hits").add(100)
    timeline.observe(2.0, registry.snapshot())
    timeline.start_anew()
    anew = Registry(METRICS)
    anew.counter("hits").add(6)
    timeline.observe(4.0, anew.snapshot())
    assert timeline.timeline.metrics["hits"]["rate"] == [50, 3]
    # A worker's message says it before anybody else does.
    timeline.observe(6.0, Registry(METRICS).snapshot())
    again = Registry(METRICS)
    again.counter("hits").add(2)
    timeline.observe(8.0, again.snapshot())
    assert timeline.timeline.metrics["hits"]["rate"] == [50, 3, None, 1]


def test_more_than_before_is_not_subtracted_either_when_figures_have_started_anew() -> None:
    timeline, registry = recorder()
    registry.counter("hits").add(2)
    registry.trend("wait").add(5000)
    timeline.observe(2.0, registry.snapshot())
    timeline.start_anew()
    anew = Registry(METRICS)
    anew.counter("hits").add(6)
    for _ in range(3):
        anew.trend("wait").add(5000)
    timeline.observe(4.0, anew.snapshot())
    assert timeline.timeline.metrics["hits"]["rate"] == [1, 3]
    assert timeline.timeline.metrics["wait"]["count"] == [1, 3]


def test_a_long_run_has_longer_intervals_and_loses_nothing_that_was_counted() -> None:
    timeline, registry = recorder(most_points=5)
    for second in range(1, 7):
        registry.counter("hits").add(second)
        registry.rate("failed").add(second > 3, times=second)
        registry.trend("wait").add(second * 1000)
        timeline.observe(float(second), registry.snapshot(), load={"users": second}, errors=[("bad", second)])
    found = timeline.timeline
    assert timeline.thinned == 1
    assert found.times_s == [2, 4, 6]
    assert found.load["users"] == [2, 4, 6]
    assert found.metrics["hits"]["rate"] == [1.5, 3.5, 5.5]
    assert found.metrics["failed"]["count"] == [3, 7, 11]
    assert found.metrics["failed"]["rate"] == [0, pytest.approx(4 / 7, rel=1e-3), 1]
    assert found.metrics["wait"]["count"] == [2, 2, 2]
    assert found.metrics["wait"]["p95"] == [pytest.approx(value, rel=0.01) for value in (2, 4, 6)]
    assert found.errors["bad"] == [1, 1, 1]


def test_a_threshold_s_value_so_far_and_the_moment_when_it_first_does_not_hold() -> None:
    timeline, registry = recorder()
    for at_s, value, status in ((2.0, 100.0, "pass"), (4.0, 350.0, "fail"), (6.0, 290.0, "pass"), (8.0, 310.0, "fail")):
        result = ThresholdResult("wait", "p(95)<300", value, 20, status)  # type: ignore[arg-type]
        timeline.observe(at_s, registry.snapshot(), results=[result])
    assert timeline.timeline.thresholds == {"wait:p(95)<300": [100, 350, 290, 310]}
    assert [(mark.at_s, mark.kind, mark.text) for mark in timeline.timeline.marks] == [
        (4.0, "threshold", "wait p(95)<300 does not hold")
    ]


def test_the_part_that_a_reader_does_not_have_yet() -> None:
    timeline, registry = recorder()
    timeline.mark(3.0, "fault", "latency=900")
    for at_s in (2.0, 4.0, 6.0):
        registry.counter("hits").add(2)
        timeline.observe(at_s, registry.snapshot(), load={"users": 1})
    assert timeline.timeline.since(2) == {
        "times_s": [6.0],
        "load": {"users": [1]},
        "metrics": {"hits": {"rate": [1]}},
        "errors": {},
        "thresholds": {},
        "marks": [{"at_s": 3.0, "kind": "fault", "text": "latency=900"}],
    }


def test_two_looks_at_one_moment_are_one_interval() -> None:
    timeline, registry = recorder()
    timeline.observe(2.0, registry.snapshot())
    timeline.observe(2.0, registry.snapshot())
    assert timeline.timeline.times_s == [2.0]


@pytest.mark.parametrize(
    ("number", "kept"),
    [(0.0, "0"), (0.00012345, "0.0001234"), (12345.67, "12346"), (99.994, "99.99"), (float("inf"), "None")],
)
def test_numbers_have_the_digits_that_a_chart_shows(number: float, kept: str) -> None:
    timeline, registry = recorder()
    timeline.observe(2.0, registry.snapshot(), load={"users": number})
    assert repr(timeline.timeline.load["users"][0]) == kept
