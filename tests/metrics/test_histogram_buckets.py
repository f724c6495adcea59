from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.metrics.histogram import HIGHEST, bucket_edges, bucket_index, pack, unpack


@pytest.mark.parametrize(
    ("value", "index"),
    [
        pytest.param(0, 0, id="zero has a bucket of its own"),
        pytest.param(1, 1, id="one microsecond has a bucket of its own"),
        pytest.param(1023, 1023, id="the last value with a bucket of its own"),
        pytest.param(1024, 1024, id="the first pair of values starts where the single ones end"),
        pytest.param(1025, 1024, id="the second of that pair"),
        pytest.param(2047, 1535, id="the last pair of the first power of two"),
        pytest.param(2048, 1536, id="the first group of four"),
        pytest.param(HIGHEST, (22 << 9) + 858, id="one hour"),
        pytest.param(-1, -1, id="minus one mirrors one"),
        pytest.param(-1025, -1024, id="a negative pair mirrors the positive one"),
    ],
)
def test_a_value_falls_into_its_bucket(value: int, index: int) -> None:
    assert bucket_index(value) == index


@given(st.integers(-(10**12), 10**12))
def test_the_edges_of_a_values_bucket_enclose_it_and_nothing_of_the_next(value: int) -> None:
    index = bucket_index(value)
    low, high = bucket_edges(index)
    assert low <= value <= high
    assert bucket_index(low) == bucket_index(high) == index
    assert bucket_index(low - 1) == index - 1
    assert bucket_index(high + 1) == index + 1


def test_no_middle_is_a_thousandth_away_from_any_value_of_its_bucket() -> None:
    worst = 0.0
    for index in range(1, bucket_index(HIGHEST) + 1):
        low, high = bucket_edges(index)
        worst = max(worst, ((low + high) / 2 - low) / low)
    assert worst < 1 / 1024


@pytest.mark.parametrize(
    ("buckets", "flat"),
    [
        pytest.param({}, [], id="nothing is an empty list"),
        pytest.param({1500: 3}, [1500, 3], id="one bucket is its index and count"),
        pytest.param({20: 1, 7: 5, 21: 9}, [7, 5, 13, 1, 1, 9], id="several are sorted and written as distances"),
        pytest.param({-4: 1, 2: 1}, [-4, 1, 6, 1], id="negative buckets come first"),
    ],
)
def test_buckets_are_packed_as_distances_and_counts(buckets: dict[int, int], flat: list[int]) -> None:
    assert pack(buckets) == flat
    assert unpack(flat) == buckets


def test_a_list_cut_short_is_refused() -> None:
    with pytest.raises(ValueError):
        unpack([7, 5, 13])
