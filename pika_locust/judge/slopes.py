"""Slopes: how fast a level, or the median of a time, grows per minute while the load is held.

A leak and a server that becomes slower do not show in a percentile of a short run; they show in what is the same load
minute after minute. So a slope looks at `Hold`s alone: ramps are left out, and so is the time at the beginning of each
hold in which a server settles (caches fill, pools grow, code is compiled).

Memory grows in steps and now and then a probe is late, so the line is Theil's and Sen's: the median of the slopes
between all pairs of readings, which a quarter of wild readings does not move. Pairs lie within one hold; several holds,
each at a level of its own, share one slope.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pika_locust.judge.intervals import Z95, Interval
from pika_locust.load.stages import Hold
from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import Metric
from pika_locust.metrics.values import GaugeValue, Value

MIN_HOLD_S = 60.0
"""A load must be held for so long; half of it, and a quarter of a longer hold, is left to the server to settle."""
SETTLING_SHARE = 0.25
MIN_READINGS = 4
MOST_READINGS = 64
"""More say little more, and every pair of them is looked at, again and again while the test runs."""
EVERY_S = 4.0
"""From one reading to the next, at least; twice as long when there are too many."""
MOST_CORRELATED = 0.95
PER_MINUTE = 60.0

Line = Sequence[tuple[float, float]]
"""Pairs of a time in seconds and a value, in order."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A level at one moment, or the median of what came in a window."""

    from_s: float
    to_s: float
    value: float


@dataclass(frozen=True, slots=True)
class Slope:
    """How fast something grew, per minute and in its reported unit, with a 95 % interval; or why nobody knows."""

    per_minute: float | None = None
    interval: Interval | None = None
    readings: int = 0
    held_s: float = 0.0
    """How long the load was held that the slope rests on, without the time to settle."""
    too_short: bool = False
    """Whether the load was not held for long enough."""
    why: str = ""
    """Why there is no slope, where there are samples: a clause."""


class SlopeTracker:
    """Takes readings of one metric while the run goes on, and fits the slope.

    Feed it the cumulative value of its series every few seconds, as `WindowTracker`. A gauge is read as the level that
    it has; one that only keeps its peak will do, for whatever leaks reaches a new peak all the time. A trend is read as
    the median of what came since the reading before.
    """

    def __init__(self, metric: Metric, min_hold_s: float = MIN_HOLD_S) -> None:
        if not min_hold_s > 0:
            raise ValueError(f"a load that is held needs some length, not {min_hold_s} s")
        self._scale = metric.scale
        self._min_hold_s = min_hold_s
        self._every_s = EVERY_S
        self._now_s = 0.0
        self._last: tuple[float, Value] | None = None
        self._readings: list[Reading] = []

    def observe(self, at_s: float, value: Value | None, holds: Iterable[Hold]) -> None:
        """Take in the cumulative value at `at_s` seconds. It is kept: the caller may not change it afterwards."""
        self._now_s = at_s
        if value is None or not value.samples or not any(hold.from_s <= at_s <= hold.to_s for hold in holds):
            return
        last_s, last = self._last or (-math.inf, None)
        if at_s - last_s < self._every_s or (last is not None and value.samples == last.samples):
            return
        self._last = at_s, value
        if isinstance(value, GaugeValue):
            self._readings.append(Reading(at_s, at_s, value.value / self._scale))
        elif isinstance(value, Histogram) and last is not None:
            self._readings.append(Reading(last_s, at_s, value.minus(last).quantile(0.5) / self._scale))
        if len(self._readings) > MOST_READINGS:
            self._readings = self._readings[::2]
            self._every_s *= 2

    def end(self, at_s: float) -> None:
        """The load ended at `at_s` seconds: it was held no longer."""
        self._now_s = at_s

    def fit(self, holds: Iterable[Hold] | None) -> Slope:
        """The slope so far, over the holds that lasted for long enough. None: nobody knows when the load is held."""
        if holds is None:
            return Slope(too_short=True, why="it is not known when the load was held")
        held = [Hold(hold.from_s, min(hold.to_s, self._now_s)) for hold in holds]
        held = [hold for hold in held if hold.to_s - hold.from_s >= self._min_hold_s]
        if not held:
            return Slope(too_short=True, why=f"the load was never held for {_length(self._min_hold_s)}")
        settled = [Hold(hold.from_s + self._settling_s(hold), hold.to_s) for hold in held]
        groups = [self._line(hold) for hold in settled]
        readings = sum(len(group) for group in groups if len(group) > 1)
        held_s = math.fsum(hold.to_s - hold.from_s for hold in settled)
        found = theil_sen(groups) if readings >= MIN_READINGS else None
        if found is None:
            few = f"there were fewer than {MIN_READINGS} readings while the load was held"
            return Slope(held_s=held_s, why=few if self._last is not None else "")
        slope, (low, high) = found
        return Slope(slope * PER_MINUTE, (low * PER_MINUTE, high * PER_MINUTE), readings, held_s)

    def _settling_s(self, hold: Hold) -> float:
        return max(self._min_hold_s / 2, (hold.to_s - hold.from_s) * SETTLING_SHARE)

    def _line(self, hold: Hold) -> Line:
        inside = [reading for reading in self._readings if hold.from_s <= reading.from_s and reading.to_s <= hold.to_s]
        return [((reading.from_s + reading.to_s) / 2, reading.value) for reading in inside]


