from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import Metric, counter, gauge, rate, trend
from pika_locust.metrics.registry import Registry
from pika_locust.metrics.snapshot import Snapshot, fold
from pika_locust.metrics.values import CounterValue, GaugeValue, RateValue, Value
from tests.metrics.damage import WRONG, places_that_take

METRICS = [counter("sent"), gauge("vus"), gauge("lag", merge="max"), rate("checks"), trend("latency")]

# One sample: metric, a number, and whether and how it is tagged.
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([metric.name for metric in METRICS]),
        st.integers(0, 100_000),
        st.sampled_from([{}, {"region": "eu"}, {"region": "us"}, {"region": "eu", "tier": "a"}]),
    ),
    max_size=25,
)


def record(registry: Registry, events: list[tuple[str, int, dict[str, str]]]) -> Snapshot:
    for name, number, tags in events:
        match name:
            case "sent":
                registry.counter(name).tagged(**tags).add(number)
            case "vus" | "lag":
                registry.gauge(name).tagged(**tags).set(number)
            case "checks":
                registry.rate(name).tagged(**tags).add(number % 2 == 0)
            case "latency":
                registry.trend(name).tagged(**tags).add(number)
    return registry.snapshot()


SNAPSHOTS = EVENTS.map(lambda events: record(Registry(METRICS), events))


@pytest.fixture
def snapshot() -> Snapshot:
    eu, us, eu_a = {"region": "eu"}, {"region": "us"}, {"region": "eu", "tier": "a"}
    return record(
        Registry(METRICS),
        [("sent", 1, {}), ("sent", 10, eu), ("sent", 100, us), ("sent", 1000, eu_a), ("latency", 5, us)],
    )


@pytest.mark.parametrize(
    ("name", "tags", "value"),
    [
        pytest.param(
            "sent", None, CounterValue(1111), id="a name alone is the whole metric, untagged samples included"
        ),
        pytest.param("sent{region:eu}", None, CounterValue(1010), id="a tag takes all series that have it"),
        pytest.param("sent", {"region": "eu"}, CounterValue(1010), id="tags can be given apart"),
        pytest.param("sent{region:eu}", {"tier": "a"}, CounterValue(1000), id="or both ways at once"),
        pytest.param("sent{tier:a,region:eu}", None, CounterValue(1000), id="in any order"),
        pytest.param("sent{region:asia}", None, CounterValue(0), id="a tag that nobody has: an empty value"),
        pytest.param("checks", None, RateValue(), id="a metric without samples: an empty value"),
        pytest.param("lag", None, GaugeValue(mode="max"), id="an empty gauge knows how it merges"),
        pytest.param("latency", {"region": "us"}, Histogram([5]), id="a trend is a histogram"),
        pytest.param("unknown", None, None, id="an undeclared metric: None"),
        pytest.param("unknown{region:eu}", None, None, id="a submetric of an undeclared metric: None"),
    ],
)
def test_select(snapshot: Snapshot, name: str, tags: dict[str, str] | None, value: Value | None) -> None:
    assert snapshot.select(name, tags) == value


def test_what_was_selected_is_a_value_of_its_own(snapshot: Snapshot) -> None:
    selected = snapshot.select("sent{region:us}")
    assert selected == CounterValue(100)
    selected.merge(CounterValue(1))
    assert snapshot.select("sent{region:us}") == CounterValue(100)


def test_a_text_that_cannot_be_read_is_refused(snapshot: Snapshot) -> None:
    with pytest.raises(ValueError, match="the closing brace is missing"):
        snapshot.select("sent{region:eu")


@given(SNAPSHOTS, SNAPSHOTS, SNAPSHOTS)
def test_folding_is_commutative_and_associative(a: Snapshot, b: Snapshot, c: Snapshot) -> None:
    whole = fold([a, b, c])
    assert whole == fold([c, a, b]) == fold([fold([a, b]), c]) == fold([a, fold([b, c])])


@given(EVENTS, EVENTS)
def test_two_processes_fold_to_what_one_would_have_measured(ours: Any, theirs: Any) -> None:
    whole = fold([record(Registry(METRICS), ours), record(Registry(METRICS), theirs)])
    together = record(Registry(METRICS), ours + theirs)
    for metric in ("sent", "checks", "latency"):  # gauges are levels: two processes have two
        for tags in ("", "{region:eu}", "{tier:a}"):
            assert whole.select(metric + tags) == together.select(metric + tags)


