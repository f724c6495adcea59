"""A few of many, each as likely as the others; and how many of them each of several processes has to take."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappush, heappushpop
from typing import Generic, TypeVar

from pika_locust.load.rng import SeededRandom

T = TypeVar("T")


class BottomKSample(Generic[T]):
    """Keeps at most `size` of the items that are added, however many come and in whatever order.

    Every item draws a lot, and those with the lowest stay (bottom-k sampling); so any number up to `size` can be
    picked at the end, and each pick is as good as drawn from all.
    """

    def __init__(self, size: int, dice: SeededRandom) -> None:
        self._size = size
        self._dice = dice
        self._kept: list[tuple[int, int, T]] = []
        self.seen = 0
        """How many items were added."""

    def add(self, item: T) -> None:
        """One more of the many."""
        self.seen += 1
        # The highest lot is to be on top of the heap, which has its lowest there.
        entry = (-self._dice.bits(), self.seen, item)
        if len(self._kept) < self._size:
            heappush(self._kept, entry)
        else:
            heappushpop(self._kept, entry)

    def pick(self, number: int) -> list[T]:
        """So many of all that were added; fewer when there are not so many."""
        return [item for _, _, item in sorted(self._kept, reverse=True)[:number]]


def part_of(wanted: int, own: int, others: Iterable[int]) -> int:
    """How many of its `own` items a process takes, so that all together take at least `wanted`, or all there are.

    `others` is what the other processes have, as far as this one knows. Knowing too little of them only makes the part
    larger: with n_i items of its own and N in all, process i takes at least wanted · n_i / N, and these add up.
    """
    total = own + sum(others)
    return own if total <= wanted else min(own, -(-wanted * own // total))
