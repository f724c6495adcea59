from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from pika_locust.judge.ledger import checksum, hash_id


def test_the_hash_is_blake2b_with_64_bits() -> None:
    assert hash_id("booking-1") == int.from_bytes(hashlib.blake2b(b"booking-1", digest_size=8).digest(), "big")
    assert hash_id("Bücher") == int.from_bytes(hashlib.blake2b("Bücher".encode(), digest_size=8).digest(), "big")
    assert checksum(["a", "b", "b"]) == (hash_id("a") + 2 * hash_id("b")) % 2**64
    assert checksum([]) == 0


@given(st.lists(st.text(), max_size=20), st.randoms())
def test_equal_sets_have_equal_sums_and_one_more_of_anything_has_another(items: list[str], random: object) -> None:
    shuffled = sorted(items, key=lambda item: random.random())  # type: ignore[attr-defined]
    assert checksum(shuffled) == checksum(items)
    assert checksum([*items, "one more"]) != checksum(items)


def test_one_lost_and_one_doubled_leave_the_number_and_not_the_sum() -> None:
    assert checksum(["a", "b", "c"]) != checksum(["a", "b", "b"])
