"""The end of a test, whichever way it comes: drain primaries, then supporters; then audits and the verdict."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import gevent
from gevent import get_hub

from pika_locust.judge import Reason, Report
from pika_locust.runtime.crew import Workers
from pika_locust.runtime.trial import Run
from pika_locust.runtime.worker import ROLES, SUPPORTER_DRAIN_S
from pika_locust.scenario import Scenario

logger = logging.getLogger(__name__)

Cause = Literal["end", "abort", "user", "signal"]

DRAIN_GRACE_S = 10.0
"""Beyond the workers' own time-outs, before one that says nothing is given up."""


class Ending:
    """Ends one test. `cause` says why, as far as anybody knows so far, and `signalled` by which signal, if one came."""

    def __init__(
        self, environment: Any, crew: Workers, scenario: Scenario, run: Run, signalled: Callable[[], str | None]
    ) -> None:
        self._environment = environment
        self._crew = crew
        self._scenario = scenario
        self._run = run
        self._signalled = signalled
        self._judging: Any = None
        self.cause: Cause | None = None

    def drain(self) -> None:
        """Let everybody finish. Who is interrupted while waiting (Ctrl-C again) has the rest cut off, and who is
        interrupted once more waits for nobody: what the workers have reported so far is told in any case."""
        for role in ROLES:
            timeout_s = float(self._environment.stop_timeout) if role == "primary" else SUPPORTER_DRAIN_S
            try:
                self._crew.send_drain(role, timeout_s)
                self._crew.wait_until_drained(self._run.collector, role, timeout_s + DRAIN_GRACE_S)
            except KeyboardInterrupt:
                with suppress(KeyboardInterrupt):
                    self.cut_short()
                    self._crew.wait_until_drained(self._run.collector, role, DRAIN_GRACE_S)

    def cut_short(self) -> None:
        """The user does not want to wait: cut the users off now, or the audits, and still tell what was measured."""
        if self._judging is not None:
            # Not from here: it might be through with them by the time it is its turn.
            get_hub().loop.run_callback(self._interrupt_judging)
            return
        logger.warning("Interrupted again: not waiting for users to finish")
        self.cause = "signal"
        for role in ROLES:
            self._crew.send_drain(role, 0.0)

    def _interrupt_judging(self) -> None:
        if self._judging is not None:
            self._judging.throw(KeyboardInterrupt)

    def judge(self, ended_s: float, ended_ns: int) -> Report:
        """The report of the drained test, whose load ended `ended_s` seconds after it began, at `ended_ns` by the
        monotonic clock."""
        self._judging = gevent.getcurrent()
        try:
            return self._judge(ended_s, ended_ns)
        finally:
            self._judging = None

    def _judge(self, ended_s: float, ended_ns: int) -> Report:
        run = self._run
        duration_s = time.monotonic() - run.began_s
        self._crew.note_lost(run.collector, duration_s)
        snapshot = run.settled(run.collector.fold(run.watch.snapshot()), ended_ns)
        run.panel.observe(duration_s, snapshot)
        run.observer.after()
        run_reasons = self._why(ended_s)
        if self.cause == "end" and not self._scenario.is_locustfile and (short := run.users_short(snapshot)):
            run_reasons.append(short)
        internal_errors = [*run.internal_errors, *run.watch.internal_errors]
        if not self._scenario.is_locustfile:
            # Of users that are the locustfile's own, a metric tells; here they are ours, and so is the fault.
            internal_errors += [known["msg"] for known in self._environment.runner.exceptions.values()]
        run_reasons += [Reason("internal", "exception", error) for error in internal_errors]
        return run.judged(self._scenario, snapshot, run_reasons, duration_s)

    def _why(self, ended_s: float) -> list[Reason]:
        run = self._run
        planned_s = run.options.plan.duration_s
        when = f"after {ended_s:.0f} s" + (f" of {planned_s:.0f} s" if planned_s is not None else "")
        if run.failed_setup is not None:
            return [Reason("setup", "set-up", run.failed_setup)]
        if self.cause == "signal":
            name = self._signalled() or "SIGINT"
            return [Reason("stopped", name, f"stopped by {name} {when}")]
        if self.cause == "user" and self._environment.web_ui is not None:
            run.notes.append(f"stopped in the web page {when}")
        elif self.cause == "user" and not self._scenario.is_locustfile:
            # A locustfile with users of its own may end when it likes.
            if not self._crew.participants():
                return [Reason("incomplete", "workers", f"Locust ended the test {when}, as no worker was left")]
            return [Reason("stopped", "locust", f"Locust ended the test {when}, for a reason that its log tells")]
        return []
