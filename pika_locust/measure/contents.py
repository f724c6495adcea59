"""Everything that a histogram knows, as a value: what it is without a way to grow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pika_locust.measure.buckets import bucket_edges, pack, unpack


class HistogramData(NamedTuple):
    """Counts by bucket, and what is known exactly; see `Histogram` for the fields. No minimum: no samples."""

    buckets: Mapping[int, int]
    total: int
    minimum: int | None
    maximum: int | None
    underflow: int = 0
    overflow: int = 0

    def minus(self, earlier: HistogramData) -> HistogramData:
        """What came after `earlier`; see `Histogram.minus`."""
        buckets = {index: count - earlier.buckets.get(index, 0) for index, count in self.buckets.items()}
        if min(buckets.values(), default=0) < 0 or not earlier.buckets.keys() <= self.buckets.keys():
            raise ValueError("cannot subtract: the earlier histogram holds samples that the later one lacks")
        buckets = {index: count for index, count in buckets.items() if count}
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
    def from_wire(cls, wire: Mapping[str, Any]) -> HistogramData:
        """What `to_wire` made, as it was. Raises `ValueError` for anything else."""
        if not wire:
            return cls({}, 0, None, None)
        try:
            outside = wire.get("u", 0), wire.get("o", 0)
            return cls(unpack(wire["b"]), int(wire["t"]), int(wire["l"]), int(wire["h"]), *outside)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"not a histogram's wire form ({error}): {str(wire)[:80]}") from error


def _middle(index: int) -> int:
    return sum(bucket_edges(index)) // 2


def _wire_int(value: int) -> int | str:
    # msgpack knows 64 bits; a sum of absurd values may need more, and must not stop a worker from reporting.
    return value if -(1 << 63) <= value < 1 << 64 else str(value)
