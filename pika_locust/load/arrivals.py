"""Arrival rates (the open model): when each iteration is due, as k6's arrival-rate executors define it.

A schedule is computed from absolute offsets, so it cannot drift, and any of its arrivals can be looked up alone, so it
can be divided among workers without messages between them (`stripe`). How the times follow from the rates is in
`load.rate_curve`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor
from typing import Protocol

from pika_locust.load.durations import format_duration
from pika_locust.load.rate_curve import PoissonProcess, RateCurve


def stripe(total: int, index: int, count: int, first: int = 0) -> range:
    """From arrival `first` on, every `count`-th for worker `index` (from 0), as k6 stripes them over instances.

    A stripe is a `range` of arrival numbers: constant in size, and it can be walked and counted without being written
    out.

    Where workers change in the middle, all divide anew what comes from some arrival on: whoever had a stripe before
    keeps of it what is below.

    Raises ValueError for an index that is not below `count`.
    """
    if not 0 <= index < count:
        raise ValueError(f"there is no worker {index} of {count}; they are counted from 0")
    return range(first + index, total, count)


MIN_DURATION_S = 1.0
"""k6 refuses a constant arrival rate that is shorter."""


class ArrivalTimes(Protocol):
    """Which arrivals there are on a curve."""

    def due_s(self, number: int) -> float:
        """When arrival `number` (from 0) is due, in seconds from the start."""

    def count(self, until_s: float) -> int:
        """How many arrivals a schedule has that ends at `until_s`."""


@dataclass(frozen=True, slots=True)
class EvenArrivals:
    """Arrivals as even as the rate allows.

    `first` 1, as in k6's ramping-arrival-rate: arrival k is due when the integrated rate reaches k + 1, the first one
    after a whole gap, and one that falls on the very end still comes: floor(integral) in all. `first` 0, as in its
    constant-arrival-rate: arrival k is due when the integral reaches k, the first at 0, and one that falls on the very
    end does not come: ceil(integral) in all. Where the integral is a whole number, both come to that number.
    """

    curve: RateCurve
    first: int

    def due_s(self, number: int) -> float:
        return self.curve.reaches_s(number + self.first)

    def count(self, until_s: float) -> int:
        integral = self.curve.integral(until_s)
        return floor(integral) if self.first else ceil(integral)


@dataclass(frozen=True, slots=True)
class PoissonArrivals:
    """Arrivals of a Poisson process whose rate is the curve's; how many is random, too, with the integral as mean."""

    curve: RateCurve
    process: PoissonProcess

    def due_s(self, number: int) -> float:
        return self.curve.passes_s(self.process.position(number))

    def count(self, until_s: float) -> int:
        return self.process.count(float(self.curve.integral(until_s)))


