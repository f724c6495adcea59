from __future__ import annotations

import pytest

from pika_locust.judge.evaluate import ThresholdEvaluator, slow_failures
from pika_locust.judge.grades import Band
from pika_locust.judge.report import ThresholdResult
from pika_locust.judge.thresholds import Threshold, parse_option
from pika_locust.metrics.metric import counter, gauge, rate, trend
from pika_locust.metrics.registry import Registry

METRICS = [trend("latency"), rate("checks"), counter("errors")]


def test_every_threshold_is_judged_on_its_own_series() -> None:
    registry = Registry(METRICS)
    latency = registry.trend("latency")
    for microseconds in (10_000, 20_000, 30_000):
        latency.tagged(name="join").add(microseconds)
    latency.tagged(name="leave").add(900_000)
    registry.rate("checks").add(True)
    panel = ThresholdEvaluator(
        map(
            parse_option,
            ["latency{name:join}:max<50", "latency:max<50", "checks:rate>0.5", "errors:count==0", "no:avg<1"],
        ),
        METRICS,
        [Band("latency", "max", "<100", "<1000")],
    )

    results = panel.results(registry.snapshot(), 10.0)

    got = [(result.metric, result.status, result.value, result.grade) for result in results]
    assert got == [
        ("latency{name:join}", "pass", 30.0, None),
        ("latency", "fail", 900.0, "warning"),
        ("checks", "pass", 1.0, None),
        ("errors", "pass", 0, None),
        ("no", "no_data", None, None),
    ]


def test_a_tag_that_nothing_has_is_told_with_those_that_there_are() -> None:
    registry = Registry(METRICS)
    for name, times in (("join", 1), ("leave", 3)):
        for _ in range(times):
            registry.trend("latency").tagged(name=name).add(10_000)
    panel = ThresholdEvaluator(
        map(parse_option, ["latency{name:/join}:max<50", "latency{kind:x,name:join}:max<50", "no:avg<1"]), METRICS, []
    )
    misspelt, absent, other = panel.results(registry.snapshot(), 10.0)
    assert misspelt.why == "nothing was measured with these tags, but with name:leave, name:join"
    assert absent.why == "nothing was measured with these tags: latency has no tag kind, but name"
    assert other.why == ""


def test_tags_of_a_metric_that_has_none_are_told_and_of_one_without_samples_are_not() -> None:
    registry = Registry(METRICS)
    panel = ThresholdEvaluator([parse_option("latency{kind:x}:max<50")], METRICS, [])
    registry.trend("latency").tagged(name="join")
    assert [one.why for one in panel.results(registry.snapshot(), 10.0)] == [""]
    registry = Registry(METRICS)
    registry.trend("latency").add(10_000)
    (untagged,) = panel.results(registry.snapshot(), 10.0)
    assert untagged.why == "nothing was measured with these tags: latency has no tag kind, nor any other"


def test_worst_windows_are_followed_and_those_that_asked_are_judged_by_them() -> None:
    registry = Registry(METRICS)
    latency = registry.trend("latency")
    windowed = Threshold.of("latency", {"threshold": "p(95)<500", "window": "10s"})
    panel = ThresholdEvaluator(
        [parse_option("latency:p(95)<500"), windowed, parse_option("no:avg<1")], METRICS, window_s=20.0
    )
    for second in range(10, 101, 10):
        for _ in range(25 if second == 40 else 1_000):
            latency.add(800_000 if second == 40 else 10_000)
        panel.observe(float(second), registry.snapshot())

    whole, worst, _ = panel.results(registry.snapshot(), 100.0)

    assert (whole.status, whole.value) == ("pass", pytest.approx(10, rel=1e-3))
    assert whole.worst_window is not None
    assert whole.worst_window.seconds == 20.0
    assert worst.worst_window is not None
    assert (worst.worst_window.seconds, worst.worst_window.from_s) == (10.0, 30.0)
    assert (worst.status, worst.value, worst.samples) == ("fail", pytest.approx(800, rel=1e-3), 25)


def test_judging_changes_nothing_and_can_be_repeated() -> None:
    registry = Registry(METRICS)
    registry.trend("latency").add(7_000)
    snapshot = registry.snapshot()
    before = snapshot.to_wire()
    panel = ThresholdEvaluator([parse_option("latency:med<5")], METRICS)
    panel.observe(1.0, snapshot)

    assert panel.results(snapshot, 1.0) == panel.results(snapshot, 1.0)
    assert snapshot.to_wire() == before


@pytest.mark.parametrize(
    ("threshold", "status"),
    [
        pytest.param("errors{status:500}:count==0", "no_data", id="a tag that no sample carries hides all of them"),
        pytest.param("errors{name:join,status:500}:count==0", "no_data", id="also beside one that they do carry"),
        pytest.param("errors{name:leave}:count==0", "pass", id="a value that was not seen was seen 0 times"),
        pytest.param("errors{status:500}:count==0; allow_empty", "pass", id="who allows it to be empty is believed"),
        pytest.param("errors{status:500}:count==0; optional", "not_observed", id="or that it may not be there"),
        pytest.param("refusals{why:full}:count==0", "pass", id="a counter that nothing touched is 0 in all its parts"),
    ],
)
def test_a_part_of_a_counter_is_0_only_where_samples_say_what_belongs_to_it(threshold: str, status: str) -> None:
    metrics = [counter("errors"), counter("refusals")]
    registry = Registry(metrics)
    registry.counter("errors").tagged(name="join").add(3)

    (result,) = ThresholdEvaluator([parse_option(threshold)], metrics).results(registry.snapshot(), 10.0)

    assert result.status == status


