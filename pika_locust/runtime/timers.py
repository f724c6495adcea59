"""Timers and waiting in the event loop: per-user timers, single and periodic calls, conditions, bounded concurrency.

Timer callbacks run in the event loop, so they must not block; what one raises is an internal error of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import gevent
from gevent import get_hub, getcurrent
from gevent.pool import Pool

from pika_locust.clock import monotonic
from pika_locust.runtime.context import WorkerContext


class Condition:
    """One greenlet waits until something is so; callbacks that may have changed it notify.

    One timer and a switch: an `Event.wait` with a time-out takes kilobytes while it waits, and an exception at its end.
    """

    __slots__ = ("_is_notified", "_resume")

    def __init__(self) -> None:
        self._resume: Callable[[], Any] | None = None
        self._is_notified = False

    def notify(self) -> None:
        """Have the waiting greenlet check again, before anything else comes in."""
        if self._resume is not None and not self._is_notified:
            self._is_notified = True
            get_hub().loop.run_callback(self._wake)

    def wait_for(self, predicate: Callable[[], object], within_s: float) -> bool:
        """Wait until `predicate` holds, checking now and after each `notify`; False when it does not within `within_s`
        seconds. Raises RuntimeError when another greenlet waits."""
        deadline_s = monotonic() + within_s
        while not predicate():
            left_s = deadline_s - monotonic()
            if left_s <= 0:
                return False
            self._wait(left_s)
        return True

    def _wait(self, seconds: float) -> None:
        if self._resume is not None:
            raise RuntimeError("one greenlet waits for a condition at a time")
        hub = get_hub()
        timer = hub.loop.timer(seconds)
        self._resume, self._is_notified = getcurrent().switch, False
        try:
            # The loop's own idea of now is as old as its last wake-up: without the update the timer would fire early.
            timer.start(self._wake, update=True)
            hub.switch()
        finally:
            self._resume = None
            timer.close()

    def _wake(self) -> None:
        # One that comes late finds nobody, or somebody who looks once more than need be.
        resume, self._resume = self._resume, None
        if resume is not None:
            resume()


class UserTimers:
    """The timers of one user, at most one of each name: its think times, so that no greenlet sleeps for each."""

    __slots__ = ("_timers", "_worker")

    def __init__(self, worker: WorkerContext) -> None:
        self._worker = worker
        self._timers: dict[str, Any] = {}

    def start(self, name: str, after_s: float, act: Callable[..., None], *arguments: Any) -> None:
        """Call `act` in the event loop after so many seconds; an earlier timer of that name is cancelled."""
        self.cancel(name)
        timer = self._timers[name] = get_hub().loop.timer(after_s)
        # The loop's own idea of now is as old as its last wake-up: without the update the timer would fire early.
        timer.start(self._due, name, act, arguments, update=True)

    def cancel(self, name: str) -> None:
        """Stop the timer of that name, if there is one."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.stop()
            timer.close()

    def cancel_all(self, but: str | None = None) -> None:
        """Stop all timers, or all but one."""
        for name in [name for name in self._timers if name != but]:
            self.cancel(name)

    def _due(self, name: str, act: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.cancel(name)
        # The same as worker.guarded(), without its generator: this runs for every like and vote.
        try:
            act(*arguments)
        except Exception as error:
            self._worker.internal_error(error)


class Timer:
    """A call that is due; `stop` gives it up, now or for good."""

    __slots__ = ("_act", "_arguments", "_repeats", "_watcher", "_worker")

    def __init__(
        self, worker: WorkerContext, seconds: float, repeats: bool, act: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        self._worker = worker
        self._repeats = repeats
        self._act = act
        self._arguments = arguments
        self._watcher: Any = get_hub().loop.timer(seconds, seconds if repeats else 0.0)
        # The loop's own idea of now is as old as its last wake-up: without the update the timer would fire early.
        self._watcher.start(self._due, update=True)

    def stop(self) -> None:
        """Never call again; stopping twice changes nothing."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()

    def _due(self) -> None:
        if not self._repeats:
            self.stop()
        with self._worker.guarded():
            self._act(*self._arguments)


def later(worker: WorkerContext, after_s: float, act: Callable[..., None], *arguments: Any) -> Timer:
    """Call `act` once, `after_s` seconds from now; what it raises is an internal error."""
    return Timer(worker, after_s, False, act, arguments)


def every(worker: WorkerContext, every_s: float, act: Callable[..., None], *arguments: Any) -> Timer:
    """Call `act` again and again, for the first time in `every_s` seconds; what it raises is an internal error."""
    return Timer(worker, every_s, True, act, arguments)


T = TypeVar("T")


def run_concurrently(items: Iterable[T], action: Callable[[T], None], *, at_once: int, within_s: float) -> bool:
    """Do `action` for all items, in `at_once` greenlets. False when `within_s` seconds were not enough.

    What is under way then is given up, and the rest is not begun. Raises what an action raised, when all are done.
    """
    pool = Pool(at_once)
    begun = []
    with gevent.Timeout(within_s, False):
        for item in items:
            begun.append(pool.spawn(action, item))
        pool.join()
        for greenlet in begun:
            greenlet.get(block=False)
        return True
    pool.kill()
    return False
