from __future__ import annotations

import pytest

from pika_locust.settings import SourceAddresses

POOLS = {
    "one address": ("127.0.0.9", 1, {0: "127.0.0.9", 5: "127.0.0.9"}),
    "a range": ("127.0.0.1-127.0.0.3", 3, {0: "127.0.0.1", 2: "127.0.0.3", 3: "127.0.0.1"}),
    "a network without its first and last address": (
        "127.0.8.0/22",
        1022,
        {0: "127.0.8.1", 254: "127.0.8.255", 1021: "127.0.11.254", 1022: "127.0.8.1", 10_000: "127.0.11.35"},
    ),
    "a network by one of its addresses": ("127.0.8.77/30", 2, {0: "127.0.8.77", 1: "127.0.8.78"}),
    "a network of two": ("127.0.8.0/31", 2, {0: "127.0.8.0", 1: "127.0.8.1"}),
    "a network of one": ("127.0.8.4/32", 1, {0: "127.0.8.4"}),
    "several, one after the other": (
        "127.0.0.1, 127.0.1.0/30 ,127.0.0.7-127.0.0.8",
        5,
        {0: "127.0.0.1", 1: "127.0.1.1", 2: "127.0.1.2", 3: "127.0.0.7", 4: "127.0.0.8", 5: "127.0.0.1"},
    ),
    "IPv6": ("fd00::/64", 2**64, {0: "fd00::", 65536: "fd00::1:0"}),
}


@pytest.mark.parametrize(("text", "size", "expected"), POOLS.values(), ids=POOLS)
def test_a_user_always_gets_the_same_address(text: str, size: int, expected: dict[int, str]) -> None:
    pool = SourceAddresses(text)
    assert pool.size == size
    assert {index: pool[index] for index in expected} == expected


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "127.0.0.1,", "127.0.0.256", "127.0.0.1/33", "127.0.0.9-127.0.0.1", "127.0.0.1-::1", "a-b", "1-"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="source addresses"):
        SourceAddresses(text)


def test_it_can_be_gone_through_once() -> None:
    assert list(SourceAddresses("127.0.0.1-127.0.0.2,127.0.0.9")) == ["127.0.0.1", "127.0.0.2", "127.0.0.9"]


def test_it_shows_itself() -> None:
    assert repr(SourceAddresses("127.0.8.0/22")) == "SourceAddresses('127.0.8.0/22')"
