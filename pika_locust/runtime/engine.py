"""The side of a test that leads: in the master, and in the one process of a local run.

It begins a test and tells everybody, watches and judges while it runs, and has it ended (`runtime.ending`). The way out
is always the same: Locust's `test_stopping` (or `quitting`, when the process was told to end) -> `finish`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent

from pika_locust.judge import Report, describe
from pika_locust.runtime import arrivals, iterations, messages
from pika_locust.runtime.beginning import log_plan, make_run, run_start, set_up
from pika_locust.runtime.crew import Workers
from pika_locust.runtime.ending import Cause, Ending
from pika_locust.runtime.iterations import IterationGrants
from pika_locust.runtime.options import RunOptions
from pika_locust.runtime.pace import PlanClock
from pika_locust.runtime.progress import ProgressPrinter
from pika_locust.runtime.striping import ArrivalAssignment, schedule_of
from pika_locust.runtime.timekeeping import ClockServer
from pika_locust.runtime.trial import Run
from pika_locust.scenario import Scenario

logger = logging.getLogger(__name__)


class Coordinator:
    """Leads tests, one after another."""

    def __init__(
        self,
        environment: Any,
        scenario: Scenario,
        options: RunOptions,
        command: str,
        on_report: Callable[[Report], Report],
    ) -> None:
        self._environment = environment
        self._scenario = scenario
        self._options = options
        self._command = command
        self._on_report = on_report
        self._runner: Any = None
        self._run: Run | None = None
        self._ending: Ending | None = None
        self.signalled: str | None = None
        """The signal that asked this process to end, if one did."""
        self.reports: list[Report] = []

    def attach(self, runner: Any, chosen: Callable[[], RunOptions] | None) -> None:
        """Listen to the workers. `chosen` gives the options of the next test where these are not settled before it, by
        a web page say; it raises ConfigurationError, and tells the user why, where they do not make one."""
        self._runner = runner
        self._crew = Workers(runner)
        self._pace = PlanClock(self._scenario, self._options, chosen)
        runner.register_message(messages.HELLO, self._on_hello)
        runner.register_message(messages.REPORT, self._on_report_message)
        runner.register_message(messages.DRAINED, self._on_drained)
        runner.register_message(messages.PUBLISH, self._on_tell)
        ClockServer(runner)

    # The load

    def prepare(self) -> None:
        """A test is about to start; Locust calls this once or twice before its first user."""
        if self._run is None:
            self._pace.prepare()
        else:
            self._pace.restart()
            self._run.began_s = self._pace.began_s

    def tick(self) -> tuple[int, float] | None:
        """Total users wanted now, supporters included; None at the end of the plan."""
        run = self._run
        if self._pace.refused:
            return None
        # What comes before the first user is not the load's time, and another number of users would cut it off.
        if run is not None and (run.finishing or run.judge is None):
            return self._pace.hold()
        wanted = None if run is not None and run.is_done() else self._pace.tick()
        if wanted is None:
            self._note("end")
        return wanted

    def _note(self, cause: Cause) -> None:
        if self._ending is not None:
            self._ending.cause = self._ending.cause or cause

    # Beginning

    def begin(self) -> None:
        """Locust's `test_start`: tell everybody, before the first user is spawned."""
        scenario = self._scenario
        if self._run is not None:
            raise RuntimeError("a test began while another was running")
        if scenario.is_locustfile:
            # No shape of ours has asked before.
            self.prepare()
        if self._pace.refused:
            gevent.spawn(self._stop_test)
            return
        self._run = run = make_run(self._environment, scenario, self._pace.options, self._command)
        self._ending = Ending(self._environment, self._crew, scenario, run, lambda: self.signalled)
        try:
            self._set_going(run)
        except Exception as error:
            # Locust logs what a listener raises, and would wait for this test for ever.
            logger.exception("The test could not begin")
            run.internal_errors.append(f"beginning: {type(error).__name__}: {error}")
            gevent.spawn(self._stop_test)

    def _set_going(self, run: Run) -> None:
        scenario, options = self._scenario, run.options
        if not set_up(scenario, run):
            gevent.spawn(self._stop_test)
        run.observer.before()
        # What the set-up took is not the load's time.
        self.prepare()
        participants = self._crew.participants()
        begin = run_start(run, scenario, participants, float(self._environment.stop_timeout))
        self._begin_data = begin.to_wire()
        if begin.arrivals is not None:
            schedule = schedule_of(scenario, options.settings, options.seed, begin.arrivals["duration_s"])
            run.striping = ArrivalAssignment(schedule, begin.arrivals["start_ns"], self._crew, begin.stripes)
        if options.plan.iterations is not None:
            run.granting = IterationGrants(options.plan.iterations, begin.users_peak, begin.workers)
        log_plan(scenario, run)
        for worker, index in participants:
            run.collector.expect(worker, index)
        self._runner.send_message(messages.BEGIN, self._begin_data)
        run.watch.start()
        run.judge = gevent.spawn(self._judge_forever, run)
        run.judge.link_exception(lambda judge: run.internal_errors.append(f"judging: {judge.exception!r}"))

    # Messages

    def _on_hello(self, environment: Any, msg: Any) -> None:
        """A worker can take messages now; one that came late is told of the test that is running. One that comes while
        the test is still being set up is told with all others."""
        run = self._run
        if why := messages.refusal(msg.data, self._scenario.name):
            logger.error("Worker %s is sent away: %s", msg.node_id, why)
            self._runner.send_message(messages.REFUSE, {"why": why}, client_id=msg.node_id)
            if run is not None:
                run.notes.append(f"worker {msg.node_id} was sent away: {why}")
        elif run is not None and run.judge is not None and not run.finishing:
            run.collector.expect(msg.node_id, self._runner.get_worker_index(msg.node_id))
            self._runner.send_message(messages.BEGIN, self._begin_data, client_id=msg.node_id)

    def _on_report_message(self, environment: Any, msg: Any) -> None:
        run = self._run
        if run is None:
            return
        record = run.collector.take(msg.data, time.monotonic() - run.began_s)
        if record is not None and record.final and not run.finishing:
            run.take_leave(record)

    def _on_drained(self, environment: Any, msg: Any) -> None:
        run = self._run
        if run is not None and msg.data["run_id"] == run.facts.run_id:
            worker = self._runner.client_id if msg.node_id == "local" else msg.node_id
            run.collector.expect(worker, 0).drained.add(msg.data["role"])

    def _on_tell(self, environment: Any, msg: Any) -> None:
        topic, data = msg.data["topic"], msg.data["data"]
        run = self._run
        if topic == arrivals.TOPIC:
            self._pace.more_users(data["worker"], data["users"])
        elif topic != iterations.WANTED:
            self._hear(topic, data)
        elif run is not None and run.granting is not None:
            self._hear(iterations.GRANTED, run.granting.grant(data["worker"], data["users"]))

    def _hear(self, topic: str, data: Mapping[str, Any]) -> None:
        self._runner.send_message(messages.NEWS, {"topic": topic, "data": dict(data)})

    # While it runs

    def _judge_forever(self, run: Run) -> None:
        # Of users that are not of this package, Locust's own table tells.
        printer = None if self._scenario.is_locustfile else ProgressPrinter(run.options.plan, self._scenario.speeds)
        next_s = time.monotonic()
        while True:
            next_s += messages.REPORT_EVERY_S
            gevent.sleep(max(0.0, next_s - time.monotonic()))
            at_s = time.monotonic() - run.began_s
            self._crew.note_lost(run.collector, at_s)
            self._hand_on(run)
            run.look(self._pace.primaries)
            snapshot = run.collector.fold(run.watch.snapshot())
            run.panel.observe(at_s, snapshot)
            results = run.panel.results(snapshot, at_s)
            aborting = [result for result in results if result.abort]
            if printer is not None:
                printer.show(at_s, snapshot, results)
            if aborting and self._ending is not None and self._ending.cause is None:
                self._note("abort")
                run.notes.append(f"ended early by abort_on_fail: {describe(aborting[0])}")
                gevent.spawn(self._stop_test)
                return

    def _hand_on(self, run: Run) -> None:
        """What lost workers leave undone is done by others."""
        if run.striping is not None and (news := run.striping.review()) is not None:
            self._hear(arrivals.STRIPES, news)
        if run.granting is not None:
            for granted in run.granting.take_back(run.collector.lost()):
                self._hear(iterations.GRANTED, granted)

    def _stop_test(self) -> None:
        headless = self._environment.web_ui is None
        (self._runner.quit if headless else self._runner.stop)()

    # The end

    def finish(self, cause: Cause | None = None) -> None:
        """Drain, audit and judge the running test, if any; a second call waits for the first."""
        run, ending = self._run, self._ending
        if run is None or ending is None:
            return
        if run.finishing:
            while not run.finished.is_set():
                try:
                    run.finished.wait()
                except KeyboardInterrupt:
                    ending.cut_short()
            return
        run.finishing = True
        ending.cause = ending.cause or ("signal" if self.signalled else cause) or "user"
        try:
            if run.judge is not None:
                run.judge.kill(block=False)
            ended_s, ended_ns = time.monotonic() - run.began_s, time.monotonic_ns()
            ending.drain()
            report = ending.judge(ended_s, ended_ns)
            self.reports.append(report)
            self.reports[-1] = self._on_report(report)
        finally:
            self._run = self._ending = None
            run.watch.stop()
            run.finished.set()
