"""The fault lose-fanout: how many recipients a broadcast loses, and which."""

from __future__ import annotations

from collections import Counter

import pytest

from pika_locust.sandbox.faults import FanoutLoss, FaultSwitches, parse_faults


@pytest.mark.parametrize(
    ("rate", "recipients", "broadcasts", "each"),
    [
        pytest.param("0.1", 10, 100, 10, id="one recipient of each broadcast"),
        pytest.param("0.25", 4, 40, 10, id="a fourth of a small room"),
        pytest.param("0.01", 10, 1000, 10, id="less than one a broadcast"),
        pytest.param("1", 3, 5, 5, id="everything"),
    ],
)
def test_losses_are_exact_and_equal_for_all_recipients(rate: str, recipients: int, broadcasts: int, each: int) -> None:
    losses = FanoutLoss(FaultSwitches(faults=parse_faults([f"lose-fanout={rate}"])))
    lost: Counter[int] = Counter()
    for _ in range(broadcasts):
        picked = losses.of("NOW_PLAYING", range(recipients))
        assert len(set(picked)) == len(picked)
        lost.update(picked)
    assert lost == dict.fromkeys(range(recipients), each)


def test_a_broadcast_without_recipients_loses_nothing() -> None:
    losses = FanoutLoss(FaultSwitches(faults=parse_faults(["lose-fanout=1"])))
    assert losses.of("NOW_PLAYING", []) == []
