"""`Run`: the state of one test in the master (or local) process, from its first user to its `Report`."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import gevent
from gevent.event import Event

from pika_locust.errors import ExitCode, UnreadableError
from pika_locust.judge import (
    AuditResult,
    CheckResult,
    Decision,
    ErrorCount,
    GeneratorReport,
    LoadReport,
    Reason,
    Report,
    ThresholdEvaluator,
    ThresholdResult,
    TracedRequest,
    WorkerReport,
    allowing_for_lost_workers,
    decide,
    resolving_power,
    unreadable,
)
from pika_locust.judge.evaluate import slow_failures
from pika_locust.judge.report import Outcome
from pika_locust.judge.unreachable import nothing_answered
from pika_locust.judge.verdict import INVALID, is_pending
from pika_locust.metrics import GaugeValue, Histogram, Metric, RateValue, Registry, Snapshot, distributions, results
from pika_locust.metrics.builtin import BASE_METRICS
from pika_locust.metrics.snapshot import fold
from pika_locust.outputs import redact
from pika_locust.runtime.clock_sync import clock_notes
from pika_locust.runtime.collector import Collector, WorkerRecord
from pika_locust.runtime.monitors import PrometheusMonitor, TargetMonitor
from pika_locust.runtime.observations import Observations
from pika_locust.runtime.options import RunOptions, all_metrics
from pika_locust.runtime.outputs import RunOutputs
from pika_locust.runtime.timeline import RunTimeline
from pika_locust.runtime.workers import ArrivalAssignment, IterationGrants
from pika_locust.scenario import AuditContext, PartlyAuditedError, Scenario, SetupResult
from pika_locust.version import __version__

logger = logging.getLogger(__name__)


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


def empty_report(scenario: Scenario, command: str, reasons: Sequence[Reason], code: ExitCode) -> Report:
    """The report of a test that never began."""
    return Report(
        run_id="",
        scenario=scenario.title or scenario.name,
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


def unfinished_report(scenario: Scenario, command: str, facts: RunFacts | None = None) -> Report:
    """What stands in a summary's place until the run has ended: whoever reads it later sees that the run never did, and
    no older pass. `facts` are those of a test that has begun."""
    begun = "the test has begun" if facts is not None else "the run is starting"
    why = f"{begun}, and this was written then: if no process works on it any more, it was killed and nothing is judged"
    report = empty_report(scenario, command, [Reason("unfinished", "run", why)], ExitCode.INTERNAL)
    return report if facts is None else _with_facts(report, facts)


def unjudged_report(scenario: Scenario, command: str, facts: RunFacts, error: BaseException) -> Report:
    """The report of a test that could not be judged, because of an exception."""
    why = f"the run could not be judged: {type(error).__name__}: {error}"
    report = empty_report(scenario, command, [Reason("internal", "report", why)], ExitCode.INTERNAL)
    return _with_facts(report, facts)


def _with_facts(report: Report, facts: RunFacts) -> Report:
    return replace(
        report,
        run_id=facts.run_id,
        seed=facts.seed,
        settings=facts.settings,
        target=facts.target,
        sandbox=facts.sandbox,
        started_at=facts.started_at,
    )


def unwritten(report: Report, subject: str, problem: str) -> Report:
    """The same when its summary, or another file of results, could not be written, as `problem` says: a run whose
    results are lost is no pass."""
    reasons = (*report.reasons, Reason("internal", subject, problem))
    if report.exit_code:
        return replace(report, reasons=reasons)
    return replace(report, verdict="invalid", exit_code=int(ExitCode.INTERNAL), reasons=reasons, resolving_power=())


def failed_by_others(report: Report, code: int, text: str) -> Report:
    """The same when somebody else's verdict, which is in `text`, was an exit code: it counts as well.

    A report that passed gets that code, so that process, report and last line agree.
    """
    reasons = (*report.reasons, Reason("exit_code", "locust", text))
    if report.exit_code:
        return replace(report, reasons=reasons)
    verdict: Outcome = "invalid" if code in INVALID else "fail"
    return replace(report, verdict=verdict, exit_code=code, reasons=reasons, resolving_power=())


def _declared(figures: Mapping[str, Any], metrics: Iterable[Metric]) -> dict[str, Any]:
    """Without what every process has a place for, but this run does not measure."""
    names = {metric.name for metric in metrics}
    return {series: figure for series, figure in figures.items() if series.partition("{")[0] in names}


def versions() -> dict[str, str]:
    """What made the report."""
    return {
        "pika_locust": __version__,
        "locust": version("locust"),
        "python": platform.python_version(),
    }


def _lag_ms(snapshot: Snapshot | None) -> Mapping[str, float | None]:
    lag = snapshot.select(LAG) if snapshot is not None else None
    if not isinstance(lag, Histogram) or not lag.samples:
        return {}
    names = ("med", "p(95)", "p(99)", "max")
    return {name: found / 1000 for name, found in zip(names, lag.quantiles((0.5, 0.95, 0.99, 1.0)), strict=True)}


def _generator_report(snapshot: Snapshot, workers: Sequence[WorkerReport]) -> GeneratorReport:
    return GeneratorReport(
        lag_ms=_lag_ms(snapshot),
        cpu_percent_max=_highest(worker.cpu_percent_max for worker in workers),
        rss_mb_max=_highest(worker.rss_mb_max for worker in workers),
    )


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


def _out_of_sockets(snapshot: Snapshot) -> tuple[Reason, ...]:
    """Why the figures are the load generator's own, where it could not make its connections."""
    errors = int(snapshot.counted("generator_errors"))
    if not errors:
        return ()
    times = "once" if errors == 1 else f"{errors:,} times"
    text = f"the load generator had no file, port or memory left for a connection, {times}: Errors has its words"
    return (Reason("generator", "sockets", text),)


