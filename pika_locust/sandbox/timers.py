"""Timers on a world's clock: callbacks at a time, once or with a period, which can be cancelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any


@dataclass(slots=True, eq=False)
class Timer:
    """Something that is to be done at a time, and with a period again and again."""

    at: float
    act: Callable[..., object]
    arguments: tuple[Any, ...]
    period_s: float = 0.0
    cancelled: bool = False

    def cancel(self) -> None:
        """It will not be done, if it has not been, and not again."""
        self.cancelled = True


class Timers:
    """A heap of timers; those of one instant run in the order they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    @property
    def due(self) -> float:
        """When the next one wants to run; infinity for never."""
        heap = self._heap
        while heap and heap[0][2].cancelled:
            heappop(heap)
        return heap[0][0] if heap else float("inf")

    def at(self, when: float, act: Callable[..., object], *arguments: Any, period_s: float = 0.0) -> Timer:
        """Calls `act(*arguments)` as soon as it is that late, and again after each period if there is one."""
        return self._set(Timer(when, act, arguments, period_s))

    def run(self, now: float) -> None:
        """Runs all that is due, also what these set for the same time. Of periods that were missed, one is made up for.

        What a timer raises ends the run; the others stay due.
        """
        while self.due <= now:
            timer = heappop(self._heap)[2]
            if timer.period_s:
                timer.at += timer.period_s * (1 + (now - timer.at) // timer.period_s)
                self._set(timer)
            timer.act(*timer.arguments)

    def _set(self, timer: Timer) -> Timer:
        self._count += 1
        heappush(self._heap, (timer.at, self._count, timer))
        return timer
