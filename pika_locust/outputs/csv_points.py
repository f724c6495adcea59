"""`--out csv=FILE`: k6's columns, and between them the aggregate that a point is: see `points`."""

from __future__ import annotations

import csv
import io
from urllib.parse import urlencode

from pika_locust.metrics.snapshot import PERCENTILES
from pika_locust.outputs.points import Interval, aggregate, single_value

_FIGURES = ("count", "sum", "min", "avg", "med", "max", *(f"p({p})" for p in PERCENTILES), "passes", "fails")
_TAGS = ("check", "error", "error_code", "group", "method", "name", "proto", "scenario", "status", "url")
COLUMNS = ("metric_name", "timestamp", "metric_value", "seconds", *_FIGURES, *_TAGS, "extra_tags")
"""The first line. `timestamp` is in seconds since 1970, `seconds` the length of the interval; a tag without a column is
in `extra_tags`, as `key=value` joined by `&`, percent-encoded."""


class CsvEncoder:
    """Encodes one interval after another."""

    def header(self) -> bytes:
        return (",".join(COLUMNS) + "\n").encode()

    def encode(self, interval: Interval) -> bytes:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        for point in interval.points:
            figures, tags = aggregate(point, interval.seconds), dict(point.tags)
            known = [tags.pop(name, "") for name in _TAGS]
            value = single_value(point)
            start = [point.metric.name, f"{interval.ended_ms / 1000:.3f}", value, round(interval.seconds, 3)]
            rows.writerow([*start, *(figures.get(name, "") for name in _FIGURES), *known, urlencode(tags)])
        return text.getvalue().encode()
