"""What a target must hold, going by its own answers: as a number, and as a checksum that tells sets apart.

The checksum is the sum of the ids' 64-bit hashes modulo 2**64. It merges exactly, in any order and grouping, and tells
sets apart that the count cannot: one item lost and another doubled leave the count as it was, but not the sum (Clarke
et al., "Incremental multiset hash functions", 2003; a chance collision has the probability 2**-64).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

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
    consistent: whether every answer belongs to something sent. False means that the books themselves are wrong (an id
        acknowledged twice, or never sent), and that no audit on them says anything.
    acknowledged_ids, unanswered_ids: the ids, where the ledger kept all of them, else None.
    """

    acknowledged: int
    unanswered: int
    acknowledged_sum: int
    consistent: bool = True
    acknowledged_ids: frozenset[str] | None = None
    unanswered_ids: frozenset[str] | None = None