@given(SNAPSHOTS, SNAPSHOTS)
def test_folding_leaves_the_parts_alone(a: Snapshot, b: Snapshot) -> None:
    before_a, before_b = Snapshot.from_wire(a.to_wire()), Snapshot.from_wire(b.to_wire())
    whole = fold([a, b])
    whole.merge(a)
    assert (a, b) == (before_a, before_b)


def test_a_fold_of_nothing_is_empty_and_of_one_is_equal(snapshot: Snapshot) -> None:
    assert fold([]) == Snapshot()
    assert fold([snapshot]) == snapshot == snapshot.copy()


def test_refusals_add_up() -> None:
    assert fold([Snapshot(series_refused=2), Snapshot(series_refused=3)]).series_refused == 5
    assert Snapshot(series_refused=5).minus(Snapshot(series_refused=2)).series_refused == 3


@given(EVENTS, EVENTS)
def test_a_window_is_later_minus_earlier(before: Any, during: Any) -> None:
    registry = Registry(METRICS)
    earlier = record(registry, before)
    later = record(registry, during)
    window = later.minus(earlier)
    alone = record(Registry(METRICS), during)
    for metric in ("sent", "checks"):
        assert window.select(metric) == alone.select(metric)
    ours, wanted = window.select("latency"), alone.select("latency")
    assert isinstance(ours, Histogram)
    assert isinstance(wanted, Histogram)
    assert (ours.buckets, ours.total) == (wanted.buckets, wanted.total)
    for name in ("sent", "checks", "latency"):
        assert fold([earlier, window]).select(name) == later.select(name)


def test_series_that_vanished_cannot_be_subtracted(snapshot: Snapshot) -> None:
    later = snapshot.copy()
    del later.series["sent", (("region", "us"),)]
    with pytest.raises(ValueError, match=r"cannot subtract: sent\{region:us\} is in the earlier snapshot only"):
        later.minus(snapshot)


