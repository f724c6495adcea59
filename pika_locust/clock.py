"""The clocks that a process goes by, called as in `time`; a test may put others in their place.

Whatever compares times with each other or with a timer of the event loop reads them here: `testing.virtual_time` moves
clocks and timers together.
"""

from __future__ import annotations

import time as system
from collections.abc import Callable, Iterator
from contextlib import contextmanager

now_ns: Callable[[], int] = system.monotonic_ns
"""`monotonic_ns` itself, for code that asks several times in a request: as `clock.now_ns()`, never imported by name."""
_time: Callable[[], float] = system.time


def monotonic_ns() -> int:
    """Nanoseconds of a clock that never runs backwards; its zero means nothing."""
    return now_ns()


def monotonic() -> float:
    """`monotonic_ns` in seconds."""
    return now_ns() / 1e9


def time() -> float:
    """Seconds since the epoch."""
    return _time()


def is_kernel() -> bool:
    """Whether these are the kernel's clocks, by which its timers go as well."""
    return now_ns is system.monotonic_ns


@contextmanager
def replaced(monotonic_ns: Callable[[], int], time: Callable[[], float]) -> Iterator[None]:
    """For as long as the context lasts, these are the process's clocks."""
    global now_ns, _time
    before = now_ns, _time
    now_ns, _time = monotonic_ns, time
    try:
        yield
    finally:
        now_ns, _time = before
