from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest

from pika_locust.judge.report import AuditResult, Report, ThresholdResult, WorstWindow
from pika_locust.outputs import console as judged
from pika_locust.outputs.table import Medium, paint
from tests.outputs.samples import GREEN

LOG = Medium(terminal=False, width=140)


def thresholds(*results: ThresholdResult, medium: Medium = LOG, **changes: Any) -> list[str]:
    report: Report = replace(GREEN, thresholds=results, **changes)
    return paint(judged.thresholds(report, medium), medium).splitlines()


@pytest.mark.parametrize(
    ("result", "plain", "terminal"),
    [
        (ThresholdResult("a", "count<1", 0, 9, "pass"), "pass", "✓ pass"),
        (ThresholdResult("a", "count<1", 2, 9, "fail"), "FAIL", "✗ FAIL"),
        (ThresholdResult("a", "count<1", None, 0, "no_data"), "NO DATA", "✗ NO DATA"),
        (ThresholdResult("a", "count<1", None, 0, "not_observed"), "not observed", "○ not observed"),
        (ThresholdResult("a", "count<1", 0, 9, "pass", conclusive=False), "pass ?", "✓ pass ?"),
        (ThresholdResult("a", "count<1", 2, 9, "fail", conclusive=False), "FAIL ?", "✗ FAIL ?"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_status_has_its_word(result: ThresholdResult, plain: str, terminal: str) -> None:
    assert re.match(rf"  {re.escape(plain)}  +a  ", thresholds(result)[2])
    assert terminal in "\n".join(thresholds(result, medium=Medium(True, 140)))


def test_marks_are_explained_only_where_they_occur() -> None:
    doubtful = thresholds(ThresholdResult("a", "rate<0.1", 0.09, 50, "pass", (0.02, 0.2), conclusive=False))
    assert doubtful[-1].startswith("  ? inconclusive: the limit lies inside the 95 % interval")
    assert len(thresholds(ThresholdResult("a", "rate<0.1", 0.01, 5000, "pass", (0.008, 0.013)))) == 3


def test_a_slope_has_its_metric_s_unit_per_minute() -> None:
    leak = ThresholdResult("m", "slope<20", 52.4, 18, "fail", (51.5, 53.8), kind="gauge", unit="MB/min", held_s=89.0)
    cells = " ".join(thresholds(leak)[2].split())
    assert cells == "FAIL m slope<20 52.4 MB/min 51.5 .. 53.8 MB/min 18"


def test_a_load_that_was_not_held_is_told_in_words_and_not_as_what_nobody_could_see() -> None:
    why = "the load was never held for a minute"
    short = ThresholdResult("m", "slope<20", None, 0, "not_observed", about="memory does not grow", why=why)
    assert thresholds(short)[3:] == [f"  m slope<20: {why}"]
    unseen = ThresholdResult("n", "value<20", None, 0, "not_observed")
    assert thresholds(short, unseen)[4:] == [
        f"  m slope<20: {why}",
        "  not observed: nothing in this run could show it (fails with --strict)",
    ]


def test_an_open_end_of_an_interval_is_shown_as_open() -> None:
    few = ThresholdResult("t", "p(95)<50", 9.0, 9, "pass", (7.0, math.inf), False, kind="trend", unit="ms")
    assert ">= 7.00 ms" in thresholds(few)[2]
    assert "≥ 7.00 ms" in "\n".join(thresholds(few, medium=Medium(True, 140)))
    one = ThresholdResult("t", "p(95)<50", 9.0, 1, "pass", (-math.inf, math.inf), False, kind="trend", unit="ms")
    assert " open " in thresholds(one)[2]


def test_windows_of_one_length_share_the_title_and_others_name_theirs() -> None:
    def result(seconds: float) -> ThresholdResult:
        return ThresholdResult("join_latency", "p(95)<50", 9.0, 9, "pass", worst_window=WorstWindow(seconds, 83, 19))

    same, mixed = thresholds(result(30.0), result(32.0)), thresholds(result(30), result(10))
    assert "worst 30 s" in same[1]
    assert "19.0 ms at 1:23" in same[2]
    assert "worst window" in mixed[1]
    assert "19.0 ms in 10 s at 1:23" in mixed[3]


@pytest.mark.parametrize(
    ("metric", "expression", "metrics", "unit"),
    [
        pytest.param("t", "p(95)<3", {"t": {"kind": "trend", "unit": "ms"}}, "ms", id="a trend has its metric's unit"),
        pytest.param("t{a:b}", "max<3", {"t": {"kind": "trend", "unit": "ms"}}, "ms", id="a tagged one its parent's"),
        pytest.param("r", "rate>0.9", {"r": {"kind": "rate"}}, "%", id="a rate is a percentage"),
        pytest.param("c", "rate>5", {"c": {"kind": "counter"}}, "/s", id="the rate of a counter is per second"),
        pytest.param("c", "rate>5", {"c": {"kind": "counter", "unit": "msg"}}, "msg/s", id="also with a unit"),
        pytest.param("c", "count==0", {"c": {"kind": "counter"}}, "", id="a count is bare"),
        pytest.param("g", "value<500", {"g": {"kind": "gauge", "unit": "MB"}}, "MB", id="a gauge has its unit"),
        pytest.param("x", "p(99)<3", {}, "ms", id="an unknown metric with a percentile is a time"),
        pytest.param("x", "count<3", {}, "", id="an unknown metric's count is bare"),
    ],
)
def test_the_unit_of_a_threshold(metric: str, expression: str, metrics: dict[str, Any], unit: str) -> None:
    result = ThresholdResult(metric, expression, 1.0, 1, "pass")
    assert judged.unit_of(result, replace(GREEN, metrics=metrics)) == unit


def test_the_result_knows_its_own_kind_and_unit_best() -> None:
    result = ThresholdResult("x", "value<3", 1.0, 1, "pass", kind="gauge", unit="MB")
    assert judged.unit_of(result, GREEN) == "MB"
    assert judged.unit_of(replace(result, kind="rate", unit=""), GREEN) == "%"


def test_a_threshold_judged_by_its_worst_window_says_so() -> None:
    result = ThresholdResult("join_latency", "p(95)<50", 9.0, 900, "pass", kind="trend", unit="ms", window_s=30.0)
    assert "p(95)<50 in worst 30 s  9.00 ms" in thresholds(result)[2]


def test_no_thresholds_is_said_after_a_run_and_not_before_one() -> None:
    assert thresholds() == ["Thresholds  none declared"]
    assert thresholds(duration_s=0.0) == []


def test_an_audit_shows_both_sides_and_its_detail() -> None:
    audits = (
        AuditResult("bookings", "fail", 1_200, 1_199, 3, "lost: b-17"),
        AuditResult("fan-out", "not_observed", None, None),
    )
    assert paint(judged.audits(replace(GREEN, audits=audits), LOG), LOG).splitlines() == [
        "Data-integrity checks  0 of 2 hold, 1 failed, 1 not observed",
        "  status        check     acknowledged  stored  unanswered",
        "  FAIL          bookings         1,200   1,199           3  lost: b-17",
        "  not observed  fan-out              -       -           0",
    ]
    assert judged.audits(replace(GREEN, audits=()), LOG) == []


def test_no_rounding_moves_an_interval_or_an_audit_across_its_limit() -> None:
    result = ThresholdResult("a", "p(95)<500", 499.9, 9, "pass", (499.6, 499.97), kind="trend", unit="ms")
    assert "499.9 ms  499.6 .. 499.97 ms" in thresholds(result)[2]
    audits = (AuditResult("paid", "fail", 1_000, 999.996),)
    assert "1,000  999.996" in paint(judged.audits(replace(GREEN, audits=audits), LOG), LOG)
