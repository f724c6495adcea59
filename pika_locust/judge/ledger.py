"""The ledger: every item sent and its outcome, in constant memory, merged over workers.

Each outcome keeps a count and a checksum of its ids; audits compare them with what the target holds.

The checksum is the sum of the ids' 64-bit hashes modulo 2**64. It merges exactly, in any order and grouping, and tells
sets apart that the count cannot: one item lost and another doubled leave the count as it was, but not the sum (Clarke
et al., "Incremental multiset hash functions", 2003; a chance collision has the probability 2**-64).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from pika_locust.metrics import plain

MASK = (1 << 64) - 1
_from_bytes = int.from_bytes


def hash_id(item: str) -> int:
    """The 64-bit hash of an id, the same in every process and on every machine (blake2b)."""
    return _from_bytes(blake2b(item.encode(), digest_size=8).digest(), "big")


def checksum(items: Iterable[str]) -> int:
    """The sum of the hashes of ids: equal for equal multisets, whatever their order."""
    return sum(map(hash_id, items)) & MASK


@dataclass(frozen=True, slots=True)
class ExpectedState:
    """What the target must hold, going by its own answers.

    acknowledged: how many different ids it said yes to; each must be there, exactly once.
    unanswered: how many ids got no answer, or none yet; each may be there or not.
    acknowledged_sum: checksum of the acknowledged ids.
    consistent: whether every answer belongs to something sent. False means that the ledger itself is wrong (an id
        acknowledged twice, or never sent), and that no audit of it says anything.
    acknowledged_ids, unanswered_ids: the ids, where the ledger kept all of them, else None.
    """

    acknowledged: int
    unanswered: int
    acknowledged_sum: int
    consistent: bool = True
    acknowledged_ids: frozenset[str] | None = None
    unanswered_ids: frozenset[str] | None = None


OUTCOMES = ("sent", "acked", "refused", "timed_out", "uncertain", "repeated", "seen")
NAMED_OUTCOMES = ("sent", "acked", "refused")
"""The outcomes of which ids are kept when that is asked for: from them follows which ids are unanswered."""
MAX_REASONS = 32
"""Reasons of refusals (and observers) told apart in one process; further ones are counted as "other"."""
MAX_REASON_LENGTH = 120
MAX_HASHES = 4096
"""So many items that are on their way keep their hash for their answer: hashing costs more than all other booking."""


class Ledger:
    """The items of one kind (orders, messages, tokens) and their outcomes.

    Call `sent` when an item goes out and exactly one of `acked` and `refused` when its answer comes; `timed_out` or
    `uncertain` when one gives up waiting (a late answer is then counted as ever). The same id going out again, as a
    retry or as a redelivery on purpose, is `repeated` and not `sent`, and a second answer to it is not counted: what
    the target should hold does not grow by it. Only after a refusal may it be `sent` anew.

    `keep_ids` also keeps the ids of up to `max_ids` items each process, so that an audit can name what is missing.
    """

    __slots__ = ("_counts", "_hashes", "_ids", "_sums", "ids_dropped", "max_ids", "name", "refused_by", "seen_by")

    refused_by: dict[str, int]
    """How many were refused, by reason."""
    seen_by: dict[str, int]
    """How many were seen, by observer."""
    ids_dropped: int
    """How many ids were not kept, as there were `max_ids` already; while it is 0, the kept ids are complete."""

    def __init__(self, name: str = "", *, keep_ids: bool = False, max_ids: int = 100_000) -> None:
        self.name = name
        self.max_ids = max_ids
        self.refused_by = {}
        self.seen_by = {}
        self.ids_dropped = 0
        self._counts = dict.fromkeys(OUTCOMES, 0)
        self._sums = dict.fromkeys(OUTCOMES, 0)
        self._hashes: dict[str, int] = {}
        self._ids: dict[str, set[str]] | None = {outcome: set() for outcome in NAMED_OUTCOMES} if keep_ids else None

    # Outcomes. `sent` and `acked` are on the path of every message, so they spell out what `_record` does.

    def sent(self, item: str) -> None:
        """The item goes out, for the first time."""
        hashed = _from_bytes(blake2b(item.encode(), digest_size=8).digest(), "big")
        self._counts["sent"] += 1
        self._sums["sent"] += hashed
        if len(self._hashes) < MAX_HASHES:
            self._hashes[item] = hashed
        if self._ids is not None:
            self._keep("sent", item)
            self._ids["refused"].discard(item)

    def acked(self, item: str) -> None:
        """The target said yes: from now on it must hold the item, exactly once."""
        hashed = self._hashes.pop(item, None)
        self._counts["acked"] += 1
        self._sums["acked"] += hash_id(item) if hashed is None else hashed
        if self._ids is not None:
            self._keep("acked", item)

    def refused(self, item: str, why: str) -> None:
        """The target said no (429, sold out) and must not hold the item. `why` is a short reason, one of a few."""
        self._record("refused", item)
        _tally(self.refused_by, why)

    def timed_out(self, item: str) -> None:
        """No answer came in time; the target may hold the item."""
        self._record("timed_out", item)

    def uncertain(self, item: str) -> None:
        """The connection broke before the answer; the target may hold the item."""
        self._record("uncertain", item)

    def repeated(self, item: str) -> None:
        """The item goes out again, under the same id."""
        self._record("repeated", item)

    def seen(self, item: str, by: str = "") -> None:
        """The item turned up where it should: `by` names the observer or the place, one of a few."""
        self._record("seen", item)
        if by:
            _tally(self.seen_by, by)

    # Reading

    def count(self, outcome: str) -> int:
        """How many items had the outcome, one of OUTCOMES."""
        return self._counts[outcome]

    def sum_of(self, outcome: str) -> int:
        """The checksum of the items that had the outcome."""
        return self._sums[outcome] & MASK

    @property
    def unanswered(self) -> int:
        """Sent, and neither acknowledged nor refused: given up on, cut off, or still open."""
        return max(0, self._counts["sent"] - self._counts["acked"] - self._counts["refused"])

    @property
    def open(self) -> int:
        """Unanswered, and nobody has given up on it yet."""
        return max(0, self.unanswered - self._counts["timed_out"] - self._counts["uncertain"])

    @property
    def consistent(self) -> bool:
        """Whether the answers fit what was sent: no more of them, and once all are in, the very same ids."""
        left = self._counts["sent"] - self._counts["acked"] - self._counts["refused"]
        return left > 0 or (left == 0 and self.sum_of("sent") == (self.sum_of("acked") + self.sum_of("refused")) & MASK)

    def expect(self) -> ExpectedState:
        """What the target must hold by now; what the audits take."""
        acknowledged_ids = unanswered_ids = None
        if self._ids is not None and self.ids_dropped == 0:
            acknowledged_ids = frozenset(self._ids["acked"])
            unanswered_ids = frozenset(self._ids["sent"] - self._ids["acked"] - self._ids["refused"])
        return ExpectedState(
            self._counts["acked"],
            self.unanswered,
            self.sum_of("acked"),
            # kept ids show what counts and sums cannot while answers are still missing
            self.consistent and (acknowledged_ids is None or len(acknowledged_ids) == self._counts["acked"]),
            acknowledged_ids,
            unanswered_ids,
        )

    # Merging and the wire form

    def merge(self, other: Ledger) -> None:
        """Take in the ledger of another process: exact, and the same in whatever order and grouping.

        Where one of the two kept no ids the merged ledger has none. Raises ValueError when the names differ.
        """
        if other.name != self.name:
            raise ValueError(f"the ledger {self.name!r} cannot take in {other.name!r}: they are about different things")
        for outcome in OUTCOMES:
            self._counts[outcome] += other._counts[outcome]
            self._sums[outcome] = (self._sums[outcome] + other._sums[outcome]) & MASK
        for mine, theirs in ((self.refused_by, other.refused_by), (self.seen_by, other.seen_by)):
            for reason, number in theirs.items():
                mine[reason] = mine.get(reason, 0) + number
        self.ids_dropped += other.ids_dropped
        if self._ids is None or other._ids is None:
            self._ids = None
        else:
            for outcome, ids in other._ids.items():
                self._ids[outcome] |= ids

    def to_wire(self, *, ids: bool = False) -> dict[str, Any]:
        """Plain values for msgpack: of constant size, unless `ids` asks for the kept ids too (once, at the end)."""
        wire: dict[str, Any] = {
            "name": self.name,
            "booked": {outcome: [self._counts[outcome], self.sum_of(outcome)] for outcome in OUTCOMES},
            "refused_by": dict(self.refused_by),
            "seen_by": dict(self.seen_by),
            "ids_dropped": self.ids_dropped,
        }
        if ids and self._ids is not None:
            wire["ids"] = {outcome: sorted(kept) for outcome, kept in self._ids.items()}
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Ledger:
        """What `to_wire` made, a ledger again. Raises ValueError for anything else."""
        try:
            wire = plain.mapping(wire)
            ledger = cls(plain.text(wire["name"]), keep_ids="ids" in wire)
            booked = plain.mapping(wire["booked"])
            for outcome in OUTCOMES:
                number, checked = plain.items(booked[outcome])
                ledger._counts[outcome], ledger._sums[outcome] = plain.count(number), plain.count(checked)
            for tallies, name in ((ledger.refused_by, "refused_by"), (ledger.seen_by, "seen_by")):
                tallies.update({reason: plain.count(times) for reason, times in plain.mapping(wire[name]).items()})
            ledger.ids_dropped = plain.count(wire["ids_dropped"])
            if ledger._ids is not None:
                ids = plain.mapping(wire["ids"])
                ledger._ids = {outcome: set(map(plain.text, plain.items(ids[outcome]))) for outcome in NAMED_OUTCOMES}
        except (KeyError, ValueError) as error:
            raise ValueError(f"not a ledger's wire form ({error}): {plain.shown(wire)}") from error
        return ledger

    def _record(self, outcome: str, item: str) -> None:
        hashed = self._hashes.pop(item, None)
        self._counts[outcome] += 1
        self._sums[outcome] += hash_id(item) if hashed is None else hashed
        if self._ids is not None and outcome in self._ids:
            self._keep(outcome, item)

    def _keep(self, outcome: str, item: str) -> None:
        if self._ids is not None:
            kept = self._ids[outcome]
            if len(kept) < self.max_ids or item in kept:
                kept.add(item)
            else:
                self.ids_dropped += 1


def fold(ledgers: Iterable[Ledger]) -> dict[str, Ledger]:
    """One ledger of each name, from those of all processes; the given ones are left as they are."""
    folded: dict[str, Ledger] = {}
    for ledger in ledgers:
        copy = Ledger.from_wire(ledger.to_wire(ids=True))
        if ledger.name in folded:
            folded[ledger.name].merge(copy)
        else:
            folded[ledger.name] = copy
    return folded


def _tally(tallies: dict[str, int], reason: str) -> None:
    reason = reason[:MAX_REASON_LENGTH]
    if reason not in tallies and len(tallies) >= MAX_REASONS:
        reason = "other"
    tallies[reason] = tallies.get(reason, 0) + 1
