"""The coordinator of a test, in the master or in the one process of a local run: starts, watches and ends it.

`Coordinator` starts a run and tells all workers, evaluates the thresholds while it runs, and ends it by an `Ending`.
The way out is always the same: Locust's `test_stopping` (or `quitting`, when the process was told to end) -> `finish`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal
from uuid import uuid4

import gevent
from gevent import get_hub

from pika_locust.clock import monotonic, monotonic_ns
from pika_locust.errors import ExitCode, SetupError
from pika_locust.judge import Reason, Report, ThresholdEvaluator, describe
from pika_locust.load.durations import format_duration
from pika_locust.load.plan import CONSTANT, LEAD_S, LoadPlan
from pika_locust.metrics import plain
from pika_locust.outputs import redact
from pika_locust.outputs.progress import ProgressPrinter
from pika_locust.runtime import arrivals, messages
from pika_locust.runtime.clock_sync import ClockServer
from pika_locust.runtime.collector import Collector, MissedReportError
from pika_locust.runtime.context import USERS_PEAK
from pika_locust.runtime.host_failures import HostFailure, take_host_failure
from pika_locust.runtime.machine import boot_id
from pika_locust.runtime.master_listener import keep_listening
from pika_locust.runtime.messages import ROLES, SUPPORTER_DRAIN_S, RunStart
from pika_locust.runtime.monitors import TargetMonitor
from pika_locust.runtime.observations import Observations, observations_of
from pika_locust.runtime.options import RunOptions, all_metrics
from pika_locust.runtime.outputs import MetricsEndpoint, start_outputs
from pika_locust.runtime.pacing import PlanClock
from pika_locust.runtime.progress_reports import ProgressReports
from pika_locust.runtime.run import Run, RunFacts, empty_report, failed_by_others, unfinished_report, unjudged_report
from pika_locust.runtime.target_settings import observe_headers, reach
from pika_locust.runtime.timeline import RunTimeline
from pika_locust.runtime.workers import ArrivalAssignment, IterationGrants, Workers
from pika_locust.scenario import Scenario, SetupContext, schedule_of

logger = logging.getLogger(__name__)


def make_run(
    environment: Any,
    scenario: Scenario,
    options: RunOptions,
    command: str,
    number: int = 1,
    endpoint: MetricsEndpoint | None = None,
) -> Run:
    """The run that is about to start; `command` is how it was started, without secrets. It is test `number` of this
    process, counted from 1; scrapes are answered by `endpoint`."""
    plugin = environment.pika_locust
    target = options.target or "" if scenario.is_locustfile else scenario.normalise_target(environment.host)
    is_sandbox = plugin.sandbox_url is not None and target == scenario.normalise_target(plugin.sandbox_url)
    reach([] if is_sandbox else target.split(", "), options.settings)
    facts = RunFacts(
        run_id=uuid4().hex[:12],
        seed=None if scenario.is_locustfile else options.seed,
        command=command,
        settings=options.settings.given,
        target=target,
        sandbox=is_sandbox,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    metrics = all_metrics(scenario, options.observed)
    about = {"run_id": facts.run_id, "scenario": scenario.title or scenario.name}
    return Run(
        options=options,
        facts=facts,
        collector=Collector(facts.run_id, metrics),
        evaluator=ThresholdEvaluator(
            options.thresholds,
            metrics,
            scenario.bands,
            holds=options.plan.holds,
            min_hold_s=options.settings["SLOPE_MIN_HOLD"],
        ),
        target_monitor=TargetMonitor(scenario.http_base(target), plugin.sandbox_pid if is_sandbox else None),
        observations=Observations(
            (*options.observed, *observations_of(scenario, target)), observe_headers(options.settings)
        ),
        began_s=monotonic(),
        supporters=len(scenario.supporters(options.settings, options.plan.users_peak)),
        timeline=RunTimeline(metrics, options),
        outputs=start_outputs(options, metrics, about, number, endpoint),
        drops_ramp=environment.reset_stats,
    )


def surplus_workers(collector: Collector, expected: int) -> list[str]:
    """A note that names those who took part beyond the workers that were expected; with one, as Locust has it where
    nobody says how many, there are as many as there are."""
    records = list(collector.records())
    if not 1 < expected < len(records):
        return []
    names = ", ".join(map(str, records[expected:]))
    return [f"{len(records)} workers took part, and not {expected} (--expect-workers): {names} came on top"]


def set_up(scenario: Scenario, run: Run) -> bool:
    """Run the scenario's set-up: what must exist before the first user. False when the test cannot go on."""
    if scenario.set_up is None:
        return True
    try:
        options = run.options
        run.given = scenario.set_up(SetupContext(run.facts.target, options.settings, options.seed))
        return True
    except SetupError as error:
        logger.error("The set-up failed: %s", error)
        run.failed_setup = str(error)
    except Exception as error:
        logger.exception("The set-up raised an unexpected exception")
        run.internal_errors.append(f"set-up: {type(error).__name__}: {error}")
    return False


