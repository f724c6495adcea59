"""The timeline of a run: what was measured in each interval of it, for charts, as equally long columns."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal

Column = list[float | None]
"""A number for each interval; None where nothing was measured."""
MarkKind = Literal["stage", "edit", "fault", "threshold", "outage", "worker", "abort", "end"]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened `at_s` seconds after the start of the load, in a few words."""

    at_s: float
    kind: MarkKind
    text: str


@dataclass(slots=True)
class Timeline:
    """The figures of a run by intervals. All columns are as long as `times_s`.

    times_s: when each interval ended, in seconds since the start of the load; the first began at 0.
    load: levels at the end of each interval: `users`, `users_planned`, `arrivals_planned` (a second),
        `cpu_percent` (of the busiest load generator process).
    metrics: by the text of a series, and then by statistic, in the metric's unit. Of a counter its `rate` a second, of
        a gauge its `value`, of a rate `rate` and `count`, of a trend `count`, `p50`, `p95` and `p99`. Of requests of
        one name that no threshold speaks of there is a number each fifth interval, of all five together.
    errors: by kind, how many a second.
    thresholds: by text (`http_req_duration:p(95)<300`), the value that is judged, as it was so far.
    marks: what happened, in the order of time.
    """

    times_s: list[float] = field(default_factory=list)
    load: dict[str, Column] = field(default_factory=dict)
    metrics: dict[str, dict[str, Column]] = field(default_factory=dict)
    errors: dict[str, Column] = field(default_factory=dict)
    thresholds: dict[str, Column] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)

    def copy(self) -> Timeline:
        """The same, apart from what is recorded later."""
        return deepcopy(self)

    def since(self, point: int) -> dict[str, Any]:
        """The columns from a point on, counted from 0, as lists and dictionaries; the marks whole."""
        return {
            "times_s": self.times_s[point:],
            "load": _cut(self.load, point),
            "metrics": {series: _cut(columns, point) for series, columns in self.metrics.items()},
            "errors": _cut(self.errors, point),
            "thresholds": _cut(self.thresholds, point),
            "marks": [{"at_s": mark.at_s, "kind": mark.kind, "text": mark.text} for mark in self.marks],
        }


def _cut(columns: Mapping[str, Column], point: int) -> dict[str, Column]:
    return {name: column[point:] for name, column in columns.items()}
