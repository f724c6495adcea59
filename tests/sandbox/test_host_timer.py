"""The timer of a world: ticks when it is due, and not before."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pika_locust.sandbox.host import SHORTEST_TIMER_S, WorldTimer


class Loop:
    """Keeps the timer that is set; `advance` moves the clock, and it fires."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Any] = []

    def call_later(self, after_s: float, call: Callable[[], None]) -> Any:
        timer = SimpleNamespace(due=self.now + after_s, call=call, cancel=lambda: self.timers.remove(timer))
        self.timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for timer in [timer for timer in self.timers if timer.due <= self.now]:
            self.timers.remove(timer)
            timer.call()


class RecordingWorld:
    """A world that is due, and its ticks."""

    def __init__(self, due: float = float("inf")) -> None:
        self.due = due
        self.loop = Loop()
        self.ticked_at: list[float] = []
        self.timer = WorldTimer(self, lambda: self.loop.now, self.loop, self._tick)  # type: ignore[arg-type]

    def _tick(self, now: float) -> None:
        self.ticked_at.append(now)
        self.due = float("inf")


def test_a_world_ticks_when_it_is_due_and_once() -> None:
    world = RecordingWorld(due=101.0)
    world.loop.advance(0.9)
    assert world.ticked_at == []
    world.loop.advance(0.1)
    world.loop.advance(10.0)
    assert world.ticked_at == [101.0]
    assert world.loop.timers == []


@pytest.mark.parametrize(("due", "wanted"), [(100.2, 100.2), (105.0, 101.0)], ids=["sooner", "later, which can wait"])
def test_the_timer_is_moved_when_the_world_is_due_sooner(due: float, wanted: float) -> None:
    world = RecordingWorld(due=101.0)
    world.due = due
    world.timer.look()
    assert [timer.due for timer in world.loop.timers] == [pytest.approx(wanted)]


def test_a_world_that_is_not_due_after_all_does_not_tick_and_is_asked_again() -> None:
    world = RecordingWorld(due=101.0)
    world.due = 103.0
    world.loop.timers[0].due = 100.5
    world.loop.advance(0.5)
    assert world.ticked_at == []
    assert [timer.due for timer in world.loop.timers] == [103.0]


def test_what_is_nearly_due_does_not_make_the_loop_spin_and_what_is_overdue_comes_at_once() -> None:
    assert [timer.due for timer in RecordingWorld(due=100.0001).loop.timers] == [100.0 + SHORTEST_TIMER_S]
    assert [timer.due for timer in RecordingWorld(due=99.0).loop.timers] == [100.0]
