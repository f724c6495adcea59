from __future__ import annotations

from fractions import Fraction

import pytest

from pika_locust.sandbox.faults import FaultSwitches, parse_faults


@pytest.mark.parametrize("rate", ["0.001", "0.02", "0.07", "1/3", "0.5", "0.99", "1"])
@pytest.mark.parametrize("step", [1, 7, 300])
def test_of_n_events_rate_times_n_are_hit_exact_to_one_half(rate: str, step: int) -> None:
    share = Fraction(rate)
    board = FaultSwitches(faults=parse_faults([f"drop={float(share):.12f}"]))
    exact = board.on["drop"].value
    hit: list[int] = []
    for start in range(0, 3000, step):
        hit += [start + position for position in board.positions("drop", "", step)]
        seen = start + step
        assert abs(len(hit) - exact * seen) <= Fraction(1, 2)
    assert hit == sorted(set(hit))


def test_asking_for_many_at_once_hits_the_same_events_as_asking_one_by_one() -> None:
    one, many = (FaultSwitches(faults=parse_faults(["drop=0.13"])) for _ in range(2))
    singles = [n for n in range(1000) if one.hits("drop")]
    assert many.positions("drop", "", 1000) == singles


def test_each_kind_of_event_is_counted_by_itself() -> None:
    board = FaultSwitches(faults=parse_faults(["lose-write=0.5"]))
    lost = {"like": 0, "vote": 0}
    for n in range(1100):
        kind = "vote" if n % 11 == 10 else "like"
        lost[kind] += board.hits("lose-write", kind)
    assert lost == {"like": 500, "vote": 50}
    assert board.counts()["lose-write"] == {
        "eligible": 1100,
        "hit": 550,
        "by_kind": {"like": {"eligible": 1000, "hit": 500}, "vote": {"eligible": 100, "hit": 50}},
    }


def test_a_fault_that_is_off_hits_nothing_and_counts_nothing() -> None:
    board = FaultSwitches()
    assert not board.hits("drop")
    assert board.positions("drop", "", 100) == []
    board.count("leak")
    assert board.amount("latency") == 0
    assert board.counts() == {}


def test_replacing_keeps_the_tallies_of_faults_that_stay_and_tells_watchers() -> None:
    board = FaultSwitches(faults=parse_faults(["drop=0.5", "double=0.5"]))
    told: list[set[str]] = []
    board.watch(lambda: told.append(set(board.on)))
    board.positions("drop", "", 10)
    board.positions("double", "", 10)
    board.replace(parse_faults(["drop=0.5", "double=0.25"]))
    assert {name: counts["eligible"] for name, counts in board.counts().items()} == {"drop": 10, "double": 0}
    board.replace(())
    assert told == [{"drop", "double"}, set()]


def test_forgetting_the_counts_leaves_the_switches() -> None:
    board = FaultSwitches(faults=parse_faults(["drop=0.5"]))
    board.positions("drop", "", 3)
    board.forget_counts()
    assert board.counts()["drop"]["eligible"] == 0
    assert board.positions("drop", "", 2) == [0]
