"""Callbacks at a time of the world's clock."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

Action = Callable[[float], None]
"""Told the time."""


class Timers:
    """A heap of actions; those of one instant run in the order they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Action]] = []
        self._count = 0

    @property
    def due(self) -> float:
        """When the next one wants to run; infinity for never."""
        return self._heap[0][0] if self._heap else float("inf")

    def at(self, when: float, action: Action) -> None:
        """Runs `action` as soon as it is that late."""
        self._count += 1
        heappush(self._heap, (when, self._count, action))

    def run(self, now: float) -> None:
        """Runs all that is due, also what these actions set for the same time."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            heappop(heap)[2](now)