def theil_sen(groups: Iterable[Line]) -> tuple[float, Interval] | None:
    """The slope that all groups share, per second, and its 95 % interval; None without two readings in one group.

    The interval is Sen's (1968): the order statistics of the pairs' slopes between which Kendall's S would be no
    surprise. Readings of a level depend on each other, so the standard deviation of S grows by the root of
    (1 + r) / (1 - r), where r is the correlation of neighbouring residuals, with its bias in short series taken off.
    Where that is beyond all pairs, it is the distance of the independent interval's end that grows so. An end is
    infinite where the readings, were they independent, would leave it open.
    """
    groups = [group for group in groups if len(group) > 1]
    slopes = sorted(
        (later - earlier) / (to_s - from_s)
        for group in groups
        for i, (from_s, earlier) in enumerate(group)
        for to_s, later in group[i + 1 :]
        if to_s > from_s
    )
    if not slopes:
        return None
    slope = median(slopes)
    variance = math.fsum(n * (n - 1) * (2 * n + 5) / 18 for n in map(len, groups))
    half = Z95 * math.sqrt(variance)
    r = _correlation(groups, slope)
    wider = math.sqrt((1 + r) / (1 - r))
    low, high = _order_statistics(slopes, half * wider)
    if math.isinf(low) or math.isinf(high):
        least, most = _order_statistics(slopes, half)
        low = max(low, min(slopes[0], slope - wider * (slope - least)))
        high = min(high, max(slopes[-1], slope + wider * (most - slope)))
    return slope, (low, high)


def _order_statistics(slopes: Sequence[float], half: float) -> Interval:
    """The slopes that stand half so many ranks below and above the median; infinite where there is none."""
    lower, upper = math.floor((len(slopes) - half) / 2), math.ceil((len(slopes) + half) / 2)
    return slopes[lower - 1] if lower >= 1 else -math.inf, slopes[upper] if upper < len(slopes) else math.inf


def _correlation(groups: Iterable[Line], slope: float) -> float:
    """The correlation of neighbouring residuals, from 0 to `MOST_CORRELATED`."""
    products, squares, count = [], [], 0
    for group in groups:
        raw = [value - slope * at_s for at_s, value in group]
        mean = math.fsum(raw) / len(raw)
        rest = [value - mean for value in raw]
        products += [one * other for one, other in pairwise(rest)]
        squares += [one * one for one in rest]
        count += len(rest)
    total = math.fsum(squares)
    if total == 0:
        return 0.0
    r = math.fsum(products) / total
    # A fitted line takes some of the correlation away: about (2 + 4r) / n of it.
    return min(MOST_CORRELATED, max(0.0, (count * r + 2) / max(1, count - 4)))


def _length(seconds: float) -> str:
    return "a minute" if seconds == MIN_HOLD_S else f"{seconds:g} s"
