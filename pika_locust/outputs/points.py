"""Points of the outputs (`--out`): what each series has measured in an interval, from two cumulative snapshots.

Samples live in histograms, so that a point is no single sample, as it is in k6, but an aggregate: of one metric, with
certain tags, over one interval of about two seconds. Added up, the points of a run are its summary's figures.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from pika_locust.metrics import CounterValue, GaugeValue, Histogram, Kind, Metric, RateValue, Snapshot
from pika_locust.metrics.histogram import bucket_edges
from pika_locust.metrics.metric import SeriesKey, Tags
from pika_locust.metrics.snapshot import statistics
from pika_locust.metrics.values import Value
from pika_locust.outputs import redact


@dataclass(frozen=True, slots=True)
class Point:
    """One series: `value` is what was measured in the interval, `total` what was measured since the start."""

    metric: Metric
    tags: Tags
    value: Value
    total: Value


@dataclass(frozen=True, slots=True)
class Interval:
    """The points of one stretch of time, which ended `ended_ms` milliseconds after 1970 and took `seconds`.

    `began_ms` is when the run began, from which totals count; `whole` is all that was measured since, `declared` the
    metrics that count.
    """

    began_ms: int
    ended_ms: int
    seconds: float
    points: Sequence[Point]
    whole: Snapshot
    declared: Collection[str]

    def totals(self) -> Iterator[Point]:
        """A point for every series that has samples, changed or not: what a protocol of totals repeats each time."""
        return points_between(Snapshot(), self.whole, self.declared)


class Window:
    """What an interval is made of: the snapshots at its beginning and its end. It is made when it is asked for, so that
    this costs nothing where it is waited for."""

    def __init__(
        self, before: Snapshot, now: Snapshot, declared: Collection[str], times_ms: tuple[int, int, int]
    ) -> None:
        """`times_ms`, in milliseconds since 1970: the beginning of the run, that of the interval, and its end."""
        self._before, self._now, self._declared = before, now, declared
        self._times_ms = times_ms
        self._interval: Interval | None = None

    def interval(self) -> Interval:
        """The points; it may be asked for in several threads."""
        if self._interval is None:
            points = tuple(points_between(self._before, self._now, self._declared))
            run_ms, began_ms, ended_ms = self._times_ms
            seconds = (ended_ms - began_ms) / 1000
            self._interval = Interval(run_ms, ended_ms, seconds, points, self._now, self._declared)
        return self._interval

    @property
    def size(self) -> int:
        """How many points there are, at less cost than to make them."""
        if self._interval is not None:
            return len(self._interval.points)
        found = 0
        for key, total in self._now.series.items():
            before = self._before.series.get(key)
            is_new = isinstance(total, GaugeValue) or before is None or before.samples != total.samples
            found += bool(key[0] in self._declared and is_new and total.samples)
        return found


def points_between(before: Snapshot, now: Snapshot, declared: Collection[str]) -> Iterator[Point]:
    """A point for each series that has got samples since `before`, and for every gauge that has a level.

    `declared` are the names of the metrics that the run measures. Where figures have started anew, what is there now
    was measured since.
    """
    found: dict[SeriesKey, Point] = {}
    for (name, tags), total in now.series.items():
        if name not in declared or not total.samples:
            continue
        value = _since(total, before.series.get((name, tags)))
        if value.samples or isinstance(total, GaugeValue):
            shown = tuple((key, _shown(text)) for key, text in tags)
            point, same = Point(now.metrics[name], shown, value, total), found.get((name, shown))
            # Two secrets look the same, and no output can have two points of one series at one time.
            found[name, shown] = point if same is None else _together(same, point)
    yield from found.values()


def _shown(text: str) -> str:
    words = redact.name(text)
    return words if words.isprintable() else redact.one_line(text)


def _together(one: Point, other: Point) -> Point:
    value, total = one.value.copy(), one.total.copy()
    value.merge(other.value)
    total.merge(other.total)
    return Point(one.metric, one.tags, value, total)


def _since(total: Value, before: Value | None) -> Value:
    try:
        return total if before is None else total.minus(before)
    except ValueError:
        return total


def single_value(point: Point) -> float:
    """The one number that k6 has in a point: what was counted, a gauge's level, a rate's share, a trend's mean."""
    match point.value:
        case CounterValue(count=count):
            return count
        case GaugeValue(value=level):
            return level
        case RateValue():
            return point.value.rate
        case Histogram():
            return point.value.mean / point.metric.scale


def aggregate(point: Point, seconds: float) -> dict[str, Any]:
    """The figures of a point in the metric's unit, under the summary's names; a trend has its sum as well."""
    found = statistics(point.metric, point.value, seconds)
    del found["kind"], found["unit"]
    if isinstance(point.value, GaugeValue):
        # Between two settings, a level stays what it is.
        found = {"value": point.value.value, "min": point.value.min, "max": point.value.max}
    if isinstance(point.value, Histogram):
        found = {"count": found.pop("count"), "sum": point.value.total / point.metric.scale, **found}
    return found


_TIME_BOUNDS_MS = (1, 2, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
_SCORE_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1)
_OTHER_BOUNDS = tuple(step * 10**power for power in range(9) for step in (1, 2, 5))


def bounds_of(metric: Metric) -> tuple[float, ...]:
    """The upper bounds, in the metric's unit, of the classic buckets that a trend is told in."""
    return {"ms": _TIME_BOUNDS_MS, "score": _SCORE_BOUNDS}.get(metric.unit, _OTHER_BOUNDS)


def classic_buckets(metric: Metric, histogram: Histogram) -> list[int]:
    """How many samples lie in each of the buckets up to `bounds_of(metric)`, and above the last.

    A sample that is within 0.1 % of a bound may be counted on its other side.
    """
    bounds = [bound * metric.scale for bound in bounds_of(metric)]
    counts = [0] * (len(bounds) + 1)
    for index, count in histogram.buckets.items():
        counts[bisect_left(bounds, min(max(sum(bucket_edges(index)) / 2, histogram.minimum), histogram.maximum))] += (
            count
        )
    return counts


def cumulative(counts: Sequence[int]) -> list[int]:
    """The same as Prometheus has them: each bucket with all below it."""
    return list(accumulate(counts))


K6_TYPES: Mapping[Kind, str] = {kind: kind.value for kind in Kind}
"""What k6 calls the kinds of metrics."""
