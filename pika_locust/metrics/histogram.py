"""A log-linear histogram in constant memory: percentiles within 0.1 %, exact merge and difference.

Values are whole numbers (microseconds, for times). Up to 1,023 each value has a bucket of its own; above that every
power of two is cut into 512 buckets, so that with L = bit length of v and s = L - 10

    index(v) = v                       for v < 1024
    index(v) = 512 s + (v >> s)        otherwise, where 512 <= v >> s < 1024

is continuous and increasing. A bucket is 2**s wide and starts at 512 * 2**s or later: its middle lies at most
(2**s - 1) / 2 from every value in it, less than 1/1024 (0.098 %) of that value. A weighted mean of two neighbouring
rank values, which is what an interpolated percentile is, keeps that bound. Negative values (differences of clocks)
mirror the positive ones.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain
from operator import sub
from typing import Any, NamedTuple

from pika_locust.metrics import plain

SCHEME = "log-linear-512"
"""The name of this way to cut buckets, for whoever reads them from a file."""

LOWEST = 1
HIGHEST = 3_600_000_000
"""The range values are expected in: 1 microsecond to 1 hour. What lies outside is kept as well, and counted apart."""


def bucket_index(value: int) -> int:
    """The bucket that `value` falls into."""
    if value < 0:
        return -bucket_index(-value)
    shift = value.bit_length() - 10
    return (shift << 9) + (value >> shift) if shift > 0 else value


def bucket_edges(index: int) -> tuple[int, int]:
    """The lowest and the highest value of a bucket, both inside it: `bucket_index` inverted."""
    if index < 0:
        low, high = bucket_edges(-index)
        return -high, -low
    if index < 1024:
        return index, index
    shift = (index >> 9) - 1
    low = (index - (shift << 9)) << shift
    return low, low + (1 << shift) - 1


def pack(buckets: Mapping[int, int]) -> list[int]:
    """Counts by bucket as one flat list: distance from the bucket before, count, distance, count, …

    Small numbers, which msgpack writes in one to three bytes each.
    """
    indices = sorted(buckets)
    steps = chain(indices[:1], map(sub, indices[1:], indices))
    return list(chain.from_iterable(zip(steps, map(buckets.__getitem__, indices), strict=True)))


def unpack(flat: Sequence[int]) -> dict[int, int]:
    """What `pack` made, counts by bucket again. Raises `ValueError` for anything else."""
    if not set(map(type, plain.items(flat))) <= {int}:
        raise ValueError("buckets are whole numbers")
    if min(flat[2::2], default=1) < 1 or min(flat[1::2], default=1) < 1:
        raise ValueError("buckets are in ascending order, and none of them is empty")
    return dict(zip(accumulate(flat[::2]), flat[1::2], strict=True))


class HistogramData(NamedTuple):
    """The content of a histogram as a plain value: counts by bucket, and what is known exactly. No minimum: no samples.

    See `Histogram` for the fields.
    """

    buckets: Mapping[int, int]
    total: int
    minimum: int | None
    maximum: int | None
    underflow: int = 0
    overflow: int = 0

    def minus(self, earlier: HistogramData) -> HistogramData:
        """What came after `earlier`; see `Histogram.minus`."""
        before = earlier.buckets.get
        # Most buckets of a window's ends are the same.
        buckets = {
            index: count - before(index, 0) for index, count in self.buckets.items() if count != before(index, 0)
        }
        if min(buckets.values(), default=0) < 0 or not earlier.buckets.keys() <= self.buckets.keys():
            raise ValueError("cannot subtract: the earlier histogram holds samples that the later one lacks")
        minimum, maximum = self.minimum, self.maximum
        if not buckets or minimum is None or maximum is None:
            minimum = maximum = None
        else:
            low, high = minimum, maximum
            if earlier.minimum is not None and low >= earlier.minimum:
                minimum = min(max(_middle(min(buckets)), low), high)
            if earlier.maximum is not None and high <= earlier.maximum:
                maximum = min(max(_middle(max(buckets)), low), high)
        return HistogramData(
            buckets,
            self.total - earlier.total,
            minimum,
            maximum,
            self.underflow - earlier.underflow,
            self.overflow - earlier.overflow,
        )

    def changed_since(self, earlier: HistogramData) -> HistogramData:
        """The same, without the buckets that `earlier` holds just so: what `Histogram.additions` takes."""
        before = earlier.buckets.get
        return self._replace(buckets={index: count for index, count in self.buckets.items() if before(index) != count})

    def to_wire(self) -> dict[str, Any]:
        """Plain values for msgpack or JSON; at most 10 bytes for each bucket in use, mostly 2 to 4."""
        if self.minimum is None or self.maximum is None:
            return {}
        wire: dict[str, Any] = {
            "b": pack(self.buckets),
            "t": _wire_int(self.total),
            "l": _wire_int(self.minimum),
            "h": _wire_int(self.maximum),
        }
        if self.underflow:
            wire["u"] = self.underflow
        if self.overflow:
            wire["o"] = self.overflow
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any], *, is_whole: bool = True) -> HistogramData:
        """What `to_wire` made, as it was. Raises `ValueError` for anything else.

        Of one that is not whole (see `changed_since`) the parts need not go together yet.
        """
        try:
            if not plain.mapping(wire):
                return cls({}, 0, None, None)
            total, minimum, maximum = (_from_wire_int(wire[part]) for part in "tlh")
            outside = plain.count(wire.get("u", 0)), plain.count(wire.get("o", 0))
            data = cls(unpack(wire["b"]), total, minimum, maximum, *outside)
            if is_whole:
                data.check()
        except (KeyError, ValueError) as error:
            raise ValueError(f"not a histogram's wire form ({error}): {plain.shown(wire)}") from error
        return data

    def check(self) -> None:
        """Raises ValueError where samples are there and the parts do not go together."""
        if self.minimum is None or self.maximum is None or not self.buckets:
            raise ValueError("samples come with buckets, a minimum and a maximum")
        if (min(self.buckets), max(self.buckets)) != (bucket_index(self.minimum), bucket_index(self.maximum)):
            raise ValueError(f"{self.minimum} and {self.maximum} are not the extremes of these buckets")
        count = sum(self.buckets.values())
        # Of a difference of two, the extremes are known to their buckets only.
        least, most = bucket_edges(min(self.buckets))[0], bucket_edges(max(self.buckets))[1]
        if not least * count <= self.total <= most * count:
            raise ValueError(f"{count} samples between {self.minimum} and {self.maximum} do not add up to {self.total}")


def _middle(index: int) -> int:
    return sum(bucket_edges(index)) // 2


def _wire_int(value: int) -> int | str:
    # msgpack knows 64 bits; a sum of absurd values may need more, and must not stop a worker from reporting.
    return value if -(1 << 63) <= value < 1 << 64 else str(value)


def _from_wire_int(value: Any) -> int:
    return plain.whole(int(value) if isinstance(value, str) else value)


class SortedBuckets:
    """Counts by bucket, sorted once: the value at each rank, and how many ranks there are.

    `minimum` and `maximum` are the exact extremes; `buckets` must hold at least one sample.
    """

    __slots__ = ("_indices", "_maximum", "_minimum", "_up_to", "count")

    def __init__(self, buckets: Mapping[int, int], minimum: int, maximum: int) -> None:
        self._minimum, self._maximum = minimum, maximum
        self._indices = sorted(buckets)
        self._up_to = list(accumulate(map(buckets.__getitem__, self._indices)))
        self.count = self._up_to[-1]

    def value(self, rank: int) -> float:
        """The sample with `rank` others before it: the middle of its bucket, exact for the first and the last.

        Raises `ValueError` for a rank that no sample has.
        """
        if not 0 <= rank < self.count:
            raise ValueError(f"rank {rank} is out of range: {self.count} samples have the ranks 0 to {self.count - 1}")
        if rank == 0:
            return float(self._minimum)
        if rank == self.count - 1:
            return float(self._maximum)
        low, high = bucket_edges(self._indices[bisect_right(self._up_to, rank)])
        return min(max((low + high) / 2, self._minimum), self._maximum)

    def quantile(self, q: float) -> float:
        """The value below which the share `q` of the samples lies; see `Histogram.quantile`."""
        if not 0 <= q <= 1:
            raise ValueError(f"quantile {q!r} is out of range: 0 to 1, so p(95) is 0.95")
        rank, fraction = divmod(q * (self.count - 1), 1)
        below = self.value(int(rank))
        above = self.value(int(rank) + 1) if fraction else below
        return below + fraction * (above - below)


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
        self._buckets: Counter[int] = Counter()
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
        dict.update(made._buckets, ((index, count) for index, count in buckets.items() if count))
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
        """`add` for many values, which costs less than one by one. Raises `TypeError` for anything but `int`s."""
        if not isinstance(values, list):
            values = list(values)
        if not values:
            return
        least, most, total = min(values), max(values), sum(values)
        if type(total) is int and least >= LOWEST and most <= HIGHEST:
            # Counted in C; `bucket_index` is written out, as a call for each would cost as much again.
            self._buckets.update(
                values
                if most < 1024
                else [((shift := v.bit_length() - 10) << 9) + (v >> shift) if v > 1023 else v for v in values]
            )
            self.total += total
            if not (self._low <= least and most <= self._high):
                self._set_extremes(
                    least if self._minimum is None else min(least, self._minimum),
                    most if self._maximum is None else max(most, self._maximum),
                )
            return
        for value in values:
            self.add(value)

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
        ordered = self._sorted()
        return [ordered.quantile(q) for q in qs]

    def value_at_rank(self, rank: int) -> float:
        """The sample that has `rank` others before it in ascending order: 0 is the minimum, count - 1 the maximum.

        Within 0.1 % (the middle of its bucket, clamped to minimum and maximum), exact for the first and the last.
        Raises `ValueError` for a rank that no sample has.
        """
        return self._sorted().value(rank)

    def _sorted(self) -> SortedBuckets:
        return SortedBuckets(self._buckets, self.minimum, self.maximum)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return self._data() == other._data()

    def __repr__(self) -> str:
        extent = "" if self._minimum is None else f", minimum={self._minimum}, maximum={self._maximum}"
        return f"Histogram(count={self.count}, total={self.total}{extent})"

    def _data(self) -> HistogramData:
        return HistogramData(self._buckets, self.total, self._minimum, self._maximum, self.underflow, self.overflow)

    # Combining

    def copy(self) -> Histogram:
        made = Histogram()
        made.merge(self)
        return made

    def merge(self, other: object) -> None:
        """Take in all samples of `other`, exactly. Raises `TypeError` when it is not a histogram."""
        theirs = _histogram(other)
        buckets = self._buckets
        if buckets:
            known = buckets.get
            for index, count in theirs._buckets.items():
                buckets[index] = known(index, 0) + count
        else:
            dict.update(buckets, theirs._buckets)
        self.total += theirs.total
        self.underflow += theirs.underflow
        self.overflow += theirs.overflow
        lows = [low for low in (self._minimum, theirs._minimum) if low is not None]
        highs = [high for high in (self._maximum, theirs._maximum) if high is not None]
        self._set_extremes(min(lows, default=None), max(highs, default=None))

    def minus(self, earlier: object) -> Histogram:
        """The samples added since `earlier`, a copy of this same histogram taken before.

        Count, total and buckets are exact. A minimum or maximum that was reached since then is exact, too; of any other
        only the bucket is known, and its middle is taken, so that percentiles of windows keep the bound as well.
        Raises `ValueError` when `earlier` holds samples that this one lacks.
        """
        return Histogram.from_buckets(*self._data().minus(_histogram(earlier)._data()))

    def additions(self, changes: HistogramData) -> Histogram:
        """The samples that make this histogram the one that `changes` was taken of (`HistogramData.changed_since`): to
        be merged, into this one and into folds that hold it. Their extremes are those of all samples so far.

        Raises `ValueError` when the parts do not go together, or samples are missing that this one holds.
        """
        buckets = {index: count - self._buckets.get(index, 0) for index, count in changes.buckets.items()}
        minimum, maximum = changes.minimum, changes.maximum
        if minimum is None or maximum is None or min(buckets.values(), default=0) < 1:
            raise ValueError("changes come with buckets that hold more than before, a minimum and a maximum")
        lowest, highest = min(buckets), max(buckets)
        low, high = lowest, highest
        if self._minimum is not None and self._maximum is not None:
            if minimum > self._minimum or maximum < self._maximum:
                raise ValueError(f"{minimum} to {maximum} is less than {self._minimum} to {self._maximum} before")
            low, high = min(low, bucket_index(self._minimum)), max(high, bucket_index(self._maximum))
        if (low, high) != (bucket_index(minimum), bucket_index(maximum)):
            raise ValueError(f"{minimum} and {maximum} are not the extremes of these buckets")
        total, count = changes.total - self.total, sum(buckets.values())
        if not bucket_edges(lowest)[0] * count <= total <= bucket_edges(highest)[1] * count:
            raise ValueError(f"{count} samples do not add up to {total}")
        outside = changes.underflow - self.underflow, changes.overflow - self.overflow
        if min(outside) < 0:
            raise ValueError("fewer samples are outside the expected range than before")
        return Histogram.from_buckets(buckets, total, minimum, maximum, *outside)

    # The wire

    def to_wire(self, earlier: Histogram | None = None) -> dict[str, Any]:
        """Plain values for msgpack or JSON; at most 10 bytes for each bucket in use, mostly 2 to 4. With `earlier`, a
        copy of this histogram taken before, only the buckets that have changed."""
        data = self._data()
        return (data if earlier is None else data.changed_since(earlier._data())).to_wire()

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Histogram:
        """What `to_wire` made, a histogram again. Raises `ValueError` for anything else."""
        return cls.from_buckets(*HistogramData.from_wire(wire))


def _histogram(value: object) -> Histogram:
    if not isinstance(value, Histogram):
        raise TypeError(f"a histogram goes together with histograms only, not with a {type(value).__name__}")
    return value


def _not_whole(value: object) -> TypeError:
    return TypeError(
        f"a trend takes whole numbers (microseconds for times), not {value!r}: round(seconds * 1_000_000); "
        "add_ms(ms) takes fractions"
    )


def _nothing(statistic: str) -> ValueError:
    return ValueError(f"a histogram without samples has no {statistic}: ask for its count first")
