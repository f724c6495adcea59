from __future__ import annotations

import gevent
import pytest

from pika_locust.runtime.timers import UserTimers
from pika_locust.testing.worker import wait_until
from tests.runtime.sample_scenario import make_context

pytestmark = pytest.mark.usefixtures("virtual_time")


def test_a_timer_calls_when_its_time_has_come() -> None:
    timers, done = UserTimers(make_context()), list[str]()
    timers.start("like", 0.02, done.append, "like")
    timers.start("vote", 0.01, done.append, "vote")
    assert done == []
    gevent.sleep(0.05)
    assert done == ["vote", "like"]


def test_of_each_name_there_is_one_and_the_newer_wins() -> None:
    timers, done = UserTimers(make_context()), list[str]()
    timers.start("like", 0.01, done.append, "old")
    timers.start("like", 0.02, done.append, "new")
    gevent.sleep(0.05)
    assert done == ["new"]


def test_a_timer_may_start_its_own_next_one() -> None:
    timers, done = UserTimers(make_context()), list[int]()

    def again(left: int) -> None:
        done.append(left)
        if left:
            timers.start("like", 0.005, again, left - 1)

    timers.start("like", 0.005, again, 2)
    wait_until(lambda: len(done) == 3)
    gevent.sleep(0.01)
    assert done == [2, 1, 0]


def test_what_is_cancelled_is_not_done() -> None:
    timers, done = UserTimers(make_context()), list[str]()
    for name in ("like", "vote", "ping"):
        timers.start(name, 0.01, done.append, name)
    timers.cancel("vote")
    timers.cancel("never started")
    gevent.sleep(0.03)
    assert sorted(done) == ["like", "ping"]


def test_all_but_one_can_be_cancelled() -> None:
    timers, done = UserTimers(make_context()), list[str]()
    for name in ("like", "vote", "ping"):
        timers.start(name, 0.01, done.append, name)
    timers.cancel_all(but="ping")
    gevent.sleep(0.03)
    assert done == ["ping"]
    timers.start("like", 0.01, done.append, "like")
    timers.cancel_all()
    gevent.sleep(0.03)
    assert done == ["ping"]


def test_a_timer_that_fails_is_an_internal_error_and_others_go_on() -> None:
    worker = make_context()
    timers, done = UserTimers(worker), list[str]()

    def broken() -> None:
        raise ValueError("no idea")

    timers.start("like", 0.005, broken)
    timers.start("vote", 0.01, done.append, "vote")
    gevent.sleep(0.03)
    assert done == ["vote"]
    assert worker.internal_errors == ["ValueError: no idea"]
