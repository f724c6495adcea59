from __future__ import annotations

from typing import Any

import pytest

from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import counter, gauge, rate, trend
from pika_locust.metrics.registry import HANDLES, OTHER, Counter, Gauge, Rate, SeriesLimit, Trend
from pika_locust.metrics.values import CounterValue, GaugeValue, RateValue


def make_counter(limit: int = 100) -> Counter:
    return Counter(counter("sent"), SeriesLimit(limit))


def test_a_counter_adds_up() -> None:
    handle = make_counter()
    handle.add()
    handle.add(41)
    assert handle.read() == handle.own_value() == CounterValue(42)


@pytest.mark.parametrize("n", [-1, -0.5, float("nan"), float("inf")])
def test_a_counter_only_grows(n: float) -> None:
    handle = make_counter()
    with pytest.raises(ValueError, match="counter sent only grows, by 0 or more"):
        handle.add(n)
    assert handle.read() == CounterValue(0)


def test_a_gauge_keeps_its_level_and_extremes() -> None:
    handle = Gauge(gauge("vus"), SeriesLimit(1))
    handle.add(3)
    handle.add(-1)
    assert handle.read() == GaugeValue(2, 2, 3, 2)
    handle.set(10)
    assert handle.read() == GaugeValue(10, 2, 10, 3)


def test_a_rate_counts_both_outcomes() -> None:
    handle = Rate(rate("checks"), SeriesLimit(1))
    for ok in (True, True, False):
        handle.add(ok)
    assert handle.read() == RateValue(passes=2, fails=1)


def test_a_trend_keeps_a_distribution() -> None:
    handle = Trend(trend("latency"), SeriesLimit(1))
    for value in (3, 1, 2):
        handle.add(value)
    assert handle.read() == Histogram([1, 2, 3])


def test_a_trend_of_times_takes_ms_that_are_called_so() -> None:
    handle = Trend(trend("latency"), SeriesLimit(1))
    for ms in (850, 1.25, 0):
        handle.add_ms(ms)
    assert handle.read() == Histogram([850_000, 1_250, 0])


@pytest.mark.parametrize(
    ("unit", "ms", "message"),
    [
        pytest.param("items", 3, r"trend latency is in items and not in ms: use add\(sample\)", id="another unit"),
        pytest.param("", 3, "trend latency is in no unit", id="no unit"),
        pytest.param("ms", float("inf"), "trend latency takes a time in ms, not inf", id="infinity"),
        pytest.param("ms", float("nan"), "trend latency takes a time in ms, not nan", id="no number"),
    ],
)
def test_what_are_no_ms_is_not_added(unit: str, ms: float, message: str) -> None:
    handle = Trend(trend("latency", unit=unit), SeriesLimit(1))
    with pytest.raises(ValueError, match=message):
        handle.add_ms(ms)
    assert handle.read() == Histogram([])


def test_what_was_read_does_not_change_later() -> None:
    handle = Trend(trend("latency"), SeriesLimit(1))
    handle.add(1)
    before, own = handle.read(), handle.own_value()
    handle.add(2)
    assert before == own == Histogram([1])


def test_the_same_tags_give_the_same_handle() -> None:
    root = make_counter()
    child = root.tagged(region="eu", tier="a")
    assert root.tagged(tier="a", region="eu") is child
    assert root.tagged(tier="a").tagged(region="eu") is child
    assert child.tagged(region="eu") is child
    assert root.tagged() is root
    assert child.tagged() is child
    assert root.tagged(region="us", tier="a") is not child
    assert child.tags == (("region", "eu"), ("tier", "a"))


def test_numbers_and_booleans_are_tags_as_text() -> None:
    root = make_counter()
    assert root.tagged(status=200, ok=True) is root.tagged(status="200", ok="true")


def test_any_name_can_be_a_tag_key() -> None:
    assert make_counter().tagged(**{"self": "x", "from": "y"}).tags == (("from", "y"), ("self", "x"))


def test_a_childs_samples_count_in_every_handle_whose_tags_it_has() -> None:
    root = make_counter()
    eu, us = root.tagged(region="eu"), root.tagged(region="us")
    premium = eu.tagged(tier="premium")
    root.add(1)
    eu.add(10)
    us.add(100)
    premium.add(1000)
    assert root.read() == CounterValue(1111)
    assert eu.read() == CounterValue(1010)
    assert premium.read() == CounterValue(1000)
    assert root.tagged(tier="premium").read() == CounterValue(1000)
    assert (root.own_value(), eu.own_value()) == (CounterValue(1), CounterValue(10))


def test_attempts_that_went_the_same_way_are_added_together() -> None:
    handle = Rate(rate("checks"), SeriesLimit(9))
    handle.add(True, 3)
    handle.add(False, 2)
    handle.add(True)
    assert handle.read() == RateValue(4, 2)


def test_gauges_fold_their_children_as_declared() -> None:
    root = Gauge(gauge("lag", merge="max"), SeriesLimit(9))
    root.tagged(worker=1).set(5)
    root.tagged(worker=2).set(3)
    assert root.read() == GaugeValue(5, 3, 5, 2, "max")


def test_a_tag_cannot_have_two_values() -> None:
    child = make_counter().tagged(region="eu")
    with pytest.raises(ValueError, match=r"sent\{region:eu\}: tag region cannot be 'us' as well"):
        child.tagged(region="us")


def test_an_illegal_tag_key_is_refused() -> None:
    with pytest.raises(ValueError, match="tag key 'a-b' is not legal"):
        make_counter().tagged(**{"a-b": "x"})


def test_past_the_limit_samples_go_to_one_shared_child() -> None:
    root = make_counter(limit=2)
    kept = [root.tagged(user=1), root.tagged(user=2)]
    refused = [root.tagged(user=3), root.tagged(user=4)]
    assert refused[0] is refused[1]
    assert refused[0].tags == OTHER
    assert root.tagged(user=1) is kept[0]
    for handle in (*kept, *refused):
        handle.add()
    assert refused[0].read() == CounterValue(2)
    assert root.read() == CounterValue(4)
    assert root._limit.refused == 2


def test_the_limit_is_shared_by_all_metrics_of_a_registry() -> None:
    guard = SeriesLimit(1)
    sent, latency = Counter(counter("sent"), guard), Trend(trend("latency"), guard)
    sent.tagged(user=1)
    assert latency.tagged(user=1).tags == OTHER
    assert latency.tagged(series="other") is latency.tagged(user=1)
    assert (guard.admitted, guard.refused) == (1, 2)


def test_each_kind_has_its_handle() -> None:
    assert {kind.value: handle for kind, handle in HANDLES.items()} == {
        "counter": Counter,
        "gauge": Gauge,
        "rate": Rate,
        "trend": Trend,
    }


@pytest.mark.parametrize("handle", [Gauge, Rate, Trend])
def test_a_handle_of_another_kind_is_refused(handle: Any) -> None:
    with pytest.raises(TypeError, match="sent is a counter, not a"):
        handle(counter("sent"), SeriesLimit(1))


@pytest.mark.parametrize("handle", list(HANDLES.values()))
def test_handles_carry_nothing_but_their_slots(handle: Any) -> None:
    metric = {"counter": counter, "gauge": gauge, "rate": rate, "trend": trend}[handle.kind]("m")
    assert not hasattr(handle(metric, SeriesLimit(1)), "__dict__")


def test_a_handle_shows_its_series() -> None:
    assert repr(make_counter().tagged(region="eu")) == "<Counter sent{region:eu}>"
