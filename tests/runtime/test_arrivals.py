from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from locust.exception import StopUser

from pika_locust.clock import monotonic_ns
from pika_locust.load.arrivals import ArrivalStage, ConstantArrivalRate, RampingArrivalRate, Schedule
from pika_locust.runtime.arrivals import MORE_USERS, STRIPES, Arrivals, OpenActor
from pika_locust.testing.virtual_time import VirtualTime
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
        self.calls.append((self.due_ns, monotonic_ns()))
        if self.fails:
            raise RuntimeError("a mistake of ours")
        gevent.sleep(self.takes_s)


class Slow(Caller):
    takes_s = 0.1


class WorkerProcess:
    """One process of an open model, and its users."""

    def __init__(self, time: VirtualTime | None, **begin: Any) -> None:
        self._time = time
        self.worker: RecordingContext = make_context(
            spread=False, **{"arrivals": {"duration_s": 1.0}, "stripes": {"w0": 0}, **begin}
        )
        self.start_ns = 0
        self.callers: list[Any] = []
        self.greenlets: list[Any] = []

    def begin_arrivals(self, schedule: Schedule, in_s: float = 0.05, name: str = "w0") -> Arrivals:
        self.start_ns = monotonic_ns() + round(in_s * 1e9)
        self.worker.arrivals = Arrivals(self.worker, schedule, self.start_ns, name)
        return self.worker.arrivals

    def start_users(self, kind: type[Caller] = Caller, number: int = 1) -> None:
        for _ in range(number):
            caller = kind(SimpleNamespace(pika_locust=SimpleNamespace(wait_for_context=lambda timeout_s: self.worker)))
            self.callers.append(caller)
            self.greenlets.append(gevent.spawn(self._run, caller))
        gevent.sleep(0)

    @staticmethod
    def _run(caller: Any) -> None:
        try:
            caller.on_start()
            caller.iterate()
        except (StopUser, gevent.GreenletExit):
            caller.on_stop()

    def end(self) -> None:
        if self._time is None:
            self._drain()
        else:
            self._time.call(self._drain)
        self.worker.end()

    def _drain(self) -> None:
        self.worker.drain("primary", 5.0)
        assert gevent.wait(self.greenlets, timeout=5.0)

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
def time() -> Iterator[VirtualTime]:
    with VirtualTime() as time:
        yield time


@pytest.fixture
def process(time: VirtualTime) -> Iterator[WorkerProcess]:
    process = WorkerProcess(time)
    yield process
    gevent.killall(process.greenlets)
    process.worker.end()


RAMP = RampingArrivalRate(
    start_rate=20, stages=(ArrivalStage(0.5, 100), ArrivalStage(0.3, 100), ArrivalStage(0.2, 0)), pre_allocated_vus=1
)
SCHEDULES = {"even": (even(60), 60), "a ramp": (RAMP.schedule(), 30 + 30 + 10), "cut": (even(60).cut(0.5), 30)}


@pytest.mark.parametrize("slow", [False, True], ids=["enough users", "too few"])
@pytest.mark.parametrize(("schedule", "arrivals"), SCHEDULES.values(), ids=SCHEDULES)
def test_every_arrival_is_started_or_dropped(
    schedule: Schedule, arrivals: int, slow: bool, process: WorkerProcess, time: VirtualTime
) -> None:
    process.begin_arrivals(schedule)
    process.start_users(Slow if slow else Caller, 2)
    time.run_until(lambda: process.total >= arrivals)
    time.run(0.05)
    process.end()
    assert process.total == arrivals == schedule.total
    assert process.count("iterations") == process.count("iterations_started") == len(process.calls)
    assert (process.count("dropped_iterations") > 0) is slow
    assert process.trend("arrival_lateness").count == process.count("iterations_started")
    assert process.worker.internal_errors == []


def test_iterations_begin_when_they_are_due(process: WorkerProcess, time: VirtualTime) -> None:
    process.begin_arrivals(even(100, 1.0).cut(0.5))
    process.start_users(Caller, 5)
    time.run_until(lambda: process.total == 50)
    process.end()
    assert [due_ns - process.start_ns for due_ns, _ in process.calls] == [
        round(number * 1e9 / 100) for number in range(50)
    ]
    assert all(began_ns == due_ns for due_ns, began_ns in process.calls)
    lateness = process.trend("arrival_lateness")
    assert (lateness.count, lateness.maximum) == (50, 1)


