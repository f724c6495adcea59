"""Switches of faults: which events a rate hits, and what stays counted when others are switched."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pika_locust.sandbox.faults import FaultSwitches, parse_faults


@pytest.mark.parametrize("rate", ["0.001", "0.02", "0.07", "1/3", "0.5", "0.99", "1"])
@pytest.mark.parametrize("step", [1, 7, 300])
def test_of_n_events_rate_times_n_are_hit_exact_to_one_half(rate: str, step: int) -> None:
    share = Fraction(rate)
    switches = FaultSwitches(faults=parse_faults([f"drop={float(share):.12f}"]))
    exact = switches.on["drop"].value
    hit: list[int] = []
    for start in range(0, 3000, step):
        hit += [start + position for position in switches.positions("drop", "", step)]
        seen = start + step
        assert abs(len(hit) - exact * seen) <= Fraction(1, 2)
    assert hit == sorted(set(hit))


def test_asking_for_many_at_once_hits_the_same_events_as_asking_one_by_one() -> None:
    one, many = (FaultSwitches(faults=parse_faults(["drop=0.13"])) for _ in range(2))
    singles = [n for n in range(1000) if one.hits("drop")]
    assert many.positions("drop", "", 1000) == singles


def test_each_kind_of_event_is_counted_by_itself() -> None:
    switches = FaultSwitches(faults=parse_faults(["lose-write=0.5"]))
    lost = {"like": 0, "vote": 0}
    for n in range(1100):
        kind = "vote" if n % 11 == 10 else "like"
        lost[kind] += switches.hits("lose-write", kind)
    assert lost == {"like": 500, "vote": 50}
    assert switches.counts()["lose-write"] == {
        "eligible": 1100,
        "hit": 550,
        "by_kind": {"like": {"eligible": 1000, "hit": 500}, "vote": {"eligible": 100, "hit": 50}},
    }


def test_a_fault_that_is_off_hits_nothing_and_counts_nothing() -> None:
    switches = FaultSwitches()
    assert not switches.hits("drop")
    assert switches.positions("drop", "", 100) == []
    switches.count("leak")
    assert switches.amount("latency") == 0
    assert switches.counts() == {}


def test_replacing_keeps_the_tallies_of_faults_that_stay_and_calls_watchers() -> None:
    switches = FaultSwitches(faults=parse_faults(["drop=0.5", "double=0.5"]))
    told: list[set[str]] = []
    switches.watch(lambda: told.append(set(switches.on)))
    switches.positions("drop", "", 10)
    switches.positions("double", "", 10)
    switches.replace(parse_faults(["drop=0.5", "double=0.25"]))
    assert {name: counts["eligible"] for name, counts in switches.counts().items()} == {"drop": 10, "double": 0}
    switches.replace(())
    assert told == [{"drop", "double"}, set()]


def test_forgetting_the_counts_leaves_the_switches() -> None:
    switches = FaultSwitches(faults=parse_faults(["drop=0.5"]))
    switches.positions("drop", "", 3)
    switches.forget_counts()
    assert switches.counts()["drop"]["eligible"] == 0
    assert switches.positions("drop", "", 2) == [0]