def test_series_without_samples_may_vanish() -> None:
    earlier = Registry(METRICS).snapshot()
    assert Snapshot().minus(earlier) == Snapshot()


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        pytest.param(rate("sent"), "metric sent is declared in two ways: a counter, and a rate", id="another kind"),
        pytest.param(counter("sent", unit="B"), "a counter, and a counter in B", id="another unit"),
        pytest.param(gauge("vus", merge="max"), "a gauge merged by sum, and a gauge merged by max", id="another merge"),
    ],
)
def test_processes_that_declare_a_metric_differently_are_refused(theirs: Metric, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fold([Registry(METRICS).snapshot(), Registry([theirs]).snapshot()])


def test_another_text_about_a_metric_is_no_difference() -> None:
    old, new = Registry([counter("sent", "Sent.")]).snapshot(), Registry([counter("sent", "Sent by all.")]).snapshot()
    assert fold([old, new]) == fold([new, old])
    assert fold([old, new]).metrics["sent"].about == "Sent."


# The wire


@given(SNAPSHOTS)
def test_the_wire_brings_back_what_was_sent(snapshot: Snapshot) -> None:
    snapshot.series_refused = 3
    wire = msgpack.unpackb(msgpack.packb(snapshot.to_wire()), strict_map_key=True)
    assert Snapshot.from_wire(wire) == snapshot


def test_the_wire_keeps_what_a_declaration_says() -> None:
    sent = Registry([gauge("lag", "How late timers fire.", "ms", "max"), trend("x", "X.")]).snapshot()
    assert Snapshot.from_wire(sent.to_wire()).metrics == {
        "lag": gauge("lag", "How late timers fire.", "ms", "max"),
        "x": trend("x", "X.", "ms"),
    }


def test_an_idle_series_costs_a_few_bytes() -> None:
    registry = Registry([trend("latency")])
    bare = len(msgpack.packb(registry.snapshot().to_wire()))
    for number in range(100):
        registry.trend("latency").tagged(n=number)
    assert len(msgpack.packb(registry.snapshot().to_wire())) - bare < 100 * 12


RATE = ["a", "rate", "", "", "sum"]


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"metrics": [], "series": [[0, [], [1]]], "refused": 0}, id="a series of no metric"),
        pytest.param({"metrics": [[*RATE[:1], "sum", *RATE[2:]]], "series": [], "refused": 0}, id="an unknown kind"),
        pytest.param({"metrics": [RATE[:2]], "series": [], "refused": 0}, id="half a declaration"),
        pytest.param({"metrics": [RATE, RATE], "series": [], "refused": 0}, id="a metric twice"),
        pytest.param({"metrics": [RATE], "series": [[0, ["t"], [1, 2]]], "refused": 0}, id="half a tag"),
        pytest.param({"metrics": [RATE], "series": [[0, [], [1]]], "refused": 0}, id="half a rate"),
        pytest.param({"metrics": [RATE], "series": [[-1, [], [1, 2]]], "refused": 0}, id="a place before the first"),
        pytest.param({"metrics": [RATE], "series": [[0, [], [1, 2]]] * 2, "refused": 0}, id="a series twice"),
        pytest.param({"metrics": [RATE], "series": [[0, [*"btat"], [1, 2]]], "refused": 0}, id="tags out of order"),
        pytest.param({"metrics": [RATE], "series": [], "refused": -1}, id="refused below zero"),
        pytest.param(
            {"metrics": [["g", "gauge", "", "", "max"]], "series": [[0, [], [1, 1, 1, 1, "sum"]]], "refused": 0},
            id="a gauge that merges otherwise",
        ),
    ],
)
def test_anything_else_on_the_wire_is_refused(wire: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a snapshot's wire form"):
        Snapshot.from_wire(wire)


@pytest.mark.parametrize(
    ("name", "overflowed"),
    [("sent", 0), ("sent{user:a}", 2), ("sent{series:other}", 0), ("latency{user:a}", 0), ("nothing{user:a}", 0)],
)
def test_samples_that_lost_their_tags_may_belong_to_any_part(name: str, overflowed: int) -> None:
    registry = Registry(METRICS, max_series=1)
    for user in "abc":
        registry.counter("sent").tagged(user=user).add()
    assert registry.snapshot().overflowed(name) == overflowed


@pytest.mark.parametrize(
    ("name", "tells"),
    [
        pytest.param("sent", True, id="the whole"),
        pytest.param("sent{region:mars}", True, id="a value that no sample has"),
        pytest.param("sent{regoin:eu}", False, id="a tag that no sample has"),
        pytest.param("checks{regoin:eu}", True, id="nothing to tell of"),
        pytest.param("nothing{region:eu}", True, id="no such metric"),
    ],
)
def test_whether_samples_tell_what_belongs_to_a_part(name: str, tells: bool) -> None:
    registry = Registry(METRICS)
    registry.counter("sent").tagged(region="eu").add()
    registry.counter("sent").add()
    assert registry.snapshot().has_tags_of(name) is tells


def test_nothing_of_the_wrong_type_is_read_wherever_it_stands() -> None:
    registry = Registry([trend("latency"), counter("sent"), gauge("users"), rate("ok")])
    registry.trend("latency").tagged(path="/a").add(1500)
    registry.counter("sent").add(2.5)
    registry.gauge("users").set(3)
    registry.rate("ok").add(True)
    wire = registry.snapshot().to_wire()
    assert Snapshot.from_wire(wire) == registry.snapshot()
    assert places_that_take(WRONG, wire, Snapshot.from_wire) == []


def test_failed_samples_of_a_rate_by_what_they_were() -> None:
    registry = Registry([rate("refused"), rate("other"), counter("limited")])
    registry.counter("limited").tagged(failure="answered 429", name="a").add(7)
    root = registry.rate("refused")
    root.add(True, 5)
    root.tagged(failure="answered 500", name="a").add(False, 2)
    root.tagged(failure="answered 500", name="b").add(False, 2)
    root.tagged(failure="taken", name="a").add(False, 3)
    registry.rate("other").tagged(failure="late").add(False)
    snapshot = Snapshot.from_wire(registry.snapshot().to_wire())
    assert list(snapshot.failures("refused").items()) == [("answered 500", 4), ("taken", 3)]
    assert snapshot.failures("refused{name:a}") == {"taken": 3, "answered 500": 2}
    assert snapshot.failures("limited") == {"answered 429": 7}
    assert snapshot.failures("nobody") == {}