@pytest.mark.alone
def test_by_the_kernel_s_clock_iterations_begin_within_two_milliseconds_of_when_they_are_due() -> None:
    process = WorkerProcess(None)
    process.begin_arrivals(even(100, 1.0).cut(0.5))
    process.start_users(Caller, 5)
    wait_until(lambda: process.total == 50)
    process.end()
    late_ns = sorted(began_ns - due_ns for due_ns, began_ns in process.calls)
    assert late_ns[0] >= 0
    assert late_ns[25] < 2 * MS
    lateness = process.trend("arrival_lateness")
    assert lateness.minimum >= 1
    assert lateness.maximum * 1000 <= late_ns[-1] + 1000


def test_a_loop_that_was_busy_starts_what_became_due_meanwhile_and_says_how_late(
    process: WorkerProcess, time: VirtualTime
) -> None:
    process.begin_arrivals(even(100, 1.0).cut(0.2), in_s=0.02)
    process.start_users(Caller, 20)
    time.run(0.025)
    time.stand_still(0.1)
    time.run_until(lambda: process.total == 20)
    process.end()
    assert process.count("iterations_started") == 20
    assert process.trend("arrival_lateness").maximum > 80_000
    # Counted from when they were due, iterations took that much longer than they took.
    assert process.trend("iteration_duration").maximum > 80_000
    assert process.trend("iteration_service_time").quantile(0.5) < 20_000


def test_users_take_turns(process: WorkerProcess, time: VirtualTime) -> None:
    process.begin_arrivals(even(60).cut(0.5))
    process.start_users(Caller, 3)
    time.run_until(lambda: process.total == 30)
    process.end()
    assert [len(caller.calls) for caller in process.callers] == [10, 10, 10]


def test_stripes_of_several_processes_are_the_whole_schedule(time: VirtualTime) -> None:
    processes = [WorkerProcess(time, stripes={"w0": 0, "w1": 1, "w2": 2}) for _ in range(3)]
    schedule = even(100, 1.0).cut(0.5)
    for index, process in enumerate(processes):
        process.begin_arrivals(schedule, name=f"w{index}")
        process.start_users(Caller, 2)
    time.run_until(lambda: sum(process.total for process in processes) >= 50)
    time.run(0.03)
    numbers = []
    for process in processes:
        process.end()
        numbers.append([round((due_ns - process.start_ns) / (10 * MS)) for due_ns, _ in process.calls])
    assert numbers == [list(range(index, 50, 3)) for index in range(3)]


def test_an_arrival_that_finds_nobody_is_dropped_and_one_more_user_asked_for(
    process: WorkerProcess, time: VirtualTime
) -> None:
    process.begin_arrivals(even(50, 1.0).cut(0.4))
    time.run_until(lambda: process.total == 20)
    assert process.count("dropped_iterations") == 20
    # It asks once a second at most, for as many as were short by then.
    assert process.worker.published == [(MORE_USERS, {"worker": 1, "users": 1})]


