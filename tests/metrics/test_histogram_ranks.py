from __future__ import annotations

import pytest

from pika_locust.metrics.histogram import SortedBuckets, bucket_index

# Samples: 5, 5, 9, 2048 .. 2051 (one bucket, middle 2049.5), 4000
RANKING = SortedBuckets({5: 2, 9: 1, bucket_index(2048): 3, bucket_index(4000): 1}, minimum=5, maximum=4000)


@pytest.mark.parametrize(
    ("rank", "value"),
    [
        pytest.param(0, 5.0, id="the first rank is the minimum"),
        pytest.param(1, 5.0, id="a value that came twice has two ranks"),
        pytest.param(2, 9.0, id="small values are exact"),
        pytest.param(3, 2049.5, id="a wide bucket answers with its middle"),
        pytest.param(5, 2049.5, id="for each of its samples"),
        pytest.param(6, 4000.0, id="the last rank is the maximum, not a middle"),
    ],
)
def test_a_rank_has_its_value(rank: int, value: float) -> None:
    assert RANKING.count == 7
    assert RANKING.value(rank) == value


def test_a_middle_never_leaves_the_exact_extremes() -> None:
    low = SortedBuckets({bucket_index(2051): 3}, minimum=2050, maximum=2051)
    high = SortedBuckets({bucket_index(2048): 3}, minimum=2048, maximum=2049)
    assert [low.value(rank) for rank in range(3)] == [2050.0, 2050.0, 2051.0]
    assert [high.value(rank) for rank in range(3)] == [2048.0, 2049.0, 2049.0]


@pytest.mark.parametrize("rank", [-1, 7])
def test_a_rank_that_no_sample_has_is_refused(rank: int) -> None:
    with pytest.raises(ValueError, match=rf"rank {rank} is out of range: 7 samples have the ranks 0 to 6"):
        RANKING.value(rank)


@pytest.mark.parametrize(
    ("q", "value"),
    [
        pytest.param(0.0, 5.0, id="0 is the minimum"),
        pytest.param(0.25, 7.0, id="half-way between two ranks"),
        pytest.param(0.5, 2049.5, id="a rank itself"),
        pytest.param(1.0, 4000.0, id="1 is the maximum"),
    ],
)
def test_a_share_lies_between_two_ranks(q: float, value: float) -> None:
    assert RANKING.quantile(q) == value


@pytest.mark.parametrize("q", [-0.01, 1.01, float("nan")])
def test_a_share_that_is_none_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match=r"out of range: 0 to 1, so p\(95\) is 0.95"):
        RANKING.quantile(q)
