"""The measurer measured: how late this process sees what happens, and how much of a core it uses."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import psutil
from gevent import get_hub

PROBE_EVERY_S = 0.02
CPU_WINDOW_S = 10.0
_READ = 1


class LagProbe:
    """Every 20 ms a timer falls due and writes a byte to a socket of our own; when that byte is read, the time since
    the timer was due is how long anything else in this loop may have waited, timer and socket both.

    A loop that was blocked for a second missed fifty probes, and each of them would have waited: all are recorded
    (the correction for coordinated omission of wrk2), so that one long stall weighs as much as it should.
    """

    def __init__(self, record_us: Callable[[int], None]) -> None:
        self._record_us = record_us
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._reader: Any = get_hub().loop.io(self._far.fileno(), _READ)
        self._timer: Any = None
        self._due_s = 0.0

    def start(self) -> None:
        """Begin to probe."""
        self._reader.start(self._on_read)
        self._due_s = time.monotonic() + PROBE_EVERY_S
        self._wait()

    def stop(self) -> None:
        """Stop probing; the probe cannot be started again."""
        for watcher in (self._timer, self._reader):
            watcher.stop()
            watcher.close()
        self._near.close()
        self._far.close()

    def _wait(self) -> None:
        self._timer = get_hub().loop.timer(max(0.0, self._due_s - time.monotonic()))
        # The loop's own idea of now is as old as its last wake-up: without the update the timer would fire early.
        self._timer.start(self._on_due, update=True)

    def _on_due(self) -> None:
        self._timer.close()
        self._near.send(b"\0")

    def _on_read(self) -> None:
        self._far.recv(1)
        now_s = time.monotonic()
        # A timer may fire up to a millisecond early; the next one is due in any case.
        self._record_us(max(1, int((now_s - self._due_s) * 1e6)))
        self._due_s += PROBE_EVERY_S
        while self._due_s <= now_s:
            self._record_us(max(1, int((now_s - self._due_s) * 1e6)))
            self._due_s += PROBE_EVERY_S
        self._wait()


class ProcessUsage:
    """CPU and memory of this process: `sample()` every second or so, then read the highest."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._points: deque[tuple[float, float]] = deque()
        self.cpu_percent_max: float | None = None
        """Share of one core over the busiest 10 s; None in a run shorter than that."""
        self.rss_mb_max = 0.0

    def sample(self, now_s: float) -> None:
        """Look at the process; `now_s` is a monotonic clock."""
        self._points.append((now_s, time.process_time()))
        while len(self._points) > 2 and self._points[1][0] <= now_s - CPU_WINDOW_S:
            self._points.popleft()
        begin_s, begin_cpu_s = self._points[0]
        if now_s - begin_s >= CPU_WINDOW_S:
            percent = (self._points[-1][1] - begin_cpu_s) / (now_s - begin_s) * 100
            self.cpu_percent_max = max(self.cpu_percent_max or 0.0, percent)
        self.rss_mb_max = max(self.rss_mb_max, self._process.memory_info().rss / 1e6)
