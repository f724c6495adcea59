"""Reports that several tests render."""

from __future__ import annotations

from dataclasses import replace

from pika_locust.judge.report import (
    AuditResult,
    CheckResult,
    ErrorCount,
    GeneratorReport,
    LoadReport,
    Reason,
    Report,
    ThresholdResult,
    WorkerReport,
    WorstWindow,
)

GREEN = Report(
    run_id="q-7",
    scenario="queue-concurrency",
    verdict="pass",
    exit_code=0,
    reasons=(),
    seed=7,
    command="locust -f locustfiles/queue.py --seed 7",
    settings={"HOLD": "1m", "QUEUE_REGION": "west coast"},
    versions={"pika_locust": "0.1.0", "locust": "2.47.0"},
    target="http://127.0.0.1:8711",
    sandbox=True,
    started_at="2026-05-01T20:00:00Z",
    duration_s=61.2,
    load=LoadReport(users_peak=10_000, iterations=48_211, workers=2, profile="standard", planned_s=60.0),
    thresholds=(
        ThresholdResult(
            "queue_join_latency", "p(95)<3000", 12.34, 48_211, "pass", (11.0, 14.9), True, WorstWindow(30, 41, 19.0),
            "healthy",
        ),
        ThresholdResult(
            "checks", "rate>0.999", 0.99997, 1_234_567, "pass", (0.99991, 0.99999), True, WorstWindow(30, 0, 0.9999)
        ),
        ThresholdResult("server_memory", "value<500", None, 0, "not_observed", about="the target has no /metrics"),
    ),
    metrics={
        "queue_join_latency": {
            "kind": "trend", "unit": "ms", "count": 48_211, "avg": 4.061, "min": 0.912, "med": 3.5, "max": 88.0,
            "p(90)": 9.99, "p(95)": 12.34, "p(99)": 31.7,
        },
        "checks": {"kind": "rate", "count": 1_234_567, "rate": 0.99997, "passes": 1_234_530, "fails": 37},
    },
    distributions={"queue_join_latency": {"scheme": "log-linear-512", "unit": "us", "buckets": {1100: 2, 900: 1}}},
    checks=(CheckResult("queue join ok", 48_211, 0),),
    audits=(AuditResult("tokens conserved", "pass", 48_211, 48_211),),
    workers=(WorkerReport("web-1", 0, True, {"p(95)": 3.2}, 71.0, 105.2), WorkerReport("web-1", 1, True)),
    generator=GeneratorReport({"p(95)": 3.2, "p(99)": 8.1}, 71, 210.4),
    resolving_power=("Losing 4 of 48,211 joins would have failed the run.",),
)  # fmt: skip

RED = replace(
    GREEN,
    run_id="q-8",
    verdict="fail",
    exit_code=99,
    reasons=(
        Reason("audit", "tokens conserved", "3 acknowledged bookings are not stored by the target"),
        Reason("threshold", "queue_join_latency", "queue_join_latency p(95) was 3,000.4 ms, limit <3,000 ms"),
        Reason("no_data", "match_latency", "match_latency med had no samples (limit <100 ms): nothing was measured"),
    ),
    duration_s=31.2,
    load=LoadReport(10_000, 48_211, 12, 2, 1, False, "standard", 60.0),
    thresholds=(
        ThresholdResult(
            "queue_join_latency", "p(95)<3000", 3000.4, 48_211, "fail", (2980.0, 3014.9), False,
            WorstWindow(30, 41, 4119.0, 9_000, (3990.0, 4200.0)), "critical", kind="trend", unit="ms",
        ),
        ThresholdResult("checks", "rate>0.99", 0.9901, 4_567, "pass", (0.985, 0.9931), False, WorstWindow(30, 0, 0.98)),
        ThresholdResult("match_latency", "med<100", None, 0, "no_data"),
    ),
    checks=(CheckResult("queue join ok", 48_211, 3), CheckResult("queue leave ok", 4, 0)),
    audits=(AuditResult("tokens conserved", "fail", 48_211, 48_208, 2, "lost: b-17, b-21, b-40"),),
    errors=(
        ErrorCount("queue_join", "429 Too Many\nRequests", 3),
        ErrorCount("queue_leave", "ConnectionRefusedError: [Errno 111]", 12_345),
    ),
    workers=(WorkerReport("web-1", 0, True), WorkerReport("web-2", 1, False, lost_at_s=22.0)),
    resolving_power=(),
    notes=("Clocks of two machines are compared after an estimated offset of 0.4 ms.",),
)  # fmt: skip

BEFORE_START = Report(
    run_id="q-9",
    scenario="queue-concurrency",
    verdict="invalid",
    exit_code=104,
    reasons=(Reason("config", "RAMP_UP", "RAMP_UP=soon is not a duration; write 90s, 10m or 1h30m"),),
    seed=None,
    command="locust -f locustfiles/queue.py",
    versions={},
    target="",
    sandbox=False,
    started_at="",
    duration_s=0.0,
    load=LoadReport(complete=False, workers=0),
)
