from __future__ import annotations

import time
from statistics import median

import gevent
import pytest

from pika_locust.runtime import worker as health
from pika_locust.runtime.worker import PROBE_EVERY_S, LagProbe, ProcessUsage


def probed(run_s: float, block_s: float = 0.0) -> tuple[list[int], float]:
    """Lags in microseconds of `run_s` idle seconds with a blocked loop in the middle, and the seconds it all took."""
    lags: list[int] = []
    probe = LagProbe(lags.append)
    began_s = time.monotonic()
    probe.start()
    gevent.sleep(run_s / 2)
    time.sleep(block_s)
    gevent.sleep(run_s / 2)
    probe.stop()
    return lags, time.monotonic() - began_s


@pytest.mark.alone
def test_an_idle_loop_has_a_small_lag_every_20_ms() -> None:
    lags, took_s = probed(0.6)
    assert len(lags) == pytest.approx(took_s / PROBE_EVERY_S, abs=2)
    assert median(lags) < 10_000
    assert min(lags) >= 1


@pytest.mark.alone
def test_a_blocked_loop_is_recorded_once_for_every_probe_that_had_to_wait() -> None:
    lags, took_s = probed(0.4, block_s=0.3)
    longest = max(lags)
    # 15 probes fell due within the 300 ms: the first waited nearly all of it, each next one 20 ms less.
    assert 279_000 <= longest < took_s * 1e6 - 200_000
    for late in range(14):
        assert [lag for lag in lags if lag == pytest.approx(longest - late * 20_000, abs=2_000)], f"the {late}th"
    # Nothing is counted twice: there is one for every 20 ms, blocked or not.
    assert len(lags) == pytest.approx(took_s / PROBE_EVERY_S, abs=2)


@pytest.mark.alone
def test_a_stall_weighs_what_it_lasted() -> None:
    lags = sorted(probed(0.3, block_s=0.3)[0])
    # Half of the time the loop was blocked, so half of what is said about it must be long.
    assert sum(lag > 15_000 for lag in lags) >= 0.4 * len(lags)
    assert lags[int(len(lags) * 0.95)] > 200_000


def test_the_probe_can_be_stopped_at_any_moment() -> None:
    lags: list[int] = []
    for run_s in (0.0, 0.001, PROBE_EVERY_S, PROBE_EVERY_S * 1.01):
        probe = LagProbe(lags.append)
        probe.start()
        if run_s:
            gevent.sleep(run_s)
        probe.stop()
    # Due, written to the socket, and not yet read.
    probe = LagProbe(lags.append)
    probe.start()
    probe._on_due()
    probe.stop()
    count = len(lags)
    gevent.sleep(3 * PROBE_EVERY_S)
    assert len(lags) == count


class Cpu:
    """A process whose CPU time is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.used_s = 0.0
        monkeypatch.setattr(health.time, "process_time", lambda: self.used_s)


def test_cpu_is_the_share_of_a_core_over_the_busiest_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, usage = Cpu(monkeypatch), ProcessUsage()
    # Ten seconds at 20 %, ten at 90 %, ten at 10 %.
    for second in range(31):
        usage.sample(1000.0 + second)
        cpu.used_s += 0.2 if second < 10 else 0.9 if second < 20 else 0.1
    assert usage.cpu_percent_max == pytest.approx(90.0)


def test_a_short_peak_is_no_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, usage = Cpu(monkeypatch), ProcessUsage()
    for second in range(21):
        usage.sample(float(second))
        cpu.used_s += 1.0 if second == 5 else 0.0
    assert usage.cpu_percent_max == pytest.approx(10.0)


def test_a_run_shorter_than_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, usage = Cpu(monkeypatch), ProcessUsage()
    for second in range(10):
        usage.sample(float(second))
        cpu.used_s += 1.0
    assert usage.cpu_percent_max is None


def test_samples_that_come_late_are_divided_by_the_time_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, usage = Cpu(monkeypatch), ProcessUsage()
    for second in (0.0, 25.0, 50.0):
        usage.sample(second)
        cpu.used_s += 12.5
    assert usage.cpu_percent_max == pytest.approx(50.0)


def test_memory_is_the_highest_that_was_seen() -> None:
    usage = ProcessUsage()
    usage.sample(0.0)
    assert 5 < usage.rss_mb_max < 5_000
    before = usage.rss_mb_max
    # Too large to be cut from memory that the process has had before.
    block = b"x" * 100_000_000
    usage.sample(1.0)
    del block
    usage.sample(2.0)
    assert usage.rss_mb_max > before + 70
