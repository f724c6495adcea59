"""Virtual time: what waits on gevent wakes at its moment, in order, and no moment takes any real time."""

from __future__ import annotations

import socket
import time as system
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent import get_hub
from gevent.event import AsyncResult, Event
from gevent.pool import Pool
from gevent.queue import Queue

from pika_locust import clock
from pika_locust.load.arrivals import ConstantArrivalRate
from pika_locust.runtime.actor import Actor
from pika_locust.runtime.arrivals import Arrivals, OpenActor
from pika_locust.runtime.timers import Condition, UserTimers, every, later, run_concurrently
from pika_locust.testing import virtual_time
from pika_locust.testing import worker as worker_module
from pika_locust.testing.virtual_time import BEGAN_NS, BEGAN_S, VirtualTime
from pika_locust.testing.worker import live, make_context, make_user
from tests.runtime.sample_scenario import SAMPLE_SCENARIO
from tests.testing.examples import run_example


@pytest.fixture
def time() -> Iterator[VirtualTime]:
    with VirtualTime() as time:
        yield time


def test_the_example_of_the_module_holds() -> None:
    tests = run_example(virtual_time, {"monotonic": clock.monotonic})
    assert tests == ["test_a_heartbeat_is_sent_every_twenty_seconds"]


# What wakes, and when


def test_greenlets_wake_at_their_moments_and_in_order(time: VirtualTime) -> None:
    woken: list[tuple[str, float]] = []

    def sleep(name: str, seconds: float) -> None:
        gevent.sleep(seconds)
        woken.append((name, time.elapsed_s))

    for name, seconds in (("c", 3.0), ("a", 1.0), ("b", 3.0), ("z", 0.0)):
        time.spawn(sleep, name, seconds)
    began_s = system.monotonic()
    time.run(2.5)
    assert woken == [("z", 0.0), ("a", 1.0)]
    assert time.elapsed_s == 2.5
    time.run(100_000)
    assert woken == [("z", 0.0), ("a", 1.0), ("c", 3.0), ("b", 3.0)]
    assert time.elapsed_s == 100_002.5
    assert system.monotonic() - began_s < 30


def test_what_is_due_at_the_very_end_still_happens(time: VirtualTime) -> None:
    done = []
    time.spawn(lambda: (gevent.sleep(2), done.append(1), gevent.sleep(0), done.append(2)))
    time.run(2)
    assert done == [1, 2]


def test_whatever_gevent_waits_with_waits_in_virtual_time(time: VirtualTime) -> None:
    def waits(wait: Callable[[], object]) -> float:
        began_s = time.elapsed_s
        time.call(wait)
        return time.elapsed_s - began_s

    def give_up() -> None:
        with gevent.Timeout(3, False):
            gevent.sleep(9)

    def in_a_pool() -> None:
        pool = Pool(2)
        for _ in range(4):
            pool.spawn(gevent.sleep, 1.5)
        pool.join()

    event, queue, result = Event(), Queue(), AsyncResult()
    assert waits(lambda: event.wait(2)) == 2
    assert waits(give_up) == 3
    assert waits(in_a_pool) == 3
    gevent.spawn_later(4, event.set)
    gevent.spawn_later(4.5, queue.put, 1)
    gevent.spawn_later(5, result.set, 1)
    assert waits(event.wait) == 4
    assert waits(queue.get) == 0.5
    assert waits(result.get) == 0.5
    assert waits(gevent.spawn(gevent.sleep, 6).join) == 6


def test_timers_of_the_loop_fire_once_repeat_and_stop(time: VirtualTime) -> None:
    loop = get_hub().loop
    fired: list[tuple[str, float]] = []
    once, period, stopped, again = loop.timer(1.0), loop.timer(2.0, 0.5), loop.timer(1.0), loop.timer(9.0, 1.5)
    for name, timer in (("once", once), ("period", period), ("stopped", stopped)):
        timer.start(lambda name: fired.append((name, time.elapsed_s)), name, update=True)
    again.again(lambda: fired.append(("again", time.elapsed_s)))
    assert all(timer.active for timer in (once, period, stopped, again))
    stopped.stop()
    time.run(3.0)
    assert fired == [("once", 1.0), ("again", 1.5), ("period", 2.0), ("period", 2.5), ("again", 3.0), ("period", 3.0)]
    assert not once.active
    assert not stopped.active
    assert period.active
    period.close()
    again.close()
    time.run(3.0)
    assert len(fired) == 6


