from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from pika_locust.metrics.metric import Kind, Metric, counter, gauge, rate, trend


@pytest.mark.parametrize(
    ("kind", "legal"),
    [
        (Kind.COUNTER, ("count", "rate")),
        (Kind.GAUGE, ("value", "min", "max", "slope")),
        (Kind.RATE, ("rate",)),
        (Kind.TREND, ("avg", "min", "max", "med", "p(N)", "slope")),
    ],
)
def test_each_kind_has_its_aggregations(kind: Kind, legal: tuple[str, ...]) -> None:
    assert kind.aggregations == legal


@pytest.mark.parametrize(
    ("made", "written"),
    [
        (counter("likes", "Likes sent."), Metric("likes", Kind.COUNTER, "", "Likes sent.")),
        (counter("data_sent", unit="bytes"), Metric("data_sent", Kind.COUNTER, "bytes")),
        (gauge("vus"), Metric("vus", Kind.GAUGE, merge="sum")),
        (gauge("rss", unit="MB", merge="max"), Metric("rss", Kind.GAUGE, "MB", "", "max")),
        (rate("checks"), Metric("checks", Kind.RATE)),
        (trend("like_latency"), Metric("like_latency", Kind.TREND, "ms")),
        (trend("fan_out", unit="listeners"), Metric("fan_out", Kind.TREND, "listeners")),
    ],
    ids=lambda metric: f"{metric.kind} {metric.name}",
)
def test_helpers_are_declarations_written_short(made: Metric, written: Metric) -> None:
    assert made == written


@pytest.mark.parametrize(
    ("metric", "scale", "kept"),
    [
        pytest.param(trend("a"), 1000, "us", id="a trend in ms is kept in microseconds"),
        pytest.param(trend("a", unit="score"), 1000, "score/1000", id="a trend of scores is kept in thousandths"),
        pytest.param(trend("a", unit="bytes"), 1, "bytes", id="a trend in another unit is kept as given"),
        pytest.param(gauge("a", unit="ms"), 1, "ms", id="a gauge in ms is kept in ms"),
        pytest.param(counter("a"), 1, "", id="a counter has nothing to scale"),
    ],
)
def test_what_is_kept_is_divided_by_the_scale_to_be_reported(metric: Metric, scale: int, kept: str) -> None:
    assert (metric.scale, metric.kept_unit) == (scale, kept)


@pytest.mark.parametrize("name", ["a", "_", "A9_z", "ws_msgs_sent", "x" * 128])
def test_legal_names(name: str) -> None:
    assert counter(name).name == name


@pytest.mark.parametrize("name", ["", "9lives", "with space", "dash-ed", "dot.ted", "ümlaut", "x" * 129, "line\n"])
def test_illegal_names_are_refused_with_the_rule(name: str) -> None:
    with pytest.raises(ValueError, match="is not legal: a letter or underscore first, then letters, digits and"):
        counter(name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("m", "histogram"), "kind 'histogram' is not one of counter, gauge, rate, trend", id="kind"),
        pytest.param(("m", "gauge", "", "", "last"), "merge 'last' is not one of sum, max, min", id="merge"),
        pytest.param(("m", "trend", "ms", "", "max"), "merge='max' is for gauges; a trend", id="merge of a trend"),
    ],
)
def test_declarations_that_make_no_sense_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Metric(*arguments)


def test_a_kind_given_as_text_becomes_a_kind() -> None:
    metric = Metric("m", "trend", "ms")  # type: ignore[arg-type]
    assert metric.kind is Kind.TREND
    assert metric == trend("m")


def test_a_declaration_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        counter("m").name = "n"  # type: ignore[misc]