def run_start(
    run: Run,
    scenario: Scenario,
    participants: Sequence[tuple[str, int]],
    stop_timeout_s: float,
    *,
    is_called_off: bool = False,
) -> RunStart:
    """The BEGIN message for all workers; `participants` are these, by id and index."""
    options, plan = run.options, run.options.plan
    return RunStart(
        run_id=run.facts.run_id,
        seed=options.seed,
        target=run.facts.target,
        settings=options.settings.for_workers(),
        planned_s=plan.duration_s,
        spread=plan.name != CONSTANT or plan.spawn_rate is not None,
        supporters=run.supporters,
        stop_timeout_s=stop_timeout_s,
        users_peak=plan.users_peak,
        workers=len(participants),
        stripes={worker: stripe for stripe, (worker, _) in enumerate(participants)},
        arrivals=_arrivals(plan),
        iterations=plan.iterations.to_wire() if plan.iterations is not None else None,
        given=run.given.public,
        thresholds=tuple(map(str, options.thresholds)),
        is_called_off=is_called_off,
        drops_ramp=run.drops_ramp,
    )


def _arrivals(plan: LoadPlan) -> Mapping[str, Any] | None:
    if plan.arrivals is None:
        return None
    start_ns = monotonic_ns() + round(LEAD_S * 1e9)
    return {"start_ns": start_ns, "boot": boot_id(), "duration_s": plan.arrivals_s}


def log_plan(scenario: Scenario, run: Run) -> None:
    """Log the load plan, the seed and the target, and what the scenario notes on them."""
    options, plan = run.options, run.options.plan
    seed = "" if scenario.is_locustfile else f"; seed {options.seed}"
    logger.info("Load plan: %s%s; target %s", plan.describe(), seed, redact.text(run.facts.target))
    for note in (*plan.overrides, *scenario.notes(options.settings, plan)):
        logger.info("Load plan: %s", note)


def _beginning(error: Exception) -> str:
    return f"beginning: {type(error).__name__}: {error}"


def _named(data: Any, *names: str) -> Mapping[str, Any]:
    """What a message carries. Raises ValueError where one of these is missing."""
    if missing := [name for name in names if name not in plain.mapping(data)]:
        raise ValueError(f"{missing[0]!r} is missing")
    return plain.mapping(data)


Cause = Literal["end", "abort", "user", "signal"]

REPORTS_ARRIVE_S = 0.25
"""In which reports that workers send at the same time have arrived."""
ALL_LEAVE_WITHIN_S = 0.5
"""In which this process hears, too, of a signal that all have got (Ctrl-C): nobody takes what a worker leaves then."""
DRAIN_GRACE_S = 10.0
"""Beyond the workers' own time-outs, before one that does not answer is given up."""


