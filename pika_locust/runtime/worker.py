"""The worker side of a test: takes part in runs, reports every two seconds, and drains its users at the end.

There is one in every worker process, and in the one process of a local run. Beside the users it measures the load
generator itself: how late its event loop is (`LagProbe`), and how much CPU and memory it takes (`ProcessUsage`).
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import gevent
import psutil
from gevent import get_hub
from gevent.event import Event

from pika_locust.clock import monotonic, monotonic_ns
from pika_locust.errors import ExitCode
from pika_locust.load.iterations import Iterations
from pika_locust.metrics import Snapshot
from pika_locust.metrics.changes import changes_to_wire
from pika_locust.runtime import messages, redaction
from pika_locust.runtime.arrivals import LEAVING, arrivals_of
from pika_locust.runtime.clock_sync import ClockClient
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.host_failures import HostFailure, host_failure
from pika_locust.runtime.iterations import IterationQuota
from pika_locust.runtime.master_watch import MasterWatch
from pika_locust.runtime.messages import ROLES, SUPPORTER_DRAIN_S, RunStart
from pika_locust.runtime.request_events import RequestEventMeter
from pika_locust.runtime.target_settings import reach
from pika_locust.scenario import Scenario
from pika_locust.settings import Settings

logger = logging.getLogger(__name__)

PROBE_EVERY_S = 0.02
CPU_WINDOW_S = 10.0
_READ = 1


class LagProbe:
    """Measures how late the event loop handles timers and readable sockets.

    Every 20 ms a timer falls due and writes a byte to a socket of our own; when that byte is read, the time since the
    timer was due is how long anything else in this loop may have waited, timer and socket both.

    A loop that was blocked for a second missed fifty probes, and each of them would have waited: all are recorded
    (the correction for coordinated omission of wrk2), so that one long stall weighs as much as it should.
    """

    def __init__(self, record_us: Callable[[int], None]) -> None:
        self._record_us = record_us
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._reader: Any = get_hub().loop.io(self._far.fileno(), _READ)
        self._timer: Any = None
        self._due_s = 0.0

    def start(self) -> None:
        """Begin to probe."""
        self._reader.start(self._on_read)
        self._due_s = monotonic() + PROBE_EVERY_S
        self._wait()

    def stop(self) -> None:
        """Stop probing; the probe cannot be started again."""
        for watcher in (self._timer, self._reader):
            watcher.stop()
            watcher.close()
        self._near.close()
        self._far.close()

    def _wait(self) -> None:
        self._timer = get_hub().loop.timer(max(0.0, self._due_s - monotonic()))
        # The loop's own idea of now is as old as its last wake-up: without the update the timer would fire early.
        self._timer.start(self._on_due, update=True)

    def _on_due(self) -> None:
        self._timer.close()
        self._near.send(b"\0")

    def _on_read(self) -> None:
        self._far.recv(1)
        now_s = monotonic()
        # A timer may fire up to a millisecond early; the next one is due in any case.
        self._record_us(max(1, int((now_s - self._due_s) * 1e6)))
        self._due_s += PROBE_EVERY_S
        while self._due_s <= now_s:
            self._record_us(max(1, int((now_s - self._due_s) * 1e6)))
            self._due_s += PROBE_EVERY_S
        self._wait()


class ProcessUsage:
    """CPU and memory of this process: `sample()` every second or so, then read the highest."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._points: deque[tuple[float, float]] = deque()
        self.cpu_percent_max: float | None = None
        """Share of one core over the busiest 10 s; None in a run shorter than that."""
        self.cpu_percent: float | None = None
        """Share of one core over the last 10 s, or since the first sample where that is less long ago."""
        self.rss_mb_max = 0.0

    def sample(self, now_s: float) -> None:
        """Look at the process; `now_s` is a monotonic clock."""
        self._points.append((now_s, time.process_time()))
        while len(self._points) > 2 and self._points[1][0] <= now_s - CPU_WINDOW_S:
            self._points.popleft()
        begin_s, begin_cpu_s = self._points[0]
        if now_s > begin_s:
            self.cpu_percent = (self._points[-1][1] - begin_cpu_s) / (now_s - begin_s) * 100
            if now_s - begin_s >= CPU_WINDOW_S:
                self.cpu_percent_max = max(self.cpu_percent_max or 0.0, self.cpu_percent)
        with suppress(OSError):
            # It is read from a file, and there may be none left to open.
            self.rss_mb_max = max(self.rss_mb_max, self._process.memory_info().rss / 1e6)


