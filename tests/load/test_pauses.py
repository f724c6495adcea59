from __future__ import annotations

import pytest

from pika_locust.load.pauses import Backoff
from pika_locust.load.rng import SeededRandom


def test_waits_grow_by_the_factor_up_to_the_cap() -> None:
    backoff = Backoff(first_s=1.0, jitter_s=0.0, factor=1.5, cap_s=10.0)
    waits = [backoff.delay_s(failures, SeededRandom(7)) for failures in range(1, 9)]
    assert waits == [1.0, 1.5, 2.25, 3.375, 5.0625, 7.59375, 10.0, 10.0]


def test_the_first_wait_is_spread_evenly_over_its_jitter() -> None:
    backoff = Backoff(first_s=1.0, jitter_s=2.0, factor=2.0, cap_s=100.0)
    dice = SeededRandom(7)
    waits = sorted(backoff.delay_s(1, dice) for _ in range(1000))
    assert waits[0] >= 1.0
    assert waits[-1] < 3.0
    assert sum(waits) / len(waits) == pytest.approx(2.0, abs=0.1)


def test_the_jitter_grows_with_the_wait_and_never_passes_the_cap() -> None:
    backoff = Backoff(first_s=1.0, jitter_s=1.0, factor=2.0, cap_s=6.0)
    dice = SeededRandom(7)
    waits = [backoff.delay_s(3, dice) for _ in range(1000)]
    assert min(waits) >= 4.0
    assert max(waits) == 6.0


def test_users_of_one_seed_wait_alike_and_users_of_another_do_not() -> None:
    backoff = Backoff(first_s=1.0, jitter_s=1.0, factor=2.0, cap_s=60.0)
    assert backoff.delay_s(1, SeededRandom(7, 1)) == backoff.delay_s(1, SeededRandom(7, 1))
    assert backoff.delay_s(1, SeededRandom(7, 1)) != backoff.delay_s(1, SeededRandom(7, 2))


def test_an_endless_outage_overflows_nothing() -> None:
    assert Backoff(1.0, 1.0, 2.0, 30.0).delay_s(10**9, SeededRandom(7)) == 30.0
