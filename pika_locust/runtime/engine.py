"""The side of a test that leads: in the master, and in the one process of a local run.

It owns the load plan and the clock, knows who takes part, drains them at the end, whichever way that comes, and has
the verdict made. The way out is always the same: Locust's `test_stopping` (or `quitting`, when the process was told to
end) -> `finish` -> drain primaries, then supporters -> audits -> report.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

import gevent

from pika_locust.errors import ConfigurationError, SetupError
from pika_locust.judge import Panel, Reason, Report, describe
from pika_locust.load.open_plan import LEAD_S
from pika_locust.load.plan import LoadPlan
from pika_locust.outputs import redact
from pika_locust.runtime import messages
from pika_locust.runtime.arrivals import TOPIC as MORE_USERS
from pika_locust.runtime.closing import RunFacts
from pika_locust.runtime.collector import Collector
from pika_locust.runtime.crew import Crew
from pika_locust.runtime.machine import boot_id
from pika_locust.runtime.options import RunOptions, all_metrics
from pika_locust.runtime.progress import ProgressPrinter
from pika_locust.runtime.share import Begin
from pika_locust.runtime.target import TargetWatch
from pika_locust.runtime.trial import Test
from pika_locust.runtime.worker import ROLES, SUPPORTER_DRAIN_S, begin_message
from pika_locust.scenario import Given, Scenario, SetupContext

logger = logging.getLogger(__name__)

Cause = Literal["end", "abort", "user", "signal"]

DRAIN_GRACE_S = 10.0
"""Beyond the workers' own time-outs, before one that says nothing is given up."""


