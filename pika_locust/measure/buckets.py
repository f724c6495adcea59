"""Where a value goes: the log-linear buckets that every distribution shares.

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

from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from operator import sub

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
    """What `pack` made, counts by bucket again. Raises `ValueError` for a list that is cut short."""
    return dict(zip(accumulate(flat[::2]), flat[1::2], strict=True))
