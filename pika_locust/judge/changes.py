"""Whether a figure of the runs after a change differs from that of the runs before by more than noise.

The unit is the run. Samples of one run share its machine, its minute and its queues; thousands of them say precisely
how that run was, and nothing about how far the next one is from it, however equal. So each run gives one `RunFigure`,
on a scale on which the noise is about the same everywhere (logarithms of times, the arc sine of shares), and how far
the runs of one side lie apart is the noise that a difference of the two sides is held against:

    t = (mean after - mean before) / (s sqrt(1/n before + 1/n after))

with s² pooled over both sides, and never below what the number of samples in a run alone leaves open (from order
statistics, see `judge.intervals`). With at least `LEAST_FREEDOM` degrees of freedom that is Student's test. With fewer,
the runs cannot say how far runs lie apart: then s is taken to be `ASSUMED_SPREAD`, or twice what they show if that is
more, so that only a large difference counts.

Many figures are compared at once, and each has its own chance to be off. Holm's step-down correction keeps the chance
that any at all is called a difference when there is none below `FALSE_ALARMS`, whatever depends on what. Thresholds are
corrected apart from all other figures, with half of it each, so that hundreds of other series do not blind them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pika_locust.judge.intervals import Z95, mean_interval, percentile_interval
from pika_locust.metrics.histogram import Histogram

FALSE_ALARMS = 0.01
"""How many comparisons of equal runs may show a difference anywhere."""
LEAST_FREEDOM = 4
"""Three runs a side."""
ASSUMED_SPREAD = 0.15
"""How far runs of the same lie apart, as a share of the figure, where there are too few of them to tell."""
OF_SHOWN = 2.0
"""Too few runs may lie close to each other by chance."""
_LEAST_LEVEL = 1e-12


@dataclass(frozen=True, slots=True)
class RunFigure:
    """One figure of one run, on the scale it is compared on.

    `variance` is what the run's number of samples leaves open of it; `spread` is `ASSUMED_SPREAD` on this scale.
    """

    value: float
    variance: float = 0.0
    spread: float = ASSUMED_SPREAD


def logarithm(value: float, low: float | None = None, high: float | None = None) -> RunFigure | None:
    """A positive figure (a time, a size), by its logarithm, with its 95 % interval where one is known.

    None for a value that is not positive and for an interval with an open side: too few samples.
    """
    if value <= 0:
        return None
    if low is None or high is None:
        return RunFigure(math.log(value))
    if low <= 0 or math.isinf(high):
        return None
    return RunFigure(math.log(value), (math.log(high / low) / 2 / Z95) ** 2)


def quantile(histogram: Histogram, q: float) -> RunFigure | None:
    """A percentile of one run; None where its samples are too few to bound it, or it is not positive."""
    if not histogram.count:
        return None
    return logarithm(histogram.quantile(q), *(percentile_interval(histogram, q) or ()))


def mean(histogram: Histogram) -> RunFigure | None:
    """The average of one run; None as for `quantile`."""
    return logarithm(histogram.mean, *(mean_interval(histogram) or ())) if histogram.count else None


def share(passes: int, n: int) -> RunFigure | None:
    """A share of one run, by the arc sine of its root: its sampling noise is the same for every share."""
    if n <= 0:
        return None
    angle = math.asin(math.sqrt(passes / n))
    rarer = min(angle, math.pi / 2 - angle)
    return RunFigure(angle, 1 / (4 * n), ASSUMED_SPREAD / 2 * math.tan(rarer))


def count(number: float, seconds: float) -> RunFigure | None:
    """How often something was counted per second in one run."""
    # Half a count more, so that nothing at all is a figure, too.
    return RunFigure(math.log((number + 0.5) / seconds), 1 / (number + 0.5)) if seconds > 0 else None


@dataclass(frozen=True, slots=True)
class Difference:
    """After less before, on the figures' own scale. `error` is the standard error of `value`, `freedom` the degrees of
    freedom it rests on; None: it rests on `ASSUMED_SPREAD`."""

    value: float
    error: float
    freedom: int | None

    @property
    def p(self) -> float:
        """How likely runs of the same would lie so far apart, or farther."""
        if self.value == 0:
            return 1.0
        return two_sided(math.inf if self.error == 0 else abs(self.value) / self.error, self.freedom)

    def detectable(self, level: float) -> float:
        """The smallest difference that would be called one at a level between 0 and 1."""
        low, high = 0.0, 1.0
        level = max(level, _LEAST_LEVEL)
        while two_sided(high, self.freedom) > level:
            high *= 2
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if two_sided(middle, self.freedom) > level else (low, middle)
        return high * self.error


def difference(before: Sequence[RunFigure], after: Sequence[RunFigure]) -> Difference:
    """How far the two sides lie apart, and how far they would by noise. Raises ValueError for a side without runs."""
    if not before or not after:
        raise ValueError("a comparison needs at least one run on each side")
    sides = [[figure.value for figure in side] for side in (before, after)]
    means = [math.fsum(side) / len(side) for side in sides]
    freedom = len(before) + len(after) - 2
    squares = math.fsum((value - average) ** 2 for side, average in zip(sides, means, strict=True) for value in side)
    runs = [*before, *after]
    shown = math.sqrt(squares / freedom) if freedom else 0.0
    sampling = math.fsum(figure.variance for figure in runs) / len(runs)
    if freedom >= LEAST_FREEDOM:
        variance = max(shown**2, sampling)
    else:
        spread = max(OF_SHOWN * shown, math.fsum(figure.spread for figure in runs) / len(runs))
        variance = spread**2 + sampling
    error = math.sqrt(variance * (1 / len(before) + 1 / len(after)))
    return Difference(means[1] - means[0], error, freedom if freedom >= LEAST_FREEDOM else None)


def holm(ps: Sequence[float], level: float, possible: int | None = None) -> list[bool]:
    """Which of several differences count, if at most `level` of all sets of none may have one that does (Holm, 1979).

    The smallest p must be below level / n, the next below level / (n - 1), and so on up to the first that is not.
    `possible` is n, where it is known that some could never have been one, whose p is 1 (Tarone, 1990).
    """
    of = len(ps) if possible is None else possible
    counts = [False] * len(ps)
    for rank, at in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        if rank >= of or ps[at] > level / (of - rank):
            break
        counts[at] = True
    return counts


def two_sided(t: float, freedom: int | None) -> float:
    """P(|T| > t) for Student's T (Abramowitz and Stegun, 26.7.3 and 26.7.4); for the normal one without `freedom`."""
    if freedom is None:
        return math.erfc(t / math.sqrt(2))
    if math.isinf(t):
        return 0.0
    angle = math.atan(t / math.sqrt(freedom))
    sine, squared = math.sin(angle), math.cos(angle) ** 2
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    terms = [term] if freedom > 1 else []
    for k in range(2 + odd, freedom - 1, 2):
        term *= squared * (k - 1) / k
        terms.append(term)
    inside = sine * math.fsum(terms)
    if odd:
        inside = 2 / math.pi * (angle + inside)
    return max(0.0, 1.0 - inside)
