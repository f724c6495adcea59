"""One test, from its first user to its report: what the leading side knows of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gevent.event import Event

from pika_locust.judge import AuditResult, Reason, Report, ThresholdEvaluator, without_lost_books
from pika_locust.measure import Registry, Snapshot
from pika_locust.measure.snapshot import fold
from pika_locust.runtime.closing import RunFacts, make_report, users_peak
from pika_locust.runtime.collector import Collector, WorkerRecord
from pika_locust.runtime.iterations import IterationGrants
from pika_locust.runtime.metrics import BASE_METRICS
from pika_locust.runtime.observer import PrometheusMonitor
from pika_locust.runtime.options import RunOptions
from pika_locust.runtime.striping import ArrivalAssignment
from pika_locust.runtime.target import TargetMonitor
from pika_locust.scenario import AuditContext, Scenario, SetupResult

SETTLING = 3
"""Looks at the figures within which users that are asked for have come, and been reported."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Run:
    """A test that runs, or is coming to its end."""

    options: RunOptions
    facts: RunFacts
    collector: Collector
    panel: ThresholdEvaluator
    watch: TargetMonitor
    began_s: float
    supporters: int
    finished: Event = field(default_factory=Event)
    finishing: bool = False
    judge: Any = None
    notes: list[str] = field(default_factory=list)
    given: SetupResult = field(default_factory=SetupResult)
    internal_errors: list[str] = field(default_factory=list)
    """What went wrong on this side and is nobody else's doing."""
    failed_setup: str | None = None
    """Why the set-up failed, if it did."""
    striping: ArrivalAssignment | None = None
    """Who takes which arrivals, in the open model."""
    granting: IterationGrants | None = None
    """Who takes which iterations, where their number is fixed."""
    wanted: list[int] = field(default_factory=list)
    """The primary users that Locust was asked for, each time the figures were looked at."""
    came: list[int] = field(default_factory=list)
    """The primary users that were there then."""
    workers_left: bool = False
    """Whether a worker said goodbye before the end."""
    observer: PrometheusMonitor = field(init=False)

    def __post_init__(self) -> None:
        self.observer = PrometheusMonitor(self.options.settings)

    def is_done(self) -> bool:
        """Whether nothing is left to do, long as the plan may go on: all iterations of a fixed number are done."""
        return self.granting is not None and self.granting.is_done(self.collector.iterations_done)

    def settled(self, snapshot: Snapshot, ended_ns: int) -> Snapshot:
        """The figures, with what nobody can have reported any more: what went down with lost workers, and what was
        never given to anybody. `ended_ns` is when the load ended, by the monotonic clock."""
        dropped = 0
        if self.striping is not None and self.collector.missing:
            dropped = self.striping.lost(snapshot, ended_ns)
            if dropped:
                self.notes.append(
                    f"{dropped:,} arrivals went down with lost workers, and are counted as dropped iterations"
                )
        if self.granting is not None:
            dropped = self.granting.not_begun(self.collector.iterations_begun)
        if dropped <= 0:
            return snapshot
        books = Registry(BASE_METRICS)
        books.counter("dropped_iterations").add(dropped)
        return fold([snapshot, books.snapshot()])

    def look(self, wanted: int) -> None:
        """The figures are looked at; so many primary users are wanted now."""
        self.wanted.append(wanted)
        self.came.append(self.collector.users)

    def take_leave(self, record: WorkerRecord) -> None:
        """A worker has said goodbye before the end."""
        self.workers_left = True
        gone = f"{record} left {record.seen_at_s:.0f} s after the start; its users were started anew elsewhere"
        self.notes.append(gone)

    def users_peak(self, snapshot: Snapshot) -> int:
        """The most primary users at any instant.

        Those of a worker that went were started anew elsewhere, and to add up the peaks of all workers would count them
        twice. Then it is the most that were there when the figures were looked at.
        """
        of_all = users_peak(snapshot)
        return max(self.came, default=of_all) if self.workers_left or self.collector.missing else of_all

    def users_short(self, snapshot: Snapshot) -> Reason | None:
        """The load that never was: Locust was asked for users, and they did not come."""
        wanted, came = max(self.wanted[:-SETTLING], default=0), self.users_peak(snapshot)
        if came >= wanted or self.collector.missing:
            return None
        text = f"{came:,} users at most, where the plan wanted {wanted:,}: the workers' logs say why"
        return Reason("incomplete", "load", text)

    def judged(self, scenario: Scenario, snapshot: Snapshot, run_reasons: list[Reason], duration_s: float) -> Report:
        """Audit the target and judge everything. An audit that falls over is a fault of ours, among the reasons."""
        audits: Sequence[AuditResult] = ()
        try:
            audits = self._audit(scenario)
            if self.collector.missing:
                audits = [without_lost_books(audit) for audit in audits]
        except KeyboardInterrupt:
            why = "interrupted during the audits: nobody knows what the target holds"
            run_reasons = [*run_reasons, Reason("stopped", "SIGINT", why)]
        except Exception as error:
            logger.exception("The audit failed")
            why = f"the audit itself failed: {type(error).__name__}: {error}"
            run_reasons = [*run_reasons, Reason("internal", "audit", why)]
        return make_report(
            scenario=scenario,
            facts=self.facts,
            plan=self.options.plan,
            panel=self.panel,
            collector=self.collector,
            snapshot=snapshot,
            peak=self.users_peak(snapshot),
            audits=audits,
            run_reasons=run_reasons,
            notes=[*self.notes, *self.given.notes, *self.observer.notes()],
            observed=self.observer.found(),
            duration_s=duration_s,
            strict=self.options.strict,
            fail_on=self.options.fail_on,
        )

    def _audit(self, scenario: Scenario) -> Sequence[AuditResult]:
        if scenario.audit is None:
            return ()
        return scenario.audit(
            AuditContext(
                target=self.facts.target,
                settings=self.options.settings,
                ledgers=self.collector.ledgers(),
                facts={**self.collector.facts(), "run_id": self.facts.run_id},
                sandbox_state=self.watch.sandbox_state(),
                given={**self.given.public, **self.given.private},
            )
        )
