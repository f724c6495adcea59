from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pika_locust.judge import AuditResult, ErrorCount, Reason, ThresholdResult, WorstWindow
from pika_locust.judge.timeline import Mark, Timeline
from pika_locust.outputs import redact
from pika_locust.outputs.live import LiveAudit, LiveTest, LiveWorker, ended, points, to_html, to_json
from tests.outputs.samples import GREEN

LATENCY = ThresholdResult(
    "wait", "p(95)<300", 310.4, 200, "fail", (305.0, 316.0), kind="trend", unit="ms",
    worst_window=WorstWindow(30.2, 61.0, 400.0, 60), about="people leave after that",
)  # fmt: skip
ERRORS = ThresholdResult("failed", "rate<0.01", 0.002, 500, "pass", (0.0, 0.01), kind="rate", conclusive=False)
RUNNING = LiveTest(
    number=2,
    run_id="r2",
    scenario="shop",
    target="http://shop/?token=abc",
    started_at="2026-01-01T00:00:00+00:00",
    phase="running",
    elapsed_s=12.34,
    planned_s=60.0,
    stage="standard, stage 1 of 3",
    outcome="fail",
    exit_code=99,
    reasons=["wait p(95) was 310 ms"],
    thresholds=(ERRORS, LATENCY),
    audits=[LiveAudit("orders", 1234, unanswered=2)],
    errors=[ErrorCount("/buy", "answered 500", 3)],
    workers=[LiveWorker(0, "box", users=5, lag_p95_ms=1.25, cpu_percent=40.0, rss_mb=70.0)],
    timeline=Timeline([2.0, 4.0], {"users": [1, 5]}, marks=[Mark(3.0, "fault", "latency=900")]),
)


@pytest.mark.parametrize(
    ("phase", "outcome", "word", "exit_words"),
    [
        ("starting", "pass", "STARTING", ""),
        ("running", "pass", "HOLDING SO FAR", "exit code 99 if it ended now and the audits hold"),
        ("running", "fail", "FAILING", "exit code 99 if it ended now and the audits hold"),
        ("running", "invalid", "INVALID SO FAR", "exit code 99 if it ended now and the audits hold"),
        ("ending", "fail", "FAILING", "exit code 99 if it ended now and the audits hold"),
        ("ended", "pass", "PASS", "exit code 99"),
        ("ended", "invalid", "INVALID", "exit code 99"),
    ],
)
def test_the_verdict_in_a_word(phase: Any, outcome: Any, word: str, exit_words: str) -> None:
    test = replace(RUNNING, phase=phase, outcome=outcome)
    assert (test.word, test.exit_code_words) == (word, exit_words)


def test_the_time_left_is_that_of_a_running_plan_that_has_an_end() -> None:
    assert RUNNING.left_s == pytest.approx(47.66)
    assert replace(RUNNING, elapsed_s=70.0).left_s == 0
    assert replace(RUNNING, planned_s=None).left_s is None
    assert replace(RUNNING, phase="ended").left_s is None


def test_thresholds_that_fail_come_first_and_their_cells_are_text() -> None:
    first, second = to_json(RUNNING)["thresholds"]
    assert first == {
        "key": "wait:p(95)<300",
        "metric": "wait",
        "expression": "p(95)<300",
        "kind": "trend",
        "unit": "ms",
        "status": "fail",
        "word": "FAIL",
        "conclusive": True,
        "value": "310 ms",
        "limit": "< 300 ms",
        "limit_line": 300,
        "interval": "305 – 316 ms",
        "samples": "200",
        "grade": "",
        "worst": "400 ms in the 30 s from 1:01",
        "about": "people leave after that",
        "failures": [],
    }
    assert (second["word"], second["value"], second["limit"], second["limit_line"]) == (
        "pass ?",
        "0.20 %",
        "< 1.00 %",
        None,
    )


