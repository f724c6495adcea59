"""Faults of the process rather than of an answer: memory that really grows, and a death without a goodbye."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from pika_locust.sandbox.board import FaultSwitches

LEAK_EVERY_S = 0.25
CRASH_EXIT_CODE = 70
MEGABYTE = 1024 * 1024


class ProcessFaults:
    """Watches the switches of all boards; what is leaked is given back when the fault is switched off."""

    def __init__(self, loop: asyncio.AbstractEventLoop, boards: Sequence[FaultSwitches]) -> None:
        self._loop = loop
        self._boards = boards
        self._first_client_at: float | None = None
        self._leaked: list[bytes] = []
        self._leak_timer: asyncio.TimerHandle | None = None
        self._crash_timer: asyncio.TimerHandle | None = None
        for board in boards:
            board.watch(self._retune)
        self._retune()

    def client_came(self) -> None:
        """A client of a world showed up; the first one starts the clock of `crash-after`."""
        if self._first_client_at is None:
            self._first_client_at = self._loop.time()
            self._retune()

    def _amount(self, name: str) -> float:
        return max(board.amount(name) for board in self._boards)

    def _retune(self) -> None:
        for timer in (self._leak_timer, self._crash_timer):
            if timer is not None:
                timer.cancel()
        self._leak_timer = self._crash_timer = None
        if self._amount("leak"):
            self._leak_timer = self._loop.call_later(LEAK_EVERY_S, self._leak)
        else:
            self._leaked.clear()
        after_s = self._amount("crash-after")
        if after_s and self._first_client_at is not None:
            self._crash_timer = self._loop.call_at(self._first_client_at + after_s, os._exit, CRASH_EXIT_CODE)

    def _leak(self) -> None:
        # written to, not merely allocated: only touched pages count as resident
        self._leaked.append(b"\xa5" * int(self._amount("leak") * MEGABYTE * LEAK_EVERY_S / 60))
        for board in self._boards:
            board.count("leak")
        self._leak_timer = self._loop.call_later(LEAK_EVERY_S, self._leak)
