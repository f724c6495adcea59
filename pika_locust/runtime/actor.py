"""`Actor`: the base class of all virtual users, a Locust User that runs iterations until it is released."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import gevent
from gevent import GreenletExit, get_hub, getcurrent
from gevent.event import Event
from locust import User, constant, task
from locust.exception import StopUser

from pika_locust import clock
from pika_locust.runtime.context import WorkerContext

CONTEXT_WAIT_S = 10.0


class Actor(User):  # type: ignore[misc]
    """A Locust user that measures with `self.worker` and ends when it is asked to.

    Subclasses implement `act`, one iteration. An iteration that waits for something open-ended waits on
    `self.released` and then finishes in its own way; all others are simply not started again.
    """

    abstract = True
    wait_time = constant(0)

    role: ClassVar[Literal["primary", "supporter"]] = "primary"
    """The load plan sets how many primary actors there are; each supporter class comes on top, once in the test."""

    worker: WorkerContext

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.released = Event()
        """Set when the user is to finish: the load goes down, or the test ends."""
        self._pause: Any = None
        """The timer of the pause that is going on."""
        self._resume: Callable[[Any], Any] | None = None
        self._is_cut = False

    def on_start(self) -> None:
        worker = self.environment.pika_locust.wait_for_context(CONTEXT_WAIT_S)
        if worker is None or worker.begin.is_called_off or self.role in worker.draining:
            # Raised here, it would be logged as an error.
            self.released.set()
            return
        self.worker = worker
        self.number = worker.enter(self)
        self.dice = worker.dice(self.number)
        if self.role == "primary":
            self.pause(worker.start_delay_s(self.number))
            self._wait_for_supporters(worker)
        try:
            self.begin()
        except (Exception, gevent.Timeout) as error:
            worker.internal_error(error)
            raise StopUser from error

    def _wait_for_supporters(self, worker: WorkerContext) -> None:
        with gevent.Timeout(CONTEXT_WAIT_S, False):
            worker.supporters_ready.wait()

    def begin(self) -> None:
        """Called once, before the first iteration: bind metrics here."""

    def act(self) -> None:
        """One iteration."""
        raise NotImplementedError

    @task  # type: ignore[untyped-decorator]
    def iterate(self) -> None:
        """Run iterations until the user is to finish; not for overriding.

        The loop is here and not in Locust's, which goes through its task queue and the hub between two tasks.
        """
        if not hasattr(self, "worker"):
            raise StopUser
        worker, role, released = self.worker, self.role, self.released
        is_counted = role == "primary"
        if worker.arrivals is not None and is_counted:
            self.iterate_in(worker.arrivals)
        quota = worker.quota if is_counted else None
        draining = worker.draining
        while not released.is_set() and role not in draining:
            if quota is not None and not quota.take(self.number, released):
                break
            began_ns = clock.now_ns()
            if self._attempt() and is_counted:
                worker.note_iteration(clock.now_ns() - began_ns)
            if quota is not None:
                quota.finish()
        raise StopUser

    def iterate_in(self, arrivals: Any) -> None:
        """Serve arrivals of the open model; actors that can do it are `runtime.arrivals.OpenActor`s."""
        raise TypeError(f"{type(self).__name__} is no OpenActor, but its scenario has an arrival rate")

    def _attempt(self) -> bool:
        """One iteration; False when it raised, which is an internal error."""
        try:
            self.act()
        except StopUser:
            raise
        except GreenletExit:
            if not self._is_cut:
                # Locust's ramp-down has waited as long as the end of a test would; who is cut there is counted there.
                self.worker.note_cut()
            raise
        except (Exception, gevent.Timeout) as error:
            # gevent's time-out is no Exception: whoever does not catch it would end without a word.
            self.worker.internal_error(error)
            # An exception in every iteration must not become a hot loop.
            self.pause(1.0)
            return False
        return True

    def pause(self, seconds: float) -> bool:
        """Wait, as a user thinks: for `seconds`, or until the user is to finish; True when it is.

        For the user's own greenlet. `self.released.wait(seconds)` says the same, but throws and catches an exception
        for every pause that is not cut short, which is nearly all of them: here, one timer switches back.
        """
        released = self.released
        if seconds <= 0 or released.is_set():
            return bool(released.is_set())
        if self._pause is not None:
            raise RuntimeError("a user pauses in one greenlet at a time")
        hub = get_hub()
        timer = self._pause = hub.loop.timer(seconds)
        self._resume = switch = getcurrent().switch
        try:
            # The loop's own idea of now is as old as its last wake-up: without the update the timer would fire early.
            timer.start(switch, timer, update=True)
            while hub.switch() is not timer:
                pass
        finally:
            self._pause = self._resume = None
            timer.close()
        return bool(released.is_set())

    def _end_pause(self, timer: Any) -> None:
        # A pause may be over by the time this is called; by then its greenlet waits for something else.
        if self._pause is timer and self._resume is not None:
            self._resume(timer)

    def on_stop(self) -> None:
        worker = getattr(self, "worker", None)
        if worker is not None:
            worker.leave(self)

    def release(self) -> None:
        """Ask the user to finish; it may take its time."""
        self.released.set()
        if self._pause is not None:
            get_hub().loop.run_callback(self._end_pause, self._pause)

    def cut(self) -> None:
        """End the user at once."""
        self._is_cut = True
        greenlet = self.greenlet
        if greenlet is not None:
            self.group.killone(greenlet, block=False)

    def stop(self, force: bool = False) -> Any:
        """Locust's way to ask (a ramp-down, the end)."""
        self.release()
        return super().stop(force)
