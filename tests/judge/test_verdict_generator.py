from __future__ import annotations

import pytest

from pika_locust.judge.report import GeneratorReport, Status, ThresholdResult, WorkerReport
from pika_locust.judge.verdict import OWN_TIMES, UNSPOILT, assess, lag_limit_ms
from pika_locust.metrics.builtin import BASE_METRICS, HTTP_METRICS


def latency(
    expression: str, *, metric: str = "latency", status: Status = "pass", kind: str = "trend", unit: str = "ms"
) -> ThresholdResult:
    return ThresholdResult(metric, expression, 1.0, 100, status, kind=kind, unit=unit)


@pytest.mark.parametrize(
    ("thresholds", "limit_ms"),
    [
        pytest.param([], 50, id="no latency threshold: 50 ms"),
        pytest.param([latency("p(95)<100")], 25, id="a quarter of the limit"),
        pytest.param([latency("p(95)<=100")], 25, id="a limit that may be touched"),
        pytest.param([latency("p(95)<500"), latency("avg<80"), latency("max<900")], 20, id="the tightest counts"),
        pytest.param([latency("p(95)<3000")], 50, id="50 ms at the most"),
        pytest.param([latency("p(95)<20")], 10, id="10 ms at the least"),
        pytest.param([latency("p(95)>100")], 50, id="a floor is no latency limit"),
        pytest.param([latency("count<100", kind="counter", unit="")], 50, id="nor is a count"),
        pytest.param([latency("p(95)<100", unit="bytes")], 50, id="nor is a size"),
        pytest.param([latency("p(95)<100", status="not_observed")], 50, id="nor what the target cannot show"),
        pytest.param([latency("p(95)<100", status="fail")], 25, id="a failed one is, all the same"),
        pytest.param(
            [latency("p(95)<40", metric="generator_lag_ms")], 50, id="nor what the generator is allowed itself"
        ),
        pytest.param([latency("max<20", metric="arrival_lateness{a:b}")], 50, id="however it is measured"),
        pytest.param(
            [latency("p(95)<10", metric="http_req_sending"), latency("p(95)<120")], 30, id="writing a request"
        ),
    ],
)
def test_how_late_a_generator_may_be(thresholds: list[ThresholdResult], limit_ms: float) -> None:
    assert lag_limit_ms(thresholds) == limit_ms


def test_the_generators_own_times_are_called_what_it_calls_them() -> None:
    assert {metric.name for metric in BASE_METRICS} >= OWN_TIMES
    assert {metric.name for metric in HTTP_METRICS} >= UNSPOILT - OWN_TIMES


@pytest.mark.parametrize(
    ("p95", "p99", "subjects"),
    [
        pytest.param(25.0, 250.0, [], id="at both limits"),
        pytest.param(25.1, 250.0, ["lag p(95)"], id="p(95) beyond a quarter of the tightest limit"),
        pytest.param(25.0, 250.1, ["lag p(99)"], id="p(99) beyond 250 ms"),
        pytest.param(90.0, 900.0, ["lag p(95)", "lag p(99)"], id="both"),
        pytest.param(None, 300.0, ["lag p(99)"], id="one was measured"),
    ],
)
def test_a_late_generator_is_a_reason(p95: float | None, p99: float | None, subjects: list[str]) -> None:
    report = GeneratorReport({"p(95)": p95, "p(99)": p99})
    reasons, notes = assess(report, [], [latency("p(95)<100")], paced=True)

    assert [reason.subject for reason in reasons] == subjects
    assert {reason.code for reason in reasons} <= {"generator"}
    assert notes == []


def test_the_reason_says_which_limit_and_why() -> None:
    reasons, _ = assess(GeneratorReport({"p(95)": 25.04, "p(99)": 30.0}), [], [latency("p(95)<100")], paced=True)

    assert reasons[0].text == (
        "load generator overload: it ran late, lag p(95) was 25.04 ms, limit 25 ms "
        "(a quarter of the tightest latency limit, at least 10, at most 50 ms: latency p(95)<100)"
    )
    without, _ = assess(GeneratorReport({"p(95)": 80.0}), [], [], paced=True)
    assert without[0].text == "load generator overload: it ran late, lag p(95) was 80 ms, limit 50 ms"


@pytest.mark.parametrize(
    ("generator_percent", "worker_percent", "paced", "reasons", "notes"),
    [
        pytest.param(95.0, 20.0, True, 0, 0, id="at the limit"),
        pytest.param(99.0, 20.0, True, 1, 0, id="busy while users think: late by necessity"),
        pytest.param(99.0, 20.0, False, 0, 1, id="busy in a closed loop: a note"),
        pytest.param(20.0, 99.0, True, 1, 0, id="one busy worker is enough"),
        pytest.param(None, 99.0, False, 0, 1, id="one busy worker in a closed loop"),
        pytest.param(None, None, True, 0, 0, id="not measured"),
    ],
)
def test_a_busy_processor(
    generator_percent: float | None, worker_percent: float | None, paced: bool, reasons: int, notes: int
) -> None:
    report = GeneratorReport({"p(95)": 1.0, "p(99)": 2.0}, cpu_percent_max=generator_percent)
    workers = [WorkerReport("a", 0, True, cpu_percent_max=worker_percent), WorkerReport("b", 1, True)]

    got_reasons, got_notes = assess(report, workers, [], paced=paced)

    assert (len(got_reasons), len(got_notes)) == (reasons, notes)
    for text in [*(reason.text for reason in got_reasons), *got_notes]:
        assert "99 % over 10 s, limit 95 %" in text


def test_a_lag_that_nobody_measured_is_noted() -> None:
    assert assess(GeneratorReport(), [], [latency("p(95)<100")], paced=True) == (
        [],
        ["the load generator's lag was not measured, so nobody knows whether it kept up"],
    )
    assert assess(GeneratorReport(), [], [], paced=True) == ([], [])
