from __future__ import annotations

import os
from collections.abc import Iterator
from time import monotonic_ns
from types import SimpleNamespace

import gevent
import pytest

from pika_locust.runtime import arrivals as module
from pika_locust.runtime.arrivals import PreciseTimer
from pika_locust.testing.worker import wait_until

# The kernel's timers go by the kernel's clock, in whatever time the test is left.
pytestmark = pytest.mark.alone

MS = 1_000_000


class Recorder:
    """Notes when its timer fired."""

    def __init__(self) -> None:
        self.fired_ns: list[int] = []
        self.timer = PreciseTimer(self.fire)

    def fire(self) -> None:
        self.fired_ns.append(monotonic_ns())


@pytest.fixture(params=["kernel timer", "loop timer"])
def recorder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """As on Linux, and as elsewhere."""
    if request.param == "loop timer":
        monkeypatch.setattr(module, "sys", SimpleNamespace(platform="darwin"))
    recorder = Recorder()
    assert (recorder.timer._descriptor >= 0) is (request.param == "kernel timer")
    yield recorder
    recorder.timer.close()


def test_it_fires_once_and_not_before_its_time(recorder: Recorder) -> None:
    due_ns = monotonic_ns() + 30 * MS
    recorder.timer.set(due_ns)
    wait_until(lambda: recorder.fired_ns)
    gevent.sleep(0.05)
    assert len(recorder.fired_ns) == 1
    assert -2 * MS < recorder.fired_ns[0] - due_ns < 500 * MS


def test_the_kernels_timer_is_never_early() -> None:
    recorder = Recorder()
    for _ in range(20):
        due_ns = monotonic_ns() + 3 * MS + 123_456
        recorder.timer.set(due_ns)
        wait_until(lambda: recorder.fired_ns)
        assert recorder.fired_ns.pop() >= due_ns
    recorder.timer.close()


def test_a_time_in_the_past_fires_at_once(recorder: Recorder) -> None:
    for at_ns in (monotonic_ns() - 1000 * MS, 0):
        recorder.timer.set(at_ns)
        gevent.sleep(0.01)
    assert len(recorder.fired_ns) == 2


def test_a_new_setting_takes_the_place_of_the_one_before(recorder: Recorder) -> None:
    now_ns = monotonic_ns()
    recorder.timer.set(now_ns + 10 * MS)
    recorder.timer.set(now_ns + 50 * MS)
    gevent.sleep(0.03)
    assert recorder.fired_ns == []
    gevent.sleep(0.05)
    assert len(recorder.fired_ns) == 1


def test_it_may_be_set_again_while_it_fires(recorder: Recorder) -> None:
    left = [3, 2, 1]

    def fire_and_set() -> None:
        recorder.fire()
        if left:
            recorder.timer.set(monotonic_ns() + left.pop() * MS)

    recorder.timer._callback = fire_and_set
    recorder.timer.set(monotonic_ns())
    gevent.sleep(0.05)
    assert len(recorder.fired_ns) == 4


def test_one_that_is_set_anew_at_the_moment_of_firing_fires_only_then(recorder: Recorder) -> None:
    recorder.timer.set(monotonic_ns() + 5 * MS)
    # Both are ready when the loop comes round: the timer, and what sets it anew, which runs first.
    end_ns = monotonic_ns() + 8 * MS
    while monotonic_ns() < end_ns:
        pass
    gevent.get_hub().loop.run_callback(recorder.timer.set, monotonic_ns() + 30 * MS)
    gevent.sleep(0.01)
    assert recorder.fired_ns == []
    gevent.sleep(0.04)
    assert len(recorder.fired_ns) == 1


def test_a_ring_that_was_overtaken_by_a_new_setting_is_none() -> None:
    recorder = Recorder()
    recorder.timer.set(monotonic_ns() + 1000 * MS)
    recorder.timer._on_readable()
    assert recorder.fired_ns == []
    recorder.timer.close()


def test_after_closing_it_does_not_fire(recorder: Recorder) -> None:
    recorder.timer.set(monotonic_ns() + 5 * MS)
    recorder.timer.close()
    recorder.timer.close()
    gevent.sleep(0.02)
    assert recorder.fired_ns == []


def test_closing_leaves_no_descriptor_behind() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    Recorder().timer.close()
    before = descriptors()
    recorders = [Recorder() for _ in range(20)]
    assert descriptors() == before + 20
    for recorder in recorders:
        recorder.timer.set(monotonic_ns() + 1000 * MS)
        recorder.timer.close()
    assert descriptors() == before
