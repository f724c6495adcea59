"""What was seen: metrics, samples, distributions, and snapshots that merge and subtract exactly.

Standard library only; no clock, no I/O, nothing global.
"""

from __future__ import annotations

from pika_locust.measure.histogram import Histogram
from pika_locust.measure.metric import Kind, Metric, counter, gauge, rate, trend
from pika_locust.measure.names import SeriesKey, Tags, parse_series, series_text
from pika_locust.measure.registry import Registry
from pika_locust.measure.results import distributions, histogram_of, results, statistics
from pika_locust.measure.series import Counter, Gauge, Rate, Trend
from pika_locust.measure.snapshot import Snapshot, fold
from pika_locust.measure.values import CounterValue, GaugeValue, RateValue, Value, empty_value

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
