from __future__ import annotations

from pika_locust.sandbox.timers import Timers


def test_actions_run_in_order_of_time_and_then_of_setting() -> None:
    timers, ran = Timers(), []
    for when, name in ((2.0, "c"), (1.0, "a"), (2.0, "d"), (1.5, "b"), (3.0, "later")):
        timers.at(when, lambda now, name=name: ran.append((name, now)))
    assert timers.due == 1.0
    timers.run(2.5)
    assert ran == [("a", 2.5), ("b", 2.5), ("c", 2.5), ("d", 2.5)]
    assert timers.due == 3.0


def test_what_an_action_sets_for_the_same_time_runs_too() -> None:
    timers, ran = Timers(), []
    timers.at(1.0, lambda now: timers.at(now, ran.append))
    timers.run(1.0)
    assert ran == [1.0]
    assert timers.due == float("inf")
