from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from locust.exception import StopUser

from pika_locust.load.arrivals import ArrivalStage, ConstantArrivalRate, RampingArrivalRate, Schedule
from pika_locust.runtime.arrivals import MORE_USERS, STRIPES, Arrivals, OpenActor
from pika_locust.testing.worker import RecordingContext, wait_until
from tests.runtime.sample_scenario import make_context

MS = 1_000_000


def even(rate: float, duration_s: float = 1.0) -> Schedule:
    return ConstantArrivalRate(rate=rate, duration_s=duration_s, pre_allocated_vus=1).schedule()


class Caller(OpenActor):
    """Takes `takes_s` for each arrival, and notes when it was due and when it began."""

    takes_s = 0.0
    fails = False

    def begin(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def act(self) -> None:
        self.calls.append((self.due_ns, time.monotonic_ns()))
        if self.fails:
            raise RuntimeError("a fault of ours")
        gevent.sleep(self.takes_s)


class Slow(Caller):
    takes_s = 0.1


class Desk:
    """One process of an open model, and its users."""

    def __init__(self, **begin: Any) -> None:
        self.worker: RecordingContext = make_context(
            spread=False, **{"arrivals": {"duration_s": 1.0}, "stripes": {"w0": 0}, **begin}
        )
        self.start_ns = 0
        self.callers: list[Any] = []
        self.lives: list[Any] = []

    def take(self, schedule: Schedule, in_s: float = 0.05, name: str = "w0") -> Arrivals:
        self.start_ns = time.monotonic_ns() + round(in_s * 1e9)
        self.worker.arrivals = Arrivals(self.worker, schedule, self.start_ns, name)
        return self.worker.arrivals

    def call(self, kind: type[Caller] = Caller, number: int = 1) -> None:
        for _ in range(number):
            caller = kind(SimpleNamespace(pika_locust=SimpleNamespace(wait_for_context=lambda timeout_s: self.worker)))
            self.callers.append(caller)
            self.lives.append(gevent.spawn(self._live, caller))
        gevent.sleep(0)

    @staticmethod
    def _live(caller: Any) -> None:
        try:
            caller.on_start()
            caller.iterate()
        except (StopUser, gevent.GreenletExit):
            caller.on_stop()

    def end(self) -> None:
        self.worker.drain("primary", 5.0)
        assert gevent.wait(self.lives, timeout=5.0)
        self.worker.end()

    @property
    def calls(self) -> list[tuple[int, int]]:
        return sorted(call for caller in self.callers for call in caller.calls)

    def count(self, name: str) -> int:
        return int(self.worker.metrics.counter(name).read().count)  # type: ignore[union-attr]

    def trend(self, name: str) -> Any:
        return self.worker.metrics.trend(name).read()

    @property
    def total(self) -> int:
        return self.count("iterations_started") + self.count("dropped_iterations")


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    gevent.killall(desk.lives)
    desk.worker.end()


RAMP = RampingArrivalRate(
    start_rate=20, stages=(ArrivalStage(0.5, 100), ArrivalStage(0.3, 100), ArrivalStage(0.2, 0)), pre_allocated_vus=1
)
SCHEDULES = {"even": (even(60), 60), "a ramp": (RAMP.schedule(), 30 + 30 + 10), "cut": (even(60).cut(0.5), 30)}


@pytest.mark.parametrize("slow", [False, True], ids=["enough users", "too few"])
@pytest.mark.parametrize(("schedule", "arrivals"), SCHEDULES.values(), ids=SCHEDULES)
def test_every_arrival_is_started_or_dropped(schedule: Schedule, arrivals: int, slow: bool, desk: Desk) -> None:
    desk.take(schedule)
    desk.call(Slow if slow else Caller, 2)
    wait_until(lambda: desk.total >= arrivals)
    gevent.sleep(0.05)
    desk.end()
    assert desk.total == arrivals == schedule.total
    assert desk.count("iterations") == desk.count("iterations_started") == len(desk.calls)
    assert (desk.count("dropped_iterations") > 0) is slow
    assert desk.trend("arrival_lateness").count == desk.count("iterations_started")
    assert desk.worker.internal_errors == []


def test_iterations_begin_when_they_are_due(desk: Desk) -> None:
    desk.take(even(100, 1.0).cut(0.5))
    desk.call(Caller, 5)
    wait_until(lambda: desk.total == 50)
    desk.end()
    assert [due_ns - desk.start_ns for due_ns, _ in desk.calls] == [round(number * 1e9 / 100) for number in range(50)]
    late_ns = sorted(began_ns - due_ns for due_ns, began_ns in desk.calls)
    assert late_ns[0] >= 0
    assert late_ns[25] < 2 * MS
    lateness = desk.trend("arrival_lateness")
    assert lateness.minimum >= 1
    assert lateness.maximum * 1000 <= late_ns[-1] + 1000


def test_a_loop_that_was_busy_starts_what_became_due_meanwhile_and_says_how_late(desk: Desk) -> None:
    desk.take(even(100, 1.0).cut(0.2), in_s=0.02)
    desk.call(Caller, 20)
    gevent.sleep(0.025)
    time.sleep(0.1)
    wait_until(lambda: desk.total == 20)
    desk.end()
    assert desk.count("iterations_started") == 20
    assert desk.trend("arrival_lateness").maximum > 80_000
    # Counted from when they were due, iterations took that much longer than they took.
    assert desk.trend("iteration_duration").maximum > 80_000
    assert desk.trend("iteration_service_time").quantile(0.5) < 20_000


def test_users_take_turns(desk: Desk) -> None:
    desk.take(even(60).cut(0.5))
    desk.call(Caller, 3)
    wait_until(lambda: desk.total == 30)
    desk.end()
    assert [len(caller.calls) for caller in desk.callers] == [10, 10, 10]


def test_stripes_of_several_processes_are_the_whole_schedule() -> None:
    desks = [Desk(stripes={"w0": 0, "w1": 1, "w2": 2}) for _ in range(3)]
    schedule = even(100, 1.0).cut(0.5)
    for index, desk in enumerate(desks):
        desk.take(schedule, name=f"w{index}")
        desk.call(Caller, 2)
    wait_until(lambda: sum(desk.total for desk in desks) >= 50)
    gevent.sleep(0.03)
    numbers = []
    for desk in desks:
        desk.end()
        numbers.append([round((due_ns - desk.start_ns) / (10 * MS)) for due_ns, _ in desk.calls])
    assert numbers == [list(range(index, 50, 3)) for index in range(3)]


def test_an_arrival_that_finds_nobody_is_dropped_and_one_more_user_asked_for(desk: Desk) -> None:
    desk.take(even(50, 1.0).cut(0.4))
    wait_until(lambda: desk.total == 20)
    assert desk.count("dropped_iterations") == 20
    # It asks once a second at most, for as many as were short by then.
    assert desk.worker.published == [(MORE_USERS, {"worker": 1, "users": 1})]


def test_it_asks_again_for_all_that_were_short_so_far(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pika_locust.runtime.arrivals._ASK_EVERY_NS", 100 * MS)
    desk.take(even(50, 1.0).cut(0.4))
    wait_until(lambda: desk.total == 20)
    asked = [told["users"] for _, told in desk.worker.published]
    assert 3 <= len(asked) <= 4
    assert asked == sorted(set(asked))
    assert asked[0] == 1
    assert 10 < asked[-1] <= 20


def test_a_user_that_comes_later_is_used_from_then_on(desk: Desk) -> None:
    desk.take(even(50, 1.0).cut(0.6))
    wait_until(lambda: desk.count("dropped_iterations") >= 10)
    desk.call()
    wait_until(lambda: desk.total == 30)
    desk.end()
    assert desk.count("dropped_iterations") < 15
    assert desk.count("iterations") == 30 - desk.count("dropped_iterations")


def test_a_user_that_is_released_while_it_waits_ends_and_gets_nothing_more(desk: Desk) -> None:
    desk.take(even(50, 1.0).cut(0.6))
    desk.call(Caller, 2)
    wait_until(lambda: desk.total >= 10)
    gone = desk.callers[0]
    gone.release()
    gone.release()
    calls = len(gone.calls)
    wait_until(lambda: desk.lives[0].dead, 0.5)
    wait_until(lambda: desk.total == 30)
    desk.end()
    assert len(gone.calls) == calls
    assert desk.count("dropped_iterations") == 0
    assert len(desk.callers[1].calls) == 30 - calls


def test_a_user_that_is_released_while_it_works_finishes_first(desk: Desk) -> None:
    desk.take(even(10, 1.0).cut(0.1))
    desk.call(Slow)
    wait_until(lambda: desk.count("iterations_started") == 1)
    desk.callers[0].release()
    wait_until(lambda: desk.lives[0].dead)
    assert desk.count("iterations") == 1
    desk.end()


def test_a_user_that_is_killed_while_it_waits_is_not_woken(desk: Desk) -> None:
    desk.take(even(50, 1.0).cut(0.2))
    desk.call(Caller, 2)
    gevent.sleep(0.02)
    gevent.kill(desk.lives[0])
    wait_until(lambda: desk.total == 10)
    desk.end()
    assert [len(caller.calls) for caller in desk.callers] == [0, 10]


def test_once_the_test_drains_nothing_is_started(desk: Desk) -> None:
    desk.take(even(50, 1.0))
    desk.call(Slow, 4)
    wait_until(lambda: desk.total >= 10)
    desk.end()
    total = desk.total
    gevent.sleep(0.1)
    assert desk.total == total < 50
    assert desk.count("iterations") == desk.count("iterations_started")
    assert desk.count("iterations_cut") == 0


def test_the_schedules_end_leaves_users_waiting_until_they_are_released(desk: Desk) -> None:
    desk.take(even(50, 1.0).cut(0.1))
    desk.call(Caller, 2)
    wait_until(lambda: desk.total == 5)
    gevent.sleep(0.05)
    assert not any(life.dead for life in desk.lives)
    desk.end()
    assert desk.total == 5


def test_an_iteration_that_has_a_fault_of_ours_is_no_iteration_and_the_rest_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.take(even(50, 1.0).cut(0.2))
    desk.call(Caller, 2)
    desk.callers[0].fails = True
    wait_until(lambda: desk.total == 10)
    gevent.sleep(0.02)
    desk.end()
    assert desk.worker.internal_errors == ["RuntimeError: a fault of ours"]
    assert (desk.count("iterations_started"), desk.count("iterations")) == (10, 9)


def test_in_a_closed_load_a_user_simply_goes_round() -> None:
    desk = Desk(arrivals=None)
    desk.call(Slow, 2)
    wait_until(lambda: desk.count("iterations") >= 6)
    desk.end()
    assert desk.count("iterations_started") == 0
    assert desk.trend("iteration_service_time").count == 0
    assert desk.trend("iteration_duration").minimum >= 99_000


def test_users_of_a_process_without_a_part_only_wait(desk: Desk) -> None:
    desk.take(even(50, 1.0), name="late")
    desk.call(Caller, 2)
    gevent.sleep(0.1)
    assert desk.total == 0
    desk.end()
    assert (desk.count("iterations"), desk.count("iterations_cut")) == (0, 0)


def test_what_comes_later_is_divided_anew_and_nothing_is_lost_or_done_twice() -> None:
    """w1 goes when arrival 20 is near, and w2 comes: both hear of it, and w0 as well."""
    desks = {name: Desk(stripes={"w0": 0, "w1": 1}) for name in ("w0", "w1", "w2")}
    schedule = even(100, 1.0).cut(0.5)
    for name, desk in desks.items():
        desk.take(schedule, name=name)
        desk.call(Caller, 2)
    wait_until(lambda: sum(desk.total for desk in desks.values()) >= 10)
    for desk in desks.values():
        desk.worker.hear(STRIPES, {"first": 20, "workers": {"w0": 0, "w2": 1}})
    wait_until(lambda: sum(desk.total for desk in desks.values()) >= 50)
    gevent.sleep(0.03)
    numbers = {}
    for name, desk in desks.items():
        desk.end()
        numbers[name] = [round((due_ns - desk.start_ns) / (10 * MS)) for due_ns, _ in desk.calls]
    assert numbers == {
        "w0": [*range(0, 20, 2), *range(20, 50, 2)],
        "w1": list(range(1, 20, 2)),
        "w2": list(range(21, 50, 2)),
    }


def test_a_process_that_has_done_its_part_takes_what_another_leaves(desk: Desk) -> None:
    desk.take(even(100, 1.0).cut(0.5), name="late")
    desk.call(Caller, 2)
    gevent.sleep(0.1)
    desk.worker.hear(STRIPES, {"first": 40, "workers": {"late": 0}})
    wait_until(lambda: desk.total == 10)
    desk.end()
    assert desk.count("iterations") == 10
