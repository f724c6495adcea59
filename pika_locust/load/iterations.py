"""A fixed number of iterations, as k6's shared-iterations and per-vu-iterations, dealt out to workers.

Of those that all users share, whoever is free takes the next one. Where users are spread over workers, each worker is
granted a part of what is left whenever it has run out, smaller and smaller parts towards the end (guided
self-scheduling, Polychronopoulos and Kuck 1987), so that a slow worker, or one with few users, keeps nobody waiting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_DURATION_S = 600.0
"""k6's `maxDuration`: after it no iteration begins, and those that never began are `dropped_iterations`."""

_TEXT = re.compile(r"(?P<number>[0-9]{1,12})(?P<per_user>/user)?")


@dataclass(frozen=True, slots=True)
class Iterations:
    """`number` in all, shared by the users; or so many for each of them."""

    number: int
    per_user: bool = False

    @classmethod
    def parse(cls, text: str) -> Iterations:
        """From `200` (shared by all users) or `3/user`. Raises ValueError."""
        match = _TEXT.fullmatch(text.strip())
        if match is None or int(match["number"]) < 1:
            raise ValueError("it must be a whole number above 0, shared by all users, or so many for each: 3/user")
        return cls(int(match["number"]), match["per_user"] is not None)

    def __str__(self) -> str:
        return f"{self.number}/user" if self.per_user else str(self.number)

    def total(self, users: int) -> int:
        """How many there are in all."""
        return self.number * users if self.per_user else self.number

    def problems(self, users: int) -> list[str]:
        """What k6 would refuse, too, a sentence each."""
        if not self.per_user and self.number < users:
            return [f"ITERATIONS={self.number} is too few for {users} users to have one each"]
        return []

    def to_wire(self) -> dict[str, Any]:
        """As plain values."""
        return {"number": self.number, "per_user": self.per_user}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Iterations:
        """From plain values."""
        return cls(wire["number"], wire["per_user"])


def part(left: int, takers: int) -> int:
    """How many of `left` to grant at once when there are `takers`: half of an even share, and at least one."""
    return min(left, -(-left // (2 * max(1, takers))))


class IterationPool:
    """Iterations that were granted and may be begun."""

    __slots__ = ("granted", "taken")

    def __init__(self, granted: int = 0) -> None:
        self.granted = granted
        self.taken = 0

    def take(self) -> bool:
        """Begin one; False when there is none."""
        if self.taken >= self.granted:
            return False
        self.taken += 1
        return True

    def grant(self, more: int) -> None:
        """Grant so many more."""
        self.granted += more
