"""The samples of a distribution in ascending order, as far as buckets know it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate

from pika_locust.measure.buckets import bucket_edges


class SortedBuckets:
    """Counts by bucket, sorted once: the value at each rank, and how many ranks there are.

    `minimum` and `maximum` are the exact extremes; `buckets` must hold at least one sample.
    """

    __slots__ = ("_indices", "_maximum", "_minimum", "_up_to", "count")

    def __init__(self, buckets: Mapping[int, int], minimum: int, maximum: int) -> None:
        self._minimum, self._maximum = minimum, maximum
        ascending = sorted(buckets.items())
        self._indices = [index for index, _ in ascending]
        self._up_to = list(accumulate(count for _, count in ascending))
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
