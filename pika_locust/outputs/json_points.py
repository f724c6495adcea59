"""`--out json=FILE`: a stream of JSON objects in k6's envelope, a line each.

A metric is declared by a line of type `Metric` before its first point. A point has k6's `time`, `value` and `tags`, and
beside them `seconds`, the length of its interval, and `aggregate`, all that is known of the samples in it. `value` is
what was counted, a gauge's level, a rate's share of passes, or a trend's mean: see `points`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pika_locust.metrics import Metric
from pika_locust.outputs.points import K6_TYPES, Interval, Point, aggregate, single_value

MEANING = "each point is an aggregate of all samples with these tags in an interval, not a sample"


class JsonEncoder:
    """Encodes one interval after another; it remembers which metrics it has declared."""

    def __init__(self, thresholds: Mapping[str, Sequence[str]]) -> None:
        """`thresholds` are the expressions by metric, sub-metrics under their text form."""
        self._thresholds = thresholds
        self._declared: set[str] = set()

    def header(self) -> bytes:
        return b""

    def encode(self, interval: Interval) -> bytes:
        lines = []
        ended = datetime.fromtimestamp(interval.ended_ms / 1000, UTC).isoformat(timespec="milliseconds")
        time = ended.replace("+00:00", "Z")
        for point in interval.points:
            if point.metric.name not in self._declared:
                self._declared.add(point.metric.name)
                lines.append(self._declaration(point.metric))
            lines.append(_point(point, time, interval.seconds))
        return "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode()

    def _declaration(self, metric: Metric) -> dict[str, Any]:
        parts = [name for name in self._thresholds if name.startswith(f"{metric.name}{{")]
        return {
            "type": "Metric",
            "data": {
                "name": metric.name,
                "type": K6_TYPES[metric.kind],
                "contains": {"ms": "time", "B": "data"}.get(metric.unit, "default"),
                "thresholds": list(self._thresholds.get(metric.name, ())),
                "submetrics": [
                    {"name": name, "suffix": name.partition("{")[2][:-1], "thresholds": list(self._thresholds[name])}
                    for name in parts
                ]
                or None,
                "unit": metric.unit,
                "about": metric.about,
                "points": MEANING,
            },
            "metric": metric.name,
        }


def _point(point: Point, time: str, seconds: float) -> dict[str, Any]:
    return {
        "metric": point.metric.name,
        "type": "Point",
        "data": {
            "time": time,
            "value": single_value(point),
            "tags": dict(point.tags),
            "seconds": round(seconds, 3),
            "aggregate": aggregate(point, seconds),
        },
    }
