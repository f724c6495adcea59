from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import Metric, counter, gauge, rate, trend
from pika_locust.metrics.registry import Registry
from pika_locust.metrics.values import CounterValue, GaugeValue, RateValue

METRICS = [counter("likes_sent"), gauge("vus"), rate("checks"), trend("like_latency"), trend("queue_latency")]


READS: dict[str, Callable[[Registry], object]] = {
    "a snapshot": lambda registry: registry.snapshot(),
    "a counter with its children": lambda registry: registry.counter("likes_sent").read(),
    "a gauge's own": lambda registry: registry.gauge("vus").own_value(),
    "a rate's own": lambda registry: registry.rate("checks").tagged(check="a").own_value(),
    "a trend's own": lambda registry: registry.trend("like_latency").own_value(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_waits_to_be_counted_is_counted_before_anything_is_read(read: Callable[[Registry], object]) -> None:
    registry = Registry(METRICS)
    waiting = [5]
    registry.on_collect(lambda: registry.counter("likes_sent").add(waiting.pop() if waiting else 0))
    read(registry)
    assert waiting == []
    assert registry.counter("likes_sent").own_value() == CounterValue(5)


def test_a_declared_metric_has_one_handle_of_its_kind() -> None:
    registry = Registry(METRICS)
    assert registry.counter("likes_sent") is registry.counter("likes_sent")
    assert registry.trend("like_latency").metric == trend("like_latency")
    assert registry.metrics == {metric.name: metric for metric in METRICS}


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        pytest.param(
            lambda r: r.trend("like_latencies"),
            "no metric 'like_latencies' is declared. Did you mean like_latency? "
            "Declared as trend: like_latency, queue_latency.",
            id="a name that is nearly right",
        ),
        pytest.param(
            lambda r: r.counter("zzz"),
            "no metric 'zzz' is declared. Declared as counter: likes_sent.",
            id="a name like no other",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_legal_ones(ask: Any, message: str) -> None:
    with pytest.raises(KeyError) as caught:
        ask(Registry(METRICS))
    assert caught.value.args == (message,)


def test_an_empty_registry_has_nothing_to_offer() -> None:
    with pytest.raises(KeyError, match="Declared as gauge: none"):
        Registry().gauge("vus")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda r: r.counter("checks"), "checks is a rate: write registry.rate('checks'). Declared as counter: likes"),
        (lambda r: r.gauge("likes_sent"), "likes_sent is a counter: write registry.counter('likes_sent')."),
        (lambda r: r.rate("vus"), "vus is a gauge: write registry.gauge('vus')."),
        (lambda r: r.trend("checks"), "Declared as trend: like_latency, queue_latency."),
    ],
    ids=["counter", "gauge", "rate", "trend"],
)
def test_the_wrong_kind_is_refused_with_the_right_one(ask: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        ask(Registry(METRICS))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "other",
    [counter("likes_sent", unit="likes"), counter("likes_sent", "Another text."), rate("likes_sent")],
    ids=["another unit", "another text", "another kind"],
)
def test_a_second_declaration_that_differs_is_refused(other: Metric) -> None:
    with pytest.raises(ValueError, match="metric likes_sent is declared twice, in two ways: a counter, and a"):
        Registry([*METRICS, other])


def test_a_second_declaration_that_agrees_keeps_the_samples() -> None:
    registry = Registry(METRICS)
    registry.counter("likes_sent").add(3)
    registry.declare(counter("likes_sent"))
    assert registry.counter("likes_sent").read() == CounterValue(3)


def test_a_snapshot_holds_every_series_under_its_exact_tags() -> None:
    registry = Registry(METRICS)
    registry.counter("likes_sent").add(2)
    registry.counter("likes_sent").tagged(dj="a").add(5)
    registry.trend("like_latency").tagged(dj="a", stage=1).add(1234)
    registry.rate("checks").add(True)
    snapshot = registry.snapshot()
    assert snapshot.series == {
        ("likes_sent", ()): CounterValue(2),
        ("likes_sent", (("dj", "a"),)): CounterValue(5),
        ("vus", ()): GaugeValue(),
        ("checks", ()): RateValue(1, 0),
        ("like_latency", ()): Histogram(),
        ("like_latency", (("dj", "a"), ("stage", "1"))): Histogram([1234]),
        ("queue_latency", ()): Histogram(),
    }
    assert snapshot.metrics == registry.metrics
    assert snapshot.series_refused == 0


def test_a_snapshot_does_not_change_when_others_go_on() -> None:
    registry = Registry(METRICS)
    handles: list[Any] = [registry.trend("like_latency"), registry.counter("likes_sent")]
    for handle in handles:
        handle.add(1)
    registry.gauge("vus").set(1)
    before, same = registry.snapshot(), registry.snapshot()
    for handle in handles:
        handle.add(2)
    registry.gauge("vus").set(2)
    registry.declare(counter("late"))
    assert before == same
    assert registry.snapshot() != before


def test_series_past_the_limit_are_counted_and_their_samples_kept() -> None:
    registry = Registry(METRICS, max_series=3)
    for user in range(10):
        registry.counter("likes_sent").tagged(user=user).add()
    snapshot = registry.snapshot()
    assert registry.series_refused == snapshot.series_refused == 7
    assert snapshot.select("likes_sent") == CounterValue(10)
    assert snapshot.select("likes_sent{series:other}") == CounterValue(7)
    assert len([key for key in snapshot.series if key[0] == "likes_sent"]) == 1 + 3 + 1