@dataclass(frozen=True, slots=True)
class Reported:
    """The figures that the master has of this process: what the next report may be the changes of."""

    sequence: int
    anew: int
    figures: Snapshot

    def report(self, figures: Snapshot, anew: int) -> dict[str, Any] | None:
        """What has changed since; None where only the whole will do."""
        if anew != self.anew or figures.metrics != self.figures.metrics:
            return None
        return {"since": self.sequence, "changes": changes_to_wire(figures, self.figures)}


MASTER_WAIT_S = 3.0
"""How long a worker that is told to end waits to hear from the master first."""


class WorkerSide:
    """Takes part in tests: begins, reports every two seconds, drains when asked, and sends its final report."""

    def __init__(
        self,
        environment: Any,
        scenario: Scenario,
        settings: Settings,
        on_context: Callable[[WorkerContext | None], None] = lambda context: None,
        token: str = "",
    ) -> None:
        """`on_context` is told of each test's context when the test begins, and None when its figures are sent. `token`
        is what the master knows the workers by that it has forked."""
        self._environment = environment
        self._on_context = on_context
        self._is_refused = False
        self._hello = messages.hello(scenario.name, token)
        self._scenario = scenario
        self._settings = settings
        self._runner: Any = None
        self._sequence = 0
        self._reported: Reported | None = None
        self._begun = Event()
        self._reporter: Any = None
        self._probe: LagProbe | None = None
        self._process_usage = ProcessUsage()
        self._drained: set[str] = set()
        self._request_meter: RequestEventMeter | None = None
        self._clock = ClockClient(self._send)
        self._master_watch: MasterWatch | None = None
        self.context: WorkerContext | None = None

    def attach(self, runner: Any) -> None:
        """Listen to the master. Draining runs beside the greenlet that answers heartbeats, or the worker would be
        taken for missing."""
        self._runner = runner
        self._listen(messages.BEGIN, self._on_begin)
        self._listen(messages.DRAIN, self._on_drain, concurrent=True)
        self._listen(messages.NEWS, self._on_news)
        self._listen(messages.CLOCK_REPLY, self._clock.on_answer)
        self._listen(messages.REFUSE, self._on_refused)
        self._listen(messages.REPORT_WHOLE, self._on_report_whole)
        self._environment.events.spawning_complete.add_listener(self._on_spawned)
        if not self._is_local:
            self._clock.start()
            self._master_watch = MasterWatch(runner, self._on_master_gone, forked=bool(self._hello["token"]))
            self._master_watch.start()
            events = self._environment.events
            events.test_stop.add_listener(lambda **_: self._on_stopped())
            # Locust goes through these from the last to the first, and what the locustfile's own do is part of it.
            events.quitting._handlers.insert(0, self._on_left)
        self._send(messages.HELLO, self._hello)

    def _listen(self, kind: str, listener: Callable[..., None], *, concurrent: bool = False) -> None:
        """Have `listener` called with messages of a kind. What it raises would end in the log, and nowhere else."""

        def on_message(environment: Any, msg: Any) -> None:
            try:
                listener(environment, msg)
            except Exception as error:
                logger.exception("The message %s could not be handled", kind)
                text = f"message {kind}: {type(error).__name__}: {error}"
                self._send(messages.FAILURE, HostFailure(int(ExitCode.INTERNAL), text).to_wire())

        self._runner.register_message(kind, on_message, concurrent=concurrent)

    def _tell_failure(self) -> None:
        """What Locust or somebody else's listener has failed with here, nobody would tell the master."""
        if not self._is_local and not self._is_refused and (failure := host_failure(self._environment)) is not None:
            self._send(messages.FAILURE, failure.to_wire())

    def _on_stopped(self) -> None:
        self._tell_failure()
        # Locust's worker sleeps for the stop time-out now, hears of nothing meanwhile, and counts as one that has left;
        # though nobody is left to wait for. The next test brings its own.
        self._environment.stop_timeout = 0.0

    def _on_left(self, **_: Any) -> None:
        self._tell_failure()
        self._send(messages.LEFT, {})

    def _on_master_gone(self) -> None:
        self._environment.process_exit_code = int(ExitCode.FAILED)
        if self.context is not None:
            # There is nobody to drain with, nor to tell.
            self._drain_at_once()
        self._runner.quit()

    def _on_report_whole(self, environment: Any, msg: Any) -> None:
        self._reported = None

    def _on_refused(self, environment: Any, msg: Any) -> None:
        logger.error("The master has sent this worker away: %s", msg.data["why"])
        self._is_refused = True
        self._environment.process_exit_code = int(ExitCode.CONFIG)
        self._runner.quit()

    def wait_for_context(self, timeout_s: float) -> WorkerContext | None:
        """This process's context of the running test, as soon as the master has started one here."""
        self._begun.wait(timeout_s)
        return self.context

    def drain_before_quitting(self) -> None:
        """This process was told to end. If all were (Ctrl-C in a terminal), the master drains everybody in the right
        order, primary users before supporters, wherever they are; if only this one was, it finishes by itself."""
        context = self.context
        if context is None:
            return
        try:
            self._drain_with_the_master(context)
        except KeyboardInterrupt:
            # Again: nobody wants to wait for the users, but what was measured is sent all the same.
            self._drain_at_once()

    def _drain_at_once(self) -> None:
        try:
            for role in ROLES:
                self._drain(role, 0.0)
        except KeyboardInterrupt:
            self._drain_at_once()

    def _drain_with_the_master(self, context: WorkerContext) -> None:
        if context.begin.arrivals is not None and not context.draining:
            self._tell_all(LEAVING, {"worker": self._runner.client_id})
        deadline_s = monotonic() + MASTER_WAIT_S
        while not context.draining and monotonic() < deadline_s:
            gevent.sleep(0.05)
        deadline_s = monotonic() + context.begin.stop_timeout_s + SUPPORTER_DRAIN_S
        while context.draining and not self._drained.issuperset(ROLES) and monotonic() < deadline_s:
            gevent.sleep(0.05)
        for role in ROLES:
            if role not in self._drained:
                self._drain(role, context.begin.stop_timeout_s)

    def _on_begin(self, environment: Any, msg: Any) -> None:
        begin = RunStart(**msg.data)
        if self.context is not None and self.context.begin.run_id == begin.run_id:
            return
        start_ns = self._first_arrival_ns(begin)
        if begin.arrivals is not None and start_ns is None:
            # Said before the master could answer what its clock says; it is answering.
            self._clock.when_answered(lambda: self._on_begin(environment, msg))
            return
        self._end()
        settings = self._settings.with_public(begin.settings)
        redaction.conceal(settings, begin.target)
        self._process_usage = ProcessUsage()
        self._drained = set()
        self._reported = None
        me = self._runner.client_id
        reach(begin.target.split(", "), settings)
        quota = self._quota(begin)
        self.context = context = WorkerContext(
            begin,
            self._scenario,
            settings,
            max(0, self._runner.worker_index),
            self._tell_all,
            self._environment.events.request,
            clocks=self._clock.clocks,
            quota=quota,
            make_arrivals=partial(arrivals_of, start_ns=start_ns, worker_id=me) if start_ns is not None else None,
        )
        if quota is not None:
            context.listen(messages.ITERATIONS_GRANTED, lambda granted: quota.on_granted(granted, me))
        if self._scenario.is_locustfile:
            self._request_meter = RequestEventMeter(self._environment, self._runner, self.context)
        self._probe = LagProbe(self.context.metrics.trend("generator_lag_ms").add)
        self._probe.start()
        self._reporter = gevent.spawn(self._report_forever)
        self._reporter.link_exception(lambda reporter, context=self.context: context.internal_error(reporter.exception))
        self._on_context(self.context)
        self._begun.set()

    def _on_spawned(self, user_count: int, **_: Any) -> None:
        """Locust has started all users that it was asked for: a locustfile's ramp-up is over, or one step of ours."""
        context = self.context
        if context is None or self._reporter is None or not context.begin.drops_ramp:
            return
        begin = context.begin
        is_step = user_count < begin.users_peak + begin.supporters or context.anew
        if not self._scenario.is_locustfile and is_step:
            return
        context.start_anew()
        self._send_report(final=False)

    def _first_arrival_ns(self, begin: RunStart) -> int | None:
        """When the open model's arrivals begin, by our clock; None when there are none, or while nobody can say."""
        if begin.arrivals is None:
            return None
        planned = self._clock.clocks.here(begin.arrivals["boot"], begin.arrivals["start_ns"], monotonic_ns())
        return planned.ns if planned is not None else None

    def _quota(self, begin: RunStart) -> IterationQuota | None:
        if begin.iterations is None:
            return None
        me = self._runner.client_id
        return IterationQuota(
            Iterations.from_wire(begin.iterations),
            ask=lambda users: self._tell_all(messages.ITERATIONS_WANTED, {"worker": me, "users": users}),
            when_idle=lambda: self._send_report(final=False),
        )

    def _on_news(self, environment: Any, msg: Any) -> None:
        if self.context is not None:
            self.context.hear(msg.data["topic"], msg.data["data"])

    def _on_drain(self, environment: Any, msg: Any) -> None:
        self._drain(msg.data["role"], msg.data["timeout_s"])

    def _drain(self, role: str, timeout_s: float) -> None:
        context = self.context
        if context is None:
            return
        if role not in self._drained:
            context.drain(role, timeout_s)
            if self._request_meter is not None:
                # No time at all is given by whoever interrupts again; without a stop time-out, nobody was waited for.
                if not timeout_s and self._environment.stop_timeout:
                    self._request_meter.cut_users()
                self._request_meter.stop_users()
        if role == ROLES[-1]:
            context.end()
            self._end()
            self._send_report(final=True)
            self._on_context(None)
            if not self._is_local:
                # As after a stop of Locust's own.
                self._environment.stop_timeout = 0.0
        # Not before the figures are sent: a process that was told to end leaves when all roles are drained.
        self._drained.add(role)
        self._send(messages.DRAINED, {"run_id": context.begin.run_id, "role": role})

    @property
    def _is_local(self) -> bool:
        return hasattr(self._runner, "_local_worker_node") or getattr(self._runner, "is_local", False)

    def _end(self) -> None:
        """Stop what runs beside the users."""
        if self._reporter is not None:
            self._reporter.kill(block=False)
            self._reporter = None
        if self._probe is not None:
            self._sample()
            self._probe.stop()
            self._probe = None
        if self._request_meter is not None:
            self._request_meter.close()
            self._request_meter = None

    def _report_forever(self) -> None:
        next_s = monotonic()
        while True:
            next_s += messages.REPORT_EVERY_S / 2
            gevent.sleep(max(0.0, next_s - monotonic()))
            self._sample()
            next_s += messages.REPORT_EVERY_S / 2
            gevent.sleep(max(0.0, next_s - monotonic()))
            self._sample()
            self._send_report(final=False)

    def _sample(self) -> None:
        self._process_usage.sample(monotonic())
        if self._request_meter is not None:
            self._request_meter.sample()

    def _send_report(self, *, final: bool) -> None:
        context = self.context
        assert context is not None
        self._tell_failure()
        self._sequence += 1
        figures, before = context.figures(), self._reported
        changes = before.report(figures, context.anew) if before is not None and not final else None
        is_sent = self._send(
            messages.REPORT,
            {
                "sequence": self._sequence,
                "worker": self._runner.client_id,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "index": context.worker_index,
                "cpu_percent": self._process_usage.cpu_percent,
                "cpu_percent_max": self._process_usage.cpu_percent_max,
                "rss_mb_max": self._process_usage.rss_mb_max,
                **context.report(final=final),
                **({"metrics": figures.to_wire()} if changes is None else changes),
            },
        )
        self._reported = Reported(self._sequence, context.anew, figures) if is_sent else None

    def _tell_all(self, topic: str, data: Mapping[str, Any]) -> None:
        self._send(messages.PUBLISH, {"topic": topic, "data": dict(data)})

    def _send(self, kind: str, data: Mapping[str, Any]) -> bool:
        try:
            self._runner.send_message(kind, dict(data))
            return True
        except Exception as error:
            # The next report is whole and makes up for a lost one, and a lost final one is noticed and named.
            logger.warning("Could not send %s to the master: %s", kind, error)
            return False
