from __future__ import annotations

import random
from collections import Counter

import gevent
import pytest

from pika_locust.kit.sampled_audit import BottomKSample, get, look_up, part_of
from pika_locust.load.rng import SeededRandom
from pika_locust.wire.http import HttpClient, Response
from tests.wire.http_servers import Peer, content, serving
from tests.wire.websocket_servers import until


def sample_of(items: int, size: int, seed: int = 1) -> BottomKSample[int]:
    sample: BottomKSample[int] = BottomKSample(size, SeededRandom(seed))
    for item in range(items):
        sample.add(item)
    return sample


def test_few_enough_are_all_taken() -> None:
    sample = sample_of(7, 10)
    assert sample.seen == 7
    assert sorted(sample.pick(10)) == list(range(7))


def test_of_many_as_many_are_taken_as_were_asked_for_and_each_once() -> None:
    sample = sample_of(10_000, 1_000)
    assert sample.seen == 10_000
    picked = sample.pick(1_000)
    assert len(set(picked)) == 1_000
    assert sample.pick(5) == picked[:5]
    assert sample.pick(2_000) == picked


def test_whether_it_came_early_or_late_makes_no_difference() -> None:
    # Each of the ten is one of three in 30 % of the samples; 2,000 of them: 600, and 4 standard deviations are 82.
    picked = Counter(item for seed in range(2_000) for item in sample_of(10, 5, seed).pick(3))
    assert sum(picked.values()) == 6_000
    assert all(518 <= picked[item] <= 682 for item in range(10)), picked


def test_the_same_seed_gives_the_same_sample() -> None:
    assert sample_of(100, 9, 3).pick(9) == sample_of(100, 9, 3).pick(9) != sample_of(100, 9, 4).pick(9)


PARTS = {
    "alone, and few": (1000, 589, [], 589),
    "alone, and many": (1000, 10_000, [], 1000),
    "two equal shares": (1000, 5000, [5000], 500),
    "together few enough": (1000, 400, [600], 400),
    "together one too many": (1000, 400, [601], 400),
    "a small share of many": (1000, 100, [9900], 10),
    "the large one": (1000, 9900, [100], 990),
    "nothing is known of the others": (1000, 5000, [], 1000),
    "nobody here": (1000, 0, [5000], 0),
    "nobody anywhere": (1000, 0, [], 0),
}


@pytest.mark.parametrize(("wanted", "own", "others", "part"), PARTS.values(), ids=PARTS)
def test_how_many_a_process_takes(wanted: int, own: int, others: list[int], part: int) -> None:
    assert part_of(wanted, own, others) == part


def told(users: int) -> int:
    """What the others know of so many: the last power of two."""
    return 1 << (users.bit_length() - 1) if users else 0


def test_together_they_take_enough_whatever_their_shares_and_never_more_than_twice_as_many() -> None:
    chance = random.Random(5)
    for _ in range(500):
        shares = [chance.choice([0, 1, 7, 99, 1000, 8191]) + chance.randrange(500) for _ in range(chance.randint(1, 9))]
        known = [told(users) for users in shares]
        parts = [part_of(1000, own, known[:n] + known[n + 1 :]) for n, own in enumerate(shares)]
        assert all(part <= own for part, own in zip(parts, shares, strict=True))
        assert min(sum(shares), 1000) <= sum(parts) <= 2000 + len(shares), shares


def test_a_look_up_that_raises_leaves_no_connection_open() -> None:
    ended = []

    def script(peer: Peer) -> None:
        peer.answer(content(b"5"))
        peer.wait_for_end()
        ended.append(True)

    def ask(http: HttpClient, number: int) -> Response:
        response = get(http, "/balance")
        if number == 2:
            raise LookupError("a mistake of who asks")
        return response

    with gevent.Timeout(20), serving(script) as server:
        with pytest.raises(LookupError):
            look_up([1, 2, 3], lambda number: HttpClient(server.url), ask)
        until(lambda: len(ended) == 3)
