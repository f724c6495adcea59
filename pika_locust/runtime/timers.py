"""Timers of the event loop for whoever works beside the users: what they call must neither wait nor raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import get_hub

from pika_locust.runtime.context import WorkerContext


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
    """Call `act` once, `after_s` seconds from now; what it raises is a fault of the test."""
    return Timer(worker, after_s, False, act, arguments)


def every(worker: WorkerContext, every_s: float, act: Callable[..., None], *arguments: Any) -> Timer:
    """Call `act` again and again, for the first time in `every_s` seconds; what it raises is a fault of the test."""
    return Timer(worker, every_s, True, act, arguments)
