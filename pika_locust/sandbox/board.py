"""The switchboard of faults: which are on, and which events they hit.

A fault with a RATE is systematic, not a coin flip: of `n` eligible events of one kind, `rate * n` are hit, exact to
one half, and every kind of event (likes, tempo votes, frames of one type...) is counted by itself, so that a kind with
many events cannot starve one with few. A test that plants `lose-write=0.02` therefore knows what must be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from pika_locust.sandbox.faults import COMMON, Fault, FaultKind, Form


class _Tally:
    """Counts the eligible events of one kind and picks the systematic share of them."""

    __slots__ = ("eligible", "hit", "rate")

    def __init__(self, rate: Fraction) -> None:
        self.rate = rate
        self.eligible = 0
        self.hit = 0

    def take(self, events: int) -> list[int]:
        """Positions (from 0) of those among the next `events` that are hit."""
        # hits(n) = floor(rate * n + 1/2); the j-th hit is event number ceil((2j - 1) * q / 2p) for rate = p/q
        p, q = self.rate.numerator, self.rate.denominator
        before = self.eligible
        self.eligible += events
        goal = (2 * p * self.eligible + q) // (2 * q)
        picked = [-(-(2 * j - 1) * q // (2 * p)) - 1 - before for j in range(self.hit + 1, goal + 1)]
        self.hit = goal
        return picked


class FaultSwitches:
    """The switches: which faults are on, and how often each was eligible and hit.

    `on` is the dictionary to ask on hot paths (`"drop" in board.on`). Replacing the faults keeps the tallies of those
    that stay as they were.
    """

    def __init__(self, legal: Iterable[FaultKind] = COMMON, faults: Iterable[Fault] = ()) -> None:
        self.legal: tuple[FaultKind, ...] = tuple(legal)
        self.on: dict[str, Fault] = {}
        self._tallies: dict[str, dict[str, _Tally]] = {}
        self._watchers: list[Callable[[], None]] = []
        self.replace(faults)

    def replace(self, faults: Iterable[Fault]) -> None:
        """Switches exactly these on and all others off, then tells the watchers."""
        wanted = {fault.name: fault for fault in faults}
        kept = {name: self._tallies[name] for name, fault in wanted.items() if self.on.get(name) == fault}
        self._tallies = {name: kept.get(name, {}) for name in wanted}
        self.on.clear()
        self.on.update(wanted)
        for watcher in self._watchers:
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Calls `watcher` after every change of the switches."""
        self._watchers.append(watcher)

    def hits(self, name: str, kind: str = "") -> bool:
        """Whether the next eligible event of `kind` is hit; False when the fault is off."""
        return name in self.on and bool(self.positions(name, kind, 1))

    def positions(self, name: str, kind: str, events: int) -> list[int]:
        """Positions (from 0) of the next `events` eligible events of `kind` that are hit, in rising order."""
        if name not in self.on:
            return []
        return self._tally(name, kind).take(events)

    def count(self, name: str, events: int = 1) -> None:
        """Counts events hit by a fault that has no rate (a delay, a cut, a refusal)."""
        if name in self.on:
            tally = self._tally(name, "")
            tally.eligible += events
            tally.hit += events

    def amount(self, name: str) -> float:
        """The value of a fault as a number; 0 when it is off."""
        fault = self.on.get(name)
        return float(fault.value) if fault is not None else 0.0

    def forget_counts(self) -> None:
        """Sets all tallies to zero; the switches stay."""
        self._tallies = {name: {} for name in self.on}

    def to_json(self) -> dict[str, Any]:
        """The switches as `faults_from_json` reads them."""
        return {name: True if fault.kind.form is Form.FLAG else fault.text for name, fault in self.on.items()}

    def counts(self) -> dict[str, dict[str, Any]]:
        """For each fault that is on: events eligible and hit, in all and by kind."""
        return {
            name: {
                "eligible": sum(tally.eligible for tally in tallies.values()),
                "hit": sum(tally.hit for tally in tallies.values()),
                "by_kind": {kind: {"eligible": t.eligible, "hit": t.hit} for kind, t in tallies.items()},
            }
            for name, tallies in self._tallies.items()
        }

    def _tally(self, name: str, kind: str) -> _Tally:
        tallies = self._tallies[name]
        tally = tallies.get(kind)
        if tally is None:
            tally = tallies[kind] = _Tally(self.on[name].value)
        return tally
