"""The fault `close-after`: every socket is cut some seconds after it opened."""

from __future__ import annotations

import asyncio
from typing import Protocol

from pika_locust.sandbox.board import FaultSwitches


class Cuttable(Protocol):
    """An open socket."""

    id: int

    def cut(self) -> None:
        """Ends the connection without a close frame."""


class CloseAfter:
    """Keeps a timer for each open socket while the fault is on; switching it on reaches sockets already open."""

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