def test_a_timer_that_is_started_again_forgets_its_first_moment(time: VirtualTime) -> None:
    fired: list[float] = []
    timer = get_hub().loop.timer(2.0)
    timer.start(lambda: fired.append(time.elapsed_s))
    time.run(1.0)
    timer.start(lambda: fired.append(-time.elapsed_s))
    time.run(5.0)
    assert fired == [-3.0]


def test_a_timer_that_is_stopped_when_it_has_come_due_does_not_fire(time: VirtualTime) -> None:
    fired: list[str] = []
    first, second = get_hub().loop.timer(1.0), get_hub().loop.timer(1.0)
    first.start(lambda: (fired.append("first"), second.stop()))
    second.start(lambda: fired.append("second"))
    time.run(2.0)
    assert fired == ["first"]


def test_a_process_that_is_held_up_does_what_was_due_late(time: VirtualTime) -> None:
    fired: list[float] = []
    for after_s in (1.0, 2.0, 9.0):
        get_hub().loop.timer(after_s).start(lambda: fired.append(time.elapsed_s))
    time.stand_still(5.0)
    assert fired == []
    time.run(1.0)
    assert fired == [5.0, 5.0]
    assert time.elapsed_s == 6.0


# Calling what waits


def test_what_is_called_may_wait_and_its_outcome_comes_back(time: VirtualTime) -> None:
    def add(first: int, second: int) -> int:
        gevent.sleep(5)
        return first + second

    assert time.call(add, 1, 2) == 3
    assert time.elapsed_s == 5


def test_what_is_called_raises_here(time: VirtualTime) -> None:
    def fail() -> None:
        gevent.sleep(5)
        raise LookupError("planted")

    with pytest.raises(LookupError, match="planted"):
        time.call(fail)
    assert time.elapsed_s == 5


def test_what_does_not_return_in_time_is_given_up(time: VirtualTime) -> None:
    ended: list[str] = []

    def wait() -> None:
        try:
            Event().wait()
        finally:
            ended.append("given up")

    with pytest.raises(TimeoutError, match="not so within 7 s"):
        time.call(wait, within_s=7)
    assert ended == ["given up"]
    assert time.elapsed_s == 7


def test_time_goes_by_until_something_is_so_and_no_longer(time: VirtualTime) -> None:
    count: list[int] = []
    timer = get_hub().loop.timer(1.0, 1.0)
    timer.start(lambda: count.append(1))
    time.run_until(lambda: len(count) == 3)
    assert time.elapsed_s == 3
    time.run_until(lambda: len(count) == 3)
    assert time.elapsed_s == 3
    with pytest.raises(TimeoutError, match=r"not so within 4\.5 s"):
        time.run_until(lambda: False, within_s=4.5)
    assert time.elapsed_s == 7.5


