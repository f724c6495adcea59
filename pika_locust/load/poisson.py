"""Arrivals that come by chance: a Poisson process of rate one, of which any stretch can be looked up."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from math import cos, log, log1p, pi, sqrt

from pika_locust.load.dice import SeededRandom

BLOCK = 1024


class PoissonProcess:
    """Where the arrivals lie on an axis on which one is expected per unit; the same for the same seed, on every worker.

    Read along an integrated rate, it is a Poisson process of that rate: its k-th arrival comes when the integral
    reaches `position(k)` (the time-change theorem).

    The gaps are independent exponentials, so position k is a sum of k + 1 of them. Adding them one by one would make
    every worker walk through everybody's arrivals from the start. But BLOCK gaps together are gamma-distributed (shape
    BLOCK), and given their sum, the arrivals inside lie in it like sorted uniform numbers. So the blocks' sums are
    drawn first, cheaply, each from a seed of its own, and a block's inside only when somebody looks at it.
    """

    __slots__ = ("_block", "_inside", "_seed", "_starts")

    def __init__(self, *seed: int) -> None:
        self._seed = seed
        self._starts = array("d", (0.0,))
        """Where each block begins, as far as anybody has looked; 8 bytes a block."""
        self._block = -1
        self._inside = array("d")

    def position(self, number: int) -> float:
        """Where arrival `number` (from 0) lies."""
        block, within = divmod(number, BLOCK)
        if block != self._block:
            self._look_into(block)
        return self._inside[within]

    def count(self, until: float) -> int:
        """How many arrivals lie at or before `until`."""
        while self._starts[-1] <= until:
            self._next_block()
        block = bisect_right(self._starts, until) - 1
        self._look_into(block)
        return block * BLOCK + bisect_right(self._inside, until)

    def _look_into(self, block: int) -> None:
        while len(self._starts) < block + 2:
            self._next_block()
        start, end = self._starts[block], self._starts[block + 1]
        roll = SeededRandom(*self._seed, block, 1).random
        self._inside = array("d", sorted([start + (end - start) * roll() for _ in range(BLOCK - 1)]))
        self._inside.append(end)
        self._block = block

    def _next_block(self) -> None:
        dice = SeededRandom(*self._seed, len(self._starts) - 1, 0)
        self._starts.append(self._starts[-1] + _gamma(BLOCK, dice))


def _gamma(shape: int, dice: SeededRandom) -> float:
    """A gamma-distributed number (Marsaglia, Tsang: A Simple Method for Generating Gamma Variables, ACM TOMS 2000)."""
    d = shape - 1 / 3
    c = 1 / sqrt(9 * d)
    while True:
        x = sqrt(-2 * log1p(-dice.random())) * cos(2 * pi * dice.random())
        v = (1 + c * x) ** 3
        if v > 0 and log1p(-dice.random()) < x * x / 2 + d - d * v + d * log(v):
            return d * v
