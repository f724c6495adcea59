"""From what the workers reported to the frozen Report."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import pika_locust
from pika_locust.errors import ExitCode
from pika_locust.judge import (
    AuditResult,
    CheckResult,
    ErrorCount,
    GeneratorReport,
    Grade,
    LoadReport,
    Observed,
    Reason,
    Report,
    ThresholdEvaluator,
    WorkerReport,
    decide,
    resolving_power,
)
from pika_locust.judge.verdict import INVALID
from pika_locust.load.plan import LoadPlan
from pika_locust.measure import (
    GaugeValue,
    Histogram,
    RateValue,
    Snapshot,
    distributions,
    results,
)
from pika_locust.runtime.collector import Collector
from pika_locust.runtime.crossing import clock_notes
from pika_locust.runtime.options import all_metrics
from pika_locust.scenario import Scenario

LAG = "generator_lag_ms"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What identifies a run, known before it ends."""

    run_id: str
    seed: int | None
    command: str
    settings: Mapping[str, str]
    target: str
    sandbox: bool
    started_at: str


def make_report(
    *,
    scenario: Scenario,
    facts: RunFacts,
    plan: LoadPlan,
    panel: ThresholdEvaluator,
    collector: Collector,
    snapshot: Snapshot,
    peak: int,
    audits: Sequence[AuditResult],
    run_reasons: Sequence[Reason],
    notes: Sequence[str],
    observed: Sequence[Observed],
    duration_s: float,
    strict: bool,
    fail_on: Grade | None,
) -> Report:
    """Judge everything that was measured."""
    workers = tuple(
        WorkerReport(
            host=record.host or record.worker,
            index=record.index,
            final=record.final,
            lag_ms=_lag_ms(record.snapshot),
            cpu_percent_max=record.cpu_percent_max,
            rss_mb_max=record.rss_mb_max,
            lost_at_s=None if record.final else record.lost_at_s,
        )
        for record in collector.records()
    )
    missing = collector.missing
    load = LoadReport(
        users_peak=peak,
        iterations=None if scenario.is_locustfile else snapshot.counted("iterations"),
        dropped_iterations=snapshot.counted("dropped_iterations"),
        workers=len(workers),
        workers_lost=len(missing),
        complete=not missing,
        profile=plan.name,
        planned_s=plan.duration_s,
        stages=tuple({"duration_s": stage.duration_s, "target": stage.target} for stage in plan.stages),
    )
    generator = GeneratorReport(
        lag_ms=_lag_ms(snapshot),
        cpu_percent_max=_highest(worker.cpu_percent_max for worker in workers),
        rss_mb_max=_highest(worker.rss_mb_max for worker in workers),
    )
    thresholds = panel.results(snapshot, duration_s)
    decision = decide(
        thresholds=thresholds,
        audits=audits,
        load=load,
        workers=workers,
        generator=generator,
        run_reasons=[
            *run_reasons,
            *(Reason("internal", "exception", error) for error in dict.fromkeys(collector.internal_errors())),
        ],
        strict=strict,
        fail_on=fail_on,
        paced=scenario.thinks,
    )
    return Report(
        run_id=facts.run_id,
        scenario=scenario.name,
        verdict=decision.verdict,
        exit_code=int(decision.exit_code),
        reasons=decision.reasons,
        seed=facts.seed,
        command=facts.command,
        settings=facts.settings,
        versions=versions(),
        target=facts.target,
        sandbox=facts.sandbox,
        started_at=facts.started_at,
        duration_s=duration_s,
        load=load,
        thresholds=thresholds,
        metrics=_declared(results(snapshot, duration_s), scenario),
        distributions=_declared(distributions(snapshot), scenario),
        checks=_checks(snapshot),
        audits=tuple(audits),
        workers=workers,
        errors=tuple(ErrorCount(name, error, count) for name, error, count in collector.errors()),
        generator=generator,
        observed=tuple(observed),
        resolving_power=tuple(resolving_power(thresholds, audits)) if decision.verdict == "pass" else (),
        notes=(*notes, *decision.notes, *clock_notes(snapshot), *_series_note(snapshot)),
    )


def empty_report(scenario: Scenario, command: str, reasons: Sequence[Reason], code: ExitCode) -> Report:
    """The report of a test that never began."""
    return Report(
        run_id="",
        scenario=scenario.name,
        verdict="invalid" if code in INVALID else "fail",
        exit_code=int(code),
        reasons=tuple(reasons),
        seed=None,
        command=command,
        versions=versions(),
        target="",
        sandbox=False,
        started_at="",
        duration_s=0.0,
        load=LoadReport(complete=False, workers=0),
    )


def unwritten(report: Report, problem: str) -> Report:
    """The same when its summary could not be written, as `problem` says: a run whose results are lost is no pass."""
    reasons = (*report.reasons, Reason("internal", "summary", problem))
    if report.exit_code:
        return replace(report, reasons=reasons)
    return replace(report, verdict="invalid", exit_code=int(ExitCode.INTERNAL), reasons=reasons, resolving_power=())


def _declared(figures: Mapping[str, Any], scenario: Scenario) -> dict[str, Any]:
    """Without what every process has a place for, but this scenario does not measure."""
    names = {metric.name for metric in all_metrics(scenario)}
    return {series: figure for series, figure in figures.items() if series.partition("{")[0] in names}


def versions() -> dict[str, str]:
    """What made the report."""
    return {
        "pika_locust": pika_locust.__version__,
        "locust": version("locust"),
        "python": platform.python_version(),
    }


def _lag_ms(snapshot: Snapshot | None) -> Mapping[str, float | None]:
    lag = snapshot.select(LAG) if snapshot is not None else None
    if not isinstance(lag, Histogram) or not lag.samples:
        return {}
    quantiles = {"med": 0.5, "p(95)": 0.95, "p(99)": 0.99, "max": 1.0}
    return {name: lag.quantile(q) / 1000 for name, q in quantiles.items()}


def _highest(values: Any) -> float | None:
    return max((value for value in values if value is not None), default=None)


def users_peak(snapshot: Snapshot) -> int:
    """The most primary users at any instant, if none was started anew elsewhere."""
    users = snapshot.select("vus")
    return int(users.max or 0) if isinstance(users, GaugeValue) else 0


def _checks(snapshot: Snapshot) -> tuple[CheckResult, ...]:
    found = []
    for (name, tags), value in snapshot.series.items():
        check = dict(tags).get("check")
        if name == "checks" and check is not None and isinstance(value, RateValue):
            found.append(CheckResult(check, value.passes, value.fails))
    return tuple(sorted(found, key=lambda check: check.name))


def _series_note(snapshot: Snapshot) -> tuple[str, ...]:
    if not snapshot.series_refused:
        return ()
    return (f"{snapshot.series_refused:,} tagged series were refused beyond the limit and counted as series:other",)
