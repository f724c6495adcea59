"""The open model in one process: starts iterations when they are due, on whatever user is free.

`Arrivals` takes this process's part of the schedule, `PreciseTimer` (timerfd) wakes it with sub-millisecond precision,
and `OpenActor` is the user that serves one arrival after another.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, takewhile
from typing import Any

from gevent import get_hub
from gevent.hub import Waiter
from locust.exception import StopUser

from pika_locust import clock
from pika_locust.clock import monotonic_ns
from pika_locust.load.arrivals import Schedule, stripe
from pika_locust.runtime.actor import Actor
from pika_locust.runtime.context import WorkerContext
from pika_locust.scenario import schedule_of

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE = 1
_READ = 1


class _TimeSpec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _TimerSpec(ctypes.Structure):
    _fields_ = [("interval", _TimeSpec), ("value", _TimeSpec)]


class PreciseTimer:
    """Calls `callback` in the event loop as soon as the monotonic clock passes what `set` said; once for each `set`.

    The event loop's own timers are a millisecond coarse, which at 2,000 arrivals a second is two arrivals. On Linux a
    timer of the kernel (`timerfd_create(2)`) makes a file descriptor readable to the nanosecond, and the loop watches
    it like a socket. Elsewhere the loop's timers must do.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._watcher: Any = None
        self._descriptor = -1
        # The kernel counts by its own clock: where the process goes by another, the loop's timers count.
        if sys.platform == "linux" and clock.is_kernel():
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._descriptor = self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._descriptor >= 0:
            self._spec = _TimerSpec()
            self._watcher = get_hub().loop.io(self._descriptor, _READ)
            self._watcher.start(self._on_readable)

    def set(self, at_ns: int) -> None:
        """Fire at `at_ns` of the monotonic clock, in place of any earlier setting; at once when that is past."""
        if self._descriptor >= 0:
            value = self._spec.value
            # All zeros would disarm the timer.
            value.seconds, value.nanoseconds = divmod(max(1, at_ns), 1_000_000_000)
            self._libc.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(self._spec), None)
            return
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
        self._watcher = get_hub().loop.timer(max(0.0, (at_ns - monotonic_ns()) / 1e9))
        self._watcher.start(self._callback, update=True)

    def close(self) -> None:
        """Never fire again; the timer cannot be set any more."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _on_readable(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            # Set anew after the loop had seen it, and before it came to us: the earlier time does not count any more.
            return
        self._callback()


MORE_USERS = "more_users"
"""News: a worker wants so many users beyond those prepared, as arrivals found nobody free."""
STRIPES = "stripes"
"""News: from arrival `first` on, these workers take every so many-th, and no others."""
LEAVING = "leaving"
"""News for the master: a worker was told to end. It goes on for a moment, in which others are given its arrivals."""
_ASK_EVERY_NS = 1_000_000_000


class Arrivals:
    """One process's stripe of a schedule.

    An arrival that finds no free user is dropped and never made up, and one more user is asked for, as k6 does it.
    """

    def __init__(self, worker: WorkerContext, schedule: Schedule, start_ns: int, worker_id: str) -> None:
        self._worker = worker
        self._schedule = schedule
        self._start_ns = start_ns
        self._worker_id = worker_id
        self._walk: Iterator[tuple[int, float]] = schedule.walk(self._part(worker.begin.stripes, 0))
        self._free: deque[OpenActor] = deque()
        self._dropped = worker.metrics.counter("dropped_iterations")
        self._started = worker.metrics.counter("iterations_started")
        self._lateness = worker.metrics.trend("arrival_lateness")
        self._short = 0
        self._asked_ns = 0
        self._next: tuple[int, float] | None = None
        self._due_ns: int | None = None
        self._timer = PreciseTimer(self._on_due)
        worker.listen(STRIPES, self._on_stripes)
        worker.on_end(self._timer.close)
        self._advance()

    def _part(self, holders: Mapping[str, int], first: int) -> range:
        """This process's numbers from `first` on; none when it is not among the holders."""
        if self._worker_id not in holders:
            return range(0)
        return stripe(self._schedule.total, holders[self._worker_id], len(holders), first)

    def _on_stripes(self, news: Mapping[str, Any]) -> None:
        """Other workers than before take what comes: keep what is due before, and take the new part."""
        first = news["first"]
        rest = self._walk if self._next is None else chain([self._next], self._walk)
        kept = takewhile(lambda arrival: arrival[0] < first, rest)
        self._walk = chain(kept, self._schedule.walk(self._part(news["workers"], first)))
        self._advance()

    def offer(self, actor: OpenActor) -> None:
        """A user is free for the next arrival."""
        self._free.append(actor)

    def withdraw(self, actor: OpenActor) -> None:
        """A user ends while it waits."""
        if actor in self._free:
            self._free.remove(actor)

    def _advance(self) -> None:
        self._next = due = next(self._walk, None)
        self._due_ns = None if due is None else self._start_ns + round(due[1] * 1e9)
        if self._due_ns is not None:
            self._timer.set(self._due_ns)

    def _on_due(self) -> None:
        with self._worker.guarded():
            while self._due_ns is not None and self._due_ns <= (now_ns := monotonic_ns()):
                if self._worker.draining:
                    return
                assert self._next is not None
                self._arrive(self._next[0], self._due_ns, now_ns)
                self._advance()
            if self._due_ns is not None:
                # The timer fired a little early, or the last setting was overwritten by an arrival in the past.
                self._timer.set(self._due_ns)

    def _arrive(self, number: int, due_ns: int, now_ns: int) -> None:
        if self._free:
            self._started.add()
            self._lateness.add(max(1, (now_ns - due_ns) // 1000))
            self._free.popleft().wake(number, due_ns)
            return
        self._dropped.add()
        self._short += 1
        if now_ns - self._asked_ns > _ASK_EVERY_NS:
            self._asked_ns = now_ns
            self._worker.tell_all(MORE_USERS, {"worker": self._worker.worker_index, "users": self._short})


def arrivals_of(worker: WorkerContext, start_ns: int, worker_id: str) -> Arrivals:
    """This process's part of the open model."""
    begin = worker.begin
    assert begin.arrivals is not None
    schedule = schedule_of(worker.scenario, worker.settings, begin.seed, begin.arrivals["duration_s"])
    return Arrivals(worker, schedule, start_ns, worker_id)


class OpenActor(Actor):
    """A user that is used again and again for whatever arrives; in a closed load it simply goes round.

    `due_ns` is when the running iteration was due, by the monotonic clock: latencies that the open model is about
    count from there. `arrival` is its number in the whole schedule, from 0 and over all processes; None in a closed
    load.
    """

    abstract = True

    due_ns: int = 0
    arrival: int | None = None
    _waiter: Any = None

    def iterate_in(self, arrivals: Arrivals) -> None:
        """Serve arrivals until the user is to finish."""
        worker = self.worker
        service = worker.metrics.trend("iteration_service_time")
        while not self.released.is_set() and self.role not in worker.draining:
            self._waiter = Waiter()
            arrivals.offer(self)
            try:
                self.arrival, self.due_ns = self._waiter.get()
            finally:
                self._waiter = None
                arrivals.withdraw(self)
            began_ns = monotonic_ns()
            if self._attempt():
                ended_ns = monotonic_ns()
                worker.iterations.add()
                worker.iteration_duration.add((ended_ns - self.due_ns) // 1000)
                service.add((ended_ns - began_ns) // 1000)

    def wake(self, number: int, due_ns: int) -> None:
        """An iteration begins; called in the event loop."""
        self._waiter.switch((number, due_ns))

    def release(self) -> None:
        super().release()
        waiter = self._waiter
        if waiter is not None:
            self.worker.arrivals.withdraw(self)
            get_hub().loop.run_callback(waiter.throw, StopUser())
