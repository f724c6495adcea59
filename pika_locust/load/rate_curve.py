"""A piecewise linear arrival rate, its integral and inverse; Poisson arrivals along it."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from math import ceil, cos, floor, log, log1p, pi, sqrt
from typing import NamedTuple

from pika_locust.load.rng import SeededRandom

BLOCK = 1024


class PoissonProcess:
    """A Poisson process of rate one, any stretch of which can be looked up; the same for the same seed on every worker.

    Read along an integrated rate, it is a Poisson process of that rate: its k-th arrival comes when the integral
    reaches `position(k)` (the time-change theorem).

    The gaps are independent exponentials, so position k is a sum of k + 1 of them. Adding them one by one would make
    every worker walk through everybody's arrivals from the start. But BLOCK gaps together are gamma-distributed (shape
    BLOCK), and given their sum, the arrivals inside lie in it like sorted uniform numbers. So the blocks' sums are
    drawn first, cheaply, each from a seed of its own, and a block's inside only when somebody looks at it.
    """

    __slots__ = ("_block", "_inside", "_seed", "_starts")

    def __init__(self, *seed: int) -> None:
        self._seed = seed
        self._starts = array("d", (0.0,))
        """Where each block begins, as far as anybody has looked; 8 bytes a block."""
        self._block = -1
        self._inside = array("d")

    def position(self, number: int) -> float:
        """Where arrival `number` (from 0) lies."""
        block, within = divmod(number, BLOCK)
        if block != self._block:
            self._look_into(block)
        return self._inside[within]

    def count(self, until: float) -> int:
        """How many arrivals lie at or before `until`."""
        while self._starts[-1] <= until:
            self._next_block()
        block = bisect_right(self._starts, until) - 1
        self._look_into(block)
        return block * BLOCK + bisect_right(self._inside, until)

    def _look_into(self, block: int) -> None:
        while len(self._starts) < block + 2:
            self._next_block()
        start, end = self._starts[block], self._starts[block + 1]
        roll = SeededRandom(*self._seed, block, 1).random
        self._inside = array("d", sorted([start + (end - start) * roll() for _ in range(BLOCK - 1)]))
        self._inside.append(end)
        self._block = block

    def _next_block(self) -> None:
        dice = SeededRandom(*self._seed, len(self._starts) - 1, 0)
        self._starts.append(self._starts[-1] + _gamma(BLOCK, dice))


def _gamma(shape: int, dice: SeededRandom) -> float:
    """A gamma-distributed number (Marsaglia, Tsang: A Simple Method for Generating Gamma Variables, ACM TOMS 2000)."""
    d = shape - 1 / 3
    c = 1 / sqrt(9 * d)
    while True:
        x = sqrt(-2 * log1p(-dice.random())) * cos(2 * pi * dice.random())
        v = (1 + c * x) ** 3
        if v > 0 and log1p(-dice.random()) < x * x / 2 + d - d * v + d * log(v):
            return d * v


NS = 1_000_000_000


class Line(NamedTuple):
    """One stage, seen from that end at which its rate is lower.

    `ahead` is 1 when that end is the stage's beginning, -1 when it is its end. The integral there is the whole number
    `base` minus (`ahead` 1) or plus (-1) the fraction `rest`, so that the distance to a target is a sum of two numbers
    of one sign and loses no digits.
    """

    begin_s: float
    end_s: float
    ahead: int
    base: int
    rest: float
    rate: float
    """Arrivals a second at that end."""
    slope: float
    """How much the rate rises in a second away from that end; never negative."""

    def reaches_s(self, target: float) -> float:
        """When the integral is `target`, which must lie on this line; see RateCurve for the formula."""
        begin_s, end_s, ahead, base, rest, rate, slope = self
        n = ahead * (target - base) + rest
        if n <= 0:
            return begin_s if ahead > 0 else end_s
        speed = rate + sqrt(rate * rate + 2 * n * slope)
        # So small an n that its square root is of nothing: the line has only just begun.
        x = 2 * n / speed if speed else 0.0
        at_s = begin_s + x if ahead > 0 else end_s - x
        # The last bit must not take it out of its stage, nor behind an arrival of the next.
        return begin_s if at_s < begin_s else end_s if at_s > end_s else at_s


class RateCurve:
    """Expected arrivals, as a function of time and back.

    In a stage of d seconds whose rate goes from a to b, with s = (b - a) / d, x seconds after its beginning the rate is
    a + s·x, so the integral has grown by

        n = a·x + s·x²/2

    and the x at which it has grown by n is the root of a quadratic equation, written so that nothing cancels:

        x = (-a + √(a² + 2·s·n)) / s = 2·n / (a + √(a² + 2·s·n))

    which holds for s = 0, too (x = n / a). For a falling rate 2·s·n is negative, and near the end of a ramp to 0 the
    difference under the root has few digits left: up to 44 µs went wrong in a ramp of an hour. So a falling stage is
    counted backwards from its end, as a rising one: with n still to come, 2·n / (b + √(b² - 2·s·n)) seconds are left.

    Times are kept as whole nanoseconds and rates as fractions, so the integral at the stages' ends is exact; what
    follows from it (how many arrivals there are, in which stage each falls) is exact, too. Only the root is a float.
    """

    __slots__ = ("_areas", "_ends_ns", "_integrals", "_lasts", "_lines", "_rates")

    def __init__(self, start_rate: float, stages: Iterable[tuple[float, float]], time_unit_s: float = 1.0) -> None:
        """`stages` are pairs of duration in seconds and rate at the end; rates are arrivals per `time_unit_s`."""
        unit_ns = _nanoseconds(time_unit_s)
        self._rates = [_exact(start_rate) / unit_ns]
        """Arrivals a nanosecond, at the beginning and at the end of every stage."""
        self._ends_ns = [0]
        self._integrals = [Fraction(0)]
        for duration_s, rate in stages:
            duration_ns = _nanoseconds(duration_s)
            self._rates.append(_exact(rate) / unit_ns)
            self._ends_ns.append(self._ends_ns[-1] + duration_ns)
            mean = (self._rates[-2] + self._rates[-1]) / 2
            self._integrals.append(self._integrals[-1] + mean * duration_ns)
        self._lines = [self._line(stage) for stage in range(len(self._ends_ns) - 1)]
        self._lasts = [floor(integral) for integral in self._integrals[1:]]
        self._areas = [float(integral) for integral in self._integrals[1:]]

    def _line(self, stage: int) -> Line:
        (begin_ns, end_ns), (a, b) = self._ends_ns[stage : stage + 2], self._rates[stage : stage + 2]
        before, after = self._integrals[stage : stage + 2]
        slope = float(abs(b - a) / (end_ns - begin_ns) * NS * NS) if end_ns > begin_ns else 0.0
        if a <= b:
            base, ahead, rest, rate = ceil(before), 1, ceil(before) - before, a
        else:
            base, ahead, rest, rate = floor(after), -1, after - floor(after), b
        return Line(begin_ns / NS, end_ns / NS, ahead, base, float(rest), float(rate * NS), slope)

    @property
    def duration_s(self) -> float:
        """When the last stage ends."""
        return self._ends_ns[-1] / NS

    @property
    def ends_s(self) -> tuple[float, ...]:
        """When each stage ends."""
        return tuple(end_ns / NS for end_ns in self._ends_ns[1:])

    @property
    def stage_rates(self) -> tuple[tuple[float, float], ...]:
        """Arrivals a second at the beginning and at the end of each stage."""
        return tuple(pairwise(float(rate * NS) for rate in self._rates))

    @property
    def peak(self) -> float:
        """The highest rate, in arrivals a second. Stages that last no time do not count."""
        sides = zip(pairwise(self._ends_ns), pairwise(self._rates), strict=True)
        return float(max((max(rates) for (begin, end), rates in sides if end > begin), default=Fraction(0)) * NS)

    def integral(self, at_s: float) -> Fraction:
        """Expected arrivals until `at_s`, exactly; what it is at the end for any later time."""
        stage, x = self._locate(at_s)
        if x is None:
            return self._integrals[-1]
        a, b = self._rates[stage : stage + 2]
        return self._integrals[stage] + a * x + (b - a) * x * x / (2 * self._length_ns(stage))

    def rate(self, at_s: float) -> float:
        """Arrivals a second at `at_s`; 0 after the end."""
        stage, x = self._locate(at_s)
        if x is None:
            return 0.0
        a, b = self._rates[stage : stage + 2]
        return float((a + (b - a) * x / self._length_ns(stage)) * NS)

    def _locate(self, at_s: float) -> tuple[int, int | None]:
        """The stage in which a time lies, and nanoseconds since its beginning; None for a time after the end."""
        at_ns = max(0, _nanoseconds(at_s))
        for stage, (begin_ns, end_ns) in enumerate(pairwise(self._ends_ns)):
            if at_ns < end_ns:
                return stage, at_ns - begin_ns
        return -1, None

    def _length_ns(self, stage: int) -> int:
        return self._ends_ns[stage + 1] - self._ends_ns[stage]

    def reaches_s(self, count: int) -> float:
        """The first time at which the integral is the whole number `count`. Raises IndexError when it never is."""
        return self._lines[bisect_left(self._lasts, count)].reaches_s(count)

    def passes_s(self, area: float) -> float:
        """The same for any number, without the exactness at the stages' ends. Raises IndexError."""
        return self._lines[bisect_left(self._areas, area)].reaches_s(area)


def _nanoseconds(seconds: float) -> int:
    """k6's durations have this resolution, too; a float such as 0.3 becomes what was meant."""
    return round(seconds * NS)


def _exact(rate: float) -> Fraction:
    """The number as it is written: 0.1 is one tenth."""
    return Fraction(rate) if isinstance(rate, int) else Fraction(str(rate))
