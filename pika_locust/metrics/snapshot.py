"""A snapshot of all metrics of a process: cumulative, merged over workers, subtracted for windows.

Snapshots are cumulative: a later one replaces an earlier one of the same process, the whole test is the fold of the
newest of each process, and a window is the difference of two. `results` and `distributions` give a snapshot as plain
dictionaries, for reports and files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from pika_locust.metrics import plain
from pika_locust.metrics.histogram import SCHEME, Histogram, HistogramData
from pika_locust.metrics.metric import FAILURE, OTHER, Kind, Metric, SeriesKey, Tags, parse_series, series_text, tags_of
from pika_locust.metrics.values import CounterValue, GaugeValue, RateValue, Value, empty_value, value_from_wire


@dataclass(slots=True)
class Snapshot:
    """The values of all series, and the declarations of all metrics, with or without samples.

    A series holds the samples that carry exactly its tags; `select` gives what a reader usually wants, the fold of all
    series that have certain tags.
    """

    series: dict[SeriesKey, Value] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    series_refused: int = 0
    """How often a new series was asked for and refused because there were too many."""

    def select(self, name: str, tags: Mapping[str, str | int | bool] | None = None) -> Value | None:
        """All samples of a metric that carry the given tags, as one new value.

        `name` is a metric's name or the text form of a series, whose tags count as given. None when the metric is not
        declared, an empty value when there are no samples. Raises `ValueError` for a text that cannot be read.
        """
        metric_name, wanted = parse_series(name)
        metric = self.metrics.get(metric_name)
        if metric is None:
            return None
        asked = frozenset((wanted | dict(tags_of(tags or {}))).items())
        whole = empty_value(metric)
        for (series_name, series_tags), value in self.series.items():
            if series_name == metric_name and asked.issubset(series_tags):
                whole.merge(value)
        return whole

    def counted(self, name: str) -> int:
        """What a counter has come to; 0 when it is not declared."""
        value = self.select(name)
        return int(value.count) if isinstance(value, CounterValue) else 0

    def has_tags_of(self, name: str) -> bool:
        """Whether the samples of a metric say which of them belong to a part of it, such as `errors{status:500}`: some
        carry its tags, with whatever values, or there are no samples at all."""
        metric_name, wanted = parse_series(name)
        series = list(self.of_metric(metric_name))
        return any(wanted.keys() <= dict(tags).keys() for tags, _ in series) or not any(v.samples for _, v in series)

    def overflowed(self, name: str) -> int:
        """How many samples may belong to a part of a metric and are not in what `select` gives of it: those that went
        to `series:other`, as there were too many series to keep their tags."""
        metric_name, wanted = parse_series(name)
        other = self.series.get((metric_name, OTHER))
        return other.samples if other is not None and wanted and wanted != dict(OTHER) else 0

    def failures(self, name: str) -> dict[str, int]:
        """What the failed samples of a metric, or of a part of it, were, the most frequent first: those that carry the
        tag `FAILURE`, by its value. Of a counter all are failures."""
        metric_name, wanted = parse_series(name)
        found: Counter[str] = Counter()
        for tags, value in self.of_metric(metric_name):
            what = dict(tags).get(FAILURE)
            if what is not None and value.samples and wanted.items() <= dict(tags).items():
                found[what] += int(value.count) if isinstance(value, CounterValue) else value.samples
        return dict(found.most_common())

    def of_metric(self, name: str) -> Iterator[tuple[Tags, Value]]:
        """The series of one metric, each with its tags."""
        return ((tags, value) for (series_name, tags), value in self.series.items() if series_name == name)

    def merge(self, other: Snapshot) -> None:
        """Take in all that `other` holds. Raises `ValueError` when the two declare a metric differently."""
        for name, theirs in other.metrics.items():
            self.metrics[name] = _agreed(self.metrics.get(name, theirs), theirs)
        for key, value in other.series.items():
            if key in self.series:
                self.series[key].merge(value)
            else:
                self.series[key] = value.copy()
        self.series_refused += other.series_refused

    def minus(self, earlier: Snapshot) -> Snapshot:
        """What was measured since `earlier`, a snapshot of the same processes.

        Raises `ValueError` when `earlier` holds samples that this one lacks.
        """
        window = Snapshot(metrics=dict(self.metrics), series_refused=self.series_refused - earlier.series_refused)
        for key, value in self.series.items():
            before = earlier.series.get(key)
            window.series[key] = value.copy() if before is None else value.minus(before)
        for key, value in earlier.series.items():
            if key not in self.series and value.samples:
                raise ValueError(f"cannot subtract: {series_text(*key)} is in the earlier snapshot only")
        return window

    def copy(self) -> Snapshot:
        return fold([self])

    def trends(self) -> Snapshot:
        """Of all series only the trends, which are the same objects."""
        own: dict[SeriesKey, Value] = {k: value for k, value in self.series.items() if isinstance(value, Histogram)}
        return Snapshot(own, self.metrics)

    def but_trends(self) -> Snapshot:
        """All else."""
        own: dict[SeriesKey, Value] = {k: value for k, value in self.series.items() if not isinstance(value, Histogram)}
        return Snapshot(own, self.metrics, self.series_refused)

    def but_levels(self) -> Snapshot:
        """All but gauges: what is counted, and can be subtracted."""
        own: dict[SeriesKey, Value] = {
            k: value for k, value in self.series.items() if not isinstance(value, GaugeValue)
        }
        return Snapshot(own, self.metrics)

    def to_wire(self) -> dict[str, Any]:
        """Lists, numbers and text, with text keys only: what msgpack and JSON carry."""
        place = {name: at for at, name in enumerate(self.metrics)}
        return {
            "metrics": [[m.name, m.kind.value, m.unit, m.about, m.merge] for m in self.metrics.values()],
            "series": [
                [place[name], tags_to_wire(tags), value.to_wire()] for (name, tags), value in self.series.items()
            ],
            "refused": self.series_refused,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Snapshot:
        """What `to_wire` made, a snapshot again. Raises `ValueError` for anything else."""
        try:
            wire = plain.mapping(wire)
            metrics = [_metric_from_wire(declaration) for declaration in plain.items(wire["metrics"])]
            declared = {metric.name: metric for metric in metrics}
            if len(declared) < len(metrics):
                raise ValueError("a metric is declared twice")
            series: dict[SeriesKey, Value] = {}
            for entry in plain.items(wire["series"]):
                place, flat, value = plain.items(entry)
                metric = metrics[plain.count(place)]
                key = metric.name, tags_from_wire(flat)
                if key in series:
                    raise ValueError(f"the series {series_text(*key)} is there twice")
                series[key] = value_from_wire(metric.kind, value)
                check_merge(metric, series[key])
            return cls(series, declared, plain.count(wire["refused"]))
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a snapshot's wire form: {error}") from error


def _metric_from_wire(declaration: Any) -> Metric:
    name, kind, unit, about, merge = (plain.text(part) for part in plain.items(declaration))
    return Metric(name, Kind(kind), unit, about, merge)  # type: ignore[arg-type]  # which Metric checks


def tags_to_wire(tags: Tags) -> list[str]:
    """Tags as one flat list: key, value, key, value, …"""
    return [part for tag in tags for part in tag]


def tags_from_wire(flat: Any) -> Tags:
    """What `tags_to_wire` made, tags again. Raises `ValueError` for anything else."""
    return _checked_tags(tuple(plain.text(part) for part in plain.items(flat)))


@lru_cache(maxsize=4096)
def _checked_tags(parts: tuple[str, ...]) -> Tags:
    tags = tuple(zip(parts[::2], parts[1::2], strict=True))
    if tags != tags_of(dict(tags)):
        raise ValueError(f"the tags {plain.shown(tags)} are not in order, or not told apart")
    return tags


def check_merge(metric: Metric, value: Value) -> None:
    """Raises `ValueError` for a level that does not merge as its metric says."""
    if isinstance(value, GaugeValue) and value.mode != metric.merge:
        raise ValueError(f"{metric.name} merges by {metric.merge}, and not by {value.mode}")


def fold(snapshots: Iterable[Snapshot]) -> Snapshot:
    """One snapshot of all: the same in whatever order and grouping they come. The given ones are left as they are."""
    whole = Snapshot()
    for snapshot in snapshots:
        whole.merge(snapshot)
    return whole


def _agreed(one: Metric, other: Metric) -> Metric:
    if one == other:
        return one
    # The sentence for readers may differ between versions; the larger text wins, whatever the order.
    about = max(one.about, other.about)
    if replace(one, about=about) != replace(other, about=about):
        raise ValueError(f"metric {one.name} is declared in two ways: {describe(one)}, and {describe(other)}")
    return replace(one, about=about)


def describe(metric: Metric) -> str:
    """A declaration in a few words, for messages."""
    unit = f" in {metric.unit}" if metric.unit else ""
    return f"a {metric.kind}{unit}" + (f" merged by {metric.merge}" if metric.kind is Kind.GAUGE else "")


PERCENTILES = (90, 95, 99, 99.9)
"""The percentiles that every trend reports, beside its median."""


def results(snapshot: Snapshot, duration_s: float, parts: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """The statistics of every metric, and of every tagged series under its text form.

    `duration_s` is the time in seconds that counters' rates refer to. `parts` are further series to have an entry, such
    as those of thresholds: of samples tagged `name` and `method`, `errors{name:/login}`; unless no sample says whether
    it belongs to one. Values are in the metric's unit (milliseconds,
    not microseconds). What has no samples has counts of 0 and None for everything else. A tagged series includes the
    samples that carry further tags, as a threshold on it does.
    """
    return {text: statistics(metric, value, duration_s) for text, metric, value in _entries(snapshot, parts)}


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


def distributions(snapshot: Snapshot, parts: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """The buckets of every trend that has samples, under the names `results` uses for the same `parts`: what
    percentiles were taken from.

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
        for text, metric, value in _entries(snapshot, parts)
        if isinstance(value, Histogram) and value.count
    }


