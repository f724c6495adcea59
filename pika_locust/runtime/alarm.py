"""Waking up on time: the event loop's own timers are a millisecond coarse, which at 2,000 arrivals a second is two.

On Linux a timer of the kernel (`timerfd_create(2)`) makes a file descriptor readable to the nanosecond, and the loop
watches it like a socket. Elsewhere the loop's timers must do.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from gevent import get_hub

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE = 1
_READ = 1


class _TimeSpec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _TimerSpec(ctypes.Structure):
    _fields_ = [("interval", _TimeSpec), ("value", _TimeSpec)]


class PreciseTimer:
    """Calls `ring` in the event loop as soon as the monotonic clock passes what `set` said; once for each `set`."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._watcher: Any = None
        self._descriptor = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._descriptor = self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._descriptor >= 0:
            self._spec = _TimerSpec()
            self._watcher = get_hub().loop.io(self._descriptor, _READ)
            self._watcher.start(self._on_readable)

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns` of the monotonic clock, in place of any earlier setting; at once when that is past."""
        if self._descriptor >= 0:
            value = self._spec.value
            # All zeros would disarm the timer.
            value.seconds, value.nanoseconds = divmod(max(1, at_ns), 1_000_000_000)
            self._libc.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(self._spec), None)
            return
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
        self._watcher = get_hub().loop.timer(max(0.0, (at_ns - monotonic_ns()) / 1e9))
        self._watcher.start(self._ring, update=True)

    def close(self) -> None:
        """Ring no more; the alarm cannot be set again."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _on_readable(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            # Set anew after the loop had seen it, and before it came to us: that ring is not due any more.
            return
        self._ring()