def test_a_part_whose_samples_lost_their_tags_does_not_pass() -> None:
    registry = Registry(METRICS, max_series=1)
    registry.trend("latency").tagged(name="/1", method="POST").add(10_000)
    registry.trend("latency").tagged(name="/2", method="POST").add(900_000)
    panel = ThresholdEvaluator(map(parse_option, ["latency{method:POST}:p(95)<500", "latency:p(95)<5000"]), METRICS)

    part, whole = panel.results(registry.snapshot(), 10.0)

    assert (part.status, part.overflowed, whole.status, whole.overflowed) == ("no_data", 1, "pass", 0)


def test_values_that_start_anew_have_no_window_that_begins_before() -> None:
    panel = ThresholdEvaluator([parse_option("errors:rate<1"), parse_option("latency:max<50")], METRICS, window_s=30)
    slow = Registry(METRICS)
    slow.trend("latency").add(900_000)
    slow.counter("errors").add(100)
    for at_s in (2.0, 18.0):
        panel.observe(at_s, slow.snapshot())
    panel.start_anew(20.0)
    quick = Registry(METRICS)
    quick.trend("latency").add(10_000)
    quick.counter("errors").add(3)
    for at_s in (22.0, 48.0):
        panel.observe(at_s, quick.snapshot())
    assert [result.worst_window for result in panel.results(quick.snapshot(), 28.0)] == [None, None]
    panel.observe(50.0, quick.snapshot())
    errors, latency = panel.results(quick.snapshot(), 30.0)
    assert errors.worst_window is not None
    assert (errors.worst_window.from_s, errors.worst_window.seconds, errors.worst_window.value) == (20.0, 30.0, 0.1)
    assert latency.worst_window is not None
    assert latency.worst_window.value == 10.0


DURATIONS = [trend("http_req_duration"), trend("http_req_failed_duration"), trend("latency")]
HOLDS = (
    "{} holds for requests that succeeded; with the 20 that failed it would be 1,500 ms, as k6 and Locust count them "
    "in (here they are http_req_failed_duration)"
)
SLOW = {
    "a limit that holds without them": (
        "http_req_duration:p(95)<300",
        [HOLDS.format("http_req_duration p(95)<300")],
    ),
    "of one kind of request": (
        "http_req_duration{name:pay}:max<=300",
        [HOLDS.format("http_req_duration{name:pay} max<=300")],
    ),
    "of another kind": ("http_req_duration{name:look}:max<300", []),
    "one that holds with them, too": ("http_req_duration:p(95)<2000", []),
    "one that does not hold anyhow": ("http_req_duration:p(95)<10", []),
    "one from below": ("http_req_duration:p(95)>10", []),
    "of something else": ("latency:p(95)<300", []),
}


@pytest.mark.parametrize(("threshold", "sentences"), SLOW.values(), ids=SLOW)
def test_a_latency_that_holds_only_without_the_failures_is_told(threshold: str, sentences: list[str]) -> None:
    registry = Registry(DURATIONS)
    for name in ("pay", "look"):
        for _ in range(40):
            registry.trend("http_req_duration").tagged(name=name).add(20_000)
    for _ in range(20):
        registry.trend("http_req_failed_duration").tagged(name="pay").add(1_500_000)
    registry.trend("latency").add(20_000)
    snapshot = registry.snapshot()
    results = ThresholdEvaluator([parse_option(threshold)], DURATIONS).results(snapshot, 10.0)
    assert slow_failures(results, snapshot) == sentences


def test_where_nothing_failed_nothing_is_told_of_failures() -> None:
    registry = Registry(DURATIONS)
    registry.trend("http_req_duration").add(20_000)
    snapshot = registry.snapshot()
    results = ThresholdEvaluator([parse_option("http_req_duration:p(95)<300")], DURATIONS).results(snapshot, 10.0)
    assert slow_failures(results, snapshot) == []


def after_a_long_drain(threshold: str, errors_in_drain: int = 0) -> ThresholdResult:
    """As judged of a hundred requests a second for five minutes, and 28 s in which users finish and do little."""
    registry = Registry([counter("requests"), counter("errors"), gauge("open")])
    panel = ThresholdEvaluator([parse_option(threshold)], registry.snapshot().metrics.values())
    registry.gauge("open").set(40)
    for second in range(2, 301, 2):
        registry.counter("requests").add(200)
        panel.observe(float(second), registry.snapshot())
    registry.counter("requests").add(150)
    registry.counter("errors").add(errors_in_drain)
    registry.gauge("open").set(0)
    panel.observe(328.0, registry.snapshot(), 300.0)
    return panel.results(registry.snapshot(), 328.0)[0]


def test_that_little_is_done_while_users_finish_is_no_bad_window() -> None:
    result = after_a_long_drain("requests:rate>50; window=30s")
    assert (result.status, result.value) == ("pass", pytest.approx(100))
    shown = after_a_long_drain("requests:rate>50").worst_window
    assert shown is not None
    assert shown.value == pytest.approx(100)
    assert after_a_long_drain("open:value>10; window=30s").status == "pass"


def test_what_goes_wrong_while_users_finish_is_judged() -> None:
    assert after_a_long_drain("errors:count<5; window=30s", errors_in_drain=9).status == "fail"
    assert after_a_long_drain("errors:rate==0; window=30s", errors_in_drain=9).status == "fail"
    assert after_a_long_drain("errors:count<5; window=30s", errors_in_drain=3).status == "pass"
