"""Grades (healthy, warning, critical) shown beside thresholds.

Thresholds decide the exit code; grades describe, unless `--fail-on` lets them decide too (`verdict`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pika_locust.judge.expressions import Expression, ExpressionError, parse
from pika_locust.judge.report import Grade
from pika_locust.judge.thresholds import Threshold
from pika_locust.metrics.metric import parse_series, series_text

ORDER: tuple[Grade, ...] = ("healthy", "warning", "critical")
"""From best to worst."""


@dataclass(frozen=True, slots=True)
class Band:
    """The limits of one statistic's grades: `Band("latency", "p(95)", healthy="<500", warning="<1000")`.

    A value is healthy where `healthy` holds, a warning where only `warning` holds, and critical otherwise. Limits are
    in the metric's reported unit.

    Raises ValueError (ExpressionError) for limits that cannot be read, that point different ways, or where some healthy
    value would not even be a warning.
    """

    metric: str
    aggregation: str
    healthy: str
    warning: str
    _healthy: Expression = field(init=False, repr=False, compare=False)
    _warning: Expression = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        name, tags = parse_series(self.metric)
        healthy, warning = parse(self.aggregation + self.healthy), parse(self.aggregation + self.warning)
        if not _implies(healthy, warning):
            raise ExpressionError(
                f"band of {self.metric} {self.aggregation}: healthy {self.healthy} must be the stricter one of the two "
                f"and point the same way as warning {self.warning}"
            )
        object.__setattr__(self, "metric", series_text(name, tags))
        object.__setattr__(self, "aggregation", healthy.aggregation)
        object.__setattr__(self, "_healthy", healthy)
        object.__setattr__(self, "_warning", warning)

    def grade(self, value: float | None) -> Grade | None:
        """The grade of a value; None when there is none."""
        if value is None:
            return None
        if self._healthy.holds(value):
            return "healthy"
        return "warning" if self._warning.holds(value) else "critical"


def grade_of(bands: Iterable[Band], metric: str, aggregation: str, value: float | None) -> Grade | None:
    """The grade that the first band on this series and aggregation gives; None when no band is on it."""
    for band in bands:
        if (band.metric, band.aggregation) == (metric, aggregation):
            return band.grade(value)
    return None


def at_least(grade: Grade | None, floor: Grade) -> bool:
    """Whether a grade is as bad as `floor`, or worse."""
    return grade is not None and ORDER.index(grade) >= ORDER.index(floor)


def check_bands(bands: Iterable[Band], thresholds: Iterable[Threshold]) -> list[str]:
    """One sentence for every band that no threshold stands beside: its grade would be shown nowhere."""
    places = {(threshold.metric, threshold.expression.aggregation) for threshold in thresholds}
    return [
        f"band of {band.metric} {band.aggregation}: no threshold is on the same, so that its grade would be shown "
        f"nowhere; add one, such as {band.aggregation}{band.warning}"
        for band in bands
        if (band.metric, band.aggregation) not in places
    ]


def _implies(healthy: Expression, warning: Expression) -> bool:
    """Whether every value that satisfies `healthy` satisfies `warning`, for the pairs a table may hold."""
    exact = ("==", "===")
    if healthy.operator in exact:
        return warning.holds(healthy.limit)
    if warning.operator in exact or "!=" in (healthy.operator, warning.operator):
        return False
    if healthy.operator[0] != warning.operator[0]:
        return False
    if healthy.limit == warning.limit:
        # the limit itself may not be healthy without being a warning: `<=5` is wider than `<5`
        return not healthy.holds(healthy.limit) or warning.holds(healthy.limit)
    return (healthy.limit < warning.limit) == (healthy.operator[0] == "<")
