from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event

from pika_locust.load.iterations import Iterations
from pika_locust.runtime.iterations import IterationQuota
from pika_locust.runtime.workers import IterationGrants
from pika_locust.testing.worker import wait_until

pytestmark = pytest.mark.usefixtures("virtual_time")


class Cluster:
    """A leading side and its workers, in one process; messages arrive at once."""

    def __init__(self, iterations: Iterations, users: dict[str, int]) -> None:
        self.grants = IterationGrants(iterations, sum(users.values()), len(users))
        self.idle: list[str] = []
        self.released = Event()
        self.asked: list[tuple[str, int]] = []
        self.quotas: dict[str, IterationQuota] = {}
        self.work: dict[str, list[Any]] = {}
        self.pauses_s: dict[str, float] = {}
        for name, number in users.items():
            self.add(name, iterations, number)

    def add(self, name: str, iterations: Iterations, users: int) -> None:
        self.quotas[name] = IterationQuota(
            iterations, ask=lambda free: self._ask(name, free), when_idle=lambda: self.idle.append(name)
        )
        self.work[name] = [gevent.spawn(self._go_round, name, user) for user in range(users)]

    def _ask(self, name: str, free: int) -> None:
        self.asked.append((name, free))
        self.hear(self.grants.grant(name, free))

    def hear(self, granted: dict[str, int]) -> None:
        for name, quota in self.quotas.items():
            quota.on_granted(granted, name)

    def _go_round(self, name: str, user: int) -> None:
        quota = self.quotas[name]
        while quota.take(user, self.released):
            gevent.sleep(self.pauses_s.get(name, 0.0))
            quota.finish()

    @property
    def done(self) -> int:
        return sum(quota.done for quota in self.quotas.values())

    def is_done(self) -> bool:
        return self.grants.is_done(self.done)

    def end(self) -> None:
        self.released.set()
        gevent.joinall([life for lives in self.work.values() for life in lives], timeout=5, raise_error=True)


def record(worker: str, begun: int, done: int) -> Any:
    return SimpleNamespace(worker=worker, iterations_begun=begun, iterations_done=done)


def test_exactly_so_many_are_done_whoever_does_them() -> None:
    cluster = Cluster(Iterations(500), {"w0": 7, "w1": 3})
    wait_until(cluster.is_done)
    gevent.sleep(0.02)
    cluster.end()
    assert cluster.done == 500
    assert cluster.grants.not_begun(cluster.done) == 0
    assert all(quota.done == quota.begun > 50 for quota in cluster.quotas.values())
    # In parts, and not one by one.
    assert len(cluster.asked) < 100


def test_a_worker_without_users_takes_nothing_and_keeps_nobody_waiting() -> None:
    cluster = Cluster(Iterations(20), {"w0": 2, "w1": 0})
    wait_until(cluster.is_done)
    cluster.end()
    assert (cluster.quotas["w0"].done, cluster.quotas["w1"].begun) == (20, 0)


def test_a_slow_worker_does_less() -> None:
    cluster = Cluster(Iterations(60), {"slow": 1, "quick": 1})
    cluster.pauses_s = {"slow": 0.05, "quick": 0.001}
    wait_until(cluster.is_done)
    cluster.end()
    assert cluster.quotas["slow"].done < 20 < cluster.quotas["quick"].done
    assert cluster.done == 60


def test_who_has_nothing_left_says_so_once_everything_is_done() -> None:
    cluster = Cluster(Iterations(10), {"w0": 2})
    wait_until(cluster.is_done)
    wait_until(lambda: cluster.idle == ["w0"])
    cluster.end()


