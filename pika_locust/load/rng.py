"""A seeded random number generator of 40 bytes per user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15


class SeededRandom:
    """A stream of random numbers that is the same for the same seed words, on every machine.

    The generator is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
    """

    __slots__ = ("_state",)

    def __init__(self, *seed: int) -> None:
        state = 0
        for word in seed:
            state = _mix((state + _GAMMA + word) & _MASK)
        self._state = state

    def bits(self) -> int:
        """64 random bits."""
        # `_mix`, written out: users ask at every step they take.
        self._state = word = (self._state + _GAMMA) & _MASK
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
        return word ^ (word >> 31)

    def random(self) -> float:
        """A number in [0, 1)."""
        return (self.bits() >> 11) * 2.0**-53

    def chance(self, probability: float) -> bool:
        """True in `probability` of all cases."""
        return self.random() < probability

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * ((self.bits() >> 11) * 2.0**-53)

    def below(self, limit: int) -> int:
        """A whole number in [0, limit)."""
        return int((self.bits() >> 11) * 2.0**-53 * limit)

    def choice(self, options: Sequence[T]) -> T:
        """One of the options, each as likely as the others."""
        return options[self.below(len(options))]

    def weighted(self, options: Sequence[tuple[T, float]]) -> T:
        """One of the options, each as often as its weight says among all weights."""
        return options[part_at(self.random(), [weight for _, weight in options])][0]


def part_at(point: float, parts: Sequence[float]) -> int:
    """The number of the part in which a point from 0 to 1 lies, where all parts, one behind the other, are 1."""
    behind = point * sum(parts)
    for number, part in enumerate(parts):
        if behind < part:
            return number
        behind -= part
    # The last one that is any, for what rounding has left over.
    return max((number for number, part in enumerate(parts) if part), default=0)


def _mix(word: int) -> int:
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
    return word ^ (word >> 31)
