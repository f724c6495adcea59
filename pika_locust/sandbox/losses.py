"""The fault `lose-fanout`: which recipients a broadcast frame does not reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pika_locust.sandbox.board import FaultSwitches


class FanoutLoss:
    """The rate says how many recipients a broadcast loses; who they are goes round, so that everybody loses alike."""

    def __init__(self, faults: FaultSwitches) -> None:
        self._faults = faults
        self._next: Counter[str] = Counter()

    def of(self, kind: str, recipients: Iterable[int]) -> list[int]:
        """Those of the recipients of one broadcast of this kind who do not get it."""
        numbers = list(recipients)
        lost = len(self._faults.positions("lose-fanout", kind, len(numbers)))
        first = self._next[kind]
        self._next[kind] += lost
        return [numbers[(first + n) % len(numbers)] for n in range(lost)]