def test_each_user_does_its_own_and_then_waits() -> None:
    cluster = Cluster(Iterations(3, per_user=True), {"w0": 2, "w1": 1})
    wait_until(cluster.is_done)
    gevent.sleep(0.02)
    assert [quota.done for quota in cluster.quotas.values()] == [6, 3]
    assert not any(life.dead for lives in cluster.work.values() for life in lives)
    assert set(cluster.idle) == {"w0", "w1"}
    # For all users of a worker at once.
    assert cluster.asked == [("w0", 6), ("w1", 3)]
    cluster.end()
    assert cluster.done == 9


def test_users_that_are_released_end_although_there_is_more_to_do() -> None:
    cluster = Cluster(Iterations(1000), {"w0": 2})
    cluster.pauses_s = {"w0": 0.005}
    wait_until(lambda: cluster.done > 4)
    cluster.end()
    begun = cluster.quotas["w0"].begun
    assert begun < 1000
    assert cluster.grants.not_begun(begun) == 1000 - begun


def test_what_a_lost_worker_did_not_finish_is_done_by_others() -> None:
    cluster = Cluster(Iterations(100), {"w0": 2, "w1": 2})
    cluster.pauses_s = {"w0": 0.002, "w1": 0.002}
    wait_until(lambda: cluster.quotas["w1"].done > 3)
    lost = cluster.quotas.pop("w1")
    gevent.killall(cluster.work.pop("w1"))
    # Its last report is older than what it did last: only that counts.
    reported = lost.done - 2
    wait_until(lambda: cluster.quotas["w0"]._none_left)
    assert not cluster.grants.is_done(cluster.done + reported)
    for _ in range(2):
        for granted in cluster.grants.take_back([record("w1", lost.begun, reported)]):
            cluster.hear(granted)
    wait_until(lambda: cluster.grants.is_done(cluster.done + reported))
    gevent.sleep(0.02)
    cluster.end()
    assert cluster.done + reported == 100


def test_of_so_many_for_each_user_what_a_lost_worker_did_not_finish_is_all_that_others_do() -> None:
    each = Iterations(5, per_user=True)
    cluster = Cluster(each, {"w0": 2, "w1": 2})
    cluster.pauses_s = {"w0": 0.002, "w1": 0.004}
    wait_until(lambda: cluster.quotas["w1"].done == 4)
    lost = cluster.quotas.pop("w1")
    gevent.killall(cluster.work.pop("w1"))
    # Locust starts as many elsewhere before anybody knows what is left for them.
    cluster.work["w0"] += [gevent.spawn(cluster._go_round, "w0", user) for user in (2, 3)]
    wait_until(lambda: cluster.quotas["w0"]._none_left)
    assert cluster.quotas["w0"].done == 10
    wait_until(lambda: cluster.idle.count("w0") > 0)
    for granted in cluster.grants.take_back([record("w1", lost.begun, 4)]):
        cluster.hear(granted)
    wait_until(lambda: cluster.grants.is_done(cluster.done + 4))
    gevent.sleep(0.05)
    cluster.end()
    assert cluster.done + 4 == 20
    assert max(cluster.quotas["w0"]._taken.values()) == 5
    assert cluster.grants.not_begun(cluster.quotas["w0"].begun + lost.begun) == 0


def test_users_that_come_one_after_another_get_theirs_each() -> None:
    cluster = Cluster(Iterations(3, per_user=True), {"w0": 1, "w1": 3})
    cluster.pauses_s = {"w0": 0.001}
    cluster.grants._total = cluster.grants._left = cluster.grants._total + 6
    for user in (1, 2):
        gevent.sleep(0.002)
        cluster.work["w0"].append(gevent.spawn(cluster._go_round, "w0", user))
    wait_until(cluster.is_done)
    gevent.sleep(0.02)
    cluster.end()
    assert [sorted(quota._taken.values()) for quota in cluster.quotas.values()] == [[3, 3, 3]] * 2


def test_what_never_began_is_known() -> None:
    grants = IterationGrants(Iterations(3, per_user=True), 4, 2)
    assert not grants.is_done(11)
    assert grants.is_done(12)
    assert grants.not_begun(9) == 3
