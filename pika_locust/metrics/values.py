"""The accumulated value of a series, one type for each metric kind.

    merge(other)     take in the samples of another value of the same kind, in place
    minus(earlier)   the samples added since an earlier copy: a window of a cumulative value
    samples          how many samples it rests on; 0 means that every other number in it says nothing
    copy, to_wire, from_wire

Merging is commutative and associative, and exact for whole numbers. Counters and gauges of floats are exact to the
rounding of a float sum. The value type of a trend is `Histogram`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pika_locust.metrics import plain
from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import GaugeMerge, Kind, Metric


@dataclass(slots=True)
class CounterValue:
    """A sum that only grows."""

    count: int | float = 0

    @property
    def samples(self) -> int:
        """The count itself, rounded up: a counter does not remember in how many steps it got there."""
        return math.ceil(self.count)

    def merge(self, other: Value) -> None:
        self.count += _same(self, other).count

    def minus(self, earlier: Value) -> CounterValue:
        """What was counted since `earlier`. Raises `ValueError` when that is the larger of the two."""
        return CounterValue(_grown("counter", self.count, _same(self, earlier).count))

    def copy(self) -> CounterValue:
        return CounterValue(self.count)

    def to_wire(self) -> list[Any]:
        return [self.count]

    @classmethod
    def from_wire(cls, wire: Sequence[Any]) -> CounterValue:
        (count,) = plain.items(wire)
        if plain.number(count) < 0:
            raise ValueError(f"{count!r} is below zero, and counters only grow")
        return cls(count)


@dataclass(slots=True)
class GaugeValue:
    """A level, and the lowest and highest it was set to. All zero, and meaningless, while `samples` is 0.

    How two levels become one is in `mode`, so that a value read from a wire knows it. "sum": value, min and max are
    each added; min and max then are bounds, as the processes' extremes need not coincide. "max" and "min": value is
    the larger or the smaller, min and max span both.
    """

    value: int | float = 0
    min: int | float = 0
    max: int | float = 0
    samples: int = 0
    """How often the level was set."""
    mode: GaugeMerge = "sum"

    def set(self, value: int | float) -> None:
        """Note that the level is now `value`. Raises `ValueError` for infinity and NaN."""
        if not math.isfinite(value):
            raise ValueError(f"a gauge takes finite numbers, not {value!r}")
        if not self.samples or value < self.min:
            self.min = value
        if not self.samples or value > self.max:
            self.max = value
        self.value = value
        self.samples += 1

    def merge(self, other: Value) -> None:
        theirs = _same(self, other)
        if theirs.mode != self.mode:
            raise ValueError(f"a gauge that merges by {self.mode} does not go together with one by {theirs.mode}")
        if not theirs.samples:
            return
        if not self.samples:
            self.value, self.min, self.max = theirs.value, theirs.min, theirs.max
        elif self.mode == "sum":
            self.value += theirs.value
            self.min += theirs.min
            self.max += theirs.max
        else:
            pick = max if self.mode == "max" else min
            self.value = pick(self.value, theirs.value)
            self.min = min(self.min, theirs.min)
            self.max = max(self.max, theirs.max)
        self.samples += theirs.samples

    def minus(self, earlier: Value) -> GaugeValue:
        """The level now, and what is known of its extremes since `earlier`.

        An extreme that moved since then was reached since then; of one that did not move, only the levels at both ends
        are known. A gauge that nobody set in between keeps its level and has no samples.
        """
        before = _same(self, earlier)
        samples = int(_grown("gauge", self.samples, before.samples))
        if not before.samples:
            return self.copy()
        return GaugeValue(
            self.value,
            self.min if self.min < before.min else min(self.value, before.value),
            self.max if self.max > before.max else max(self.value, before.value),
            samples,
            self.mode,
        )

    def copy(self) -> GaugeValue:
        return replace(self)

    def to_wire(self) -> list[Any]:
        return [self.value, self.min, self.max, self.samples, self.mode]

    @classmethod
    def from_wire(cls, wire: Sequence[Any]) -> GaugeValue:
        value, low, high, samples, mode = plain.items(wire)
        if mode not in ("sum", "max", "min"):
            raise ValueError(f"a gauge merges by sum, max or min, not by {plain.shown(mode)}")
        if plain.number(low) > plain.number(high):
            raise ValueError(f"the lowest level, {low!r}, is above the highest, {high!r}")
        return cls(plain.number(value), low, high, plain.count(samples), mode)


@dataclass(slots=True)
class RateValue:
    """Passes and fails among attempts."""

    passes: int = 0
    fails: int = 0

    @property
    def samples(self) -> int:
        return self.passes + self.fails

    @property
    def rate(self) -> float:
        """The share of passes. Raises `ValueError` without attempts: no data is never a number."""
        if not self.samples:
            raise ValueError("a rate without samples has no value: ask for its samples first")
        return self.passes / self.samples

    def merge(self, other: Value) -> None:
        theirs = _same(self, other)
        self.passes += theirs.passes
        self.fails += theirs.fails

    def minus(self, earlier: Value) -> RateValue:
        """The attempts since `earlier`. Raises `ValueError` when that one has more."""
        before = _same(self, earlier)
        return RateValue(
            int(_grown("rate", self.passes, before.passes)),
            int(_grown("rate", self.fails, before.fails)),
        )

    def copy(self) -> RateValue:
        return RateValue(self.passes, self.fails)

    def to_wire(self) -> list[Any]:
        return [self.passes, self.fails]

    @classmethod
    def from_wire(cls, wire: Sequence[Any]) -> RateValue:
        passes, fails = plain.items(wire)
        return cls(plain.count(passes), plain.count(fails))


Value = CounterValue | GaugeValue | RateValue | Histogram
"""Any of the value types."""
_Own = TypeVar("_Own", CounterValue, GaugeValue, RateValue)


def empty_value(metric: Metric) -> Value:
    """The value of a metric that has no samples: what merging starts from."""
    match metric.kind:
        case Kind.COUNTER:
            return CounterValue()
        case Kind.GAUGE:
            return GaugeValue(mode=metric.merge)
        case Kind.RATE:
            return RateValue()
        case Kind.TREND:
            return Histogram()


def value_from_wire(kind: Kind, wire: Any) -> Value:
    """What the `to_wire` of a value of this kind made, a value again. Raises `ValueError` for anything else."""
    try:
        match kind:
            case Kind.COUNTER:
                return CounterValue.from_wire(wire)
            case Kind.GAUGE:
                return GaugeValue.from_wire(wire)
            case Kind.RATE:
                return RateValue.from_wire(wire)
            case Kind.TREND:
                return Histogram.from_wire(wire)
    except (TypeError, ValueError) as error:
        raise ValueError(f"not the wire form of a {kind} ({error}): {plain.shown(wire)}") from error


def _same(own: _Own, other: Value) -> _Own:
    if not isinstance(other, type(own)):
        raise TypeError(f"a {type(own).__name__} goes together with its own kind only, not with {type(other).__name__}")
    return other


def _grown(what: str, later: float, earlier: float) -> float:
    difference = later - earlier
    if difference >= 0:
        return difference
    if isinstance(difference, float) and math.isclose(later, earlier, rel_tol=1e-9):
        return 0.0  # floats folded in another order differ in their last digits
    raise ValueError(f"cannot subtract: the earlier {what} holds more ({earlier}) than the later one ({later})")