class Schedule:
    """Arrivals 0 to `total` - 1 and when each is due, up to `duration_s` seconds."""

    __slots__ = ("_due_s", "curve", "duration_s", "times", "total")

    def __init__(self, curve: RateCurve, times: ArrivalTimes, duration_s: float) -> None:
        self.curve = curve
        self.times = times
        self.duration_s = duration_s
        self.total = times.count(duration_s)
        self._due_s = times.due_s

    def due_s(self, number: int) -> float:
        """When arrival `number` is due, in seconds from the start. Raises IndexError when there is no such arrival."""
        if not 0 <= number < self.total:
            raise IndexError(f"there is no arrival {number}: they go from 0 to {self.total - 1}")
        return self._due_s(number)

    def stripe(self, index: int, count: int) -> Iterator[tuple[int, float]]:
        """Number and due time of the arrivals index, index + count, …: the part of worker `index` of `count`."""
        return self.walk(stripe(self.total, index, count))

    def walk(self, numbers: range) -> Iterator[tuple[int, float]]:
        """Number and due time of the arrivals of a `stripe`, in the order they are due."""
        due_s = self._due_s
        return ((number, due_s(number)) for number in numbers)

    def cut(self, duration_s: float) -> Schedule:
        """The same schedule, ended at `duration_s` seconds (`-t`): what is left keeps its numbers and times."""
        return Schedule(self.curve, self.times, min(duration_s, self.duration_s))

    def count(self, until_s: float) -> int:
        """How many arrivals there are until `until_s` seconds, counted as if the schedule ended there."""
        return self.times.count(min(until_s, self.duration_s))

    def stage_counts(self) -> tuple[int, ...]:
        """How many arrivals each stage has. They add up to `total`."""
        counts = [0, *(self.count(end_s) for end_s in self.curve.ends_s)]
        return tuple(after - before for before, after in pairwise(counts))

    def stretches(self) -> Iterator[Stretch]:
        """The stages that last any time, the last one as far as the schedule goes. Their arrivals add up to `total`."""
        begin_s = 0.0
        stages = zip(self.curve.ends_s, self.curve.stage_rates, self.stage_counts(), strict=True)
        for end_s, (first, last), arrivals in stages:
            until_s = min(end_s, self.duration_s)
            if until_s > begin_s:
                last = last if until_s == end_s else self.curve.rate(until_s)
                yield Stretch(until_s - begin_s, first, last, arrivals)
            begin_s = end_s


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stage of a schedule, or what a cut has left of it; rates are arrivals a second."""

    duration_s: float
    first_rate: float
    last_rate: float
    arrivals: int


@dataclass(frozen=True, slots=True)
class ArrivalStage:
    """Within `duration_s` seconds the rate goes in a straight line to `rate_target`. No duration is a jump."""

    duration_s: float
    rate_target: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantArrivalRate:
    """k6's constant-arrival-rate: `rate` iterations per `time_unit_s` seconds begin, for `duration_s` seconds."""

    rate: float
    duration_s: float
    time_unit_s: float = 1.0
    pre_allocated_vus: int
    max_vus: int | None = None
    """None: as many as are pre-allocated."""

    @property
    def curve(self) -> RateCurve:
        """The rate over time."""
        return RateCurve(self.rate, [(self.duration_s, self.rate)], self.time_unit_s)

    def problems(self) -> list[str]:
        """Everything that k6 would refuse, too, one sentence each."""
        found = [] if self.rate > 0 else [f"rate must be above 0, got {self.rate:g}"]
        if self.duration_s < MIN_DURATION_S:
            found.append(f"duration must be at least {MIN_DURATION_S:g} s, got {self.duration_s:g} s")
        return found + _shared_problems(self.time_unit_s, self.pre_allocated_vus, self.max_vus)

    def schedule(self, poisson_seed: int | None = None) -> Schedule:
        """When its iterations are due; evenly, or at random when there is a seed, which all workers must share."""
        return _schedule(self.curve, 0, poisson_seed)

    def describe(self) -> str:
        """One line: `constant arrival rate: 10/s for 2m (50 to 200 users)`."""
        rate = _per(self.rate, self.time_unit_s)
        return f"constant arrival rate: {rate} for {format_duration(self.duration_s)} ({_vus(self)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RampingArrivalRate:
    """k6's ramping-arrival-rate: iterations begin at a rate that goes from `start_rate` along the stages.

    Rates are iterations per `time_unit_s` seconds.
    """

    stages: tuple[ArrivalStage, ...]
    start_rate: float = 0
    time_unit_s: float = 1.0
    pre_allocated_vus: int
    max_vus: int | None = None
    """None: as many as are pre-allocated."""

    @property
    def curve(self) -> RateCurve:
        """The rate over time."""
        pairs = [(stage.duration_s, stage.rate_target) for stage in self.stages]
        return RateCurve(self.start_rate, pairs, self.time_unit_s)

    def problems(self) -> list[str]:
        """Everything that k6 would refuse, too, one sentence each."""
        found = [] if self.start_rate >= 0 else [f"start rate must not be below 0, got {self.start_rate:g}"]
        if not self.stages:
            found.append("there must be at least one stage")
        for number, stage in enumerate(self.stages, 1):
            if stage.duration_s < 0:
                found.append(f"stage {number} cannot last {stage.duration_s:g} s")
            if stage.rate_target < 0:
                found.append(f"stage {number} cannot lead to a rate of {stage.rate_target:g}")
        return found + _shared_problems(self.time_unit_s, self.pre_allocated_vus, self.max_vus)

    def schedule(self, poisson_seed: int | None = None) -> Schedule:
        """When its iterations are due; evenly, or at random when there is a seed, which all workers must share."""
        return _schedule(self.curve, 1, poisson_seed)

    def describe(self) -> str:
        """One line: `ramping arrival rate: 20/s, 1m → 400/s, 2m at 400/s, 1m → 0/s (800 to 1200 users)`."""
        parts = [_per(self.start_rate, self.time_unit_s)]
        before = self.start_rate
        for stage in self.stages:
            verb = "at" if stage.rate_target == before else "→"
            parts.append(f"{format_duration(stage.duration_s)} {verb} {_per(stage.rate_target, self.time_unit_s)}")
            before = stage.rate_target
        return f"ramping arrival rate: {', '.join(parts)} ({_vus(self)})"


ArrivalRate = ConstantArrivalRate | RampingArrivalRate


def _schedule(curve: RateCurve, first: int, poisson_seed: int | None) -> Schedule:
    times = EvenArrivals(curve, first) if poisson_seed is None else PoissonArrivals(curve, PoissonProcess(poisson_seed))
    return Schedule(curve, times, curve.duration_s)


def _shared_problems(time_unit_s: float, pre_allocated_vus: int, max_vus: int | None) -> list[str]:
    found = [] if time_unit_s > 0 else [f"the time unit must be above 0, got {time_unit_s:g} s"]
    if pre_allocated_vus < 0:
        found.append(f"pre-allocated VUs must not be below 0, got {pre_allocated_vus}")
    if max_vus is not None and max_vus < pre_allocated_vus:
        found.append(f"max VUs ({max_vus}) must not be below the pre-allocated ones ({pre_allocated_vus})")
    return found


def _per(rate: float, time_unit_s: float) -> str:
    return f"{rate:g}/s" if time_unit_s == 1 else f"{rate:g}/{format_duration(time_unit_s)}"


def _vus(load: ArrivalRate) -> str:
    least, most = load.pre_allocated_vus, load.max_vus
    return f"{least} users" if most is None or most == least else f"{least} to {most} users"