class Engine:
    """Leads tests, one after another."""

    def __init__(
        self,
        environment: Any,
        scenario: Scenario,
        options: RunOptions,
        command: str,
        on_report: Callable[[Report], None],
    ) -> None:
        self._environment = environment
        self._scenario = scenario
        self._options = options
        self._command = command
        self._on_report = on_report
        self._runner: Any = None
        self._prepared = options
        self._prepared_s = 0.0
        self._last_tick: tuple[int, float] | None = None
        self._test: Test | None = None
        self._cause: Cause | None = None
        self._failed_setup: str | None = None
        self._asked: dict[int, int] = {}
        self._refused = False
        self.signalled: str | None = None
        """The signal that asked this process to end, if one did."""
        self.reports: list[Report] = []

    def attach(self, runner: Any, from_web_form: Callable[[], RunOptions] | None) -> None:
        """Listen to the workers. `from_web_form` gives the options of the next test where a web page starts them; it
        raises ConfigurationError, and tells the user why, where they do not make one."""
        self._runner = runner
        self._crew = Crew(runner)
        self._from_web_form = from_web_form
        runner.register_message(messages.HELLO, self._on_hello)
        runner.register_message(messages.REPORT, self._on_report_message)
        runner.register_message(messages.DRAINED, self._on_drained)
        runner.register_message(messages.TELL, self._on_tell)

    # The load

    def prepare(self) -> None:
        """A test is about to start; Locust calls this once or twice before its first user."""
        self._prepared_s = time.monotonic()
        if self._test is not None:
            self._test.began_s = self._prepared_s
            return
        self._cause = self._failed_setup = None
        self._last_tick = None
        self._asked = {}
        self._prepared = self._options
        self._refused = False
        if self._from_web_form is not None:
            try:
                self._prepared = self._from_web_form()
            except ConfigurationError:
                self._refused = True

    def tick(self) -> tuple[int, float] | None:
        """Total users wanted now, supporters included; None at the end of the plan."""
        if self._refused:
            return None
        if self._test is not None and self._test.finishing:
            return self._last_tick
        supporters = len(self._scenario.supporters(self._prepared.settings))
        primaries = self._prepared.plan.users_at(time.monotonic() - self._prepared_s)
        if primaries is None:
            self._cause = self._cause or "end"
            return None
        total = primaries + self._more_users() + supporters
        before = self._last_tick[0] if self._last_tick is not None else 0
        if self._last_tick is None or total != before:
            self._last_tick = (total, float(max(1, abs(total - before))))
        return self._last_tick

    def _more_users(self) -> int:
        """Users beyond those prepared, that workers asked for because arrivals found nobody free."""
        rate = self._prepared.plan.arrivals
        if rate is None or not self._asked:
            return 0
        most = rate.max_vus if rate.max_vus is not None else rate.pre_allocated_vus
        return min(sum(self._asked.values()), most - rate.pre_allocated_vus)

    # Beginning

    def begin(self) -> None:
        """Locust's `test_start`: tell everybody, before the first user is spawned."""
        options = self._prepared
        scenario = self._scenario
        run_id = uuid4().hex[:12]
        target = scenario.normalise_target(self._environment.host)
        sandbox_url = self._environment.pika_locust.sandbox_url
        if self._test is not None:
            raise RuntimeError("a test began while another was running")
        is_sandbox = sandbox_url is not None and target == scenario.normalise_target(sandbox_url)
        supporters = len(scenario.supporters(options.settings))
        self._test = test = Test(
            options=options,
            facts=RunFacts(
                run_id, options.seed, self._command, target, is_sandbox, datetime.now(UTC).isoformat(timespec="seconds")
            ),
            collector=Collector(run_id),
            panel=Panel(options.thresholds, all_metrics(scenario), scenario.bands),
            watch=TargetWatch(
                scenario.http_base(target), self._environment.pika_locust.sandbox_pid if is_sandbox else None
            ),
            began_s=time.monotonic(),
            supporters=supporters,
        )
        plan = options.plan
        given = test.given = self._set_up(test)
        # What the set-up took is not the load's time.
        self._prepared_s = test.began_s = time.monotonic()
        self._begin_data = begin_message(
            Begin(
                run_id=run_id,
                seed=options.seed,
                target=target,
                settings=options.settings.public(),
                planned_s=plan.duration_s,
                spread=plan.name != "constant" or plan.spawn_rate is not None,
                supporters=supporters,
                stop_timeout_s=float(self._environment.stop_timeout),
                users_peak=plan.users_peak,
                workers=len(self._crew.participants()),
                stripes={worker: stripe for stripe, (worker, _) in enumerate(self._crew.participants())},
                arrivals=self._arrivals(plan),
                given=given.public,
            )
        )
        logger.info("Load plan: %s; seed %s; target %s", plan.describe(), options.seed, redact.text(target))
        for override in plan.overrides:
            logger.info("Load plan: %s", override)
        for worker, index in self._crew.participants():
            test.collector.expect(worker, index)
        self._runner.send_message(messages.BEGIN, self._begin_data)
        test.watch.start()
        test.judge = gevent.spawn(self._judge_forever, test)
        test.judge.link_exception(lambda judge: test.faults.append(f"judging: {judge.exception!r}"))

    def _set_up(self, test: Test) -> Given:
        """Make what must exist before the first user, accounts say; where that fails the test ends with 100."""
        if self._scenario.set_up is None:
            return Given()
        try:
            options = test.options
            return self._scenario.set_up(SetupContext(test.facts.target, options.settings, options.seed))
        except SetupError as error:
            logger.error("The set-up failed: %s", error)
            self._failed_setup = str(error)
        except Exception as error:
            logger.exception("The set-up has a fault of its own")
            test.faults.append(f"set-up: {type(error).__name__}: {error}")
        gevent.spawn(self._stop_test)
        return Given()

    def _arrivals(self, plan: LoadPlan) -> Mapping[str, Any] | None:
        if plan.arrivals is None:
            return None
        start_ns = time.monotonic_ns() + round(LEAD_S * 1e9)
        return {"start_ns": start_ns, "boot": boot_id(), "lead_s": LEAD_S, "duration_s": plan.arrivals_s}

    # Messages

    def _on_hello(self, environment: Any, msg: Any) -> None:
        """A worker can take messages now; one that came late is told of the test that is running."""
        test = self._test
        if test is not None and not test.finishing:
            test.collector.expect(msg.node_id, self._runner.get_worker_index(msg.node_id))
            self._runner.send_message(messages.BEGIN, self._begin_data, client_id=msg.node_id)

    def _on_report_message(self, environment: Any, msg: Any) -> None:
        if self._test is not None:
            self._test.collector.take(msg.data, time.monotonic() - self._test.began_s)

    def _on_drained(self, environment: Any, msg: Any) -> None:
        test = self._test
        if test is not None and msg.data["run_id"] == test.facts.run_id:
            worker = self._runner.client_id if msg.node_id == "local" else msg.node_id
            test.collector.expect(worker, 0).drained.add(msg.data["role"])

    def _on_tell(self, environment: Any, msg: Any) -> None:
        if msg.data["topic"] == MORE_USERS:
            asked = msg.data["data"]
            self._asked[asked["worker"]] = asked["users"]
            return
        self._runner.send_message(messages.HEAR, msg.data)

    # While it runs

    def _judge_forever(self, test: Test) -> None:
        printer = ProgressPrinter(test.options.plan, self._scenario.speeds)
        next_s = time.monotonic()
        while True:
            next_s += messages.REPORT_EVERY_S
            gevent.sleep(max(0.0, next_s - time.monotonic()))
            at_s = time.monotonic() - test.began_s
            self._crew.note_lost(test.collector, at_s)
            snapshot = test.collector.fold(test.watch.snapshot())
            test.panel.observe(at_s, snapshot)
            results = test.panel.results(snapshot, at_s)
            aborting = [result for result in results if result.abort]
            printer.show(at_s, snapshot, results)
            if aborting and self._cause is None:
                self._cause = "abort"
                test.notes.append(f"ended early by abort_on_fail: {describe(aborting[0])}")
                gevent.spawn(self._stop_test)
                return

    def _stop_test(self) -> None:
        headless = self._environment.web_ui is None
        (self._runner.quit if headless else self._runner.stop)()

    # The end

    def finish(self, cause: Cause | None = None) -> None:
        """Drain, audit and judge the running test, if any; a second call waits for the first."""
        test = self._test
        if test is None:
            return
        if test.finishing:
            try:
                test.finished.wait()
            except KeyboardInterrupt:
                self._hurry()
                test.finished.wait()
            return
        test.finishing = True
        self._cause = self._cause or ("signal" if self.signalled else cause) or "user"
        try:
            self._close(test)
        finally:
            self._test = None
            test.watch.stop()
            test.finished.set()

    def _close(self, test: Test) -> None:
        happened: list[Reason] = []
        if test.judge is not None:
            test.judge.kill(block=False)
        ended_s = time.monotonic() - test.began_s
        self._drain(test)
        duration_s = time.monotonic() - test.began_s
        self._crew.note_lost(test.collector, duration_s)
        snapshot = test.collector.fold(test.watch.snapshot())
        test.panel.observe(duration_s, snapshot)
        happened += self._stopped_reasons(test, ended_s)
        faults = [*test.faults, *test.watch.faults, *(known["msg"] for known in self._runner.exceptions.values())]
        happened += [Reason("internal", "exception", fault) for fault in faults]
        report = test.judged(self._scenario, snapshot, happened, duration_s)
        self.reports.append(report)
        self._on_report(report)

    def _stopped_reasons(self, test: Test, ended_s: float) -> list[Reason]:
        planned_s = test.options.plan.duration_s
        when = f"after {ended_s:.0f} s" + (f" of {planned_s:.0f} s" if planned_s is not None else "")
        if self._failed_setup is not None:
            return [Reason("setup", "set-up", self._failed_setup)]
        if self._cause == "signal":
            return [Reason("stopped", self.signalled or "signal", f"stopped by {self.signalled or 'a signal'} {when}")]
        if self._cause == "user" and self._environment.web_ui is not None:
            test.notes.append(f"stopped in the web page {when}")
        elif self._cause == "user":
            return [Reason("stopped", "locust", f"Locust ended the test {when}, for a reason that its log tells")]
        return []

    def _drain(self, test: Test) -> None:
        crew = self._crew
        for role in ROLES:
            timeout_s = float(self._environment.stop_timeout) if role == "primary" else SUPPORTER_DRAIN_S
            try:
                crew.send_drain(role, timeout_s)
                crew.wait_until_drained(test.collector, role, timeout_s + DRAIN_GRACE_S)
            except KeyboardInterrupt:
                self._hurry()
                crew.wait_until_drained(test.collector, role, DRAIN_GRACE_S)

    def _hurry(self) -> None:
        """The user does not want to wait for the users: cut them off now, and still tell what was measured."""
        logger.warning("Interrupted again: not waiting for users to finish")
        self._cause = "signal"
        self.signalled = self.signalled or "SIGINT"
        for role in ROLES:
            self._crew.send_drain(role, 0.0)
