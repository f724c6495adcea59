"""Reports of a test that is still running, written every now and then: whoever kills the test still has those."""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import Any

from gevent import get_hub

from pika_locust.judge import Report

FIRST_S = 4.0
EVERY_S = 15.0
SHARE = 0.01
"""What it may take of a processor."""


class ProgressReports:
    """Gives reports to `write` in a thread, one at a time, so that the load never waits for a disk."""

    def __init__(self, write: Callable[[Report], None] | None) -> None:
        self._write = write
        self._next_s = FIRST_S
        self._writing: Any = None

    def offer(self, at_s: float, make: Callable[[], Report]) -> None:
        """Write what `make` gives if it is time, `at_s` seconds after the start of the test."""
        if self._write is None or at_s < self._next_s or not self._is_idle():
            return
        began_s = thread_time()
        report = make()
        self._next_s = at_s + max(EVERY_S, (thread_time() - began_s) / SHARE)
        self._writing = get_hub().threadpool.spawn(self._write_timed, report, at_s)

    def end(self) -> None:
        """Wait for what is being written: a test's last report is not to be overwritten by an earlier one."""
        if self._writing is not None:
            self._writing.wait()
        self._writing = None
        self._next_s = FIRST_S

    def _is_idle(self) -> bool:
        return self._writing is None or bool(self._writing.ready())

    def _write_timed(self, report: Report, at_s: float) -> None:
        assert self._write is not None
        began_s = thread_time()
        self._write(report)
        self._next_s = max(self._next_s, at_s + (thread_time() - began_s) / SHARE)
