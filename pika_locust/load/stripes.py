"""Which worker takes which arrivals. A stripe is a `range` of arrival numbers: constant in size, and it can be walked
and counted without being written out.
"""

from __future__ import annotations


def stripe(total: int, index: int, count: int, first: int = 0) -> range:
    """From arrival `first` on, every `count`-th for worker `index` (from 0), as k6 stripes them over instances.

    Where workers change in the middle, all divide anew what comes from some arrival on: whoever had a stripe before
    keeps of it what is below.

    Raises ValueError for an index that is not below `count`.
    """
    if not 0 <= index < count:
        raise ValueError(f"there is no worker {index} of {count}; they are counted from 0")
    return range(first + index, total, count)
