"""Which worker takes which arrivals. A stripe is a `range` of arrival numbers: constant in size, and it can be walked,
counted and divided again without being written out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from typing import TypeVar

Worker = TypeVar("Worker")


def stripe(total: int, index: int, count: int) -> range:
    """The arrivals index, index + count, … of worker `index` (from 0) of `count`, as k6 stripes them over instances.

    Raises ValueError for an index that is not below `count`.
    """
    if not 0 <= index < count:
        raise ValueError(f"there is no worker {index} of {count}; they are counted from 0")
    return range(index, total, count)


def remaining(numbers: range, next_number: int) -> range:
    """What is left of a stripe when everything below `next_number` is done."""
    if next_number <= numbers.start:
        return numbers
    return numbers[-((numbers.start - next_number) // numbers.step) :]


def in_order(stripes: Sequence[range]) -> Iterator[int]:
    """The numbers of several stripes, smallest first, which is the order in which they are due."""
    return iter(stripes[0]) if len(stripes) == 1 else merge(*stripes)


def reassign(
    holdings: Mapping[Worker, Sequence[range]], next_numbers: Mapping[Worker, int]
) -> dict[Worker, tuple[range, ...]]:
    """Who takes which arrivals after the workers in `next_numbers` have died.

    A dead worker's `next_numbers` says that it began every arrival of its own below that number, and none from there
    on (its last report knows; 0 when it never reported). The survivors keep what they have and divide that rest evenly.
    Nothing is in two hands afterwards and nothing is lost. Deaths one after another are reassigned one after another,
    each time from the result of the last.

    Raises ValueError when nobody is left, KeyError for a dead worker that `holdings` does not name.
    """
    held = {worker: list(stripes) for worker, stripes in holdings.items() if worker not in next_numbers}
    if not held:
        raise ValueError("every worker is dead: nobody is left to take their arrivals")
    takers = list(held)
    # The first part of a divided stripe may be longer by one, so each stripe begins with the next taker.
    turn = 0
    for worker, next_number in next_numbers.items():
        for numbers in holdings[worker]:
            rest = remaining(numbers, next_number)
            for part in range(min(len(takers), len(rest))):
                held[takers[(turn + part) % len(takers)]].append(rest[part :: len(takers)])
            turn += len(rest)
    return {worker: tuple(stripes) for worker, stripes in held.items()}
