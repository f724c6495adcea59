from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import pytest

from pika_locust.errors import ExitCode
from pika_locust.judge.audit import balance
from pika_locust.judge.report import (
    GeneratorReport,
    Grade,
    LoadReport,
    Reason,
    ThresholdResult,
    WorkerReport,
    WorstWindow,
)
from pika_locust.judge.verdict import decide, describe

IN_TIME = GeneratorReport({"p(95)": 1.0, "p(99)": 2.0}, cpu_percent_max=40.0)


def latency(**changes: Any) -> ThresholdResult:
    fields: dict[str, Any] = {
        "metric": "ws_message_latency",
        "expression": "p(95)<500",
        "value": 120.0,
        "samples": 12_345,
        "status": "pass",
        "interval": (118.0, 122.0),
        "kind": "trend",
        "unit": "ms",
    }
    return ThresholdResult(**(fields | changes))


FAILED = latency(value=914.3, status="fail", interval=(900.0, 930.0))
NO_DATA = latency(value=None, samples=0, status="no_data", interval=None)

# what each reason code takes to arise, and what it ends with alone; the most decisive first
TROUBLE: dict[str, tuple[dict[str, Any], ExitCode, str]] = {
    "config": ({"run_reasons": [Reason("config", "API_URL", "not a URL")]}, ExitCode.CONFIG, "invalid"),
    "internal": ({"run_reasons": [Reason("internal", "judge", "KeyError")]}, ExitCode.INTERNAL, "invalid"),
    "stopped": ({"run_reasons": [Reason("stopped", "SIGINT", "stopped by SIGINT")]}, ExitCode.STOPPED, "fail"),
    "setup": ({"run_reasons": [Reason("setup", "seed", "seeding failed")]}, ExitCode.SETUP, "fail"),
    "audit": ({"audits": [balance("tokens", 10, 9, 0)]}, ExitCode.FAILED, "fail"),
    "incomplete": ({"load": LoadReport(complete=False)}, ExitCode.FAILED, "fail"),
    "generator": ({"generator": GeneratorReport({"p(95)": 80.0, "p(99)": 90.0})}, ExitCode.GENERATOR, "invalid"),
    "threshold": ({"thresholds": [FAILED]}, ExitCode.FAILED, "fail"),
    "no_data": ({"thresholds": [NO_DATA]}, ExitCode.FAILED, "fail"),
}


def together(*codes: str) -> dict[str, Any]:
    """The arguments of `decide` under which all these reasons arise."""
    arguments: dict[str, Any] = {"generator": IN_TIME}
    # in reverse, so that no order but the precedence can bring them right
    for code in reversed(codes):
        for name, value in TROUBLE[code][0].items():
            arguments[name] = [*arguments.get(name, []), *value] if isinstance(value, list) else value
    return arguments


def test_a_run_without_trouble_passes() -> None:
    decision = decide(
        thresholds=[latency()],
        audits=[balance("tokens", 10, 10, 0)],
        load=LoadReport(iterations=5),
        workers=[WorkerReport("a", 0, True)],
        generator=IN_TIME,
        strict=True,
        fail_on="warning",
    )

    assert (decision.verdict, decision.exit_code, decision.reasons, decision.notes) == ("pass", ExitCode.PASS, (), ())


@pytest.mark.parametrize("code", TROUBLE)
def test_each_reason_alone(code: str) -> None:
    _, exit_code, verdict = TROUBLE[code]
    decision = decide(**together(code))

    assert (decision.verdict, decision.exit_code) == (verdict, exit_code)
    assert [reason.code for reason in decision.reasons] == [code]


@pytest.mark.parametrize(("first", "second"), list(combinations(TROUBLE, 2)))
def test_of_two_reasons_the_more_decisive_one_decides_and_both_are_listed(first: str, second: str) -> None:
    decision = decide(**together(first, second))

    assert [reason.code for reason in decision.reasons] == [first, second]
    assert (decision.exit_code, decision.verdict) == TROUBLE[first][1:]


