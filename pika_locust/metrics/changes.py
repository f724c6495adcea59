"""What has changed between two snapshots of a process, over the wire and into the earlier one.

In two seconds a process adds some samples to histograms that have hundreds of buckets, and most of its other values
stay as they are. So it sends its whole snapshot once, and from then on what has changed: cumulative values of changed
series, and of a trend the counts of changed buckets. What reading that costs depends on the samples that came, and not
on how many there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pika_locust.metrics import plain
from pika_locust.metrics.histogram import Histogram, HistogramData
from pika_locust.metrics.metric import Kind, Metric, SeriesKey, series_text
from pika_locust.metrics.snapshot import Snapshot, check_merge, tags_from_wire, tags_to_wire
from pika_locust.metrics.values import Value, value_from_wire


def changes_to_wire(later: Snapshot, earlier: Snapshot) -> dict[str, Any]:
    """What makes `later` of `earlier`, a snapshot of the same process with the same metrics, as plain values."""
    series = []
    for key, value in later.series.items():
        before = earlier.series.get(key)
        if before is None:
            wire: Any = value.to_wire()
        elif value == before:
            continue
        elif isinstance(value, Histogram) and isinstance(before, Histogram):
            wire = value.to_wire(before)
        else:
            wire = value.to_wire()
        series.append([key[0], tags_to_wire(key[1]), wire])
    return {"series": series, "refused": later.series_refused}


@dataclass(frozen=True, slots=True)
class Changes:
    """What makes a later snapshot of an earlier one, read and found right."""

    added: dict[SeriesKey, Histogram] = field(default_factory=dict)
    """By trend: the samples that came, to be merged."""
    others: dict[SeriesKey, Value] = field(default_factory=dict)
    """All other series that have changed, whole."""
    series_refused: int = 0

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any], earlier: Snapshot) -> Changes:
        """What `changes_to_wire` made, for this earlier snapshot, which stays as it is. Raises `ValueError` for
        anything else."""
        try:
            changes = cls(series_refused=plain.count(plain.mapping(wire)["refused"]))
            if changes.series_refused < earlier.series_refused:
                raise ValueError("fewer series are refused than before")
            for entry in plain.items(wire["series"]):
                name, flat, value = plain.items(entry)
                changes._read(earlier.metrics[plain.text(name)], tags_from_wire(flat), value, earlier)
            return changes
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not the changes of a snapshot: {error}") from error

    def _read(self, metric: Metric, tags: Any, wire: Any, earlier: Snapshot) -> None:
        key = metric.name, tags
        if key in self.added or key in self.others:
            raise ValueError(f"the series {series_text(*key)} is there twice")
        before = earlier.series.get(key)
        if metric.kind is Kind.TREND:
            is_new = before is None
            known = before if isinstance(before, Histogram) else Histogram()
            data = HistogramData.from_wire(wire, is_whole=is_new)
            self.added[key] = Histogram.from_buckets(*data) if is_new else known.additions(data)
            return
        value = value_from_wire(metric.kind, wire)
        check_merge(metric, value)
        if before is not None:
            # Raises where it has less than before.
            value.minus(before)
        self.others[key] = value

    def apply(self, snapshot: Snapshot) -> None:
        """Make the earlier snapshot the later one."""
        merge_trends(snapshot, self.added)
        snapshot.series.update(self.others)
        snapshot.series_refused = self.series_refused


def merge_trends(snapshot: Snapshot, added: Mapping[SeriesKey, Histogram]) -> None:
    """Merge samples into the trends of a snapshot: the earlier one, or a fold that it is part of."""
    for key, samples in added.items():
        known = snapshot.series.get(key)
        if known is None:
            snapshot.series[key] = samples.copy()
        else:
            known.merge(samples)