@pytest.mark.parametrize("where", ["timer", "greenlet"])
def test_errors_are_raised_where_time_goes_by(time: VirtualTime, where: str, capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise LookupError("planted")

    if where == "timer":
        get_hub().loop.timer(2.0).start(fail)
    else:
        time.spawn(lambda: (gevent.sleep(2.0), fail()))
    time.run(1.0)
    with pytest.raises(LookupError, match="planted"):
        time.run(4.0)
    assert time.elapsed_s == 2.0
    time.run(1.0)
    assert capfd.readouterr().err == ""


def test_a_test_s_own_failure_is_raised_as_well(time: VirtualTime) -> None:
    with pytest.raises(pytest.fail.Exception, match="planted"):
        time.call(pytest.fail, "planted")


def test_a_whole_test_may_wait_in_it(virtual_time: VirtualTime) -> None:
    gevent.sleep(1000)
    assert virtual_time.elapsed_s == 1000


def test_greenlets_that_only_give_way_to_each_other_fail_the_test(
    time: VirtualTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual_time, "MAX_TURNS", 100)
    going = [True]

    def spin() -> None:
        while going:
            gevent.sleep(0)

    time.spawn(spin)
    with pytest.raises(AssertionError, match="gave way to each other 100 times"):
        time.run(1)
    going.clear()


def test_a_socket_cannot_be_waited_for(time: VirtualTime) -> None:
    with socket.socket() as one, pytest.raises(RuntimeError, match="nothing can wait for a socket"):
        get_hub().loop.io(one.fileno(), 1)


# Clocks, and what comes after


def test_the_clocks_go_with_it_and_are_given_back() -> None:
    assert clock.is_kernel()
    with VirtualTime() as time:
        time.run(2.5)
        assert clock.monotonic_ns() == time.now_ns == BEGAN_NS + 2_500_000_000
        assert clock.monotonic() == BEGAN_NS / 1e9 + 2.5
        assert clock.time() == BEGAN_S + 2.5
        assert get_hub().loop.now() == clock.monotonic()
        assert not clock.is_kernel()
    assert clock.is_kernel()
    before_ns, before_s = system.monotonic_ns(), system.time()
    assert before_ns <= clock.monotonic_ns() <= system.monotonic_ns()
    assert before_ns / 1e9 <= clock.monotonic() <= system.monotonic()
    assert before_s <= clock.time() <= system.time()


def test_real_timers_are_back_afterwards_and_greenlets_have_ended() -> None:
    loop = get_hub().loop
    ended: list[str] = []

    def wait() -> None:
        try:
            gevent.sleep(1000)
        finally:
            ended.append("ended")

    def fail() -> None:
        with VirtualTime() as time:
            time.spawn(wait)
            time.run(1)
            raise LookupError("planted")

    with pytest.raises(LookupError, match="planted"):
        fail()
    assert ended == ["ended"]
    assert get_hub().loop is loop
    began_s = system.monotonic()
    gevent.sleep(0.05)
    assert system.monotonic() - began_s >= 0.04


# What the package itself is made of


def test_timers_conditions_and_crowds_of_the_runtime_go_by_it(time: VirtualTime) -> None:
    worker = make_context(SAMPLE_SCENARIO)
    done: list[tuple[str, float]] = []

    def note(name: str) -> None:
        done.append((name, time.elapsed_s))

    timers, condition = UserTimers(worker), Condition()
    timers.start("think", 1.0, note, "think")
    later(worker, 2.0, note, "later")
    beat = every(worker, 1.5, note, "every")
    later(worker, 4.0, condition.notify)
    assert not time.call(condition.wait_for, lambda: len(done) > 9, 0.5)
    assert time.elapsed_s == 0.5
    assert time.call(condition.wait_for, lambda: time.elapsed_s >= 4, 9.0)
    assert time.elapsed_s == 4.0
    beat.stop()
    assert done == [("think", 1.0), ("every", 1.5), ("later", 2.0), ("every", 3.0)]
    assert not time.call(lambda: run_concurrently(range(4), lambda _: gevent.sleep(1), at_once=1, within_s=2.5))
    assert time.elapsed_s == 6.5


class Visitor(OpenActor):
    """Takes two seconds for each iteration, and pauses for three."""

    def begin(self) -> None:
        self.began_s: list[float] = []

    def act(self) -> None:
        self.began_s.append(clock.monotonic() - BEGAN_NS / 1e9)
        gevent.sleep(2)
        self.pause(3)


def test_the_example_of_the_worker_context_holds() -> None:
    names = {"Actor": Actor, "VirtualTime": VirtualTime, "SCENARIO": SAMPLE_SCENARIO}
    assert run_example(worker_module, names) == ["test_a_visitor_is_greeted_every_ten_seconds"]


def test_users_live_in_it_and_the_end_of_the_load_too(time: VirtualTime) -> None:
    worker = make_context(SAMPLE_SCENARIO)
    visitor = make_user(Visitor, worker)
    time.spawn(live, visitor)
    time.run(12)
    assert visitor.began_s == [0, 5, 10]
    assert time.call(worker.drain, "primary", 5.0) is None
    assert time.elapsed_s == 12.02
    assert worker.count_of("iterations") == 3
    assert worker.internal_errors == []


def test_arrivals_of_the_open_model_come_at_their_moments(time: VirtualTime) -> None:
    worker = make_context(SAMPLE_SCENARIO, arrivals={"duration_s": 20.0}, stripes={"w0": 0})
    schedule = ConstantArrivalRate(rate=0.5, duration_s=20.0, pre_allocated_vus=3).schedule()
    worker.arrivals = Arrivals(worker, schedule, time.now_ns, "w0")
    visitors = [make_user(Visitor, worker) for _ in range(3)]
    for visitor in visitors:
        time.spawn(live, visitor)
    time.run(20)
    assert sorted(at_s for visitor in visitors for at_s in visitor.began_s) == [2.0 * n for n in range(10)]
    assert worker.count_of("dropped_iterations") == 0
    worker.end()
