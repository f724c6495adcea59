"""Timers on a world's clock: their order, cancelling, periods, and what a failing one does to the others."""

from __future__ import annotations

import pytest

from pika_locust.sandbox.timers import Timers


def test_actions_run_in_order_of_time_and_then_of_setting() -> None:
    timers, ran = Timers(), []
    for when, name in ((2.0, "c"), (1.0, "a"), (2.0, "d"), (1.5, "b"), (3.0, "later")):
        timers.at(when, ran.append, name)
    assert timers.due == 1.0
    timers.run(2.5)
    assert ran == ["a", "b", "c", "d"]
    assert timers.due == 3.0


def test_what_an_action_sets_for_the_same_time_runs_too() -> None:
    timers, ran = Timers(), []
    timers.at(1.0, lambda: timers.at(1.0, ran.append, "second"))
    timers.run(1.0)
    assert ran == ["second"]
    assert timers.due == float("inf")


def test_a_cancelled_timer_does_not_run_and_is_not_waited_for() -> None:
    timers, ran = Timers(), []
    first, second = timers.at(1.0, ran.append, 1), timers.at(2.0, ran.append, 2)
    timers.at(3.0, second.cancel)
    first.cancel()
    assert timers.due == 2.0
    timers.run(5.0)
    first.cancel()
    assert ran == [2]


def test_a_timer_with_a_period_skips_the_times_that_were_missed_and_ends_when_cancelled() -> None:
    timers, ran = Timers(), []
    beat = timers.at(1.0, ran.append, "beat", period_s=1.0)
    timers.run(3.5)
    assert (ran, timers.due) == (["beat"], 4.0)
    timers.run(4.0)
    beat.cancel()
    assert (ran, timers.due) == (["beat"] * 2, float("inf"))


def test_a_timer_of_a_period_may_cancel_itself() -> None:
    timers, ran = Timers(), []
    timers.at(1.0, lambda: (ran.append(1), timer.cancel()), period_s=1.0)
    timer = timers._heap[0][2]
    timers.run(5.0)
    assert (ran, timers.due) == ([1], float("inf"))


def test_a_failing_timer_leaves_the_others_due() -> None:
    timers, ran = Timers(), []
    timers.at(1.0, [].pop)
    timers.at(1.0, ran.append, "other")
    with pytest.raises(IndexError):
        timers.run(1.0)
    assert (ran, timers.due) == ([], 1.0)
    timers.run(1.0)
    assert ran == ["other"]
