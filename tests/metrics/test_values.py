from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import Kind, Metric, counter, gauge, rate, trend
from pika_locust.metrics.values import CounterValue, GaugeValue, RateValue, Value, empty_value, value_from_wire

NUMBERS = st.integers(0, 10**12)
LEVELS = st.integers(-1000, 1000)


def level(*settings: int, mode: Any = "sum") -> GaugeValue:
    value = GaugeValue(mode=mode)
    for setting in settings:
        value.set(setting)
    return value


def gauges(mode: str) -> st.SearchStrategy[Value]:
    return st.lists(LEVELS, max_size=4).map(lambda settings: level(*settings, mode=mode))


SAME_KIND = st.one_of(
    *(
        st.tuples(values, values, values)
        for values in (
            NUMBERS.map(CounterValue),
            st.builds(RateValue, NUMBERS, NUMBERS),
            gauges("sum"),
            gauges("max"),
            gauges("min"),
            st.lists(st.integers(-5, 10**10), max_size=8).map(Histogram),
        )
    )
)


def merged(first: Value, *others: Value) -> Value:
    whole = first.copy()
    for other in others:
        whole.merge(other)
    return whole


@given(SAME_KIND)
def test_merging_is_commutative_and_associative_for_every_kind(values: tuple[Value, Value, Value]) -> None:
    a, b, c = values
    assert merged(a, b) == merged(b, a)
    assert merged(merged(a, b), c) == merged(a, merged(b, c))
    assert merged(a, b).samples == a.samples + b.samples


@given(SAME_KIND)
def test_merging_leaves_the_other_value_alone(values: tuple[Value, Value, Value]) -> None:
    a, b, _ = values
    before = b.copy()
    whole = merged(a, b)
    whole.merge(a)
    assert b == before


@pytest.mark.parametrize("metric", [counter("m"), gauge("m", merge="max"), rate("m"), trend("m")], ids=lambda m: m.kind)
def test_the_empty_value_has_no_samples_and_changes_nothing(metric: Metric) -> None:
    some: dict[Kind, Value] = {
        Kind.COUNTER: CounterValue(5),
        Kind.GAUGE: level(3, -1, mode="max"),
        Kind.RATE: RateValue(2, 1),
        Kind.TREND: Histogram([7]),
    }
    value = some[metric.kind]
    assert empty_value(metric).samples == 0
    assert merged(empty_value(metric), value) == value == merged(value, empty_value(metric))


@given(SAME_KIND)
def test_the_wire_brings_back_what_was_sent(values: tuple[Value, Value, Value]) -> None:
    kinds: dict[type[Any], Kind] = {
        CounterValue: Kind.COUNTER,
        GaugeValue: Kind.GAUGE,
        RateValue: Kind.RATE,
        Histogram: Kind.TREND,
    }
    for value in values:
        assert value_from_wire(kinds[type(value)], msgpack.unpackb(msgpack.packb(value.to_wire()))) == value


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("wire", [[1, 2, 3], None, 5], ids=repr)
def test_anything_else_on_the_wire_is_refused(kind: Kind, wire: Any) -> None:
    if kind is Kind.TREND and wire is None:
        wire = {"b": None}
    with pytest.raises(ValueError, match=f"not the wire form of a {kind}"):
        value_from_wire(kind, wire)


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        pytest.param(Kind.COUNTER, [-1], id="a counter below zero"),
        pytest.param(Kind.RATE, [-1, 5], id="passes below zero"),
        pytest.param(Kind.RATE, [1, 1.5], id="a broken number of fails"),
        pytest.param(Kind.GAUGE, [1, 2, 0, 3, "sum"], id="a lowest level above the highest"),
        pytest.param(Kind.GAUGE, [1, 0, 2, -3, "sum"], id="set less often than never"),
        pytest.param(Kind.GAUGE, [1, 0, 2, 3, "mean"], id="an unknown way to merge"),
    ],
)
def test_numbers_that_no_value_can_have_are_refused(kind: Kind, wire: Any) -> None:
    with pytest.raises(ValueError, match=f"not the wire form of a {kind}"):
        value_from_wire(kind, wire)