def histogram_of(distribution: Mapping[str, Any]) -> Histogram:
    """The histogram that an entry of `distributions` was made from.

    Raises `ValueError` for a scheme this version does not know, and for an entry whose parts are missing, of the wrong
    kind, or do not go together.
    """
    if distribution.get("scheme") != SCHEME:
        raise ValueError(f"distribution of scheme {distribution.get('scheme')!r}: only {SCHEME} can be read")
    try:
        data = HistogramData(
            {int(index): plain.count(count) for index, count in plain.mapping(distribution["buckets"]).items()},
            plain.whole(distribution["total"]),
            plain.whole(distribution["min"]),
            plain.whole(distribution["max"]),
            plain.count(distribution.get("underflow", 0)),
            plain.count(distribution.get("overflow", 0)),
        )
        data.check()
        return Histogram.from_buckets(*data)
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


def _entries(snapshot: Snapshot, parts: Sequence[str]) -> Iterator[tuple[str, Metric, Value]]:
    asked = [parse_series(part) for part in parts if snapshot.has_tags_of(part)]
    for name, metric in sorted(snapshot.metrics.items()):
        series = [(frozenset(tags), value) for tags, value in snapshot.of_metric(name)]
        further = (frozenset(tags.items()) for part, tags in asked if part == name)
        for wanted in sorted({frozenset(), *(tags for tags, _ in series), *further}, key=sorted):
            whole = empty_value(metric)
            for tags, value in series:
                if wanted <= tags:
                    whole.merge(value)
            yield series_text(name, tuple(wanted)), metric, whole
