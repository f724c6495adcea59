from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.load.stripes import in_order, reassign, remaining, stripe


def test_stripes_are_dealt_like_cards() -> None:
    assert [list(stripe(8, index, 3)) for index in range(3)] == [[0, 3, 6], [1, 4, 7], [2, 5]]


@pytest.mark.parametrize("index", [pytest.param(-1, id="below 0"), pytest.param(3, id="the count itself")])
def test_a_worker_that_does_not_exist(index: int) -> None:
    with pytest.raises(ValueError, match=f"there is no worker {index} of 3; they are counted from 0"):
        stripe(8, index, 3)


@given(st.integers(0, 300), st.integers(1, 20))
def test_all_stripes_together_are_the_schedule(total: int, count: int) -> None:
    together = [number for index in range(count) for number in stripe(total, index, count)]
    assert sorted(together) == list(range(total))


@pytest.mark.parametrize(
    ("next_number", "left"),
    [
        pytest.param(0, [4, 7, 10, 13], id="nothing is done"),
        pytest.param(4, [4, 7, 10, 13], id="its first is the next"),
        pytest.param(5, [7, 10, 13], id="its first is done"),
        pytest.param(7, [7, 10, 13], id="its second is the next"),
        pytest.param(13, [13], id="its last is the next"),
        pytest.param(14, [], id="all is done"),
        pytest.param(99, [], id="all is long done"),
    ],
)
def test_what_remains_of_a_stripe(next_number: int, left: list[int]) -> None:
    assert list(remaining(range(4, 15, 3), next_number)) == left


@given(st.integers(0, 50), st.integers(0, 200), st.integers(1, 9), st.integers(-5, 250))
def test_what_remains_is_what_is_not_below(first: int, stop: int, step: int, next_number: int) -> None:
    numbers = range(first, stop, step)
    assert list(remaining(numbers, next_number)) == [number for number in numbers if number >= next_number]


def test_several_stripes_are_walked_in_the_order_they_are_due() -> None:
    assert list(in_order([range(0, 12, 4), range(5, 12, 4), range(3, 4)])) == [0, 3, 4, 5, 8, 9]
    assert list(in_order([range(2, 9, 3)])) == [2, 5, 8]
    assert list(in_order([])) == []


def test_the_survivors_divide_what_a_dead_worker_had_not_begun() -> None:
    holdings = {name: (stripe(20, index, 3),) for index, name in enumerate("abc")}
    got = reassign(holdings, {"b": 5})
    assert got == {"a": (range(0, 20, 3), range(7, 20, 6)), "c": (range(2, 20, 3), range(10, 20, 6))}


@pytest.mark.parametrize(
    ("dead", "error", "text"),
    [
        pytest.param({"a": 0, "b": 0}, ValueError, "every worker is dead", id="nobody is left"),
        pytest.param({"z": 0}, KeyError, "z", id="a worker that was never there"),
    ],
)
def test_what_cannot_be_reassigned(dead: dict[str, int], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        reassign({"a": (range(9),), "b": ()}, dead)


@given(st.data(), st.integers(0, 200), st.integers(2, 8))
def test_however_many_die_every_arrival_is_begun_exactly_once(data: st.DataObject, total: int, count: int) -> None:
    """Workers die in several waves, some together, each having begun its own arrivals up to a point of its own."""
    holdings: dict[int, tuple[range, ...]] = {index: (stripe(total, index, count),) for index in range(count)}
    begun: list[int] = []
    while len(holdings) > 1 and data.draw(st.booleans(), "another wave"):
        some = st.sets(st.sampled_from(sorted(holdings)), min_size=1, max_size=len(holdings) - 1)
        dead = {worker: data.draw(st.integers(0, total + 1)) for worker in data.draw(some, "the dead")}
        for worker, next_number in dead.items():
            begun += [number for number in in_order(holdings[worker]) if number < next_number]
        before = {worker: sum(map(len, stripes)) for worker, stripes in holdings.items() if worker not in dead}
        left = sum(len(remaining(numbers, dead[worker])) for worker in dead for numbers in holdings[worker])
        holdings = reassign(holdings, dead)
        gained = [sum(map(len, holdings[worker])) - held for worker, held in before.items()]
        assert sum(gained) == left
        assert max(gained) - min(gained) <= 1, "the rest is divided evenly"
    for stripes in holdings.values():
        begun += list(in_order(stripes))
    assert sorted(begun) == list(range(total))