@pytest.mark.parametrize(
    ("changes", "while_running", "at_the_end"),
    [
        ({"status": "no_data", "value": None, "samples": 0}, "not_yet", "no_data"),
        ({"status": "pass", "value": None, "samples": 0}, "not_yet", "pass"),
        ({"status": "not_observed", "value": None, "samples": 0}, "not_observed", "not_observed"),
        ({"kind": "counter", "expression": "count>100", "value": 40}, "not_yet", "fail"),
        ({"kind": "counter", "expression": "count==0", "value": 1}, "fail", "fail"),
        ({"kind": "counter", "expression": "count<10", "value": 40}, "fail", "fail"),
        ({"kind": "counter", "expression": "rate>10", "value": 4}, "fail", "fail"),
    ],
)
def test_what_can_still_come_fails_at_the_end_only(
    changes: dict[str, Any], while_running: str, at_the_end: str
) -> None:
    result = replace(LATENCY, **changes)
    for phase, status in (("running", while_running), ("ended", at_the_end)):
        (row,) = to_json(replace(RUNNING, thresholds=[result], phase=phase))["thresholds"]  # type: ignore[arg-type]
        assert row["status"] == status


def test_audits_errors_workers_and_the_points_from_where_a_reader_has_none() -> None:
    found = to_json(RUNNING, finished=[GREEN])
    assert found["audits"] == [
        {"name": "orders", "status": "open", "acknowledged": "1,234", "held": "", "unanswered": "2", "detail": ""}
    ]
    assert found["errors"] == [{"name": "/buy", "error": "answered 500", "count": 3}]
    assert found["workers"] == [
        {"index": 0, "host": "box", "state": "reporting", "users": 5, "lag_p95": "1.25 ms", "cpu": "40 %",
         "memory": "70 MB"}
    ]  # fmt: skip
    new = points(RUNNING, since=1)
    assert (new["times_s"], new["load"]) == ([4.0], {"users": [5]})
    assert new["marks"] == [{"at_s": 3.0, "kind": "fault", "text": "latency=900"}]
    assert [(one["number"], one["verdict"], one["exit_code"]) for one in found["finished"]] == [(1, "pass", 0)]
    assert found["target"] == "http://shop/"


def test_what_is_open_at_one_end_and_what_is_secret_goes_into_json_without() -> None:
    redact.conceal(["hunter2-hunter2"])
    open_end = replace(LATENCY, interval=(300.0, float("inf")), metric="wait{who:hunter2-hunter2}", value=float("nan"))
    test = replace(
        RUNNING,
        thresholds=[open_end],
        reasons=["said hunter2-hunter2"],
        errors=[ErrorCount("a", "hunter2-hunter2", 1)],
        timeline=Timeline([2.0], errors={"hunter2-hunter2": [1]}),
    )
    text = json.dumps([to_json(test), points(test)], allow_nan=False)
    assert "hunter2" not in text
    assert "hunter2" not in to_html(test)
    assert to_json(test)["thresholds"][0]["interval"] == "≥ 300 ms"


def test_a_test_that_has_ended_is_shown_from_its_report() -> None:
    report = replace(
        GREEN,
        verdict="fail",
        exit_code=99,
        reasons=(Reason("audit", "likes", "2 are lost"),),
        audits=(AuditResult("likes", "fail", 10, 8, 1, "lost: a, b"),),
        timeline=Timeline([2.0], {"users": [3]}),
    )
    test = ended(3, report)
    found = to_json(test)
    assert (found["number"], found["word"], found["reasons"]) == (3, "FAIL", ["2 are lost"])
    assert found["audits"] == [
        {
            "name": "likes",
            "status": "fail",
            "acknowledged": "10",
            "held": "8",
            "unanswered": "1",
            "detail": "lost: a, b",
        }
    ]
    assert points(test)["load"] == {"users": [3]}


def test_the_text_table_has_everything_that_decides_and_no_markup_of_others() -> None:
    hostile = "<script>alert('x')</script>"
    test = replace(
        RUNNING,
        scenario=hostile,
        reasons=[hostile],
        thresholds=[replace(LATENCY, metric=f'wait{{name:"{hostile}"}}')],
        audits=[LiveAudit(hostile, 1)],
    )
    page = to_html(test)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 4
    for text in ("FAILING", "0:12 of 1:00", "exit code 99 if it ended now", "p(95)&lt;300", "310 ms"):
        assert text in page
    assert "No test has been started" in to_html(None)
