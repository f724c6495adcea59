"""What worker processes report: snapshots of metrics, ledgers, whole reports. Kept whole, or refused by ValueError."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from pika_locust.judge import Ledger
from pika_locust.metrics import Registry, Snapshot
from pika_locust.metrics.metric import counter, gauge, rate, trend
from pika_locust.metrics.snapshot import distributions, fold, histogram_of, results
from pika_locust.runtime.clocks import Offset
from pika_locust.runtime.collector import Collector, MissedReportError
from tests.fuzz.inputs import VALUES, fuzz
from tests.runtime.test_collector import METRICS, Worker


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in nested lists and mappings."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


@st.composite
def spoilt(draw: st.DrawFn, right: Any) -> Any:
    """Plain values with a few parts missing, doubled, swapped or replaced by anything."""
    value = copy.deepcopy(right)
    for _ in range(draw(st.integers(0, 4))):
        path = draw(st.sampled_from(list(places(value))))
        if not path:
            continue
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        match draw(st.sampled_from(("replace", "number", "delete", "double", "swap"))):
            case "replace":
                holder[path[-1]] = draw(VALUES)
            case "number":
                holder[path[-1]] = draw(st.integers(-2, 2) | st.sampled_from((2**31, 2**63, 10**30)))
            case "delete":
                del holder[path[-1]]
            case "double" if isinstance(holder, list):
                holder.insert(path[-1], copy.deepcopy(holder[path[-1]]))
            case "swap" if isinstance(holder, list):
                other = draw(st.integers(0, len(holder) - 1))
                holder[path[-1]], holder[other] = holder[other], holder[path[-1]]
    return value


def sample() -> Snapshot:
    """A snapshot with every kind of metric, with and without samples and tags."""
    registry = Registry((counter("errors"), gauge("vus"), trend("latency"), rate("checks"), trend("idle")))
    registry.counter("errors").tagged(name="order").add(3)
    registry.gauge("vus").set(20)
    for value_us in (1, 250, 250, 90_000, 5_000_000_000):
        registry.trend("latency").tagged(kind="SAY").add(value_us)
    registry.rate("checks").add(True)
    registry.rate("checks").tagged(check="receipt").add(False)
    return registry.snapshot()


RIGHT = sample()


@fuzz(wire=spoilt(json.loads(json.dumps(RIGHT.to_wire()))))
def test_snapshots(wire: Any) -> None:
    try:
        snapshot = Snapshot.from_wire(wire)
    except ValueError:
        return
    assert Snapshot.from_wire(snapshot.to_wire()).to_wire() == snapshot.to_wire()
    json.dumps(results(snapshot, 10.0), allow_nan=False)
    for distribution in distributions(snapshot).values():
        histogram_of(distribution)
    for other in (RIGHT, snapshot):
        with suppress(ValueError):
            whole = other.copy()
            whole.merge(snapshot)
            json.dumps(results(whole.minus(other), 10.0), allow_nan=False)


@fuzz(distribution=spoilt(json.loads(json.dumps(next(iter(distributions(RIGHT).values()))))))
def test_distributions(distribution: Any) -> None:
    with suppress(ValueError):
        histogram_of(distribution).quantiles([0.5, 0.99])


def ledger() -> Ledger:
    """A ledger in which everything has happened."""
    found = Ledger("orders", keep_ids=True)
    for item in "abcde":
        found.sent(item)
    found.acked("a")
    found.refused("b", "sold out")
    found.timed_out("c")
    found.uncertain("d")
    return found


@fuzz(wire=spoilt(ledger().to_wire(ids=True)))
def test_ledgers(wire: Any) -> None:
    try:
        found = Ledger.from_wire(wire)
    except ValueError:
        return
    expected = found.expect()
    assert expected.acknowledged >= 0
    assert Ledger.from_wire(found.to_wire(ids=True)).to_wire(ids=True) == found.to_wire(ids=True)


@fuzz(wire=spoilt({"b1": [5, 1, 9], "b2": [-7, 0, 3]}))
def test_offsets_of_clocks(wire: Any) -> None:
    for value in wire.values():
        with suppress(ValueError):
            assert Offset.from_wire(value).to_wire() == list(value)


@fuzz(reports=st.lists(spoilt(Worker("w1", 0).work(5, 7).report(sequence=2)), max_size=3))
def test_reports(reports: list[Any]) -> None:
    collector = Collector("r1", METRICS)
    collector.take(Worker("w1", 0).work(5).report(), 1.0)
    collector.take(Worker("w2", 1).work(9).report(final=True), 1.0)
    for report in reports:
        with suppress(ValueError):
            collector.take(report, 2.0)
    json.dumps(results(collector.fold(), 10.0), allow_nan=False)
    json.dumps([collector.facts(), collector.errors(), collector.users], allow_nan=False)
    collector.ledgers()


def known(worker: Worker) -> Worker:
    """A worker whose first report is known."""
    worker.work(5).report()
    return worker


@fuzz(reports=st.lists(spoilt(known(Worker("w1", 0)).work(5, 7, 4000).changes()), max_size=3))
def test_reports_of_what_has_changed(reports: list[Any]) -> None:
    collector = Collector("r1", METRICS)
    collector.take(Worker("w1", 0).work(5).report(), 1.0)
    collector.take(Worker("w2", 1).work(9).report(final=True), 1.0)
    collector.fold()
    for report in reports:
        with suppress(ValueError, MissedReportError):
            collector.take(report, 2.0)
    # What is kept of the last fold is what folding anew comes to.
    snapshots = [record.snapshot for record in collector.records() if record.snapshot is not None]
    assert collector.fold().series == fold(snapshots).series
    json.dumps(results(collector.fold(), 10.0), allow_nan=False)
    for snapshot in snapshots:
        assert Snapshot.from_wire(snapshot.to_wire()) == snapshot
