"""Snapshots as plain dictionaries for people and files: statistics in reported units, and the buckets behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pika_locust.measure.buckets import SCHEME
from pika_locust.measure.histogram import Histogram
from pika_locust.measure.metric import Metric
from pika_locust.measure.names import series_text
from pika_locust.measure.snapshot import Snapshot
from pika_locust.measure.values import CounterValue, GaugeValue, RateValue, Value, empty_value

PERCENTILES = (90, 95, 99, 99.9)
"""The percentiles that every trend reports, beside its median."""


def results(snapshot: Snapshot, duration_s: float) -> dict[str, dict[str, Any]]:
    """The statistics of every metric, and of every tagged series under its text form.

    `duration_s` is the time in seconds that counters' rates refer to. Values are in the metric's unit (milliseconds,
    not microseconds). What has no samples has counts of 0 and None for everything else. A tagged series includes the
    samples that carry further tags, as a threshold on it does.
    """
    return {text: statistics(metric, value, duration_s) for text, metric, value in _entries(snapshot)}


def statistics(metric: Metric, value: Value, duration_s: float) -> dict[str, Any]:
    """The statistics of one value, in the metric's unit. `duration_s`: the seconds that a counter's rate refers to."""
    numbers: dict[str, Any]
    match value:
        case CounterValue(count=count):
            numbers = {"count": count, "rate": count / duration_s if value.samples and duration_s > 0 else None}
        case GaugeValue():
            known = bool(value.samples)
            numbers = {"count": value.samples} | {
                name: number if known else None
                for name, number in (("value", value.value), ("min", value.min), ("max", value.max))
            }
        case RateValue(passes=passes, fails=fails):
            share = value.rate if value.samples else None
            numbers = {"count": value.samples, "rate": share, "passes": passes, "fails": fails}
        case Histogram():
            numbers = _trend(value, metric.scale)
    return {"kind": metric.kind.value, "unit": metric.unit} | numbers


def distributions(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """The buckets of every trend that has samples, under the names `results` uses: what percentiles were taken from.

    Values are in `unit` ("us" for times). Together with the exact count, total, min and max they are the whole
    histogram, so that other thresholds can be judged and runs compared later: see `histogram_of`.
    """
    return {
        text: {
            "scheme": SCHEME,
            "unit": metric.kept_unit,
            "buckets": {str(index): count for index, count in sorted(value.buckets.items())},
            "count": value.count,
            "total": value.total,
            "min": value.minimum,
            "max": value.maximum,
            "underflow": value.underflow,
            "overflow": value.overflow,
        }
        for text, metric, value in _entries(snapshot)
        if isinstance(value, Histogram) and value.count
    }


def histogram_of(distribution: Mapping[str, Any]) -> Histogram:
    """The histogram that an entry of `distributions` was made from.

    Raises `ValueError` for a scheme this version does not know, or an entry that lacks a part.
    """
    if distribution.get("scheme") != SCHEME:
        raise ValueError(f"distribution of scheme {distribution.get('scheme')!r}: only {SCHEME} can be read")
    try:
        return Histogram.from_buckets(
            {int(index): count for index, count in distribution["buckets"].items()},
            distribution["total"],
            distribution["min"],
            distribution["max"],
            distribution.get("underflow", 0),
            distribution.get("overflow", 0),
        )
    except KeyError as error:
        raise ValueError(f"distribution without {error}: not written by this package, or cut short") from error


def _trend(histogram: Histogram, scale: int) -> dict[str, Any]:
    names = [f"p({percentile})" for percentile in PERCENTILES]
    if not histogram.count:
        return {"count": 0} | dict.fromkeys(["min", "avg", "med", "max", *names])
    median, *percentiles = histogram.quantiles([0.5, *(percentile / 100 for percentile in PERCENTILES)])
    numbers: dict[str, Any] = {
        "count": histogram.count,
        "min": histogram.minimum / scale,
        "avg": histogram.mean / scale,
        "med": median / scale,
        "max": histogram.maximum / scale,
    }
    numbers |= {name: value / scale for name, value in zip(names, percentiles, strict=True)}
    # Values outside 1 microsecond to 1 hour are in the statistics as well; that they are there is worth a look.
    return numbers | {
        name: outside
        for name, outside in (("underflow", histogram.underflow), ("overflow", histogram.overflow))
        if outside
    }


def _entries(snapshot: Snapshot) -> Iterator[tuple[str, Metric, Value]]:
    for name, metric in sorted(snapshot.metrics.items()):
        series = [(frozenset(tags), value) for tags, value in snapshot.of_metric(name)]
        for wanted in sorted({frozenset(), *(tags for tags, _ in series)}, key=sorted):
            whole = empty_value(metric)
            for tags, value in series:
                if wanted <= tags:
                    whole.merge(value)
            yield series_text(name, tuple(wanted)), metric, whole
