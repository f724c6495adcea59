"""Findings: each rule with figures that show it, the same figures below its limit, and none for a healthy run."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pika_locust.outputs.run_findings import findings

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "runs" / "queue.json").read_bytes())
POINTS = 20

Edit = Callable[[dict[str, Any]], None]


def summary_of(edit: Edit | None = None) -> dict[str, Any]:
    """The recorded run with a timeline of 20 intervals at 100 users, but the first four, changed by `edit`."""
    summary = copy.deepcopy(RECORDED)
    summary["timeline"] = {
        "times_s": [2.0 * (at + 1) for at in range(POINTS)],
        "load": {"users": [20, 30, 40, 70, *[100] * (POINTS - 4)]},
        "metrics": {"http_req_duration": {"p50": [40.0] * POINTS, "p95": [44.0] * POINTS}},
        "marks": [],
    }
    if edit is not None:
        edit(summary)
    return summary


def column(summary: dict[str, Any], series: str, statistic: str, values: list[float]) -> None:
    summary["timeline"]["metrics"].setdefault(series, {})[statistic] = values


def error(text: str, count: int = 12) -> Edit:
    return lambda summary: summary["errors"].append({"name": "join", "error": text, "count": count})


def threshold_fails(summary: dict[str, Any], metric: str) -> None:
    next(one for one in summary["thresholds"] if one["metric"] == metric)["status"] = "fail"


def rising(summary: dict[str, Any]) -> None:
    column(summary, "http_req_duration", "p50", [40.0] * 10 + [40.0 + 8 * at for at in range(10)])
    threshold_fails(summary, "http_req_duration")


def slower_with_users(summary: dict[str, Any]) -> None:
    column(summary, "http_req_duration", "p50", [10.0] * 3 + [40.0] * 17)


def cold(summary: dict[str, Any]) -> None:
    column(summary, "http_req_duration", "p95", [400.0] + [44.0] * 19)


def memory(summary: dict[str, Any]) -> None:
    column(summary, "target_memory_mb", "value", [100.0 + 5 * at for at in range(POINTS)])


def tail(summary: dict[str, Any]) -> None:
    summary["metrics"]["http_req_duration"]["p(99)"] = 900.0


def ceiling(summary: dict[str, Any]) -> None:
    summary["metrics"]["ws_connection_success"] = {
        "kind": "rate",
        "unit": "",
        "count": 400,
        "passes": 300,
        "fails": 100,
        "rate": 0.75,
    }
    column(summary, "ws_connection_success", "rate", [1.0] * 4 + [0.6] * 16)
    column(summary, "ws_connection_success", "count", [20.0] * POINTS)


def never_connects(summary: dict[str, Any]) -> None:
    ceiling(summary)
    column(summary, "ws_connection_success", "rate", [0.7] * POINTS)


def turned_away(summary: dict[str, Any]) -> None:
    never_connects(summary)
    summary["errors"] += [{"name": "connect", "error": "answered 503", "count": 99}]


def wrong(summary: dict[str, Any]) -> None:
    summary["checks"].append({"name": "results obey the filters", "passes": 48, "fails": 20})


def never_fast(summary: dict[str, Any]) -> None:
    one = next(one for one in summary["thresholds"] if one["metric"] == "http_req_duration")
    one |= {"expression": "p(95)<40", "status": "fail"}


def away(summary: dict[str, Any]) -> None:
    summary["timeline"]["marks"] = [{"at_s": 12.0, "kind": "outage", "text": "the target is away: refused"}]


def undelivered(summary: dict[str, Any]) -> None:
    figure = {"kind": "rate", "unit": "", "count": 2497, "passes": 2478, "fails": 19, "rate": 0.992}
    summary["metrics"]["fanout_delivery"] = figure
    summary["thresholds"][0] |= {"metric": "fanout_delivery{kind:like}", "expression": "rate>0.999", "status": "fail"}


def lost(summary: dict[str, Any]) -> None:
    summary["audits"][0] |= {"status": "fail", "actual": 74}


def doubled(summary: dict[str, Any]) -> None:
    summary["audits"][0] |= {"status": "fail", "actual": 90}


def connecting(summary: dict[str, Any]) -> None:
    summary["metrics"]["http_req_connecting"] |= {"avg": 300.0}


def dropped(summary: dict[str, Any]) -> None:
    summary["load"]["dropped_iterations"] = 50


def overloaded(summary: dict[str, Any]) -> None:
    summary["reasons"] = [{"code": "generator", "subject": "cpu", "text": "its processor was busy"}]


@pytest.mark.parametrize(
    ("edit", "what", "evidence"),
    [
        pytest.param(rising, "http_req_duration rises under the same load", "median 40.0 ms early", id="rising"),
        pytest.param(slower_with_users, "http_req_duration rises with the load", "10.0 ms with few users", id="load"),
        pytest.param(cold, "http_req_duration begins cold", "400 ms in the first interval, 44.0 ms later", id="cold"),
        pytest.param(memory, "The target's memory grows under the same load", "MB early in the held load", id="memory"),
        pytest.param(tail, "http_req_duration has a long tail", "21.7 times the median", id="tail"),
        pytest.param(ceiling, "There is a ceiling of connections", "failures begin at 100 users", id="ceiling"),
        pytest.param(never_connects, "Connections fail whatever the load", "100 of 400 connections", id="connections"),
        pytest.param(error("429 Too Many Requests"), "Requests are rate limited", "12 answers of 429", id="429"),
        pytest.param(error("500 QueuePool limit: pool"), "A pool is exhausted", "12 errors that name it", id="pool"),
        pytest.param(error("503 Service Unavailable"), "The target turns requests away", "12 answers", id="503"),
        pytest.param(error("timed out after 5 s"), "Requests time out", "12 requests or messages without", id="late"),
        pytest.param(away, "The target went away", "1 outage, the first at 0:12", id="away"),
        pytest.param(wrong, "Answers come, and are wrong", "obey the filters' failed in 20 of 68", id="wrong"),
        pytest.param(never_fast, "http_req_duration is never fast enough", "fastest of 648 took 40.1 ms", id="never"),
        pytest.param(undelivered, "Messages do not reach everybody", "19 of 2,497 deliveries", id="undelivered"),
        pytest.param(lost, "Acknowledged writes are missing", "80 acknowledged, 74 stored", id="lost"),
        pytest.param(doubled, "Writes are stored more than once", "80 acknowledged, 90 stored", id="doubled"),
        pytest.param(connecting, "Requests spend their time connecting", "300 ms of 342 ms", id="connecting"),
        pytest.param(dropped, "Arrivals come faster than they are served", "50 of 334 iterations", id="dropped"),
        pytest.param(overloaded, "The load generator itself is the bottleneck", "processor was busy", id="generator"),
    ],
)
def test_a_finding_has_its_evidence_and_an_action(edit: Edit, what: str, evidence: str) -> None:
    found = {one.what: one for one in findings(summary_of(edit))}
    assert list(found) == [what]
    assert evidence in found[what].evidence
    assert len(found[what].action) > 20


def test_a_healthy_run_has_none() -> None:
    assert findings(summary_of()) == []
    assert findings(RECORDED) == []


def test_the_threshold_that_it_explains_stands_beside_it() -> None:
    (found,) = findings(summary_of(rising))
    assert found.thresholds == ("http_req_duration p(95)<100",)


def test_a_time_that_is_never_short_enough_is_one_finding_for_all_its_limits() -> None:
    def edit(summary: dict[str, Any]) -> None:
        never_fast(summary)
        one = next(one for one in summary["thresholds"] if one["metric"] == "http_req_duration")
        summary["thresholds"].append(one | {"expression": "avg<30"})

    (found,) = findings(summary_of(edit))
    assert found.thresholds == ("http_req_duration p(95)<40", "http_req_duration avg<30")
    assert found.evidence.endswith("the limit is 40 ms")


def test_a_slope_that_fails_is_evidence_by_itself() -> None:
    def grows(summary: dict[str, Any]) -> None:
        (slope,) = (one for one in summary["thresholds"] if one["expression"] == "slope<20")
        slope |= {"status": "fail", "value": 31.0, "unit": "MB/min"}

    (found,) = findings(summary_of(grows))
    assert found.evidence == "target_memory_mb grew by 31 MB/min while the load was held"
    assert found.thresholds == ("target_memory_mb slope<20",)


def below_a_limit(summary: dict[str, Any]) -> None:
    column(summary, "http_req_duration", "p50", [2.0] * 10 + [4.0] * 10)
    column(summary, "http_req_duration", "p95", [5.0] + [2.0] * 19)
    column(summary, "target_memory_mb", "value", [10.0 + at / 2 for at in range(POINTS)])


def rises_in_the_ramp_alone(summary: dict[str, Any]) -> None:
    column(summary, "http_req_duration", "p50", [38.0, 38.5, 39.0, *[40.0] * 17])
    column(summary, "target_memory_mb", "value", [20.0, 60.0, 100.0, 140.0, *[150.0] * 16])


@pytest.mark.parametrize("edit", [below_a_limit, rises_in_the_ramp_alone])
def test_small_differences_and_ramps_are_no_finding(edit: Edit) -> None:
    assert findings(summary_of(edit)) == []


def outage_at(at_s: float) -> Callable[[dict[str, Any]], None]:
    """Connections fail from 0:08 on, and the target is seen to be away at that time."""

    def edit(summary: dict[str, Any]) -> None:
        ceiling(summary)
        summary["thresholds"][0] |= {"metric": "ws_connection_success", "expression": "rate>0.99", "status": "fail"}
        summary["timeline"]["marks"] = [{"at_s": at_s, "kind": "outage", "text": "the target is away: refused"}]

    return edit


@pytest.mark.parametrize("at_s", [6.0, 12.0])
def test_connections_to_a_target_that_is_away_show_no_ceiling(at_s: float) -> None:
    (away_only,) = [one for one in findings(summary_of(outage_at(at_s))) if one.weight >= 300]
    assert away_only.what == "The target went away"
    assert "ws_connection_success rate>0.99" in away_only.thresholds


def test_connections_that_fail_long_before_an_outage_show_a_ceiling() -> None:
    found = [one.what for one in findings(summary_of(outage_at(30.0))) if one.weight >= 300]
    assert found == ["The target went away", "There is a ceiling of connections"]


def test_connections_that_are_turned_away_are_not_put_down_to_credentials() -> None:
    (found,) = [one for one in findings(summary_of(turned_away)) if one.weight >= 300]
    assert found.evidence == "100 of 400 connections failed; 99 of them: answered 503"
    assert "turns them away" in found.action


@pytest.mark.parametrize(
    ("metric", "expression"),
    [("ack_success", "rate>0.99"), ("http_rate_limited", "count==0"), ("search_errors{kind:simple}", "rate<0.01")],
)
def test_answers_that_do_not_come_explain_what_is_about_answers(metric: str, expression: str) -> None:
    def edit(summary: dict[str, Any]) -> None:
        error("no answer within 5 s")(summary)
        summary["thresholds"][0] |= {"metric": metric, "expression": expression, "status": "fail"}
        summary["thresholds"][1] |= {"metric": "ws_connection_success", "expression": "rate>0.99", "status": "fail"}

    (found,) = [one for one in findings(summary_of(edit)) if one.what == "Requests time out"]
    assert found.thresholds == (f"{metric} {expression}",)