def _series_note(snapshot: Snapshot) -> tuple[str, ...]:
    if not snapshot.series_refused:
        return ()
    return (f"{snapshot.series_refused:,} tagged series were refused beyond the limit and counted as series:other",)


AUDITS_WITHIN_S = 600.0
"""For all audits together. Each look of ours has an end of its own; a locustfile's own audit may wait for anything."""
STARTED_S = 10.0
"""How long a test runs before its load generator is judged, while it runs."""
SETTLING = 3
"""How many reports after Locust was asked for users they must be there, and be reported."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The thresholds as they were judged `at_s` seconds after the start, by all figures until then."""

    at_s: float
    snapshot: Snapshot
    results: tuple[ThresholdResult, ...]


@dataclass(slots=True)
class Run:
    """A test that runs, or is coming to its end; `report` makes a report of what its workers reported."""

    options: RunOptions
    facts: RunFacts
    collector: Collector
    evaluator: ThresholdEvaluator
    target_monitor: TargetMonitor
    began_s: float
    supporters: int
    timeline: RunTimeline
    observations: Observations = field(default_factory=Observations)
    outputs: RunOutputs = field(default_factory=RunOutputs)
    drops_ramp: bool = False
    """Whether what was measured before the ramp-up was over is left out."""
    left_out: Snapshot = field(default_factory=Snapshot)
    """What had been seen of the target before the figures started anew."""
    measured_from_s: float = 0.0
    """When the figures last started anew, in seconds after the start of the test."""
    finished: Event = field(default_factory=Event)
    finishing: bool = False
    """Whether the end has begun: users drain, nothing new is started."""
    judge: Any = None
    """The greenlet that evaluates the thresholds; None until the workers were told to begin."""
    notes: list[str] = field(default_factory=list)
    given: SetupResult = field(default_factory=SetupResult)
    internal_errors: list[str] = field(default_factory=list)
    """Unexpected exceptions in this process; any of them ends the run with 107."""
    failed_setup: str | None = None
    """Why the set-up failed, if it did."""
    arrival_assignment: ArrivalAssignment | None = None
    """Who takes which arrivals, in the open model."""
    iteration_grants: IterationGrants | None = None
    """Who takes which iterations, where their number is fixed."""
    wanted: list[int] = field(default_factory=list)
    """The primary users that Locust was asked for, at each evaluation."""
    present: list[int] = field(default_factory=list)
    """The primary users that were there then."""
    workers_left: bool = False
    """Whether a worker left before the end, with a final report."""
    supporters_left: list[Reason] = field(default_factory=list)
    """Who of them had supporters, and took with them what all users need."""
    latest: Evaluation | None = None
    """The newest evaluation of the thresholds."""
    ended_by: Mapping[int, ThresholdResult] = field(default_factory=dict)
    """The thresholds that ended the test (`abort_on_fail`), as they were judged then, by their places among all."""
    prometheus: PrometheusMonitor = field(init=False)

    def __post_init__(self) -> None:
        self.prometheus = PrometheusMonitor(self.options.settings)

    def start_anew(self, at_s: float) -> None:
        """The figures of a worker start anew, `at_s` seconds after the start; those of the target and windows, too."""
        self.measured_from_s = at_s
        self.left_out = self._of_target().but_levels()
        self.evaluator.start_anew(at_s)
        self.timeline.recorder.start_anew()

    def _ramp_notes(self) -> tuple[str, ...]:
        if not self.drops_ramp:
            return ()
        if not self.measured_from_s:
            return ("--reset-stats left nothing out, as the ramp-up was not over",)
        when = f"{self.measured_from_s:.0f} s after the start, when the ramp-up was over (--reset-stats)"
        return (f"figures start anew {when}; audits look at everything that was sent",)

    def is_done(self) -> bool:
        """Whether nothing is left to do, long as the plan may go on: all iterations of a fixed number are done."""
        return self.iteration_grants is not None and self.iteration_grants.is_done(self.collector.iterations_done)

    def settled(self, snapshot: Snapshot, ended_ns: int) -> Snapshot:
        """The figures, with what nobody can have reported any more: what went down with workers that were lost or
        have left, and what was never given to anybody. `ended_ns` is when the load ended, by the monotonic clock."""
        dropped = 0
        if self.arrival_assignment is not None and (self.collector.missing or self.workers_left):
            left_out = sum(record.arrivals_left_out for record in self.collector.records())
            dropped = self.arrival_assignment.lost(snapshot, ended_ns) - left_out
            if dropped > 0:
                who = "lost workers" if self.collector.missing else "workers that left"
                self.notes.append(f"{dropped:,} arrivals went down with {who}, and are counted as dropped iterations")
        if self.iteration_grants is not None:
            dropped = self.iteration_grants.not_begun(self.collector.iterations_begun)
        if dropped <= 0:
            return snapshot
        registry = Registry(BASE_METRICS)
        registry.counter("dropped_iterations").add(dropped)
        return fold([snapshot, registry.snapshot()])

    def measured(self) -> Snapshot:
        """Everything measured so far, by the workers and of the target."""
        return self.collector.fold(self._of_target().minus(self.left_out))

    def _of_target(self) -> Snapshot:
        """What this process has seen of the target since the test began."""
        return fold([self.target_monitor.snapshot(), self.observations.snapshot()])

    def note_users(self, wanted: int) -> None:
        """Note how many primary users are wanted now, and how many are there."""
        self.wanted.append(wanted)
        self.present.append(self.collector.users)

    def record(
        self,
        at_s: float,
        snapshot: Snapshot,
        results: Sequence[ThresholdResult],
        users_planned: int,
        *,
        is_last: bool = False,
    ) -> None:
        """Take an interval that ended now, `at_s` seconds after the start, into the timeline; one that is there
        already changes nothing."""
        if self.latest is not None and at_s <= self.latest.at_s:
            return
        self.latest = Evaluation(at_s, snapshot, tuple(results))
        self.timeline.look_at_target(self.target_monitor, self.began_s)
        users = self.present[-1] if self.present and not self.finishing else self.collector.users
        self.timeline.observe(
            at_s,
            snapshot,
            results,
            self.collector,
            self.options.plan,
            (users, users_planned),
            folded=self.evaluator.values(snapshot),
            is_last=is_last,
        )

    def note_departure(self, record: WorkerRecord) -> None:
        """A worker has left before the end, with its final report."""
        self.workers_left = True
        gone = f"{record} left {record.seen_at_s:.0f} s after the start"
        self.notes.append(f"{gone}; its users were started anew elsewhere")
        if record.supporters:
            text = f"{gone}, and interrupted what its supporters do for all users"
            self.supporters_left.append(Reason("incomplete", f"worker {record.index}", text))

    def users_peak(self, snapshot: Snapshot) -> int:
        """The most primary users at any instant.

        Those of a worker that went were started anew elsewhere, and to add up the peaks of all workers would count them
        twice. Then it is the most that were there at any evaluation.
        """
        of_all = users_peak(snapshot)
        return max(self.present, default=of_all) if self.workers_left or self.collector.missing else of_all

    def unreachable(self, snapshot: Snapshot) -> Reason | None:
        """Why nothing at all came of this run, when nobody answers at the target; None otherwise."""
        # The query says nothing of where the target is.
        target = redact.text(self.facts.target).partition("?")[0]
        return nothing_answered(target, self.collector.errors(), snapshot)

    def users_short(self, snapshot: Snapshot) -> Reason | None:
        """Why the run is incomplete when Locust was asked for users that never started; None when all were there."""
        wanted, present = max(self.wanted[:-SETTLING], default=0), self.users_peak(snapshot)
        if present >= wanted or self.collector.missing:
            return None
        text = f"{present:,} users at most, where the plan wanted {wanted:,}: the workers' logs say why"
        return Reason("incomplete", "load", text)

    def judged(
        self,
        scenario: Scenario,
        snapshot: Snapshot,
        run_reasons: list[Reason],
        duration_s: float,
        signal_name: Callable[[], str],
        *,
        is_interrupted: bool = False,
    ) -> Report:
        """Look at the target for the last time, audit it, and judge everything.

        An audit that could not read what it looks at, or was not done in time, has failed; one that raises anything
        else is an internal error. A KeyboardInterrupt ends the looking, as does one that came just before
        (`is_interrupted`): `signal_name` says what asked for it.
        """
        audits: Sequence[AuditResult] = ()
        run_reasons = list(run_reasons)
        in_time = gevent.Timeout(AUDITS_WITHIN_S)
        try:
            if is_interrupted:
                raise KeyboardInterrupt
            self.prometheus.after()
            run_reasons += [Reason("internal", "exception", error) for error in self.target_monitor.sandbox_errors()]
            with in_time:
                audits = self._audit(scenario)
        except KeyboardInterrupt:
            why = "interrupted during the audits: nobody knows what the target holds"
            run_reasons.append(Reason("stopped", signal_name(), why))
        except UnreadableError as error:
            audits = self._unreadable(scenario, str(error))
        except gevent.Timeout as late:
            if late is not in_time:
                raise
            audits = self._unreadable(scenario, f"the audits were not done within {AUDITS_WITHIN_S:g} s")
        except PartlyAuditedError as error:
            logger.exception("An audit failed")
            audits = error.results
            run_reasons.append(Reason("internal", "audit", str(error)))
        except Exception as error:
            logger.exception("The audit failed")
            why = f"the audit itself failed: {type(error).__name__}: {error}"
            run_reasons.append(Reason("internal", "audit", why))
        if self.collector.missing or self.supporters_left:
            audits = [allowing_for_lost_workers(audit) for audit in audits]
        try:
            self.outputs.wait()
        except KeyboardInterrupt:
            why = "interrupted while the last points were delivered (--out)"
            run_reasons.append(Reason("stopped", signal_name(), why))
        run_reasons += self.outputs.reasons()
        return self.report(scenario, snapshot, audits=audits, run_reasons=run_reasons, duration_s=duration_s)

    def so_far(self, scenario: Scenario, snapshot: Snapshot, at_s: float) -> Report:
        """What is known of a run that goes on, `at_s` seconds after its start; nothing in it changes later."""
        report = self.report(scenario, snapshot, audits=(), run_reasons=(), duration_s=at_s)
        why = (
            f"these are the figures of the first {at_s:.0f} s: if no process works on the run any more, it was killed, "
            "and nothing is judged"
        )
        return replace(
            report,
            verdict="invalid",
            exit_code=int(ExitCode.INTERNAL),
            reasons=(Reason("unfinished", "run", why),),
            timeline=self.timeline.recorder.timeline.copy(),
            resolving_power=(),
        )

    def report(
        self,
        scenario: Scenario,
        snapshot: Snapshot,
        *,
        audits: Sequence[AuditResult],
        run_reasons: Sequence[Reason],
        duration_s: float,
    ) -> Report:
        """Judge everything that was measured, with what the audits and the run itself have said."""
        facts, plan, collector = self.facts, self.options.plan, self.collector
        workers = self.worker_reports()
        missing = collector.missing
        load = LoadReport(
            users_peak=self.users_peak(snapshot),
            iterations=None if scenario.is_locustfile else snapshot.counted("iterations"),
            dropped_iterations=snapshot.counted("dropped_iterations"),
            workers=len(workers),
            workers_lost=len(missing),
            complete=not missing,
            profile=plan.name,
            planned_s=plan.duration_s,
            stages=tuple({"duration_s": stage.duration_s, "target": stage.target} for stage in plan.stages),
        )
        generator = _generator_report(snapshot, workers)
        measured_s = duration_s - self.measured_from_s
        metrics = all_metrics(scenario, self.options.observed)
        thresholds = self._or_as_they_ended_it(self.evaluator.results(snapshot, measured_s))
        # Those who read them later, such as a comparison, find what each threshold is of.
        parts = [result.metric for result in thresholds]
        self.record(duration_s, snapshot, thresholds, 0, is_last=True)
        unreachable = self.unreachable(snapshot)
        decision = decide(
            thresholds=thresholds,
            audits=audits,
            load=load,
            workers=workers,
            generator=generator,
            run_reasons=[
                *run_reasons,
                *([unreachable] if unreachable is not None else []),
                *self.observations.reasons(thresholds),
                *(Reason("internal", "exception", error) for error in dict.fromkeys(collector.internal_errors())),
                *_out_of_sockets(snapshot),
            ],
            strict=self.options.strict,
            fail_on=self.options.fail_on,
            paced=scenario.thinks,
        )
        away = self.target_monitor.outages.describe(self.began_s)
        failed = decision.verdict != "pass"
        return Report(
            run_id=facts.run_id,
            scenario=scenario.title or scenario.name,
            verdict=decision.verdict,
            exit_code=int(decision.exit_code),
            # It decides nothing, and explains what does.
            reasons=(*decision.reasons, *([Reason("target", "target", away)] if away and failed else [])),
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
            metrics=_declared(results(snapshot, measured_s, parts), metrics),
            distributions=_declared(distributions(snapshot, parts), metrics),
            checks=_checks(snapshot),
            audits=tuple(audits),
            workers=workers,
            errors=tuple(ErrorCount(name, error, count) for name, error, count in collector.errors()),
            generator=generator,
            observed=tuple(self.prometheus.found()),
            observed_metrics=tuple(one.name for one in self.options.observed),
            traces=tuple(
                TracedRequest(
                    "failed" if one.error else "slow", one.name, one.duration_us / 1000, one.trace_id, one.error
                )
                for one in collector.traces()
            ),
            outputs=self.outputs.reports(),
            timeline=self.timeline.recorder.timeline,
            resolving_power=tuple(resolving_power(thresholds, audits)) if decision.verdict == "pass" else (),
            notes=(
                *self._ramp_notes(),
                *self.notes,
                *self.given.notes,
                *self.prometheus.notes(),
                *self.observations.notes(),
                *self.outputs.notes(),
                *([away] if away and not failed else []),
                *slow_failures(thresholds, snapshot),
                *decision.notes,
                *clock_notes(snapshot),
                *_series_note(snapshot),
            ),
        )

    def _or_as_they_ended_it(self, results: Sequence[ThresholdResult]) -> tuple[ThresholdResult, ...]:
        """The results, with those that ended the test as they were then, should what came while users finished have
        mended them: most of the load was never there."""
        return tuple(
            replace(self.ended_by[at], why="it ended the test (abort_on_fail), and held only after that")
            if at in self.ended_by and result.status != "fail"
            else result
            for at, result in enumerate(results)
        )

    def decision_so_far(self, scenario: Scenario, workers: Sequence[WorkerReport]) -> Decision | None:
        """What would be decided if the test ended now and all audits held, of the `workers` so far (`worker_reports`).
        Thresholds that nothing was measured of yet are left out, and so are those whose counter has not come far
        enough. None before the first evaluation."""
        latest = self.latest
        if latest is None:
            return None
        lost = self.collector.lost()
        # None of them has ended; those that are lost never will.
        workers = [replace(worker, final=worker.lost_at_s is None) for worker in workers]
        unreachable = self.unreachable(latest.snapshot)
        return decide(
            thresholds=[
                result
                for result in latest.results
                if result.status not in ("no_data", "not_observed") and not is_pending(result)
            ],
            audits=(),
            load=LoadReport(workers=len(workers), workers_lost=len(lost), complete=not lost),
            workers=workers,
            # What starting takes says little of how the rest will be.
            generator=_generator_report(latest.snapshot, workers) if latest.at_s >= STARTED_S else GeneratorReport(),
            run_reasons=[*([unreachable] if unreachable is not None else []), *_out_of_sockets(latest.snapshot)],
            strict=False,
            fail_on=self.options.fail_on,
            paced=scenario.thinks,
        )

    def worker_reports(self) -> tuple[WorkerReport, ...]:
        """What the workers have told of themselves so far, by index."""
        return tuple(
            WorkerReport(
                host=record.host or record.worker,
                index=record.index,
                final=record.final,
                lag_ms=_lag_ms(record.snapshot),
                cpu_percent_max=record.cpu_percent_max,
                rss_mb_max=record.rss_mb_max,
                lost_at_s=None if record.final else record.lost_at_s,
                problem=record.problem,
            )
            for record in self.collector.records()
        )

    def _unreadable(self, scenario: Scenario, problem: str) -> Sequence[AuditResult]:
        expected = {name: ledger.expect() for name, ledger in self.collector.ledgers().items()}
        audits = [unreadable(n, problem, e.acknowledged, e.unanswered) for n, e in expected.items()]
        return audits or [unreadable(scenario.name, problem)]

    def _audit(self, scenario: Scenario) -> Sequence[AuditResult]:
        if scenario.audit is None:
            return ()
        return scenario.audit(
            AuditContext(
                target=self.facts.target,
                settings=self.options.settings,
                ledgers=self.collector.ledgers(),
                facts={**self.collector.facts(), "run_id": self.facts.run_id},
                sandbox_state=self.target_monitor.sandbox_state(),
                given={**self.given.public, **self.given.private},
            )
        )
