"""What another eye saw of the target before and after the load, side by side. It decides nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pika_locust.judge.report import Observed

Labels = tuple[tuple[str, str], ...]
"""What tells the series of one query apart: names and values, in the order of the names."""

MAX_SERIES = 20
"""Rows of one query in a report."""

NO_SERIES = "no such series"
_INFINITE = {math.inf: "+Inf", -math.inf: "-Inf"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one query showed at one time. Without any series, `problem` may say why."""

    query: str
    series: Mapping[Labels, float] = field(default_factory=dict)
    problem: str = ""

    @property
    def why_nothing(self) -> str:
        """Why there is no series."""
        return self.problem or NO_SERIES


def compare(start: Reading, end: Reading) -> tuple[Observed, ...]:
    """A row for each series that either reading has, at most MAX_SERIES, in the order of their labels; where neither
    has one, a row that says why."""
    series = sorted({*start.series, *end.series})[:MAX_SERIES]
    if not series:
        return (Observed(start.query, {}, None, None, None, f"not observed: {_why(start, end)}"),)
    return tuple(_row(labels, start, end) for labels in series)


def left_out(start: Reading, end: Reading) -> str | None:
    """A sentence when there are more series than `compare` has rows for."""
    count = len({*start.series, *end.series})
    if count <= MAX_SERIES:
        return None
    return (
        f"{start.query}: the first {MAX_SERIES} of {count:,} series are listed, in the order of their labels; "
        "a sum() in the query would take them all"
    )


def _why(start: Reading, end: Reading) -> str:
    if start.why_nothing == end.why_nothing:
        return start.why_nothing
    return f"{start.why_nothing} (start), {end.why_nothing} (end)"


def _row(labels: Labels, start: Reading, end: Reading) -> Observed:
    values: dict[str, float | None] = {}
    notes = []
    for when, reading in (("start", start), ("end", end)):
        value = values[when] = reading.series.get(labels)
        if value is None:
            notes.append(f"not observed at the {when}: {reading.problem or NO_SERIES}")
        elif not math.isfinite(value):
            notes.append(f"{_INFINITE.get(value, 'NaN')} at the {when}")
    first, last = values["start"], values["end"]
    difference = None if first is None or last is None else last - first
    if difference is not None and not math.isfinite(difference):
        difference = None
    return Observed(start.query, dict(labels), first, last, difference, "; ".join(notes))
