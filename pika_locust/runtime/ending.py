"""The end of a test, whichever way it comes: drain primaries, then supporters; then audits and the verdict."""

from __future__ import annotations

import logging
import time
from typing import Any, Literal

from pika_locust.judge import Reason, Report
from pika_locust.runtime.crew import Crew
from pika_locust.runtime.trial import Test
from pika_locust.runtime.worker import ROLES, SUPPORTER_DRAIN_S
from pika_locust.scenario import Scenario

logger = logging.getLogger(__name__)

Cause = Literal["end", "abort", "user", "signal"]

DRAIN_GRACE_S = 10.0
"""Beyond the workers' own time-outs, before one that says nothing is given up."""


class Ending:
    """Ends one test. `cause` and `signalled` say why, as far as anybody knows so far."""

    def __init__(self, environment: Any, crew: Crew, scenario: Scenario, test: Test) -> None:
        self._environment = environment
        self._crew = crew
        self._scenario = scenario
        self._test = test
        self.cause: Cause | None = None
        self.signalled: str | None = None

    def drain(self) -> None:
        """Let everybody finish; who is interrupted while waiting (Ctrl-C again) has the rest cut off."""
        for role in ROLES:
            timeout_s = float(self._environment.stop_timeout) if role == "primary" else SUPPORTER_DRAIN_S
            try:
                self._crew.send_drain(role, timeout_s)
                self._crew.wait_until_drained(self._test.collector, role, timeout_s + DRAIN_GRACE_S)
            except KeyboardInterrupt:
                self.hurry()
                self._crew.wait_until_drained(self._test.collector, role, DRAIN_GRACE_S)

    def hurry(self) -> None:
        """The user does not want to wait for the users: cut them off now, and still tell what was measured."""
        logger.warning("Interrupted again: not waiting for users to finish")
        self.cause = "signal"
        self.signalled = self.signalled or "SIGINT"
        for role in ROLES:
            self._crew.send_drain(role, 0.0)

    def judge(self, ended_s: float, ended_ns: int) -> Report:
        """The report of the drained test, whose load ended `ended_s` seconds after it began, at `ended_ns` by the
        monotonic clock."""
        test = self._test
        duration_s = time.monotonic() - test.began_s
        self._crew.note_lost(test.collector, duration_s)
        snapshot = test.settled(test.collector.fold(test.watch.snapshot()), ended_ns)
        test.panel.observe(duration_s, snapshot)
        test.observer.after()
        happened = self._why(ended_s)
        faults = [*test.faults, *test.watch.faults]
        if not self._scenario.is_guest:
            # Of users that are the locustfile's own, a metric tells; here they are ours, and so is the fault.
            faults += [known["msg"] for known in self._environment.runner.exceptions.values()]
        happened += [Reason("internal", "exception", fault) for fault in faults]
        return test.judged(self._scenario, snapshot, happened, duration_s)

    def _why(self, ended_s: float) -> list[Reason]:
        test = self._test
        planned_s = test.options.plan.duration_s
        when = f"after {ended_s:.0f} s" + (f" of {planned_s:.0f} s" if planned_s is not None else "")
        if test.failed_setup is not None:
            return [Reason("setup", "set-up", test.failed_setup)]
        if self.cause == "signal":
            return [Reason("stopped", self.signalled or "signal", f"stopped by {self.signalled or 'a signal'} {when}")]
        if self.cause == "user" and self._environment.web_ui is not None:
            test.notes.append(f"stopped in the web page {when}")
        elif self.cause == "user" and not self._scenario.is_guest:
            # A locustfile with users of its own may end when it likes.
            return [Reason("stopped", "locust", f"Locust ended the test {when}, for a reason that its log tells")]
        return []
