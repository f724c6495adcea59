from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pika_locust.sandbox.host import SHORTEST_TIMER_S, WorldTimer


class Loop:
    """Keeps the timer that is set; `pass_by` lets time pass, and it fires."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Any] = []

    def call_later(self, after_s: float, call: Callable[[], None]) -> Any:
        timer = SimpleNamespace(due=self.now + after_s, call=call, cancel=lambda: self.timers.remove(timer))
        self.timers.append(timer)
        return timer

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        for timer in [timer for timer in self.timers if timer.due <= self.now]:
            self.timers.remove(timer)
            timer.call()


class Told:
    """A world that is due, and what it was told."""

    def __init__(self, due: float = float("inf")) -> None:
        self.due = due
        self.loop = Loop()
        self.told: list[float] = []
        self.ticks = WorldTimer(self, lambda: self.loop.now, self.loop, self._tick)  # type: ignore[arg-type]

    def _tick(self, now: float) -> None:
        self.told.append(now)
        self.due = float("inf")


def test_a_world_is_told_when_it_is_due_and_once() -> None:
    world = Told(due=101.0)
    world.loop.pass_by(0.9)
    assert world.told == []
    world.loop.pass_by(0.1)
    world.loop.pass_by(10.0)
    assert world.told == [101.0]
    assert world.loop.timers == []


@pytest.mark.parametrize(("due", "wanted"), [(100.2, 100.2), (105.0, 101.0)], ids=["sooner", "later, which can wait"])
def test_what_has_become_due_sooner_is_waited_for_instead(due: float, wanted: float) -> None:
    world = Told(due=101.0)
    world.due = due
    world.ticks.look()
    assert [timer.due for timer in world.loop.timers] == [pytest.approx(wanted)]


def test_a_world_that_is_not_due_after_all_is_not_told_and_asked_again() -> None:
    world = Told(due=101.0)
    world.due = 103.0
    world.loop.timers[0].due = 100.5
    world.loop.pass_by(0.5)
    assert world.told == []
    assert [timer.due for timer in world.loop.timers] == [103.0]


def test_what_is_nearly_due_does_not_make_the_loop_spin_and_what_is_overdue_comes_at_once() -> None:
    assert [timer.due for timer in Told(due=100.0001).loop.timers] == [100.0 + SHORTEST_TIMER_S]
    assert [timer.due for timer in Told(due=99.0).loop.timers] == [100.0]
