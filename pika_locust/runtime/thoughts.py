"""What a user is about to do: think time as timers, so that nobody sleeps while messages come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import get_hub

from pika_locust.runtime.context import WorkerContext


class UserTimers:
    """The timers of one user, at most one of each name."""

    __slots__ = ("_timers", "_worker")

    def __init__(self, worker: WorkerContext) -> None:
        self._worker = worker
        self._timers: dict[str, Any] = {}

    def think(self, name: str, after_s: float, act: Callable[..., None], *arguments: Any) -> None:
        """Call `act` in the event loop after so many seconds; an earlier thought of that name is given up."""
        self.forget(name)
        timer = self._timers[name] = get_hub().loop.timer(after_s)
        # The loop's own idea of now is as old as its last wake-up: without the update the timer would fire early.
        timer.start(self._due, name, act, arguments, update=True)

    def forget(self, name: str) -> None:
        """Give up a thought, if there is one of that name."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.stop()
            timer.close()

    def forget_all(self, but: str | None = None) -> None:
        """Give up all thoughts but one."""
        for name in [name for name in self._timers if name != but]:
            self.forget(name)

    def _due(self, name: str, act: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.forget(name)
        # The same as worker.guarded(), without its generator: this runs for every like and vote.
        try:
            act(*arguments)
        except Exception as error:
            self._worker.internal_error(error)
