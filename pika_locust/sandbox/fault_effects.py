"""Faults that act on connections and the process: latency, close-after, leak, crash-after."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from pika_locust.sandbox.faults import FaultSwitches
from pika_locust.sandbox.world import Effects


class Cuttable(Protocol):
    """An open socket."""

    id: int

    def cut(self) -> None:
        """Ends the connection without a close frame."""


class CloseAfter:
    """The fault `close-after`: every socket is cut some seconds after it opened, also those that are open already."""

    def __init__(self, loop: asyncio.AbstractEventLoop, faults: FaultSwitches) -> None:
        self._loop = loop
        self._faults = faults
        self._opened_at: dict[Cuttable, float] = {}
        self._timers: dict[Cuttable, asyncio.TimerHandle] = {}
        faults.watch(self._retune)

    def opened(self, socket: Cuttable) -> None:
        self._opened_at[socket] = self._loop.time()
        self._set(socket)

    def gone(self, socket: Cuttable) -> None:
        self._opened_at.pop(socket, None)
        if (timer := self._timers.pop(socket, None)) is not None:
            timer.cancel()

    def _retune(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for socket in self._opened_at:
            self._set(socket)

    def _set(self, socket: Cuttable) -> None:
        if after_s := self._faults.amount("close-after"):
            self._timers[socket] = self._loop.call_at(self._opened_at[socket] + after_s, self._cut, socket)

    def _cut(self, socket: Cuttable) -> None:
        self._faults.count("close-after")
        socket.cut()


class Latency:
    """The fault `latency`: effects are passed on to `perform` later; at once while it is off and none waits."""

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


LEAK_EVERY_S = 0.25
CRASH_EXIT_CODE = 70
MEGABYTE = 1024 * 1024


class ProcessFaults:
    """The faults `leak` and `crash-after` of the process: memory that really grows, and an end without any notice.

    What is leaked is given back when the fault is switched off.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, switches: Sequence[FaultSwitches]) -> None:
        self._loop = loop
        self._switches = switches
        self._first_client_at: float | None = None
        self._leaked: list[bytes] = []
        self._leaked_until = 0.0
        self._leak_timer: asyncio.TimerHandle | None = None
        self._crash_timer: asyncio.TimerHandle | None = None
        for one in switches:
            one.watch(self._retune)
        self._retune()

    def client_came(self) -> None:
        """A client of a world showed up; the first one starts the clock of `crash-after`."""
        if self._first_client_at is None:
            self._first_client_at = self._loop.time()
            self._retune()

    def _amount(self, name: str) -> float:
        return max(one.amount(name) for one in self._switches)

    def _retune(self) -> None:
        for timer in (self._leak_timer, self._crash_timer):
            if timer is not None:
                timer.cancel()
        self._leak_timer = self._crash_timer = None
        if self._amount("leak"):
            self._leaked_until = self._loop.time()
            self._leak_timer = self._loop.call_later(LEAK_EVERY_S, self._leak)
        else:
            self._leaked.clear()
        after_s = self._amount("crash-after")
        if after_s and self._first_client_at is not None:
            self._crash_timer = self._loop.call_at(self._first_client_at + after_s, os._exit, CRASH_EXIT_CODE)

    def _leak(self) -> None:
        # By the time that has gone by: on a busy machine it is more than the timer's.
        now = self._loop.time()
        seconds, self._leaked_until = now - self._leaked_until, now
        # written to, not merely allocated: only touched pages count as resident
        self._leaked.append(b"\xa5" * int(self._amount("leak") * MEGABYTE * seconds / 60))
        for one in self._switches:
            one.count("leak")
        self._leak_timer = self._loop.call_later(LEAK_EVERY_S, self._leak)
