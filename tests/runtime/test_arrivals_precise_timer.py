from __future__ import annotations

import os
from collections.abc import Iterator
from time import monotonic_ns
from types import SimpleNamespace

import gevent
import pytest

from pika_locust.runtime import arrivals as alarm
from pika_locust.runtime.arrivals import PreciseTimer

MS = 1_000_000


class Bell:
    """Notes when it rang."""

    def __init__(self) -> None:
        self.rang_ns: list[int] = []
        self.alarm = PreciseTimer(self.ring)

    def ring(self) -> None:
        self.rang_ns.append(monotonic_ns())


@pytest.fixture(params=["kernel timer", "loop timer"])
def bell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bell]:
    """As on Linux, and as elsewhere."""
    if request.param == "loop timer":
        monkeypatch.setattr(alarm, "sys", SimpleNamespace(platform="darwin"))
    bell = Bell()
    assert (bell.alarm._descriptor >= 0) is (request.param == "kernel timer")
    yield bell
    bell.alarm.close()


def test_it_rings_once_and_not_before_its_time(bell: Bell) -> None:
    due_ns = monotonic_ns() + 30 * MS
    bell.alarm.set(due_ns)
    gevent.sleep(0.08)
    assert len(bell.rang_ns) == 1
    assert -2 * MS < bell.rang_ns[0] - due_ns < 30 * MS


def test_the_kernels_timer_is_never_early() -> None:
    bell = Bell()
    for _ in range(20):
        due_ns = monotonic_ns() + 3 * MS + 123_456
        bell.alarm.set(due_ns)
        gevent.sleep(0.01)
        assert bell.rang_ns.pop() >= due_ns
    bell.alarm.close()


def test_what_is_past_rings_at_once(bell: Bell) -> None:
    for at_ns in (monotonic_ns() - 1000 * MS, 0):
        bell.alarm.set(at_ns)
        gevent.sleep(0.01)
    assert len(bell.rang_ns) == 2


def test_a_new_setting_takes_the_place_of_the_one_before(bell: Bell) -> None:
    now_ns = monotonic_ns()
    bell.alarm.set(now_ns + 10 * MS)
    bell.alarm.set(now_ns + 50 * MS)
    gevent.sleep(0.03)
    assert bell.rang_ns == []
    gevent.sleep(0.05)
    assert len(bell.rang_ns) == 1


def test_it_may_be_set_again_while_it_rings(bell: Bell) -> None:
    left = [3, 2, 1]

    def ring() -> None:
        bell.ring()
        if left:
            bell.alarm.set(monotonic_ns() + left.pop() * MS)

    bell.alarm._ring = ring
    bell.alarm.set(monotonic_ns())
    gevent.sleep(0.05)
    assert len(bell.rang_ns) == 4


def test_one_that_is_set_anew_at_the_moment_of_ringing_rings_only_then(bell: Bell) -> None:
    bell.alarm.set(monotonic_ns() + 5 * MS)
    # Both are ready when the loop comes round: the alarm, and what sets it anew, which runs first.
    end_ns = monotonic_ns() + 8 * MS
    while monotonic_ns() < end_ns:
        pass
    gevent.get_hub().loop.run_callback(bell.alarm.set, monotonic_ns() + 30 * MS)
    gevent.sleep(0.01)
    assert bell.rang_ns == []
    gevent.sleep(0.04)
    assert len(bell.rang_ns) == 1


def test_a_ring_that_was_overtaken_by_a_new_setting_is_none() -> None:
    bell = Bell()
    bell.alarm.set(monotonic_ns() + 1000 * MS)
    bell.alarm._on_readable()
    assert bell.rang_ns == []
    bell.alarm.close()


def test_after_closing_it_is_silent(bell: Bell) -> None:
    bell.alarm.set(monotonic_ns() + 5 * MS)
    bell.alarm.close()
    bell.alarm.close()
    gevent.sleep(0.02)
    assert bell.rang_ns == []


def test_closing_leaves_no_descriptor_behind() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    Bell().alarm.close()
    before = descriptors()
    bells = [Bell() for _ in range(20)]
    assert descriptors() == before + 20
    for bell in bells:
        bell.alarm.set(monotonic_ns() + 1000 * MS)
        bell.alarm.close()
    assert descriptors() == before
