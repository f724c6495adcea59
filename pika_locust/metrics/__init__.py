"""Metrics, samples, histograms, and snapshots that merge and subtract exactly.

Standard library only; no clock, no I/O, nothing global.
"""

from __future__ import annotations

from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import (
    Kind,
    Metric,
    SeriesKey,
    Tags,
    counter,
    gauge,
    parse_series,
    rate,
    series_text,
    trend,
)
from pika_locust.metrics.registry import Counter, Gauge, Rate, Registry, Trend
from pika_locust.metrics.snapshot import Snapshot, distributions, fold, histogram_of, results, statistics
from pika_locust.metrics.values import CounterValue, GaugeValue, RateValue, Value, empty_value

__all__ = [
    "Counter",
    "CounterValue",
    "Gauge",
    "GaugeValue",
    "Histogram",
    "Kind",
    "Metric",
    "Rate",
    "RateValue",
    "Registry",
    "SeriesKey",
    "Snapshot",
    "Tags",
    "Trend",
    "Value",
    "counter",
    "distributions",
    "empty_value",
    "fold",
    "gauge",
    "histogram_of",
    "parse_series",
    "rate",
    "results",
    "series_text",
    "statistics",
    "trend",
]
