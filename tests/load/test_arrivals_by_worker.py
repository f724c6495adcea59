from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.load.arrivals import stripe


def test_stripes_are_dealt_like_cards() -> None:
    assert [list(stripe(8, index, 3)) for index in range(3)] == [[0, 3, 6], [1, 4, 7], [2, 5]]
    assert [list(stripe(9, index, 2, first=5)) for index in range(2)] == [[5, 7], [6, 8]]


@pytest.mark.parametrize("index", [pytest.param(-1, id="below 0"), pytest.param(3, id="the count itself")])
def test_a_worker_that_does_not_exist(index: int) -> None:
    with pytest.raises(ValueError, match=f"there is no worker {index} of 3; they are counted from 0"):
        stripe(8, index, 3)


@given(st.integers(0, 300), st.integers(1, 20), st.integers(0, 320))
def test_all_stripes_together_are_what_comes_from_the_first_on(total: int, count: int, first: int) -> None:
    together = [number for index in range(count) for number in stripe(total, index, count, first)]
    assert sorted(together) == list(range(first, total))


@given(st.integers(0, 300), st.integers(1, 9), st.integers(1, 9), st.integers(0, 300))
def test_nothing_is_in_two_hands_after_workers_have_changed(total: int, before: int, after: int, first: int) -> None:
    kept = [number for index in range(before) for number in stripe(total, index, before) if number < first]
    anew = [number for index in range(after) for number in stripe(total, index, after, first)]
    assert sorted(kept + anew) == list(range(total))
