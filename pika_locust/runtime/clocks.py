"""Offsets between the monotonic clocks of machines, as NTP estimates them (RFC 5905), each with an error bound.

A question leaves at t1 by the asker's clock, is heard at t2 and answered at t3 by the other's, and the answer is back
at t4. Section 8 of the RFC: the offset is ((t2 - t1) + (t3 - t4)) / 2, the delay (t4 - t1) - (t3 - t2); however unequal
the two ways were, the truth is within half the delay of the offset. So whatever held a message up, a busy process or a
queue, widens the bound and makes nothing wrong; and of several samples the one with the narrowest bound is the best.

Every process compares its clock with the master's, and the master tells all what each found; two workers' clocks are
compared by way of the master's. No clock is read here: times are given, in nanoseconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from pika_locust.metrics import plain

DRIFT_PPM = 100
"""How fast two clocks may drift apart: crystals keep within 50 ppm, and those that NTP disciplines within far less (the
RFC reckons with 15). So much is an offset's bound wider for every second of its age."""
KEPT = 8
"""Samples that the best is chosen from, as in section 10 of the RFC."""
FORGET_AFTER_NS = 30_000_000_000
"""A machine without a report for so long is dropped: another may come under its name."""


@dataclass(frozen=True, slots=True)
class Offset:
    """What to add to a clock's time to get the master's.

    It is wrong by `error_ns` at most when the master's clock says `at_ns`, and by more the longer ago that is. Only a
    clock's offset to itself has no error, and never gets one.
    """

    ns: int
    error_ns: int
    at_ns: int

    @classmethod
    def between(cls, sent_ns: int, heard_ns: int, answered_ns: int, back_ns: int) -> Offset | None:
        """From the four times of one question and its answer: ours, the master's, the master's, ours. None when they
        contradict each other: a clock stood still or jumped meanwhile."""
        delay_ns = (back_ns - sent_ns) - (answered_ns - heard_ns)
        if delay_ns < 0 or answered_ns < heard_ns:
            return None
        # One more than half the delay makes up for what both divisions round down.
        return cls(((heard_ns - sent_ns) + (answered_ns - back_ns)) // 2, delay_ns // 2 + 1, answered_ns)

    def error_at(self, at_ns: int) -> int:
        """The bound when the master's clock says `at_ns`."""
        return self.error_ns and self.error_ns + abs(at_ns - self.at_ns) * DRIFT_PPM // 1_000_000

    def agrees_with(self, other: Offset) -> bool:
        """Whether both can be true."""
        return abs(self.ns - other.ns) <= self.error_at(other.at_ns) + other.error_ns

    def to_wire(self) -> list[int]:
        """As whole numbers."""
        return list(astuple(self))

    @classmethod
    def from_wire(cls, wire: Any) -> Offset:
        """What `to_wire` made. Raises ValueError for anything else."""
        ns, error_ns, at_ns = plain.items(wire)
        return cls(plain.whole(ns), plain.count(error_ns), plain.whole(at_ns))


SAME = Offset(0, 0, 0)


class Estimate:
    """The offset of one clock, from the newest samples of it."""

    def __init__(self) -> None:
        self._samples: deque[Offset] = deque(maxlen=KEPT)

    def add(self, sample: Offset) -> None:
        """Take a sample in. Earlier ones that it contradicts are dropped: a clock was halted or set since then, as it
        happens to a machine that is suspended, and what is true now is what counts."""
        self._samples = deque((old for old in self._samples if old.agrees_with(sample)), KEPT)
        self._samples.append(sample)

    def __bool__(self) -> bool:
        return bool(self._samples)

    def best(self) -> Offset:
        """The sample with the narrowest bound by now. Raises IndexError when there is none."""
        now_ns = self.newest_ns
        return min(self._samples, key=lambda sample: sample.error_at(now_ns))

    @property
    def newest_ns(self) -> int:
        """When the newest sample was taken, by the master's clock. Raises IndexError when there is none."""
        return self._samples[-1].at_ns


class OffsetTable:
    """The master's list of how other machines' clocks stand to its own."""

    def __init__(self) -> None:
        self._estimates: dict[str, Estimate] = {}

    def note(self, machine: str, offset: Offset) -> None:
        """One of a machine's processes has compared its clock with the master's."""
        self._estimates.setdefault(machine, Estimate()).add(offset)

    def to_wire(self, now_ns: int) -> dict[str, list[int]]:
        """Machine -> its offset; those that nobody has reported from lately are forgotten."""
        self._estimates = {
            machine: estimate
            for machine, estimate in self._estimates.items()
            if now_ns - estimate.newest_ns <= FORGET_AFTER_NS
        }
        return {machine: estimate.best().to_wire() for machine, estimate in self._estimates.items()}


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Another machine's time told by the clock here; the truth is within `error_ns` of it."""

    ns: int
    error_ns: int


class Clocks:
    """Other machines' times, told by the clock of this process, whose machine is `machine`."""

    def __init__(self, machine: str) -> None:
        self.machine = machine
        self._master = ""
        self._own = Estimate()
        self._offsets: dict[str, Offset] = {}

    def learn(self, master: str, sample: Offset | None, others: Mapping[str, Sequence[Any]]) -> None:
        """The master has answered: it runs on the machine `master`, and knows `others` as `OffsetTable.to_wire` tells
        them. Whatever it told before, of machines that are gone too, does not hold any more."""
        if master != self._master:
            self._master, self._own, self._offsets = master, Estimate(), {}
        offsets = {machine: Offset.from_wire(wire) for machine, wire in others.items()}
        if sample is not None:
            self._own.add(sample)
        if self._own:
            offsets[self.machine] = self._own.best()
        offsets[master] = SAME
        self._offsets = offsets

    def to_report(self) -> Offset | None:
        """What the master is to note of this machine's clock; None while nothing is known, or it is its own."""
        own = self._offsets.get(self.machine)
        return None if own is SAME else own

    def here(self, machine: str, ns: int, now_ns: int) -> LocalTime | None:
        """What the clock here said when that of `machine` said `ns`; None when the two cannot be compared.

        `now_ns` is the time here: an offset is the less certain the longer ago it was estimated.
        """
        if machine == self.machine:
            return LocalTime(ns, 0)
        own, theirs = self._offsets.get(self.machine), self._offsets.get(machine)
        if own is None or theirs is None:
            return None
        now_ns += own.ns
        return LocalTime(ns + theirs.ns - own.ns, own.error_at(now_ns) + theirs.error_at(now_ns))
