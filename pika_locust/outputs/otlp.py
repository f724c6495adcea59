"""`--out otlp=URL`: OpenTelemetry's protocol for metrics, as protobuf over HTTP.

All is cumulative since the start of the run, and told again and again, so that nothing is lost with a request that is.
Counters are monotonic sums; a rate is one sum for each outcome, told apart by the attribute `condition` (`nonzero`,
`zero`) as in k6; a trend is a histogram with its exact count, sum, min and max.

OpenTelemetry's SDK would aggregate samples, which are aggregated here already, and its exporter retries for as long as
it likes; so that of its packages only the messages are used (`opentelemetry-proto`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pika_locust.metrics import CounterValue, GaugeValue, Histogram, RateValue
from pika_locust.outputs.points import Interval, Point, bounds_of, classic_buckets
from pika_locust.version import __version__

_CUMULATIVE = 2
_UNITS = {"ms": "ms", "B": "By", "MB": "MBy"}


class OtlpEncoder:
    """Encodes one interval after another, each as an `ExportMetricsServiceRequest`."""

    def __init__(self, resource: Mapping[str, str]) -> None:
        """`resource` are the attributes of who sends: `service.name` and the like."""
        self._resource = dict(resource)

    def header(self) -> bytes:
        return b""

    def encode(self, interval: Interval) -> bytes:
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

        request = ExportMetricsServiceRequest()
        of_resource = request.resource_metrics.add()
        _set_attributes(of_resource.resource, list(self._resource.items()))
        of_scope = of_resource.scope_metrics.add()
        of_scope.scope.name, of_scope.scope.version = "pika_locust", __version__
        found: dict[str, Any] = {}
        for point in interval.totals():
            metric = found.get(point.metric.name)
            if metric is None:
                metric = found[point.metric.name] = of_scope.metrics.add()
                metric.name, metric.description = point.metric.name, point.metric.about
                metric.unit = _UNITS.get(point.metric.unit, point.metric.unit or "1")
            _add(metric, point, interval)
        data: bytes = request.SerializeToString()
        return data


def _add(metric: Any, point: Point, interval: Interval) -> None:
    match point.total:
        case CounterValue(count=count):
            _add_sum(metric, count, point.tags, interval)
        case GaugeValue(value=level):
            _set_number(metric.gauge.data_points.add(), level, point.tags, interval)
        case RateValue(passes=passes, fails=fails):
            for condition, count in (("nonzero", passes), ("zero", fails)):
                _add_sum(metric, count, [*point.tags, ("condition", condition)], interval)
        case Histogram():
            _add_histogram(metric, point, point.total, interval)


def _add_sum(metric: Any, count: float, tags: Sequence[tuple[str, str]], interval: Interval) -> None:
    metric.sum.aggregation_temporality, metric.sum.is_monotonic = _CUMULATIVE, True
    _set_number(metric.sum.data_points.add(), count, tags, interval)


def _add_histogram(metric: Any, point: Point, histogram: Histogram, interval: Interval) -> None:
    scale = point.metric.scale
    metric.histogram.aggregation_temporality = _CUMULATIVE
    data = metric.histogram.data_points.add()
    _set_point(data, point.tags, interval)
    data.count, data.sum = histogram.count, histogram.total / scale
    data.min, data.max = histogram.minimum / scale, histogram.maximum / scale
    data.explicit_bounds.extend(bounds_of(point.metric))
    data.bucket_counts.extend(classic_buckets(point.metric, histogram))


def _set_number(data: Any, number: float, tags: Sequence[tuple[str, str]], interval: Interval) -> None:
    _set_point(data, tags, interval)
    if isinstance(number, int) and abs(number) < 1 << 63:
        data.as_int = number
    else:
        data.as_double = number


def _set_point(data: Any, tags: Sequence[tuple[str, str]], interval: Interval) -> None:
    data.start_time_unix_nano, data.time_unix_nano = interval.began_ms * 1_000_000, interval.ended_ms * 1_000_000
    _set_attributes(data, tags)


def _set_attributes(carrier: Any, pairs: Sequence[tuple[str, str]]) -> None:
    for key, value in pairs:
        attribute = carrier.attributes.add()
        attribute.key, attribute.value.string_value = key, value