class Ending:
    """Ends one test, whatever the cause: drain primary users, then supporters; then audits and the verdict.

    `cause` is why it ends, as far as known; `signalled` gives the signal that asked for it, if one came.
    """

    def __init__(
        self, environment: Any, workers: Workers, scenario: Scenario, run: Run, signalled: Callable[[], str | None]
    ) -> None:
        self._environment = environment
        self._workers = workers
        self._scenario = scenario
        self._run = run
        self._signalled = signalled
        self._judging: Any = None
        self._interrupting: str | None = None
        self.cause: Cause | None = None

    def drain(self) -> None:
        """Let all users finish. A Ctrl-C during the wait cuts off the rest, and one more ends the wait at once: what
        the workers have reported so far is told in any case."""
        for role in ROLES:
            timeout_s = float(self._environment.stop_timeout) if role == "primary" else SUPPORTER_DRAIN_S
            try:
                self._workers.send_drain(role, timeout_s)
                self._workers.wait_until_drained(self._run.collector, role, timeout_s + DRAIN_GRACE_S)
            except KeyboardInterrupt:
                with suppress(KeyboardInterrupt):
                    self.cut_short()
                    self._workers.wait_until_drained(self._run.collector, role, DRAIN_GRACE_S)

    def cut_short(self) -> None:
        """The user does not want to wait: cut the users off now, or the audits, and still tell what was measured."""
        if self.interrupt_audits(None):
            return
        logger.warning("Interrupted again: not waiting for users to finish")
        self.cause = "signal"
        for role in ROLES:
            self._workers.send_drain(role, 0.0)

    def interrupt_audits(self, name: str | None) -> bool:
        """End the audits for a signal of this name, if they are under way; whether they are."""
        if self._judging is None:
            return False
        self._interrupting = self._interrupting or name
        # Not from here: the audits might be over by the time that their greenlet runs.
        get_hub().loop.run_callback(self._interrupt_judging)
        return True

    @property
    def is_judged_by_main(self) -> bool:
        """Whether the audits are under way in Locust's main greenlet, which a KeyboardInterrupt reaches."""
        return self._judging is not None and self._judging is get_hub().parent

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
        duration_s = monotonic() - run.began_s
        self._workers.note_lost(run.collector, duration_s)
        is_interrupted = False
        try:
            run.target_monitor.look_at_memory()
            run.observations.finish()
        except KeyboardInterrupt:
            is_interrupted = True
        snapshot = run.settled(run.measured(), ended_ns)
        run.evaluator.observe(duration_s, snapshot, ended_s)
        run.timeline.recorder.mark(ended_s, "end", "the load ended")
        # They deliver the rest beside the audits.
        run.outputs.observe(snapshot)
        run.outputs.end()
        run_reasons = [*self._reasons_for_ending(ended_s), *run.supporters_left]
        run.notes += surplus_workers(run.collector, self._environment.parsed_options.expect_workers)
        if self.cause == "end" and not self._scenario.is_locustfile and (short := run.users_short(snapshot)):
            run_reasons.append(short)
        monitor = run.target_monitor
        internal_errors = [*run.internal_errors, *monitor.internal_errors, *run.observations.internal_errors]
        if not self._scenario.is_locustfile:
            # A locustfile's own users have a metric for it; the users of a scenario are ours, and so is the error.
            internal_errors += [known["msg"] for known in self._environment.runner.exceptions.values()]
        run_reasons += [Reason("internal", "exception", error) for error in internal_errors]
        return run.judged(
            self._scenario, snapshot, run_reasons, duration_s, self._interrupted_by, is_interrupted=is_interrupted
        )

    def _interrupted_by(self) -> str:
        return self._interrupting or self._signalled() or "SIGINT"

    def _reasons_for_ending(self, ended_s: float) -> list[Reason]:
        run = self._run
        planned_s = run.options.plan.duration_s
        when = f"after {ended_s:.0f} s" + (f" of {planned_s:.0f} s" if planned_s is not None else "")
        if run.failed_setup is not None:
            return [Reason("setup", "set-up", run.failed_setup)]
        if self.cause == "signal":
            name = self._signalled() or "SIGINT"
            return [Reason("stopped", name, f"stopped by {name} {when}")]
        if self.cause == "user" and self._workers.all_lost():
            return [Reason("incomplete", "workers", f"Locust ended the test {when}, as no worker was left")]
        if self.cause == "user" and self._environment.web_ui is not None:
            run.notes.append(f"stopped in the web page {when}")
        elif self.cause == "user" and not self._scenario.is_locustfile:
            # A locustfile with users of its own may end when it likes.
            return [Reason("stopped", "locust", f"Locust ended the test {when}, for a reason that its log tells")]
        return []


