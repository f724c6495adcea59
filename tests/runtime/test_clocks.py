from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pika_locust.runtime.clocks import FORGET_AFTER_NS, KEPT, SAME, Clocks, Estimate, LocalTime, Offset, OffsetTable

MS = 1_000_000
S = 1_000_000_000
DAY = 86_400 * S

EXCHANGES = {
    "both ways alike": ((1_000, 5_100, 5_200, 1_300), Offset(4_000, 101, 5_200)),
    "the way there is longer, which nobody can see": ((1_000, 5_180, 5_280, 1_300), Offset(4_080, 101, 5_280)),
    "an answer at once": ((1_000, 1_050, 1_050, 1_100), Offset(0, 51, 1_050)),
    "the master's clock is behind": ((DAY, 500, 600, DAY + 300), Offset(400 - DAY, 101, 600)),
    "no time passes at all": ((7, 7, 7, 7), Offset(0, 1, 7)),
}


@pytest.mark.parametrize(("times", "wanted"), EXCHANGES.values(), ids=EXCHANGES)
def test_an_offset_is_half_of_what_the_two_ways_say_and_uncertain_by_half_the_delay(
    times: tuple[int, int, int, int], wanted: Offset
) -> None:
    assert Offset.between(*times) == wanted


CONTRADICTIONS = {
    "longer at the master's than the whole took": (1_000, 5_000, 5_400, 1_300),
    "answered before it was heard": (1_000, 5_000, 4_999, 1_300),
    "back before it was sent": (1_000, 5_000, 5_000, 999),
}


