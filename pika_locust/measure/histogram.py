"""A distribution in constant memory: sparse log-linear buckets (see `buckets`), merged and subtracted exactly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pika_locust.measure.buckets import HIGHEST, LOWEST, bucket_index
from pika_locust.measure.contents import HistogramData
from pika_locust.measure.ranking import SortedBuckets

if TYPE_CHECKING:
    from pika_locust.measure.values import Value


class Histogram:
    """Samples of one trend: exact count, total, minimum and maximum; percentiles within 0.1 % of the sample value.

    Statistics of an empty histogram raise `ValueError`: no data is never a number. Ask `count` first. Reading while
    other greenlets add is safe: no method hands over control half-way.
    """

    __slots__ = ("_buckets", "_high", "_low", "_maximum", "_minimum", "overflow", "total", "underflow")

    total: int
    """Exact sum of all values."""
    underflow: int
    """How many values were below `LOWEST`."""
    overflow: int
    """How many values were above `HIGHEST`."""

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._buckets: defaultdict[int, int] = defaultdict(int)
        self.total = 0
        self.underflow = 0
        self.overflow = 0
        self._minimum: int | None = None
        self._maximum: int | None = None
        # Everything from _low to _high is an ordinary sample: in the expected range, neither a new minimum nor a new
        # maximum. One comparison then decides whether `add` has anything else to look after.
        self._low = LOWEST
        self._high = LOWEST - 1
        self.add_all(values)

    @classmethod
    def from_buckets(
        cls,
        buckets: Mapping[int, int],
        total: int,
        minimum: int | None,
        maximum: int | None,
        underflow: int = 0,
        overflow: int = 0,
    ) -> Histogram:
        """Put a histogram together from its parts: counts by bucket index, and what is known exactly."""
        made = cls()
        made._buckets.update((index, count) for index, count in buckets.items() if count)
        made.total, made.underflow, made.overflow = total, underflow, overflow
        made._set_extremes(minimum, maximum)
        return made

    def add(self, value: int) -> None:
        """Count one value. No number is refused: values outside the expected range are kept and counted apart, too.

        Raises `TypeError` for anything but an `int`.
        """
        if self._low <= value <= self._high:
            try:
                shift = value.bit_length() - 10
            except AttributeError:
                raise _not_whole(value) from None
            if shift > 0:
                self._buckets[(shift << 9) + (value >> shift)] += 1
            else:
                self._buckets[value] += 1
            self.total += value
        else:
            self._add_unusual(value)

    def add_all(self, values: Iterable[int]) -> None:
        """`add` for many values at half the price."""
        low, high, buckets, total = self._low, self._high, self._buckets, 0
        try:
            for value in values:
                if low <= value <= high:
                    try:
                        shift = value.bit_length() - 10
                    except AttributeError:
                        raise _not_whole(value) from None
                    buckets[(shift << 9) + (value >> shift) if shift > 0 else value] += 1
                    total += value
                else:
                    self._add_unusual(value)
                    low, high = self._low, self._high
        finally:
            self.total += total

    def _add_unusual(self, value: int) -> None:
        if not isinstance(value, int):
            raise _not_whole(value)
        self._buckets[bucket_index(value)] += 1
        self.total += value
        self.underflow += value < LOWEST
        self.overflow += value > HIGHEST
        self._set_extremes(
            value if self._minimum is None else min(value, self._minimum),
            value if self._maximum is None else max(value, self._maximum),
        )

    def _set_extremes(self, minimum: int | None, maximum: int | None) -> None:
        self._minimum, self._maximum = minimum, maximum
        if minimum is not None and maximum is not None:
            self._low = max(minimum, LOWEST)
            self._high = min(maximum, HIGHEST)

    # Reading

    @property
    def buckets(self) -> dict[int, int]:
        """Counts by bucket index, as a copy."""
        return dict(self._buckets)

    @property
    def count(self) -> int:
        return sum(self._buckets.values())

    @property
    def samples(self) -> int:
        """How many samples there are; every value type answers to this name."""
        return self.count

    @property
    def minimum(self) -> int:
        if self._minimum is None:
            raise _nothing("minimum")
        return self._minimum

    @property
    def maximum(self) -> int:
        if self._maximum is None:
            raise _nothing("maximum")
        return self._maximum

    @property
    def mean(self) -> float:
        count = self.count
        if not count:
            raise _nothing("mean")
        return self.total / count

    def quantile(self, q: float) -> float:
        """The value below which the share `q` (0 to 1) of the samples lies, in the unit of the samples.

        Interpolated linearly between the two ranks around q * (count - 1), as k6 and NumPy's default do. Exact for
        0 and 1. Raises `ValueError` when there are no samples or `q` is out of range.
        """
        return self.quantiles((q,))[0]

    def quantiles(self, qs: Iterable[float]) -> list[float]:
        """`quantile` for several shares at once, which sorts the buckets only once."""
        ranking = self._ranking()
        return [ranking.quantile(q) for q in qs]

    def value_at_rank(self, rank: int) -> float:
        """The sample that has `rank` others before it in ascending order: 0 is the minimum, count - 1 the maximum.

        Within 0.1 % (the middle of its bucket, clamped to minimum and maximum), exact for the first and the last.
        Raises `ValueError` for a rank that no sample has.
        """
        return self._ranking().value(rank)

    def _ranking(self) -> SortedBuckets:
        return SortedBuckets(self._buckets, self.minimum, self.maximum)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return self._contents() == other._contents()

    def __repr__(self) -> str:
        extent = "" if self._minimum is None else f", minimum={self._minimum}, maximum={self._maximum}"
        return f"Histogram(count={self.count}, total={self.total}{extent})"

    def _contents(self) -> HistogramData:
        return HistogramData(self._buckets, self.total, self._minimum, self._maximum, self.underflow, self.overflow)

    # Combining

    def copy(self) -> Histogram:
        return Histogram.from_buckets(*self._contents())

    def merge(self, other: Value) -> None:
        """Take in all samples of `other`, exactly. Raises `TypeError` when it is not a histogram."""
        theirs = _histogram(other)
        for index, count in theirs.buckets.items():
            self._buckets[index] += count
        self.total += theirs.total
        self.underflow += theirs.underflow
        self.overflow += theirs.overflow
        lows = [low for low in (self._minimum, theirs._minimum) if low is not None]
        highs = [high for high in (self._maximum, theirs._maximum) if high is not None]
        self._set_extremes(min(lows, default=None), max(highs, default=None))

    def minus(self, earlier: Value) -> Histogram:
        """The samples added since `earlier`, a copy of this same histogram taken before.

        Count, total and buckets are exact. A minimum or maximum that was reached since then is exact, too; of any other
        only the bucket is known, and its middle is taken, so that percentiles of windows keep the bound as well.
        Raises `ValueError` when `earlier` holds samples that this one lacks.
        """
        return Histogram.from_buckets(*self._contents().minus(_histogram(earlier)._contents()))

    # The wire

    def to_wire(self) -> dict[str, Any]:
        """Plain values for msgpack or JSON; at most 10 bytes for each bucket in use, mostly 2 to 4."""
        return self._contents().to_wire()

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Histogram:
        """What `to_wire` made, a histogram again. Raises `ValueError` for anything else."""
        return cls.from_buckets(*HistogramData.from_wire(wire))


def _histogram(value: Value) -> Histogram:
    if not isinstance(value, Histogram):
        raise TypeError(f"a histogram goes together with histograms only, not with a {type(value).__name__}")
    return value


def _not_whole(value: object) -> TypeError:
    return TypeError(
        f"a trend takes whole numbers (microseconds for times), not {value!r}: round(seconds * 1_000_000), for instance"
    )


def _nothing(statistic: str) -> ValueError:
    return ValueError(f"a histogram without samples has no {statistic}: ask for its count first")