def test_all_at_once_are_listed_in_order() -> None:
    decision = decide(**together(*TROUBLE))

    assert [reason.code for reason in decision.reasons] == list(TROUBLE)
    assert (decision.exit_code, decision.verdict) == (ExitCode.CONFIG, "invalid")


def test_the_exit_codes_are_k6s_numbers() -> None:
    numbers = {code: int(decide(**together(code)).exit_code) for code in TROUBLE}

    assert numbers == {
        "config": 104,
        "internal": 107,
        "stopped": 105,
        "setup": 100,
        "audit": 99,
        "incomplete": 99,
        "generator": 110,
        "threshold": 99,
        "no_data": 99,
    }
    assert int(decide(thresholds=[latency()], generator=IN_TIME).exit_code) == 0


def test_several_of_one_kind_keep_their_order() -> None:
    decision = decide(
        thresholds=[latency(metric=name, value=None, status="no_data") for name in "abc"], generator=IN_TIME
    )

    assert [reason.subject for reason in decision.reasons] == ["a", "b", "c"]


WORST = WorstWindow(30.0, 30.0, 950.2)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        pytest.param(
            latency(value=914.3, status="fail", worst_window=WORST),
            "ws_message_latency p(95) was 914 ms, limit <500 ms (12,345 samples; worst 30 s from 0:30 was 950 ms)",
            id="a percentile with its worst window",
        ),
        pytest.param(FAILED, "ws_message_latency p(95) was 914 ms, limit <500 ms (12,345 samples)", id="a percentile"),
        pytest.param(
            latency(value=500.04, status="fail"),
            "ws_message_latency p(95) was 500.04 ms, limit <500 ms (12,345 samples)",
            id="a near miss shows",
        ),
        pytest.param(
            latency(value=950.2, samples=400, status="fail", worst_window=WORST, window_s=30.0),
            "ws_message_latency p(95) was 950 ms in the worst 30 s, from 0:30, limit <500 ms (400 samples)",
            id="a threshold on the worst window",
        ),
        pytest.param(
            latency(metric="checks", expression="rate > 0.99", value=0.98312, samples=4_000, kind="rate", unit=""),
            "checks rate was 0.983, limit >0.99 (4,000 samples)",
            id="a share",
        ),
        pytest.param(
            latency(metric="errors", expression="count==0", value=12, samples=12, kind="counter", unit=""),
            "errors count was 12, limit ==0",
            id="a count needs no number of samples",
        ),
        pytest.param(
            latency(metric="errors", expression="rate<0.5", value=1.25, samples=12, kind="counter", unit=""),
            "errors rate was 1.25 per second, limit <0.5 per second",
            id="a rate per second",
        ),
        pytest.param(
            latency(metric="memory", expression="value<512", value=600, samples=9, kind="gauge", unit="MB"),
            "memory value was 600 MB, limit <512 MB",
            id="a level",
        ),
        pytest.param(
            NO_DATA, "ws_message_latency p(95) had no samples (limit <500 ms): nothing was measured", id="no samples"
        ),
        pytest.param(
            latency(metric="errors{status:500}", value=None, samples=0, status="no_data", expression="count==0"),
            "errors{status:500} count had no samples (limit ==0 ms): nothing was measured with these tags",
            id="no samples with these tags",
        ),
        pytest.param(
            latency(metric="latency{name:/x}", status="no_data", overflowed=1_200),
            "latency{name:/x} p(95) was 120 ms, limit <500 ms (12,345 samples; 1,200 more may belong to it: there were "
            "too many series to keep their tags)",
            id="samples that may belong to it",
        ),
        pytest.param(
            latency(metric="latency{name:/x}", value=None, samples=0, status="no_data", overflowed=1_200),
            "latency{name:/x} p(95) had no samples (limit <500 ms): nothing was measured with these tags, but 1,200 "
            "samples may belong to it: there were too many series to keep their tags",
            id="none but samples that may belong to it",
        ),
        pytest.param(
            latency(value=None, samples=0, status="not_observed"),
            "ws_message_latency p(95) was not observed (limit <500 ms): nothing in this run could show it",
            id="not observed",
        ),
    ],
)
def test_a_threshold_in_words(result: ThresholdResult, text: str) -> None:
    assert describe(result) == text