@pytest.mark.parametrize("times", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_times_that_contradict_each_other_say_nothing(times: tuple[int, int, int, int]) -> None:
    assert Offset.between(*times) is None


span = some.integers(0, 10 * S)


@given(some.integers(-DAY, DAY), span, span, span)
def test_the_truth_is_within_the_bound_however_unequal_the_ways_are(
    truth: int, there: int, held: int, back: int
) -> None:
    sent = 3 * DAY
    heard = sent + there + truth
    offset = Offset.between(sent, heard, heard + held, sent + there + held + back)
    assert offset is not None
    assert abs(offset.ns - truth) <= offset.error_ns <= (there + back) // 2 + 1


def test_an_offset_is_the_less_certain_the_older_it_is() -> None:
    offset = Offset(5, 200, 10 * S)
    assert [offset.error_at(at_s * S) for at_s in (10, 11, 20, 9)] == [200, 100_200, 1_000_200, 100_200]
    assert SAME.error_at(DAY) == 0
    assert Offset.from_wire(offset.to_wire()) == offset


# The best of several samples


def estimate(*samples: Offset) -> Estimate:
    whole = Estimate()
    for sample in samples:
        whole.add(sample)
    return whole


def test_the_sample_with_the_narrowest_bound_is_the_best() -> None:
    samples = [Offset(4_000, 2 * MS, 1 * S), Offset(5_000, 1 * MS, 2 * S), Offset(6_000, 5 * MS, 3 * S)]
    assert estimate(*samples).best() == samples[1]


def test_a_narrow_bound_is_worth_less_as_it_ages() -> None:
    narrow, late = Offset(4_000, MS // 10, 0), Offset(5_000, MS // 2, 3 * S)
    assert estimate(narrow, late).best() == narrow
    assert estimate(narrow, Offset(5_000, MS // 2, 5 * S)).best().error_ns == MS // 2


def test_only_the_newest_samples_count() -> None:
    best = Offset(4_000, 10 * MS, 0)
    others = [Offset(5_000, 20 * MS, at * MS) for at in range(1, KEPT + 1)]
    assert estimate(best, *others[:-1]).best() == best
    assert estimate(best, *others).best() == others[-1]


def test_what_a_newer_sample_contradicts_is_dropped() -> None:
    """A machine was suspended, and its clock stood still: the finest sample from before is wrong now."""
    before, after = Offset(4_000, 10, 1 * S), Offset(5 * S, 30 * MS, 2 * S)
    assert estimate(before, after).best() == after
    assert estimate(before, after, Offset(5 * S + 1, 10 * MS, 3 * S)).best().error_ns == 10 * MS


# What the master knows


def test_the_master_tells_of_every_machine_the_best_that_its_workers_found() -> None:
    directory = OffsetTable()
    directory.note("a", Offset(4_000, 2 * MS, 1 * S))
    directory.note("a", Offset(5_000, 1 * MS, 1 * S))
    directory.note("b", Offset(-7, 8, 1 * S))
    assert directory.to_wire(2 * S) == {"a": [5_000, 1 * MS, 1 * S], "b": [-7, 8, 1 * S]}


def test_a_machine_that_nobody_reports_from_is_forgotten() -> None:
    directory = OffsetTable()
    directory.note("a", Offset(4_000, 10, 1 * S))
    directory.note("b", Offset(5_000, 10, 2 * S))
    assert set(directory.to_wire(1 * S + FORGET_AFTER_NS)) == {"a", "b"}
    assert set(directory.to_wire(1 * S + FORGET_AFTER_NS + 1)) == {"b"}
    # Back under the same name, with a clock that says something else.
    directory.note("a", Offset(DAY, 10, 40 * S))
    assert directory.to_wire(40 * S) == {"a": [DAY, 10, 40 * S]}


# Another machine's times, told by the clock here


def learned(
    machine: str = "here", master: str = "master", sample: Offset | None = None, **others: tuple[int, int, int]
) -> Clocks:
    clocks = Clocks(machine)
    clocks.learn(master, sample, others)
    return clocks


OWN = Offset(1_000, 50, 10 * S)
NOW = 10 * S - 1_000
"""When the master's clock says 10 s."""

READINGS = {
    "our own machine, asked or not": (Clocks("here"), "here", LocalTime(77, 0)),
    "nothing has been asked yet": (Clocks("here"), "there", None),
    "what another worker of our machine has found": (learned(here=(1_000, 60, 10 * S)), "master", LocalTime(-923, 60)),
    "what we have found ourselves comes first": (
        learned(sample=OWN, here=(1_001, 60, 10 * S)),
        "master",
        LocalTime(-923, 50),
    ),
    "the first answer said nothing of us": (learned(there=(5_000, 7, 10 * S)), "there", None),
    "the master's machine": (learned(sample=OWN), "master", LocalTime(77 - 1_000, 50)),
    "a machine that both know": (learned(sample=OWN, there=(5_000, 7, 10 * S)), "there", LocalTime(77 + 4_000, 57)),
    "a machine that nobody reported from": (learned(sample=OWN, there=(5_000, 7, 10 * S)), "gone", None),
    "from beside the master": (learned(master="here", there=(5_000, 7, 10 * S)), "there", LocalTime(77 + 5_000, 7)),
    "from beside the master, who was asked": (
        learned(master="here", sample=OWN, there=(5_000, 7, 10 * S)),
        "there",
        LocalTime(77 + 5_000, 7),
    ),
}


@pytest.mark.parametrize(("clocks", "machine", "wanted"), READINGS.values(), ids=READINGS)
def test_what_the_clock_here_said(clocks: Clocks, machine: str, wanted: LocalTime | None) -> None:
    assert clocks.here(machine, 77, NOW) == wanted


def test_a_reading_is_the_less_certain_the_longer_nobody_asked() -> None:
    clocks = learned(sample=OWN, there=(5_000, 7, 4 * S))
    ages = [clocks.here("there", 0, NOW + later_s * S) for later_s in (0, 1, 60)]
    # 0.1 ms a second for each: the one's offset is as old as the other's and six seconds more.
    assert [reading and reading.error_ns for reading in ages] == [600_057, 800_057, 12_600_057]


def test_what_the_master_does_not_tell_any_more_is_not_known_any_more() -> None:
    clocks = learned(sample=OWN, there=(5_000, 7, 10 * S))
    clocks.learn("master", None, {})
    assert clocks.here("there", 77, NOW) is None
    assert clocks.here("master", 77, NOW) == LocalTime(77 - 1_000, 50)


def test_another_master_has_another_clock() -> None:
    clocks = learned(sample=OWN, there=(5_000, 7, 10 * S))
    clocks.learn("other", None, {"there": (3, 4, 10 * S)})
    assert [clocks.here(machine, 77, NOW) for machine in ("master", "there", "other")] == [None, None, None]
    clocks.learn("other", Offset(DAY, 10, DAY), {"there": (3, 4, DAY)})
    assert clocks.here("there", 77, 0) == LocalTime(77 + 3 - DAY, 14)


def test_only_a_machine_that_is_not_the_master_s_reports_its_offset() -> None:
    assert Clocks("here").to_report() is None
    assert learned(master="here", sample=OWN).to_report() is None
    assert learned(sample=OWN).to_report() == OWN


@pytest.mark.parametrize("seed", range(5))
def test_two_machines_that_drift_apart_are_compared_as_closely_as_is_promised(seed: int) -> None:
    """Simulated: three clocks, each up to 50 ppm fast or slow, and ways of 0.1 to 20 ms that are never equal."""
    dice = Random(seed)
    speeds = {name: 1 + dice.uniform(-50e-6, 50e-6) for name in ("master", "one", "two")}
    starts = {name: dice.randrange(100 * DAY) for name in speeds}

    def clock(name: str, true_ns: int) -> int:
        return starts[name] + round(true_ns * speeds[name])

    directory, clocks = OffsetTable(), {name: Clocks(name) for name in ("one", "two")}
    errors = []
    for second in range(120):
        for name, own in clocks.items():
            sent = second * S + dice.randrange(S // 2)
            heard = sent + round(dice.expovariate(1 / (2 * MS))) + MS // 10
            back = heard + round(dice.expovariate(1 / (2 * MS))) + MS // 10
            found = own.to_report()
            if found is not None:
                directory.note(name, found)
            heard_there = clock("master", heard)
            sample = Offset.between(clock(name, sent), heard_there, heard_there, clock(name, back))
            own.learn("master", sample, directory.to_wire(heard_there))
        if second < 2:
            continue
        now = (second + 1) * S
        then = now - dice.randrange(50 * MS)
        reading = clocks["one"].here("two", clock("two", then), clock("one", now))
        assert reading is not None
        assert abs(reading.ns - clock("one", then)) <= reading.error_ns
        errors.append(reading.error_ns)
    assert sorted(errors)[len(errors) // 2] < 3 * MS
