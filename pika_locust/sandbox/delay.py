"""The fault `latency`: effects leave later, in unchanged order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from pika_locust.sandbox.board import FaultSwitches
from pika_locust.sandbox.world import Effects


class Latency:
    """Passes effects on to `perform`: at once while the fault is off and nothing waits, else when their time comes."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, faults: FaultSwitches, perform: Callable[[Effects], None]
    ) -> None:
        self._loop = loop
        self._faults = faults
        self._perform = perform
        self._waiting: deque[tuple[float, Effects]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, effects: Effects) -> None:
        """Takes effects over."""
        delay_s = self._faults.amount("latency") / 1000 if self._faults.on else 0.0
        if not delay_s and not self._waiting:
            self._perform(effects)
            return
        due = time.monotonic() + delay_s
        if self._waiting:
            # also when the delay has just become shorter
            due = max(due, self._waiting[-1][0])
        self._faults.count("latency", len(effects))
        self._waiting.append((due, effects))
        if self._timer is None:
            self._timer = self._loop.call_later(delay_s, self._release)

    def clear(self) -> None:
        """Forgets what waits."""
        self._waiting.clear()

    def _release(self) -> None:
        self._timer = None
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            self._perform(self._waiting.popleft()[1])
        if self._waiting and self._timer is None:
            self._timer = self._loop.call_later(max(0.0, self._waiting[0][0] - now), self._release)