def test_a_failure_that_is_not_conclusive_says_so() -> None:
    result = latency(value=510.0, samples=300, status="fail", interval=(480.2, 545.7), conclusive=False)

    assert decide(thresholds=[result], generator=IN_TIME).reasons[0].text == (
        "ws_message_latency p(95) was 510 ms, limit <500 ms (300 samples); "
        "inconclusive: its 95 % interval, 480 to 546 ms on 300 samples, holds the limit"
    )


def test_a_failure_says_what_the_failed_samples_were_and_the_rare_ones_together() -> None:
    failures = {"answered 500": 70, "taken": 9, "not answered": 2, "answered 429": 1, "answered 502": 1}
    result = ThresholdResult("refused", "rate==1", 0.0, 83, "fail", kind="rate", failures=failures)
    (reason,) = decide(thresholds=[result]).reasons
    assert reason.text.endswith("(83 samples): 70 answered 500, 9 taken, 2 not answered, 2 others")


def test_an_interval_that_holds_the_limit_shows_that_it_does() -> None:
    result = latency(value=499.95, samples=100, interval=(499.9, 500.2), conclusive=False)

    assert (
        decide(thresholds=[result], generator=IN_TIME, strict=True)
        .reasons[0]
        .text.endswith("its 95 % interval, 499.9 to 500.2 ms on 100 samples, holds the limit")
    )


@pytest.mark.parametrize(
    ("result", "code", "words"),
    [
        pytest.param(latency(conclusive=False, interval=(90.0, 600.0)), "threshold", "inconclusive", id="inconclusive"),
        pytest.param(
            latency(conclusive=False, interval=None), "threshold", "lies within", id="inconclusive, no interval"
        ),
        pytest.param(
            latency(conclusive=False, samples=20, interval=(90.0, math.inf)),
            "threshold",
            "its 95 % interval is at least 90 ms: 20 samples are too few for a bound above",
            id="open above",
        ),
        pytest.param(
            latency(conclusive=False, samples=20, interval=(-math.inf, 90.0)),
            "threshold",
            "its 95 % interval is at most 90 ms: 20 samples are too few for a bound below",
            id="open below",
        ),
        pytest.param(
            latency(conclusive=False, samples=1, interval=(-math.inf, math.inf)),
            "threshold",
            "1 sample cannot bound its value",
            id="open on both sides",
        ),
        pytest.param(
            latency(value=None, samples=0, status="not_observed"), "no_data", "was not observed", id="not observed"
        ),
    ],
)
def test_only_a_strict_run_fails_on_doubt(result: ThresholdResult, code: str, words: str) -> None:
    lenient = decide(thresholds=[result], generator=IN_TIME)
    strict = decide(thresholds=[result], generator=IN_TIME, strict=True)

    assert (lenient.verdict, lenient.reasons) == ("pass", ())
    assert (strict.verdict, strict.exit_code) == ("fail", ExitCode.FAILED)
    assert [reason.code for reason in strict.reasons] == [code]
    assert words in strict.reasons[0].text


def test_only_a_strict_run_fails_on_an_audit_that_could_not_be_made() -> None:
    audit = balance("tokens", 10, None, 0)

    assert decide(audits=[audit], generator=IN_TIME).verdict == "pass"
    strict = decide(audits=[audit], generator=IN_TIME, strict=True)
    assert (strict.verdict, strict.reasons[0].code, strict.reasons[0].subject) == ("fail", "no_data", "tokens")
    assert strict.reasons[0].text == (
        "data-integrity check 'tokens' could not be made: the target does not show it; a strict run fails on it"
    )


