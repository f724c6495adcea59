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
        self, environment: Any, crew: Workers, scenario: Scenario, test: Run, signalled: Callable[[], str | None]
    ) -> None:
        self._environment = environment
        self._crew = crew
        self._scenario = scenario
        self._test = test
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
                self._crew.wait_until_drained(self._test.collector, role, timeout_s + DRAIN_GRACE_S)
            except KeyboardInterrupt:
                with suppress(KeyboardInterrupt):
                    self.hurry()
                    self._crew.wait_until_drained(self._test.collector, role, DRAIN_GRACE_S)

    def hurry(self) -> None:
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
        test = self._test
        duration_s = time.monotonic() - test.began_s
        self._crew.note_lost(test.collector, duration_s)
        snapshot = test.settled(test.collector.fold(test.watch.snapshot()), ended_ns)
        test.panel.observe(duration_s, snapshot)
        test.observer.after()
        happened = self._why(ended_s)
        if self.cause == "end" and not self._scenario.is_guest and (short := test.users_short(snapshot)):
            happened.append(short)
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
            name = self._signalled() or "SIGINT"
            return [Reason("stopped", name, f"stopped by {name} {when}")]
        if self.cause == "user" and self._environment.web_ui is not None:
            test.notes.append(f"stopped in the web page {when}")
        elif self.cause == "user" and not self._scenario.is_guest:
            # A locustfile with users of its own may end when it likes.
            if not self._crew.participants():
                return [Reason("incomplete", "workers", f"Locust ended the test {when}, as no worker was left")]
            return [Reason("stopped", "locust", f"Locust ended the test {when}, for a reason that its log tells")]
        return []
