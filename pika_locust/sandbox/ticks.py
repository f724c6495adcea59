"""When a world is to be told what time it is: as soon as something of it is due, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pika_locust.sandbox.world import World

SHORTEST_TIMER_S = 0.001

Clock = Callable[[], float]


class WorldTimer:
    """Calls `tick(now)` when `world.due` has come; a look at it is called for whenever it may have changed."""

    def __init__(
        self, world: World, clock: Clock, loop: asyncio.AbstractEventLoop, tick: Callable[[float], None]
    ) -> None:
        self._world = world
        self._clock = clock
        self._loop = loop
        self._tick = tick
        self._timer: asyncio.TimerHandle | None = None
        self._due = float("inf")
        self.schedule()

    def look(self) -> None:
        """The world has been told something: it may be due sooner now."""
        if self._world.due < self._due:
            self.schedule()

    def schedule(self) -> None:
        """Wait for what is due next, whatever was waited for before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = self._world.due
        if self._due < float("inf"):
            left_s = self._due - self._clock()
            # the loop counts whole milliseconds and rounds: less than one would make it spin until the time has come
            self._timer = self._loop.call_later(max(left_s, SHORTEST_TIMER_S) if left_s > 0 else 0.0, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._clock()
        if now >= self._due:
            self._tick(now)
        self.schedule()