@pytest.mark.parametrize(
    ("grade", "fail_on", "verdict"),
    [
        pytest.param("critical", None, "pass", id="grades decide nothing by themselves"),
        pytest.param("warning", "critical", "pass", id="a warning is not critical"),
        pytest.param("critical", "critical", "fail", id="critical is"),
        pytest.param("warning", "warning", "fail", id="a warning is one"),
        pytest.param("critical", "warning", "fail", id="critical is worse than a warning"),
        pytest.param("healthy", "warning", "pass", id="healthy is neither"),
        pytest.param(None, "warning", "pass", id="no grade is none"),
    ],
)
def test_grades_decide_when_asked_to(grade: Grade | None, fail_on: Grade | None, verdict: str) -> None:
    decision = decide(thresholds=[latency(grade=grade)], generator=IN_TIME, fail_on=fail_on)

    assert decision.verdict == verdict
    if verdict == "fail":
        assert decision.reasons[0].code == "threshold"
        assert decision.reasons[0].text.endswith(f"holds, but its grade is {grade}")


def test_a_failed_threshold_needs_no_second_reason_for_its_grade() -> None:
    decision = decide(
        thresholds=[latency(value=914, status="fail", grade="critical")], generator=IN_TIME, fail_on="warning"
    )

    assert len(decision.reasons) == 1


def test_a_failed_audit_in_words() -> None:
    texts = [
        decide(audits=[audit], generator=IN_TIME).reasons[0].text
        for audit in (balance("tokens", 10, 9, 0), balance("tokens", 1_000, 1_004, 3, "from /state"))
    ]

    assert texts == [
        "data-integrity check 'tokens' failed: 10 expected, 9 found: 1 of 10 acknowledged are not stored",
        (
            "data-integrity check 'tokens' failed: 1,000 to 1,003 expected, 1,004 found: "
            "1,004 stored, 1 more than 1,000 acknowledged and 3 unanswered account for; from /state"
        ),
    ]


@pytest.mark.parametrize(
    ("load", "workers", "texts"),
    [
        pytest.param(LoadReport(), [WorkerReport("a", 0, True)], [], id="all there"),
        pytest.param(
            LoadReport(complete=False, workers=2, workers_lost=1),
            [WorkerReport("a", 0, True), WorkerReport("b", 1, False, lost_at_s=41.0)],
            ["worker 1 on b never delivered its final figures (lost at 0:41)"],
            id="a worker was lost",
        ),
        pytest.param(
            LoadReport(),
            [WorkerReport("a", 0, False), WorkerReport("b", 1, False)],
            ["worker 0 on a never delivered its final figures", "worker 1 on b never delivered its final figures"],
            id="two workers kept their last figures",
        ),
        pytest.param(
            LoadReport(workers=3, workers_lost=2),
            [],
            ["2 of 3 workers were lost, with the load they should have applied"],
            id="workers were lost that nobody reports",
        ),
        pytest.param(
            LoadReport(complete=False), [], ["a part of the run's figures is missing"], id="something is missing"
        ),
    ],
)
def test_what_is_missing_fails(load: LoadReport, workers: list[WorkerReport], texts: list[str]) -> None:
    decision = decide(thresholds=[latency()], load=load, workers=workers, generator=IN_TIME)

    assert [reason.text for reason in decision.reasons] == texts
    assert {reason.code for reason in decision.reasons} == ({"incomplete"} if texts else set())
    assert decision.exit_code == (ExitCode.FAILED if texts else ExitCode.PASS)


def test_a_busy_closed_loop_passes_with_a_note() -> None:
    busy = GeneratorReport({"p(95)": 1.0, "p(99)": 2.0}, cpu_percent_max=99.0)

    assert decide(thresholds=[latency()], generator=busy, paced=True).verdict == "invalid"
    closed = decide(thresholds=[latency()], generator=busy, paced=False)
    assert closed.verdict == "pass"
    assert len(closed.notes) == 1


def test_a_run_that_judged_nothing_says_so() -> None:
    decision = decide()

    assert decision.verdict == "pass"
    assert decision.notes == ("nothing was judged: there were neither thresholds nor audits",)
