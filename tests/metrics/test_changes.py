from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.metrics import Histogram, Registry, Snapshot
from pika_locust.metrics.changes import Changes, changes_to_wire
from pika_locust.metrics.metric import counter, gauge, rate, trend
from tests.metrics.damage import WRONG, damaged_at_each_place

METRICS = (counter("errors"), gauge("vus"), gauge("worst", merge="max"), rate("checks"), trend("latency"))
TAGS: tuple[dict[str, str], ...] = ({}, {"name": "join"}, {"name": "leave", "region": "x"})

add = st.tuples(
    st.sampled_from([metric.name for metric in METRICS]),
    st.sampled_from(TAGS),
    st.integers(-20, 20) | st.integers(-(10**7), 5 * 10**9),
)


def measure(registry: Registry, name: str, tags: dict[str, str], value: int) -> None:
    match name:
        case "errors":
            registry.counter(name).tagged(**tags).add(abs(value))
        case "checks":
            registry.rate(name).tagged(**tags).add(value % 2 == 0)
        case "latency":
            registry.trend(name).tagged(**tags).add(value)
        case _:
            registry.gauge(name).tagged(**tags).set(value)


def over_the_wire(wire: Any) -> Any:
    return json.loads(json.dumps(wire))


@given(steps=st.lists(st.lists(add, max_size=8), max_size=5), left_out=st.booleans())
def test_changes_make_the_later_snapshot_of_the_earlier_one(
    steps: list[list[tuple[str, dict[str, str], int]]], left_out: bool
) -> None:
    registry = Registry(METRICS, max_series=4)
    start = registry.snapshot()
    if left_out and steps:
        # Figures that start anew are differences, of which not every extreme is known exactly.
        for one in steps.pop():
            measure(registry, *one)
        start = registry.snapshot()
        start.series = {key: value for key, value in start.series.items() if key[0] not in ("vus", "worst")}
    sent = registry.snapshot().minus(start)
    held = Snapshot.from_wire(over_the_wire(sent.to_wire()))
    for step in steps:
        for one in step:
            measure(registry, *one)
        later = registry.snapshot().minus(start)
        Changes.from_wire(over_the_wire(changes_to_wire(later, sent)), held).apply(held)
        assert held == later
        sent = later


def test_what_has_not_changed_is_not_sent() -> None:
    registry = Registry(METRICS)
    latency = registry.trend("latency")
    latency.add_all(range(100_000))
    registry.counter("errors").add(3)
    earlier = registry.snapshot()
    assert changes_to_wire(registry.snapshot(), earlier) == {"series": [], "refused": 0}
    latency.add(50_000)
    assert changes_to_wire(registry.snapshot(), earlier)["series"] == [
        ["latency", [], {"b": [3853, 65], "t": 4_999_950_000 + 50_000, "l": 0, "h": 99_999, "u": 1}]
    ]


def grown() -> tuple[Snapshot, dict[str, Any]]:
    """A snapshot, and what has changed since."""
    registry = Registry(METRICS)
    for value in (5, 7, 4000):
        for metric in METRICS:
            measure(registry, metric.name, TAGS[1], value)
    earlier = registry.snapshot()
    for value in (7, 90_000):
        for metric in METRICS:
            measure(registry, metric.name, TAGS[1], value)
    return earlier, over_the_wire(changes_to_wire(registry.snapshot(), earlier))


@pytest.mark.parametrize("wrong", [*WRONG, "x", -1, 1.5, [], {}, 10**40, 10**18])
def test_changes_with_a_wrong_value_anywhere_are_refused_or_leave_a_sound_snapshot(wrong: Any) -> None:
    earlier, changes = grown()
    for _, damaged in damaged_at_each_place(changes, wrong):
        held = earlier.copy()
        try:
            read = Changes.from_wire(damaged, held)
        except ValueError:
            assert held == earlier
            continue
        read.apply(held)
        held.minus(earlier)
        assert Snapshot.from_wire(held.to_wire()) == held


def set_value(name: str, **parts: Any) -> Callable[[dict[str, Any]], None]:
    def damage(changes: dict[str, Any]) -> None:
        next(entry for entry in changes["series"] if entry[0] == name)[2].update(parts)

    return damage


def set_list(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def damage(changes: dict[str, Any]) -> None:
        next(entry for entry in changes["series"] if entry[0] == name)[2] = value

    return damage


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda changes: changes["series"].append(["other", [], [1]]), "'other'"),
        (lambda changes: changes["series"].append(changes["series"][0]), "is there twice"),
        (lambda changes: changes.update(refused=-1), "below zero"),
        (set_list("errors", [1]), "the earlier counter holds more"),
        (set_list("checks", [0, 9]), "the earlier rate holds more"),
        (set_list("vus", [1, 1, 1, 9, "max"]), "merges by sum, and not by max"),
        (set_value("latency", b=[5, 1]), "buckets that hold more than before"),
        (set_value("latency", b=[]), "buckets that hold more than before"),
        (set_value("latency", l=6), "is less than 5 to 4000 before"),
        (set_value("latency", t=10**9), "do not add up"),
        (set_value("latency", h=10**6), "are not the extremes"),
        (set_value("latency", b=[7, 2, 10**20, 1]), "are not the extremes"),
        (set_value("latency", l=4), "are not the extremes"),
    ],
)
def test_changes_that_cannot_be_are_refused(damage: Callable[[dict[str, Any]], None], why: str) -> None:
    earlier, changes = grown()
    damage(changes)
    with pytest.raises(ValueError, match=why):
        Changes.from_wire(changes, earlier)


def test_fewer_values_outside_the_expected_range_than_before_are_refused() -> None:
    registry = Registry(METRICS)
    registry.trend("latency").add(-3)
    earlier = registry.snapshot()
    registry.trend("latency").add(5)
    changes = changes_to_wire(registry.snapshot(), earlier)
    Changes.from_wire(changes, earlier)
    del changes["series"][0][2]["u"]
    with pytest.raises(ValueError, match="fewer samples are outside"):
        Changes.from_wire(changes, earlier)


def test_merging_leaves_the_added_samples_as_they_are() -> None:
    earlier, wire = grown()
    key = ("latency", (("name", "join"),))
    changes = Changes.from_wire(wire, earlier)
    for _ in range(2):
        held = earlier.copy()
        changes.apply(held)
        assert held.series[key] == Histogram([5, 7, 4000, 7, 90_000])
