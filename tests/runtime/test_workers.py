from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from locust import User
from locust.dispatch import UsersDispatcher
from locust.env import Environment
from locust.rpc import Message
from locust.runners import STATE_RUNNING, WorkerNode

from pika_locust.load.arrivals import ConstantArrivalRate, Schedule
from pika_locust.metrics import Registry, Snapshot
from pika_locust.metrics.builtin import BASE_METRICS
from pika_locust.runtime import workers as module
from pika_locust.runtime.workers import NOTICE_S, ArrivalAssignment, Workers
from pika_locust.scenario import schedule_of
from pika_locust.settings import Settings
from tests.runtime.sample_scenario import SAMPLE_SCENARIO


def even(duration_s: float = 100.0) -> Schedule:
    return ConstantArrivalRate(rate=10, duration_s=duration_s, pre_allocated_vus=1).schedule()


class FakeWorkers:
    """Who is there: those with users, and those without."""

    def __init__(self, *busy: str, idle: tuple[str, ...] = ()) -> None:
        self.busy, self.idle = list(busy), list(idle)

    def is_lost(self, worker: str) -> bool:
        return worker not in self.busy + self.idle

    def with_users(self) -> list[str]:
        return self.busy


def assignment(workers: FakeWorkers, *holders: str, began_s_ago: float = 20.0) -> ArrivalAssignment:
    return ArrivalAssignment(even(), time.monotonic_ns() - round(began_s_ago * 1e9), workers, holders)  # type: ignore[arg-type]


def test_as_long_as_nothing_changes_there_is_no_news() -> None:
    assert assignment(FakeWorkers("a", "b"), "a", "b").review() is None
    # Who had a part from the beginning keeps it, though its users are still to come.
    assert assignment(FakeWorkers("a", idle=("b",)), "a", "b").review() is None
    # Who has none yet gets none before it has users, who could serve it.
    assert assignment(FakeWorkers("a", idle=("b",)), "a").review() is None


def test_when_a_worker_is_lost_the_others_take_what_comes() -> None:
    one = assignment(FakeWorkers("a", "c"), "a", "b", "c")
    news = one.review()
    assert news is not None
    assert news["workers"] == {"a": 0, "c": 1}
    # Ten a second, 20 s on, and a second's notice.
    assert (20 + NOTICE_S) * 10 <= news["first"] <= (20 + NOTICE_S) * 10 + 5
    assert one.review() is None


def test_a_worker_that_came_late_takes_part_as_soon_as_it_has_users() -> None:
    workers = FakeWorkers("a", idle=("late",))
    one = assignment(workers, "a", "b")
    assert one.review()["workers"] == {"a": 0}  # type: ignore[index]
    workers.busy.append("late")
    assert one.review()["workers"] == {"a": 0, "late": 1}  # type: ignore[index]


def test_a_worker_that_will_end_takes_no_more_though_it_still_has_users() -> None:
    one = assignment(FakeWorkers("a", "b", "late"), "a", "b")
    for worker in ("b", "late"):
        one.note_leaving(worker)
    assert one.review()["workers"] == {"a": 0}  # type: ignore[index]
    one.note_leaving("a")
    # Somebody must take them until the end.
    assert one.review() is None


def test_when_nobody_is_left_nobody_is_told() -> None:
    assert assignment(FakeWorkers(), "a", "b").review() is None


def test_before_the_first_arrival_everything_is_divided_anew() -> None:
    news = assignment(FakeWorkers("a"), "a", "b", began_s_ago=-5.0).review()
    assert news == {"first": 0, "workers": {"a": 0}}


def figures(started: int, dropped: int) -> Snapshot:
    registry = Registry(BASE_METRICS)
    registry.counter("iterations_started").add(started)
    registry.counter("dropped_iterations").add(dropped)
    return registry.snapshot()


@pytest.mark.parametrize(("started", "dropped", "lost"), [(300, 10, 0), (280, 10, 20), (0, 0, 310)])
def test_what_went_down_with_a_worker_is_what_nobody_reported(started: int, dropped: int, lost: int) -> None:
    one = assignment(FakeWorkers("a"), "a", "b")
    assert one.lost(figures(started, dropped), one._start_ns + round(30.95e9)) == lost


def test_a_scenario_without_arrivals_has_no_schedule() -> None:
    with pytest.raises(ValueError, match="sample has no arrival rate"):
        schedule_of(SAMPLE_SCENARIO, Settings({}, {}), 7, 10.0)


class LeavingRunner:
    """A master's runner; workers that are told to quit say their last words `after_s` seconds later, or never."""

    def __init__(self, **after_s: float | None) -> None:
        self.after_s = after_s
        self.heard: list[Any] = []
        nodes = [SimpleNamespace(id=name, state="missing" if s is None else "running") for name, s in after_s.items()]
        self.clients = SimpleNamespace(all=nodes)
        self.workers = Workers(self)

    def stop(self, *, send_stop_to_client: bool) -> None:
        self.heard.append("stop")

    def send_message(self, kind: str, data: Any, client_id: str) -> None:
        self.heard.append((kind, client_id))
        gevent.spawn_later(self.after_s[client_id], self.hear, client_id)

    def hear(self, name: str) -> None:
        # Locust's own reaction to a worker that has quit.
        self.heard.append(self.workers.dismiss())
        self.workers.note_left(name)


def test_workers_that_are_let_go_are_waited_for_unless_they_are_lost() -> None:
    runner = LeavingRunner(a=0.0, b=0.1, lost=None)
    assert runner.workers.dismiss()
    assert runner.heard == ["stop", ("quit", "a"), ("quit", "b"), False, False]


def test_a_worker_that_never_says_its_last_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAVE_S", 0.1)
    runner = LeavingRunner(a=30.0)
    began_s = time.monotonic()
    assert runner.workers.dismiss()
    assert 0.1 <= time.monotonic() - began_s < 5.0


@pytest.mark.parametrize("ending", [False, True], ids=["while the test runs", "while it ends"])
def test_the_users_of_a_worker_that_leaves_are_started_elsewhere_unless_the_test_ends(
    ending: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locust's own master, and its own words for a worker that has stopped."""
    runner = Environment(user_classes=[User]).create_master_runner("127.0.0.1", 0)
    try:
        started: list[int] = []
        monkeypatch.setattr(runner, "start", lambda users, rate: started.append(users))
        for name in ("a", "b"):
            runner.clients[name] = WorkerNode(name)
        runner._users_dispatcher = UsersDispatcher(list(runner.clients.values()), [User])
        runner.state, runner.target_user_count = STATE_RUNNING, 6
        if ending:
            Workers(runner).keep_users_in_place()
        runner.handle_message("a", Message("client_stopped", None, "a"))
        assert list(runner.clients) == ["b"]
        assert started == ([] if ending else [6])
    finally:
        runner.greenlet.kill()
        runner.server.close()
