"""Reports while a test runs: when, one at a time, and never after the last."""

from __future__ import annotations

import threading
import time
from typing import Any

import gevent

from pika_locust.runtime.progress_reports import EVERY_S, FIRST_S, ProgressReports


def offer(progress: ProgressReports, at_s: float, report: Any = "report") -> bool:
    """Whether it asked for a report."""
    made = []
    progress.offer(at_s, lambda: made.append(at_s) or report)  # type: ignore[func-returns-value]
    return bool(made)


def test_the_first_comes_early_and_the_others_now_and_then() -> None:
    written: list[Any] = []
    progress = ProgressReports(written.append)
    asked = []
    for at_s in (1.0, FIRST_S, 6.0, FIRST_S + EVERY_S - 1, FIRST_S + EVERY_S, 20.0):
        if offer(progress, at_s, at_s):
            asked.append(at_s)
            gevent.sleep(0.05)
    progress.end()
    assert asked == written == [FIRST_S, FIRST_S + EVERY_S]


def test_one_that_is_slow_makes_them_rarer() -> None:
    def busy(report: Any) -> None:
        until_s = time.thread_time() + 0.3
        while time.thread_time() < until_s:
            pass

    progress = ProgressReports(busy)
    assert offer(progress, FIRST_S)
    progress._writing.wait()
    # A hundredth of the time: 0.3 s every 30 s.
    assert not offer(progress, FIRST_S + 28)
    assert offer(progress, FIRST_S + 60)
    progress.end()


def test_the_load_goes_on_while_one_is_written_and_the_end_waits_for_it() -> None:
    go, written = threading.Event(), []

    def write(report: Any) -> None:
        go.wait(10)
        written.append(report)

    progress = ProgressReports(write)
    assert offer(progress, FIRST_S)
    # Due again, and still at it.
    assert not offer(progress, 1000.0)
    assert not written
    gevent.spawn_later(0.1, go.set)
    progress.end()
    assert written == ["report"]


def test_without_a_file_nothing_is_made() -> None:
    assert not offer(ProgressReports(None), 1000.0)


def test_the_next_test_of_the_process_begins_early_again() -> None:
    progress = ProgressReports(lambda report: None)
    assert offer(progress, FIRST_S)
    progress.end()
    assert offer(progress, FIRST_S)
    progress.end()
