from __future__ import annotations

import gevent

from pika_locust.runtime.timers import UserTimers
from pika_locust.testing.worker import wait_until
from tests.runtime.sample_scenario import make_context


def test_a_thought_is_acted_upon_when_its_time_has_come() -> None:
    thoughts, done = UserTimers(make_context()), list[str]()
    thoughts.think("like", 0.02, done.append, "like")
    thoughts.think("vote", 0.01, done.append, "vote")
    assert done == []
    gevent.sleep(0.05)
    assert done == ["vote", "like"]


def test_of_each_name_there_is_one_and_the_newer_wins() -> None:
    thoughts, done = UserTimers(make_context()), list[str]()
    thoughts.think("like", 0.01, done.append, "old")
    thoughts.think("like", 0.02, done.append, "new")
    gevent.sleep(0.05)
    assert done == ["new"]


def test_a_thought_may_think_its_own_next_one() -> None:
    thoughts, done = UserTimers(make_context()), list[int]()

    def again(left: int) -> None:
        done.append(left)
        if left:
            thoughts.think("like", 0.005, again, left - 1)

    thoughts.think("like", 0.005, again, 2)
    wait_until(lambda: len(done) == 3)
    gevent.sleep(0.01)
    assert done == [2, 1, 0]


def test_what_is_forgotten_is_not_done() -> None:
    thoughts, done = UserTimers(make_context()), list[str]()
    for name in ("like", "vote", "ping"):
        thoughts.think(name, 0.01, done.append, name)
    thoughts.forget("vote")
    thoughts.forget("never thought")
    gevent.sleep(0.03)
    assert sorted(done) == ["like", "ping"]


def test_all_but_one_can_be_forgotten() -> None:
    thoughts, done = UserTimers(make_context()), list[str]()
    for name in ("like", "vote", "ping"):
        thoughts.think(name, 0.01, done.append, name)
    thoughts.forget_all(but="ping")
    gevent.sleep(0.03)
    assert done == ["ping"]
    thoughts.think("like", 0.01, done.append, "like")
    thoughts.forget_all()
    gevent.sleep(0.03)
    assert done == ["ping"]


def test_a_thought_that_fails_is_a_fault_of_ours_and_others_go_on() -> None:
    worker = make_context()
    thoughts, done = UserTimers(worker), list[str]()

    def broken() -> None:
        raise ValueError("no idea")

    thoughts.think("like", 0.005, broken)
    thoughts.think("vote", 0.01, done.append, "vote")
    gevent.sleep(0.03)
    assert done == ["vote"]
    assert worker.internal_errors == ["ValueError: no idea"]
