"""Runs before and after a change: recorded distributions, k6's exports, and what cannot be compared."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pika_locust.errors import ConfigurationError
from pika_locust.metrics.histogram import Histogram, bucket_edges, bucket_index
from pika_locust.metrics.metric import trend
from pika_locust.metrics.snapshot import SCHEME, histogram_of, statistics
from pika_locust.outputs.comparison import Comparison, RecordedRun, compare, read_runs, shown, to_json

RUNS = Path(__file__).parent / "runs"
RECORDED: dict[str, Any] = json.loads((RUNS / "api.json").read_bytes())
MIDDLES = {
    name: (
        np.array([sum(bucket_edges(int(index))) / 2 for index in one["buckets"]]),
        np.array(list(one["buckets"].values())) / one["count"],
    )
    for name, one in RECORDED["distributions"].items()
}


def again(
    random: np.random.Generator,
    *,
    between: float = 0.02,
    samples: int = 5000,
    slower: Mapping[str, float] | None = None,
) -> RecordedRun:
    """A run like the recorded one: its distributions drawn from anew, all times longer or shorter by what differs from
    run to run, and those in `slower` by that factor as well."""
    summary = copy.deepcopy(RECORDED)
    of_run = random.normal(0, between)
    for name, (values, shares) in MIDDLES.items():
        factor = np.exp(of_run) * (slower or {}).get(name, 1.0)
        histogram = drawn(random.multinomial(samples, shares), values * factor)
        summary["distributions"][name] = distribution(histogram)
        summary["metrics"][name] = statistics(trend(name.partition("{")[0], ""), histogram, 60.0)
    for name, share in (("api_success", 0.999), ("http_req_failed", 0.001)):
        passes = int(random.binomial(samples, share))
        summary["metrics"][name] |= {
            "count": samples,
            "passes": passes,
            "fails": samples - passes,
            "rate": passes / samples,
        }
    for name in ("http_reqs", "iterations"):
        summary["metrics"][name]["count"] = int(random.poisson(samples))
    return RecordedRun("run", summary)


def drawn(counts: Any, values: Any) -> Histogram:
    """So many of each value, without adding every one of them."""
    buckets: dict[int, int] = {}
    wholes = [(max(1, round(value)), int(count)) for value, count in zip(values, counts, strict=True) if count]
    for value, count in wholes:
        index = bucket_index(value)
        buckets[index] = buckets.get(index, 0) + count
    total = sum(value * count for value, count in wholes)
    return Histogram.from_buckets(buckets, total, min(wholes)[0], max(wholes)[0])


def distribution(histogram: Histogram) -> dict[str, Any]:
    return {
        "scheme": SCHEME,
        "unit": "us",
        "buckets": {str(index): count for index, count in histogram.buckets.items()},
        "total": histogram.total,
        "min": histogram.minimum,
        "max": histogram.maximum,
    }


def outcomes(found: Comparison) -> dict[str, str]:
    return {f"{row.series} {row.statistic}": row.outcome for row in found.rows if row.outcome != "same"}


def test_recorded_runs_that_are_equal_show_no_difference() -> None:
    random = np.random.default_rng(11)
    alarms = [
        outcomes(compare(*([again(random, samples=1000) for _ in range(5)] for _ in range(2)), allowed=0.0))
        for _ in range(20)
    ]
    assert [alarm for alarm in alarms if alarm] == []


def test_five_percent_in_a_p95_are_found_from_five_runs_a_side() -> None:
    random = np.random.default_rng(12)
    found = 0
    for _ in range(6):
        before = [again(random, between=0.005, samples=200_000) for _ in range(5)]
        after = [again(random, between=0.005, samples=200_000, slower={"auth_latency": 1.05}) for _ in range(5)]
        comparison = compare(before, after)
        assert set(outcomes(comparison)) <= {"auth_latency p(95)", "auth_latency p(99)", "auth_latency med"}
        found += outcomes(comparison).get("auth_latency p(95)") == "worse"
    assert found >= 5


def test_one_run_a_side_shows_thirty_milliseconds_at_once_and_no_small_difference() -> None:
    random = np.random.default_rng(13)
    before, after = again(random), again(random, slower={"auth_latency": 1.2, "events_api_latency": 20.0})
    found = compare([before], [after])
    assert {name.split()[0] for name in outcomes(found)} == {"events_api_latency"}
    assert found.is_worse
    assert "too few to see how far runs lie apart" in found.method


def test_less_than_what_is_allowed_is_no_regression() -> None:
    random = np.random.default_rng(14)
    before = [again(random, samples=20_000) for _ in range(5)]
    after = [again(random, samples=20_000, slower={"auth_latency": 1.3}) for _ in range(5)]
    assert compare(before, after).is_worse
    assert not compare(before, after, allowed=0.5).is_worse


def test_failures_that_come_up_are_worse_and_fewer_are_better() -> None:
    random = np.random.default_rng(15)
    before, after = ([again(random) for _ in range(3)] for _ in range(2))
    for run in after:
        run.summary["metrics"]["http_req_failed"] |= {"passes": 250, "fails": 4750, "rate": 0.05}
    assert outcomes(compare(before, after)) == {"http_req_failed rate": "worse"}
    back = compare(after, before)
    assert outcomes(back) == {"http_req_failed rate": "better"}
    row = next(row for row in back.rows if row.outcome == "better")
    assert shown(row)[0] == "5.00 %"
    assert shown(row)[2].startswith("-4.")
    assert shown(row)[2].endswith(" points")


def test_a_threshold_that_is_no_longer_measured_is_a_regression() -> None:
    random = np.random.default_rng(16)
    before, after = again(random), again(random)
    del after.summary["distributions"]["auth_latency"]
    after.summary["metrics"]["auth_latency"] = {"kind": "trend", "unit": "ms", "count": 0, "p(95)": None}
    found = compare([before], [after])
    assert "api: auth_latency p(95) was measured before, and is not after" in found.broken
    assert found.is_worse


def test_a_threshold_with_too_few_samples_is_neither_compared_nor_gone() -> None:
    random = np.random.default_rng(21)
    found = compare([again(random)], [again(random, samples=30)])
    assert not [row for row in found.rows if row.statistic == "p(99)"]
    assert found.broken == ()
    (warning,) = found.warnings
    few = ["auth_latency p(95)", "auth_latency p(99)", "events_api_latency p(95)", "events_api_latency p(99)"]
    assert warning == f"api: thresholds that were not compared (too few samples): {', '.join(few)}"


def without(run: RecordedRun, series: str) -> RecordedRun:
    """The same run, in which nothing was measured of a series."""
    summary = copy.deepcopy(dict(run.summary))
    del summary["distributions"][series]
    summary["metrics"][series] = {"kind": "trend", "unit": "ms", "count": 0, "p(95)": None}
    for one in summary["thresholds"]:
        if one["metric"] == series:
            one |= {"value": None, "status": "no_data"}
    return RecordedRun(run.name, summary)


def test_what_had_too_few_samples_before_and_has_none_after_is_gone() -> None:
    random = np.random.default_rng(22)
    before, after = again(random, samples=30), again(random, samples=30)
    found = compare([before], [without(after, "auth_latency")])
    assert found.broken == (
        "api: auth_latency p(95) was measured before, and is not after",
        "api: auth_latency p(99) was measured before, and is not after",
    )


def test_what_some_runs_no_longer_measure_is_gone_and_what_may_be_empty_is_told() -> None:
    random = np.random.default_rng(23)
    before, after = ([again(random) for _ in range(3)] for _ in range(2))
    lacking = [after[0], without(after[1], "auth_latency"), without(after[2], "auth_latency")]
    assert compare(before, lacking).broken == (
        "api: auth_latency p(95) was measured before, and is not after",
        "api: auth_latency p(99) was measured before, and is not after",
    )
    for run in lacking[1:]:
        for one in run.summary["thresholds"]:
            one["status"] = "not_observed" if one["status"] == "no_data" else one["status"]
    told = compare(before, lacking)
    assert told.broken == ()
    assert told.warnings == (
        "api: thresholds that were not compared (not every run has them): auth_latency p(95), auth_latency p(99)",
    )
    assert compare(lacking, lacking).warnings == told.warnings
    assert compare(lacking[1:], lacking[1:]).warnings == ()


def with_gauge(random: np.random.Generator, value: float, expression: str) -> RecordedRun:
    run = again(random, between=0.0)
    run.summary["metrics"]["waiting"] = {"kind": "gauge", "unit": "", "count": 9, "value": value, "max": value}
    run.summary["thresholds"].append({"metric": "waiting", "expression": expression, "value": value, "status": "pass"})
    return run


@pytest.mark.parametrize(
    ("before", "after", "expression", "broken", "warns"),
    [
        pytest.param(0, 90, "value<100", ["waiting value was 0 before, and is 90 after"], False, id="from nothing"),
        pytest.param(0, 1, "value<100", [], True, id="from nothing to hardly more"),
        pytest.param(
            0, 1, "value==0", ["waiting value was 0 before, and is 1 after"], False, id="of which none may be"
        ),
        pytest.param(600, 0, "value>500", ["waiting value was 600 before, and is 0 after"], False, id="to nothing"),
        pytest.param(90, 0, "value<100", [], True, id="less is no harm"),
        pytest.param(0, 0, "value<100", [], False, id="nothing either way"),
    ],
)
def test_a_threshold_on_what_is_nothing_on_a_side_is_told(
    before: float, after: float, expression: str, broken: list[str], warns: bool
) -> None:
    random = np.random.default_rng(24)
    sides = [[with_gauge(random, value, expression) for _ in range(3)] for value in (before, after)]
    found = compare(*sides)
    assert found.broken == tuple(f"api: {one}" for one in broken)
    assert found.warnings == ("api: thresholds that were not compared (some are 0): waiting value",) * warns


def with_threshold(run: RecordedRun, **judged: Any) -> RecordedRun:
    return RecordedRun(run.name, {**run.summary, "thresholds": [*run.summary["thresholds"], judged]})


@pytest.mark.parametrize(
    ("judged", "name"),
    [
        pytest.param(
            {"metric": "target_memory_mb", "expression": "slope<20", "window_s": None},
            "target_memory_mb slope<20",
            id="slope",
        ),
        pytest.param(
            {"metric": "auth_latency", "expression": "p(99)<500", "window_s": 30.0},
            "auth_latency p(99)<500 in the worst 30 s",
            id="window",
        ),
    ],
)
def test_of_slopes_and_windows_it_is_compared_whether_they_hold(judged: dict[str, Any], name: str) -> None:
    run = again(np.random.default_rng(28))
    good, bad = (
        with_threshold(run, **judged, value=value, samples=90, status=status)
        for value, status in ((0.1, "pass"), (900.0, "fail"))
    )
    unseen = with_threshold(run, **judged, value=None, samples=0, status="not_observed")
    assert compare([good] * 3, [bad] * 3).broken == (f"api: {name} held in every run before, and in none after",)
    named = (f"api: thresholds that were not compared (of slopes and windows, only whether they hold is): {name}",)
    for before, after in ((good, [good] * 3), (good, [bad, good]), (bad, [bad]), (good, [unseen])):
        found = compare([before], after)
        assert (found.broken, found.warnings) == ((), named)
    assert compare([unseen], [unseen]).warnings == ()


def test_a_worst_window_of_what_is_no_longer_measured_is_gone() -> None:
    judged = {"metric": "ws_rtt", "expression": "p(99)<500", "window_s": 30.0, "value": 9.0, "status": "pass"}
    before, after = (with_threshold(again(np.random.default_rng(29)), **judged) for _ in range(2))
    before.summary["metrics"]["ws_rtt"] = {"kind": "trend", "unit": "ms", "count": 90, "med": 3.0, "p(95)": 5.0}
    broken = ("api: ws_rtt p(99)<500 in the worst 30 s was measured before, and is not after",)
    assert compare([before], [after]).broken == broken


def test_an_audit_that_held_and_fails_is_a_regression_whatever_the_figures() -> None:
    random = np.random.default_rng(17)
    before, after = again(random), again(random)
    after.summary["audits"][0]["status"] = "fail"
    assert compare([before], [after]).broken == ("api: data-integrity check tokens held before, and fails",)
    assert not compare([after], [after]).is_worse


def test_runs_that_say_nothing_of_the_target_are_left_out() -> None:
    random = np.random.default_rng(18)
    good, overloaded = again(random), again(random)
    overloaded.summary["reasons"] = [{"code": "generator", "subject": "cpu", "text": "its processor was busy"}]
    found = compare([good, overloaded], [good])
    assert found.before == 1
    assert found.warnings == ("run (before) is left out: its processor was busy",)
    with pytest.raises(ConfigurationError, match="no run after can be compared"):
        compare([good], [overloaded])


def of_scenario(run: RecordedRun, name: str, *reasons: str) -> RecordedRun:
    """The same as a run of another scenario, with reasons of these codes."""
    told = [{"code": code, "subject": "", "text": code} for code in reasons]
    return RecordedRun(name, {**run.summary, "scenario": name, "reasons": told})


def test_a_scenario_of_which_no_run_after_counts_is_a_regression_and_one_that_did_not_run_is_none() -> None:
    one = again(np.random.default_rng(27))
    queue = of_scenario(one, "queue")
    lost = compare([one, queue], [one, of_scenario(one, "queue", "internal")])
    assert lost.broken == ("queue: was measured before, and no run after can be compared",)
    assert lost.warnings == ("queue (after) is left out: internal",)
    for sides in (([one, queue], [one]), ([one], [one, queue])):
        found = compare(*sides)
        assert (found.broken, found.warnings) == ((), ("queue is on one side only",))


def test_a_scenario_that_left_no_results_is_told_by_the_common_summary_alone(tmp_path: Path) -> None:
    queue = {**RECORDED, "scenario": "queue"}
    both, lost = ({"schema": 1, "scenarios": {"api": RECORDED, "queue": one}} for one in (queue, {}))
    for name, found in (("before.json", both), ("after.json", lost), ("folder/1.json", lost)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(found))
    (tmp_path / "folder" / "1.api.json").write_text(json.dumps(RECORDED))
    for after in ("after.json", "folder"):
        found = compare(read_runs([tmp_path / "before.json"]), read_runs([tmp_path / after]))
        assert found.after == 1
        assert found.broken == ("queue: was measured before, and no run after can be compared",)
        (warning,) = found.warnings
        assert warning.endswith("queue (after) is left out: it has left no results")


def test_another_load_is_said() -> None:
    random = np.random.default_rng(19)
    before, after = again(random), again(random)
    after.summary["load"]["stages"] = [{"duration_s": 12.5, "target": 40}]
    (warning,) = compare([before], [after]).warnings
    assert warning == "api: not the same stages: 2s:20, 10.5s:20 before, 12.5s:40 after"


def test_runs_of_different_scenarios_have_nothing_in_common() -> None:
    random = np.random.default_rng(20)
    before, after = again(random), again(random)
    after.summary["scenario"] = "queue"
    with pytest.raises(ConfigurationError, match="nothing in common: before api, after queue"):
        compare([before], [after])


def test_k6s_two_kinds_of_summary_are_read_and_compared() -> None:
    before, after = (read_runs([RUNS / name]) for name in ("k6-export.json", "k6-handle-summary.json"))
    assert before[0].summary["verdict"] == "fail"
    found = compare(before, after)
    assert outcomes(found) == {"http_req_failed rate": "worse"}
    assert {row.series for row in found.rows} == {"http_req_duration", "http_req_failed", "http_reqs"}


def test_k6s_export_is_compared_with_a_summary_of_the_same_metrics() -> None:
    found = compare(read_runs([RUNS / "k6-export.json"]), read_runs([RUNS / "api.json"]))
    assert {row.scenario for row in found.rows} == {"api"}
    duration = next(row for row in found.rows if (row.series, row.statistic) == ("http_req_duration", "p(95)"))
    assert duration.before == 24.9
    assert duration.after == pytest.approx(RECORDED["metrics"]["http_req_duration"]["p(95)"])
    assert duration.outcome == "better"


def k6(tmp_path: Path, name: str, **metrics: Any) -> list[RecordedRun]:
    """A run of k6 with these metrics, as its export is read."""
    (tmp_path / f"{name}.json").write_text(
        json.dumps({"metrics": {"http_reqs": {"count": 1000, "rate": 16.6}, **metrics}})
    )
    return read_runs([tmp_path / f"{name}.json"])


def test_a_trend_of_k6s_that_is_empty_after_is_gone(tmp_path: Path) -> None:
    parts, judged = ("avg", "min", "med", "max", "p(90)", "p(95)"), {"p(95)<300": False}
    full, empty = (
        k6(tmp_path, name, ws_latency={**dict.fromkeys(parts, value), "thresholds": judged})
        for name, value in (("full", 200), ("empty", 0))
    )
    assert compare(full, empty).broken == ("k6: ws_latency p(95) was measured before, and is not after",)
    assert (compare(empty, empty).broken, compare(empty, empty).warnings) == ((), ())


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"p(95)": 3, "p(99)": 4, "count": 5}, id="percentiles"),
        pytest.param({"min": 1, "max": 9, "p(95)": 3}, id="extremes"),
        pytest.param({"type": "trend", "contains": "time", "values": {"count": 5}}, id="a count alone"),
    ],
)
def test_whatever_a_trend_of_k6s_exports_it_is_one(tmp_path: Path, entry: dict[str, Any]) -> None:
    level = {"value": 3, "min": 1, "max": 5}
    metrics = k6(tmp_path, "own", http_req_duration=entry, vus=level)[0].summary["metrics"]
    assert (metrics["http_req_duration"]["kind"], metrics["vus"]["kind"]) == ("trend", "gauge")


def test_a_percentile_that_k6_judges_and_does_not_export_is_named(tmp_path: Path) -> None:
    run = k6(
        tmp_path, "default", http_req_duration={"avg": 9, "med": 8, "p(95)": 20, "thresholds": {"p(99)<500": False}}
    )
    (warning,) = compare(run, run).warnings
    assert warning == "k6: thresholds that were not compared (no run has their figures): http_req_duration p(99)"


def test_a_folder_gives_its_runs_and_no_other_json(tmp_path: Path) -> None:
    for name in ("1.json", "more/2.json", "baseline/3.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(RECORDED))
    (tmp_path / "other.json").write_text("[1, 2]")
    assert [run.name for run in read_runs([tmp_path])] == ["1.json", "2.json"]
    with pytest.raises(ConfigurationError, match="neither a summary nor a k6 export"):
        read_runs([tmp_path / "other.json"])
    # One's own folder may be called so: only a suite's, beside what they are of, are left out.
    assert [run.name for run in read_runs([tmp_path / "baseline"])] == ["3.json"]
    (tmp_path / "none").mkdir()
    with pytest.raises(ConfigurationError, match="no summary of a run"):
        read_runs([tmp_path / "none"])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda one: one.pop("thresholds"), id="no thresholds"),
        pytest.param(lambda one: one.pop("distributions"), id="no distributions"),
        pytest.param(lambda one: one.update(metrics=[1]), id="metrics that are a list"),
        pytest.param(lambda one: one["thresholds"][0].update(expression="fast"), id="an expression that is none"),
        pytest.param(lambda one: one["distributions"]["auth_latency"].update(scheme="other"), id="another scheme"),
    ],
)
def test_a_part_of_a_summary_is_refused_when_it_is_read(tmp_path: Path, damage: Callable[[Any], Any]) -> None:
    summary = copy.deepcopy(RECORDED)
    damage(summary)
    path = tmp_path / "part.json"
    path.write_text(json.dumps(summary))
    for given in (path, tmp_path):
        with pytest.raises(ConfigurationError, match=r"part\.json is not a summary of this version, or not all of one"):
            read_runs([given])


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"values": [1, 2]}, id="values that are a list"),
        pytest.param({"count": 1, "rate": 2.0, "thresholds": ["count>1"]}, id="thresholds that are a list"),
        pytest.param({"count": "many", "rate": 2.0}, id="a count that is no number"),
    ],
)
def test_what_only_looks_like_k6s_is_refused_when_it_is_read(tmp_path: Path, entry: Any) -> None:
    path = tmp_path / "k6.json"
    path.write_text(json.dumps({"metrics": {"iterations": entry}, "state": []}))
    with pytest.raises(ConfigurationError, match="the metric 'iterations' is"):
        read_runs([path])


def test_a_run_that_lost_workers_is_left_out() -> None:
    random = np.random.default_rng(25)
    good, partial = again(random), again(random)
    partial.summary["reasons"] = [{"code": "incomplete", "subject": "worker 2", "text": "worker 2 was lost"}]
    assert compare([good, partial], [good]).warnings == ("run (before) is left out: worker 2 was lost",)


def test_scores_are_compared_in_their_own_unit(tmp_path: Path) -> None:
    random = np.random.default_rng(26)
    ours, histogram = again(random), drawn([800, 200], [50, 60])
    shift = trend("browser_web_vital_cls", "", "score")
    ours.summary["distributions"][shift.name] = {**distribution(histogram), "unit": shift.kept_unit}
    ours.summary["metrics"][shift.name] = statistics(shift, histogram, 60.0)
    theirs = {"metrics": {shift.name: {"avg": 0.052, "med": 0.05, "p(95)": 0.06, "min": 0.05, "max": 0.06}}}
    (tmp_path / "k6.json").write_text(json.dumps(theirs))
    for before in ([ours], read_runs([tmp_path / "k6.json"])):
        found = {row.statistic: row for row in compare(before, [ours]).rows if row.series == shift.name}
        assert (found["med"].before, found["med"].after) == (0.05, 0.05)
        assert {row.outcome for row in found.values()} == {"same"}


def test_the_comparison_as_json_has_every_figure() -> None:
    found = compare(read_runs([RUNS / "api.json"]), read_runs([RUNS / "api.json"]))
    written = json.loads(json.dumps(to_json(found)))
    assert written["worse"] is False
    assert len(written["figures"]) == len(found.rows) > 5
    recorded = histogram_of(RECORDED["distributions"]["auth_latency"])
    row = next(row for row in written["figures"] if row["series"] == "auth_latency" and row["statistic"] == "p(95)")
    assert row["before"] == row["after"] == pytest.approx(recorded.quantile(0.95) / 1000)