def test_it_asks_again_for_all_that_were_short_so_far(
    process: WorkerProcess, time: VirtualTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pika_locust.runtime.arrivals._ASK_EVERY_NS", 100 * MS)
    process.begin_arrivals(even(50, 1.0).cut(0.4))
    time.run_until(lambda: process.total == 20)
    asked = [told["users"] for _, told in process.worker.published]
    assert 3 <= len(asked) <= 4
    assert asked == sorted(set(asked))
    assert asked[0] == 1
    assert 10 < asked[-1] <= 20


def test_a_user_that_comes_later_is_used_from_then_on(process: WorkerProcess, time: VirtualTime) -> None:
    process.begin_arrivals(even(50, 1.0).cut(0.6))
    time.run_until(lambda: process.count("dropped_iterations") >= 10)
    process.start_users()
    time.run_until(lambda: process.total == 30)
    process.end()
    assert process.count("dropped_iterations") < 15
    assert process.count("iterations") == 30 - process.count("dropped_iterations")


def test_a_user_that_is_released_while_it_waits_ends_and_gets_nothing_more(
    process: WorkerProcess, time: VirtualTime
) -> None:
    process.begin_arrivals(even(50, 1.0).cut(0.6))
    process.start_users(Caller, 2)
    time.run_until(lambda: process.total >= 10)
    gone = process.callers[0]
    gone.release()
    gone.release()
    calls = len(gone.calls)
    time.run_until(lambda: process.greenlets[0].dead, 0.5)
    time.run_until(lambda: process.total == 30)
    process.end()
    assert len(gone.calls) == calls
    assert process.count("dropped_iterations") == 0
    assert len(process.callers[1].calls) == 30 - calls


def test_a_user_that_is_released_while_it_works_finishes_first(process: WorkerProcess, time: VirtualTime) -> None:
    process.begin_arrivals(even(10, 1.0).cut(0.1))
    process.start_users(Slow)
    time.run_until(lambda: process.count("iterations_started") == 1)
    process.callers[0].release()
    time.run_until(lambda: process.greenlets[0].dead)
    assert process.count("iterations") == 1
    process.end()


def test_a_user_that_is_killed_while_it_waits_is_not_woken(process: WorkerProcess, time: VirtualTime) -> None:
    process.begin_arrivals(even(50, 1.0).cut(0.2))
    process.start_users(Caller, 2)
    time.run(0.02)
    gevent.kill(process.greenlets[0])
    time.run_until(lambda: process.total == 10)
    process.end()
    assert [len(caller.calls) for caller in process.callers] == [0, 10]


def test_once_the_test_drains_nothing_is_started(process: WorkerProcess, time: VirtualTime) -> None:
    process.begin_arrivals(even(50, 1.0))
    process.start_users(Slow, 4)
    time.run_until(lambda: process.total >= 10)
    process.end()
    total = process.total
    time.run(0.1)
    assert process.total == total < 50
    assert process.count("iterations") == process.count("iterations_started")
    assert process.count("iterations_cut") == 0


def test_the_schedules_end_leaves_users_waiting_until_they_are_released(
    process: WorkerProcess, time: VirtualTime
) -> None:
    process.begin_arrivals(even(50, 1.0).cut(0.1))
    process.start_users(Caller, 2)
    time.run_until(lambda: process.total == 5)
    time.run(0.05)
    assert not any(life.dead for life in process.greenlets)
    process.end()
    assert process.total == 5


def test_an_iteration_that_raises_is_no_iteration_and_the_rest_goes_on(
    process: WorkerProcess, time: VirtualTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.begin_arrivals(even(50, 1.0).cut(0.2))
    process.start_users(Caller, 2)
    process.callers[0].fails = True
    time.run_until(lambda: process.total == 10)
    time.run(0.02)
    process.end()
    assert process.worker.internal_errors == ["RuntimeError: a mistake of ours"]
    assert (process.count("iterations_started"), process.count("iterations")) == (10, 9)


def test_in_a_closed_load_a_user_simply_goes_round(time: VirtualTime) -> None:
    process = WorkerProcess(time, arrivals=None)
    process.start_users(Slow, 2)
    time.run_until(lambda: process.count("iterations") >= 6)
    process.end()
    assert process.count("iterations_started") == 0
    assert process.trend("iteration_service_time").count == 0
    assert process.trend("iteration_duration").minimum >= 99_000


def test_users_of_a_process_without_a_part_only_wait(process: WorkerProcess, time: VirtualTime) -> None:
    process.begin_arrivals(even(50, 1.0), name="late")
    process.start_users(Caller, 2)
    time.run(0.1)
    assert process.total == 0
    process.end()
    assert (process.count("iterations"), process.count("iterations_cut")) == (0, 0)


def test_what_comes_later_is_divided_anew_and_nothing_is_lost_or_done_twice(time: VirtualTime) -> None:
    """w1 goes when arrival 20 is near, and w2 comes: both hear of it, and w0 as well."""
    processes = {name: WorkerProcess(time, stripes={"w0": 0, "w1": 1}) for name in ("w0", "w1", "w2")}
    schedule = even(100, 1.0).cut(0.5)
    for name, process in processes.items():
        process.begin_arrivals(schedule, name=name)
        process.start_users(Caller, 2)
    time.run_until(lambda: sum(process.total for process in processes.values()) >= 10)
    for process in processes.values():
        process.worker.hear(STRIPES, {"first": 20, "workers": {"w0": 0, "w2": 1}})
    time.run_until(lambda: sum(process.total for process in processes.values()) >= 50)
    time.run(0.03)
    numbers = {}
    for name, process in processes.items():
        process.end()
        numbers[name] = [round((due_ns - process.start_ns) / (10 * MS)) for due_ns, _ in process.calls]
    assert numbers == {
        "w0": [*range(0, 20, 2), *range(20, 50, 2)],
        "w1": list(range(1, 20, 2)),
        "w2": list(range(21, 50, 2)),
    }


def test_a_process_that_has_done_its_part_takes_what_another_leaves(process: WorkerProcess, time: VirtualTime) -> None:
    process.begin_arrivals(even(100, 1.0).cut(0.5), name="late")
    process.start_users(Caller, 2)
    time.run(0.1)
    process.worker.hear(STRIPES, {"first": 40, "workers": {"late": 0}})
    time.run_until(lambda: process.total == 10)
    process.end()
    assert process.count("iterations") == 10
