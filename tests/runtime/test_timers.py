from __future__ import annotations

import time

import gevent
import pytest

from pika_locust.runtime.timers import every, later
from pika_locust.testing.worker import wait_until
from tests.runtime.sample_scenario import make_context


def test_a_call_comes_once_when_it_is_due_and_not_before() -> None:
    """In real time, of which the loop's own idea is as old as its last wake-up."""
    worker = make_context()
    called: list[tuple[float, str]] = []
    time.sleep(0.05)
    began_s = time.monotonic()
    later(worker, 0.03, lambda word: called.append((time.monotonic() - began_s, word)), "hello")
    wait_until(lambda: called)
    ((at_s, word),) = called
    assert word == "hello"
    assert at_s >= 0.029


@pytest.mark.usefixtures("virtual_time")
def test_a_call_that_was_given_up_never_comes() -> None:
    worker = make_context()
    called: list[int] = []
    timer = later(worker, 0.01, called.append, 1)
    timer.stop()
    timer.stop()
    gevent.sleep(0.03)
    assert called == []


@pytest.mark.usefixtures("virtual_time")
def test_a_repeated_call_comes_until_it_is_stopped() -> None:
    worker = make_context()
    called: list[int] = []
    timer = every(worker, 0.01, called.append, 1)
    gevent.sleep(0.035)
    timer.stop()
    assert len(called) == 3
    gevent.sleep(0.03)
    assert len(called) == 3


@pytest.mark.usefixtures("virtual_time")
def test_a_repeated_call_may_stop_itself() -> None:
    worker = make_context()
    called: list[int] = []

    def once() -> None:
        called.append(1)
        timer.stop()

    timer = every(worker, 0.01, once)
    gevent.sleep(0.05)
    assert called == [1]


@pytest.mark.usefixtures("virtual_time")
def test_what_a_call_raises_is_a_fault_of_the_test_and_stops_nothing() -> None:
    worker = make_context()

    def broken() -> None:
        raise KeyError("x")

    timer = every(worker, 0.01, broken)
    wait_until(lambda: len(worker.internal_errors) >= 2)
    timer.stop()
    assert set(worker.internal_errors) == {"KeyError: 'x'"}