@given(NUMBERS, NUMBERS)
def test_a_counters_window_is_what_was_added(before: int, during: int) -> None:
    assert CounterValue(before + during).minus(CounterValue(before)) == CounterValue(during)


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_a_rates_window_is_the_attempts_since_then(p: int, f: int, dp: int, df: int) -> None:
    assert RateValue(p + dp, f + df).minus(RateValue(p, f)) == RateValue(dp, df)


@pytest.mark.parametrize(
    ("before", "during", "window"),
    [
        pytest.param((5,), (), GaugeValue(5, 5, 5, 0), id="not set: the level stays, without samples"),
        pytest.param((), (5, 3), GaugeValue(3, 3, 5, 2), id="first set within the window: all is known"),
        pytest.param((5,), (9, 7), GaugeValue(7, 5, 9, 2), id="a new highest is known"),
        pytest.param((5, 9), (2, 4), GaugeValue(4, 2, 9, 2), id="a new lowest is known, the level before counts"),
        pytest.param((1, 9, 5), (3, 6), GaugeValue(6, 5, 6, 2), id="between old extremes only both ends are known"),
    ],
)
def test_a_gauges_window(before: tuple[int, ...], during: tuple[int, ...], window: GaugeValue) -> None:
    assert level(*before, *during).minus(level(*before)) == window


@pytest.mark.parametrize(
    ("mode", "whole"),
    [
        pytest.param("sum", GaugeValue(9, 5, 17, 5, "sum"), id="sum adds levels and bounds"),
        pytest.param("max", GaugeValue(5, 1, 9, 5, "max"), id="max takes the larger level, extremes span both"),
        pytest.param("min", GaugeValue(4, 1, 9, 5, "min"), id="min takes the smaller level, extremes span both"),
    ],
)
def test_gauges_merge_as_declared(mode: Any, whole: GaugeValue) -> None:
    assert merged(level(1, 8, 5, mode=mode), level(9, 4, mode=mode)) == whole


@pytest.mark.parametrize(
    ("later", "earlier", "message"),
    [
        (CounterValue(1), CounterValue(2), r"the earlier counter holds more \(2\) than the later one \(1\)"),
        (CounterValue(1.5), CounterValue(2.5), r"the earlier counter holds more \(2.5\)"),
        (RateValue(5, 0), RateValue(4, 1), r"the earlier rate holds more \(1\)"),
        (level(1), level(1, 2), r"the earlier gauge holds more \(2\)"),
    ],
    ids=["counter", "counter of floats", "rate", "gauge"],
)
def test_what_is_no_earlier_copy_cannot_be_subtracted(later: Value, earlier: Value, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        later.minus(earlier)


def test_the_rounding_of_float_sums_is_no_loss() -> None:
    one_way, other_way = (0.1 + 0.2) + 0.3, 0.1 + (0.2 + 0.3)
    assert one_way > other_way
    assert CounterValue(other_way).minus(CounterValue(one_way)) == CounterValue(0.0)


@pytest.mark.parametrize("verb", ["merge", "minus"])
@pytest.mark.parametrize(
    ("value", "other", "message"),
    [
        (CounterValue(), RateValue(), "a CounterValue goes together with its own kind only, not with RateValue"),
        (GaugeValue(), CounterValue(), "a GaugeValue goes together"),
        (RateValue(), Histogram(), "a RateValue goes together"),
    ],
    ids=["counter", "gauge", "rate"],
)
def test_other_kinds_are_refused(verb: str, value: Value, other: Value, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        getattr(value, verb)(other)


def test_gauges_that_merge_differently_are_refused() -> None:
    with pytest.raises(ValueError, match="merges by sum does not go together with one by max"):
        level(1).merge(level(1, mode="max"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_gauge_refuses_what_is_no_finite_number(value: float) -> None:
    with pytest.raises(ValueError, match="a gauge takes finite numbers"):
        GaugeValue().set(value)


def test_a_rate_is_the_share_of_passes() -> None:
    assert RateValue(3, 1).rate == 0.75
    with pytest.raises(ValueError, match="a rate without samples has no value"):
        _ = RateValue().rate


@pytest.mark.parametrize(("count", "samples"), [(0, 0), (7, 7), (0.2, 1), (2.5, 3)])
def test_a_counters_samples_are_its_count_rounded_up(count: float, samples: int) -> None:
    assert CounterValue(count).samples == samples
