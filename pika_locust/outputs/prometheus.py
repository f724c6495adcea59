"""`--out prometheus=ADDRESS`: the figures of a run so far, for a Prometheus that scrapes them.

Names are those of k6's own output for Prometheus: `k6_http_reqs_total`, `k6_vus`, `k6_checks_rate`, and for trends
`k6_http_req_duration_p95`, `_p99`, `_min` and `_max` in seconds. Beside them rates have `_passes_total` and
`_fails_total`, and trends a histogram, `k6_http_req_duration_seconds`; these can be added up over labels and time.
What can be added up has a series without labels from the start, of 0: `rate()` does not see the samples with which a
series begins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pika_locust.metrics import CounterValue, GaugeValue, Histogram, Kind, Metric, RateValue, Snapshot, empty_value
from pika_locust.outputs.points import Point, bounds_of, classic_buckets, cumulative, points_between

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

PREFIX = "k6_"
_RESERVED = ("le", "quantile", "job", "instance")


class Exposition:
    """What `prometheus_client` collects: the newest snapshot that was given."""

    def __init__(self) -> None:
        self._snapshot = Snapshot()
        self._declared: Collection[str] = ()
        self._run: dict[str, str] = {}

    def show(self, snapshot: Snapshot, declared: Collection[str], run: dict[str, str]) -> None:
        """From now on, show this; `run` are the labels of `k6_run_info`."""
        self._snapshot, self._declared, self._run = snapshot, declared, run

    def describe(self) -> Iterable[Family]:
        """Nothing: what there is to collect is not known beforehand."""
        return ()

    def collect(self) -> Iterator[Family]:
        from prometheus_client.metrics_core import Metric as Family

        if self._run:
            info = Family(f"{PREFIX}run", "which run these figures are of", "info")
            info.add_sample(f"{PREFIX}run_info", self._run, 1.0)
            yield info
        found: dict[str, Family] = {}
        for point in self._points():
            for kind, name, samples in _families(point):
                family = found.get(name)
                if family is None:
                    family = found[name] = Family(name, _about(point.metric), kind)
                for suffix, labels, value in samples:
                    family.add_sample(name + suffix, labels, value)
        yield from found.values()

    def _points(self) -> Iterator[Point]:
        untagged = set()
        for point in points_between(Snapshot(), self._snapshot, self._declared):
            if not point.tags:
                untagged.add(point.metric.name)
            yield point
        for name, metric in self._snapshot.metrics.items():
            if name in self._declared and name not in untagged and metric.kind != Kind.GAUGE:
                yield Point(metric, (), empty_value(metric), empty_value(metric))


def _about(metric: Metric) -> str:
    return metric.about or metric.name


_Samples = list[tuple[str, dict[str, str], float]]


def _families(point: Point) -> Iterator[tuple[str, str, _Samples]]:
    """Kind, name and samples (suffix, labels, value) of each family of a series."""
    name = PREFIX + point.metric.name
    labels = {_label(key): value for key, value in point.tags}
    match point.total:
        case CounterValue(count=count):
            yield "counter", name, [("_total", labels, count)]
        case GaugeValue(value=level):
            yield "gauge", name, [("", labels, level)]
        case RateValue(passes=passes, fails=fails):
            if point.total.samples:
                yield "gauge", f"{name}_rate", [("", labels, point.total.rate)]
            yield "counter", f"{name}_passes", [("_total", labels, passes)]
            yield "counter", f"{name}_fails", [("_total", labels, fails)]
        case Histogram():
            yield from _trend(name, point.metric, labels, point.total)


def _trend(
    name: str, metric: Metric, labels: dict[str, str], histogram: Histogram
) -> Iterator[tuple[str, str, _Samples]]:
    # Prometheus measures times in seconds.
    is_time = metric.unit == "ms"
    per_unit = metric.scale * (1000 if is_time else 1)
    if histogram.count:
        p95, p99 = histogram.quantiles((0.95, 0.99))
        for stat, value in (("min", histogram.minimum), ("max", histogram.maximum), ("p95", p95), ("p99", p99)):
            yield "gauge", f"{name}_{stat}", [("", labels, value / per_unit)]
    bounds = [repr(float(bound / (1000 if is_time else 1))) for bound in bounds_of(metric)] + ["+Inf"]
    counts = cumulative(classic_buckets(metric, histogram))
    samples: _Samples = [
        ("_bucket", {**labels, "le": bound}, count) for bound, count in zip(bounds, counts, strict=True)
    ]
    samples += [("_count", labels, counts[-1]), ("_sum", labels, histogram.total / per_unit)]
    yield "histogram", f"{name}_seconds" if is_time else f"{name}_histogram", samples


def _label(key: str) -> str:
    return f"tag_{key}" if key in _RESERVED or key.startswith("__") else key


def make_app(exposition: Exposition) -> Any:
    """The WSGI application that answers every path with the figures."""
    from prometheus_client import CollectorRegistry, make_wsgi_app

    registry = CollectorRegistry(auto_describe=False)
    registry.register(exposition)
    return make_wsgi_app(registry)