class Coordinator:
    """Starts, watches and ends tests, one after another; its `reports` are those of all tests so far."""

    def __init__(
        self,
        environment: Any,
        scenario: Scenario,
        options: RunOptions,
        command: str,
        on_begin: Callable[[Report], None],
        on_report: Callable[[Report], Report],
        token: str = "",
        endpoint: MetricsEndpoint | None = None,
        on_progress: Callable[[Report], None] | None = None,
    ) -> None:
        """`on_begin` is given what stands for the report of a test that has begun; `on_report` the report, and gives
        back what became of it; `on_progress` what is known meanwhile, now and then, in a thread. `token` is what the
        workers are known by that this process has forked; `endpoint` answers scrapes."""
        self._environment = environment
        self._endpoint = endpoint
        self._scenario = scenario
        self._options = options
        self._command = command
        self._on_begin = on_begin
        self._on_report = on_report
        self._progress = ProgressReports(on_progress)
        # Set by `attach`.
        self._runner: Any = None
        self._workers: Workers
        self._plan_clock: PlanClock
        # Of the test that runs, or is about to.
        self._run: Run | None = None
        self._ending: Ending | None = None
        self._begin_data: dict[str, Any] = {}
        self.signalled: str | None = None
        """The signal that asked this process to end, if one did."""
        self.reports: list[Report] = []
        self._hello = messages.hello(scenario.name, token)
        self._sent_away: dict[str, str] = {}
        """Which workers could not take part, and why."""
        self._failures: dict[str, HostFailure] = {}
        """What listeners, plugins and Locust itself have failed with in workers."""

    def attach(self, runner: Any, chosen: Callable[[], RunOptions] | None) -> None:
        """Listen to the workers. `chosen` gives the options of the next test where these are not settled before it, by
        a web page say; it raises ConfigurationError, and tells the user why, where they do not make one."""
        self._runner = runner
        self._workers = Workers(runner)
        self._plan_clock = PlanClock(self._scenario, self._options, chosen)
        if hasattr(runner, "server"):
            keep_listening(runner, self._on_unreadable)
        self._listen(messages.HELLO, self._on_hello)
        self._listen(messages.REPORT, self._on_report_message)
        self._listen(messages.DRAINED, self._on_drained)
        self._listen(messages.PUBLISH, self._on_publish)
        self._listen(messages.FAILURE, self._on_failure)
        self._listen(messages.LEFT, lambda msg: self._workers.note_left(self._worker_id(msg)))
        ClockServer(runner)

    # The load, as PlanShape asks for it

    def prepare(self) -> None:
        """A test is about to start; Locust calls this once or twice before its first user."""
        if self._run is None:
            self._plan_clock.prepare()
        else:
            self._plan_clock.restart()
            self._run.began_s = self._plan_clock.began_s

    def tick(self) -> tuple[int, float] | None:
        """Total users wanted now, supporters included; None at the end of the plan."""
        run = self._run
        if self._plan_clock.refused:
            return None
        # What comes before the first user is not the load's time, and another number of users would cut it off.
        if run is not None and (run.finishing or run.judge is None):
            return self._plan_clock.hold()
        wanted = None if run is not None and run.is_done() else self._plan_clock.tick()
        if wanted is None:
            self._note("end")
        return wanted

    def edit(self, users: int, spawn_rate: float) -> None:
        """Go on with so many users. Raises ValueError, which says why, when the running test cannot."""
        run = self._run
        if self._scenario.is_locustfile:
            raise ValueError("the load is that of the locustfile's shape; stop the test first")
        if run is None or run.judge is None or run.finishing:
            raise ValueError("the test is beginning or ending; try again while it is running")
        plan = self._plan_clock.edit(users, spawn_rate)
        run.options = replace(run.options, plan=plan)
        run.evaluator.holds = plan.holds
        self._publish(USERS_PEAK, {"users": plan.users_peak})
        at_s = monotonic() - run.began_s
        at = format_duration(round(at_s))
        run.timeline.recorder.mark(at_s, "edit", f"edited: {users:,} users")
        run.notes.append(
            f"edited in the web page after {at}: {users} users, {spawn_rate:g} started or stopped a second"
        )

    def _note(self, cause: Cause) -> None:
        if self._ending is not None:
            self._ending.cause = self._ending.cause or cause

    # The start

    def begin(self) -> None:
        """Locust's `test_start`: tell all workers, before the first user is spawned."""
        scenario = self._scenario
        if self._run is not None:
            raise RuntimeError("a test began while another was running")
        if scenario.is_locustfile:
            # There is no shape of ours, which would have called it.
            self.prepare()
        if self._plan_clock.refused:
            gevent.spawn(self._stop_test)
            return
        options, number = self._plan_clock.options, len(self.reports) + 1
        # Locust logs what a listener raises, and would wait for this test for ever.
        try:
            run = make_run(self._environment, scenario, options, self._command, number, self._endpoint)
        except Exception as error:
            logger.exception("The test could not begin")
            why = Reason("internal", "exception", _beginning(error))
            self._report(empty_report(scenario, self._command, [why], ExitCode.INTERNAL))
            gevent.spawn(self._stop_test)
            return
        self._run = run
        self._ending = Ending(self._environment, self._workers, scenario, run, lambda: self.signalled)
        try:
            self._on_begin(unfinished_report(scenario, self._command, run.facts))
            self._start(run)
        except Exception as error:
            logger.exception("The test could not begin")
            run.internal_errors.append(_beginning(error))
            gevent.spawn(self._stop_test)

    def _start(self, run: Run) -> None:
        scenario, options = self._scenario, run.options
        is_called_off = not set_up(scenario, run)
        if is_called_off:
            # It is stopped when this greenlet waits next: begun like any other test, it ends and is reported like one.
            gevent.spawn(self._stop_test)
        run.prometheus.before()
        # What the set-up took is not the load's time.
        self.prepare()
        participants = self._workers.participants()
        stop_timeout_s = float(self._environment.stop_timeout)
        begin = run_start(run, scenario, participants, stop_timeout_s, is_called_off=is_called_off)
        self._begin_data = begin.to_wire()
        if begin.arrivals is not None:
            schedule = schedule_of(scenario, options.settings, options.seed, begin.arrivals["duration_s"])
            run.arrival_assignment = ArrivalAssignment(
                schedule, begin.arrivals["start_ns"], self._workers, begin.stripes
            )
        if options.plan.iterations is not None:
            run.iteration_grants = IterationGrants(options.plan.iterations, begin.users_peak, begin.workers)
        run.notes += self._sent_away.values()
        log_plan(scenario, run)
        for worker, index in participants:
            run.collector.expect(worker, index)
        self._runner.send_message(messages.BEGIN, self._begin_data)
        run.target_monitor.start()
        run.observations.start()
        run.judge = gevent.spawn(self._judge_forever, run)
        run.judge.link_exception(lambda judge: run.internal_errors.append(f"judging: {judge.exception!r}"))

    # Messages

    def _listen(self, kind: str, listener: Callable[[Any], None]) -> None:
        """Have `listener` called with messages of a kind. What it raises would end in Locust's log, and nowhere else:
        a message that cannot be read is its worker's fault, and everything else is ours."""

        def on_message(environment: Any, msg: Any) -> None:
            try:
                listener(msg)
            except ValueError as error:
                self._on_unreadable(self._worker_id(msg), f"{kind}: {error}")
            except Exception as error:
                logger.exception("The message %s could not be handled", kind)
                if self._run is not None:
                    self._run.internal_errors.append(f"message {kind}: {type(error).__name__}: {error}")

        self._runner.register_message(kind, on_message)

    def _on_unreadable(self, worker: str, problem: str) -> None:
        run = self._run
        record = run.collector.refuse(worker, problem) if run is not None else None
        if record is not None:
            logger.error("%s sent what cannot be read (%s): its figures are not whole any more", record, problem)

    def _worker_id(self, msg: Any) -> str:
        # A local runner passes messages to itself, under another name.
        return str(self._runner.client_id if msg.node_id == "local" else msg.node_id)

    def _on_hello(self, msg: Any) -> None:
        """A worker can take messages now. One that came late is told of the test that is running; one that comes while
        the test is still being set up is told with all others."""
        run = self._run
        if why := messages.refusal(plain.mapping(msg.data), self._hello):
            logger.error("Worker %s is sent away: %s", msg.node_id, why)
            self._runner.send_message(messages.REFUSE, {"why": why}, client_id=msg.node_id)
            self._workers.drop(msg.node_id)
            self._sent_away[msg.node_id] = note = f"worker {msg.node_id} was sent away: {why}"
            if run is not None:
                run.collector.forget(msg.node_id)
                run.notes.append(note)
        elif run is not None and run.judge is not None and not run.finishing:
            run.collector.expect(msg.node_id, self._runner.get_worker_index(msg.node_id))
            self._runner.send_message(messages.BEGIN, self._begin_data, client_id=msg.node_id)

    def _on_report_message(self, msg: Any) -> None:
        run = self._run
        if run is None:
            return
        if _named(msg.data, "worker")["worker"] != self._worker_id(msg):
            raise ValueError("it is in another worker's name")
        at_s, known = monotonic() - run.began_s, run.collector.workers.get(self._worker_id(msg))
        try:
            record = run.collector.take(msg.data, at_s)
        except MissedReportError:
            self._runner.send_message(messages.REPORT_WHOLE, {}, client_id=self._worker_id(msg))
            return
        if record is not None and record.anew > (known.anew if known is not None else 0):
            run.start_anew(at_s)
        if record is not None and record.final and not run.finishing:
            run.note_departure(record)

    def _on_drained(self, msg: Any) -> None:
        run, data = self._run, _named(msg.data, "run_id", "role")
        if run is not None and data["run_id"] == run.facts.run_id:
            run.collector.expect(self._worker_id(msg), 0).drained.add(plain.text(data["role"]))

    def _on_failure(self, msg: Any) -> None:
        failure, worker = HostFailure.from_wire(msg.data), self._worker_id(msg)
        if worker in self._failures or worker in self._sent_away:
            return
        index = dict(self._workers.participants()).get(worker, worker)
        self._failures[worker] = failure = replace(failure, why=f"worker {index}: {failure.why}")
        logger.error("%s", failure.why)
        if self._run is None and self.reports:
            self.amend(lambda report: failed_by_others(report, failure.code, failure.why))

    @property
    def running(self) -> Run | None:
        """The test that runs, or is coming to its end; None between two tests."""
        return self._run

    def dismiss_workers(self) -> bool:
        """Let all workers end and tell their last; False where that is going on already."""
        return self._workers.dismiss()

    def _on_publish(self, msg: Any) -> None:
        published = _named(msg.data, "topic", "data")
        topic, data = plain.text(published["topic"]), plain.mapping(published["data"])
        run = self._run
        if topic == arrivals.MORE_USERS:
            known = _named(data, "worker", "users")
            self._plan_clock.more_users(plain.count(known["worker"]), plain.count(known["users"]))
        elif topic == arrivals.LEAVING:
            worker = plain.text(_named(data, "worker")["worker"])
            if run is not None and run.arrival_assignment is not None:
                run.arrival_assignment.note_leaving(worker)
                gevent.spawn_later(ALL_LEAVE_WITHIN_S, self._reassign_if_running, run)
        elif topic != messages.ITERATIONS_WANTED:
            self._publish(topic, data)
        elif run is not None and run.iteration_grants is not None:
            known = _named(data, "worker", "users")
            granted = run.iteration_grants.grant(plain.text(known["worker"]), plain.count(known["users"]))
            self._publish(messages.ITERATIONS_GRANTED, granted)

    def _publish(self, topic: str, data: Mapping[str, Any]) -> None:
        self._runner.send_message(messages.NEWS, {"topic": topic, "data": dict(data)})

    # While it runs

    def _judge_forever(self, run: Run) -> None:
        # A locustfile's own users are in Locust's own table.
        printer = None if self._scenario.is_locustfile else ProgressPrinter(run.options.plan, self._scenario.speeds)
        warned = False
        # Workers report as often, and have been told to begin just now: what they say is then not two seconds old.
        next_s = monotonic() + REPORTS_ARRIVE_S
        while True:
            next_s += messages.REPORT_EVERY_S
            gevent.sleep(max(0.0, next_s - monotonic()))
            at_s = monotonic() - run.began_s
            self._workers.note_lost(run.collector, at_s)
            self._reassign_lost(run)
            run.note_users(self._plan_clock.primaries)
            snapshot = run.measured()
            run.evaluator.observe(at_s, snapshot)
            run.outputs.observe(snapshot)
            results = run.evaluator.results(snapshot, at_s - run.measured_from_s)
            run.record(at_s, snapshot, results, self._plan_clock.primaries)
            self._progress.offer(at_s, partial(run.so_far, self._scenario, snapshot, at_s))
            aborting = [result for result in results if result.abort]
            unreachable = run.unreachable(snapshot)
            trouble = unreachable.text if unreachable is not None else ""
            if printer is not None:
                printer.plan = run.options.plan
                printer.show(at_s, snapshot, results, trouble)
            elif trouble and not warned:
                logger.warning("%s", trouble)
                warned = True
            if aborting and self._ending is not None and self._ending.cause is None:
                self._note("abort")
                run.ended_by = {at: result for at, result in enumerate(results) if result.abort}
                run.notes.append(f"ended early by abort_on_fail: {describe(aborting[0])}")
                run.timeline.recorder.mark(at_s, "abort", f"abort_on_fail: {describe(aborting[0])}")
                gevent.spawn(self._stop_test)
                return

    def _reassign_lost(self, run: Run) -> None:
        """Give the arrivals and iterations of workers that are gone to others."""
        if run.arrival_assignment is not None and (news := run.arrival_assignment.review()) is not None:
            self._publish(arrivals.STRIPES, news)
        if run.iteration_grants is not None:
            for granted in run.iteration_grants.take_back(run.collector.gone()):
                self._publish(messages.ITERATIONS_GRANTED, granted)

    def _reassign_if_running(self, run: Run) -> None:
        if not run.finishing:
            self._reassign_lost(run)

    def _stop_test(self) -> None:
        if self._environment.web_ui is None:
            self._runner.quit()
            return
        self._runner.stop()
        options = self._environment.parsed_options
        if options.autostart and options.autoquit != -1 and self._environment.shape_class is None:
            # Locust itself does it when the time is over that this test was to take, or when its shape has ended.
            gevent.sleep(options.autoquit)
            logger.info("--autoquit: the test is over, shutting down")
            self._runner.quit()
            self._environment.web_ui.stop()

    # The end

    def on_signal(self, name: str) -> bool:
        """This process is asked to end by a signal: audits that are under way end now. Whether Locust is to be
        interrupted as well: not where it has come to the end of its only test by itself."""
        self.signalled = self.signalled or name
        ending = self._ending
        if ending is None or not ending.interrupt_audits(name):
            return True
        return self._environment.web_ui is not None and not ending.is_judged_by_main

    def amend(self, change: Callable[[Report], Report]) -> None:
        """Change the last report, and have it written again."""
        self.reports[-1] = self._on_report(change(self.reports[-1]))

    def _report(self, report: Report) -> None:
        self._progress.end()
        failures = [*self._failures.values()]
        # Without the page it is looked at when the process ends, as late listeners count, too.
        if self._environment.web_ui is not None and (own := take_host_failure(self._environment)) is not None:
            failures.append(own)
        for failure in failures:
            report = failed_by_others(report, failure.code, failure.why)
        self.reports.append(report)
        self.reports[-1] = self._on_report(report)

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
            ended_s, ended_ns = monotonic() - run.began_s, monotonic_ns()
            self._workers.keep_users_in_place()
            ending.drain()
            report = ending.judge(ended_s, ended_ns)
        except BaseException as error:
            # Whatever happens, there is a report: without one, nobody would know that this run is no pass.
            logger.exception("The run could not be judged")
            self._report(unjudged_report(self._scenario, self._command, run.facts, error))
            if not isinstance(error, Exception):
                raise
        else:
            self._report(report)
        finally:
            self._run = self._ending = None
            run.target_monitor.stop()
            run.observations.stop()
            run.outputs.stop()
            run.finished.set()
            if self._workers.all_lost() and self._environment.web_ui is None:
                # Locust would wait for the end of the time all the same, and without -t for ever.
                gevent.spawn(self._runner.quit)
