"""One test, from its first user to its report: what the leading side knows of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gevent.event import Event

from pika_locust.judge import AuditResult, Panel, Reason, Report
from pika_locust.measure import Snapshot
from pika_locust.runtime.closing import RunFacts, make_report
from pika_locust.runtime.collector import Collector
from pika_locust.runtime.options import RunOptions
from pika_locust.runtime.target import TargetWatch
from pika_locust.scenario import AuditContext, Given, Scenario

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Test:
    """A test that runs, or is coming to its end."""

    options: RunOptions
    facts: RunFacts
    collector: Collector
    panel: Panel
    watch: TargetWatch
    began_s: float
    supporters: int
    finished: Event = field(default_factory=Event)
    finishing: bool = False
    judge: Any = None
    notes: list[str] = field(default_factory=list)
    given: Given = field(default_factory=Given)
    faults: list[str] = field(default_factory=list)
    """What went wrong on this side and is nobody else's doing."""

    def judged(self, scenario: Scenario, snapshot: Snapshot, happened: list[Reason], duration_s: float) -> Report:
        """Audit the target and judge everything. An audit that falls over is a fault of ours, among the reasons."""
        audits: Sequence[AuditResult] = ()
        try:
            audits = self._audit(scenario)
        except Exception as error:
            logger.exception("The audit failed")
            why = f"the audit itself failed: {type(error).__name__}: {error}"
            happened = [*happened, Reason("internal", "audit", why)]
        return make_report(
            scenario=scenario,
            facts=self.facts,
            plan=self.options.plan,
            panel=self.panel,
            collector=self.collector,
            snapshot=snapshot,
            audits=audits,
            happened=happened,
            notes=self.notes,
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
