from __future__ import annotations

import numpy
import pytest
from scipy import stats

from pika_locust.load.rate_curve import BLOCK, PoissonProcess

ARRIVALS = 60_000


@pytest.fixture(scope="module")
def gaps() -> numpy.ndarray:
    process = PoissonProcess(11)
    return numpy.diff([0.0, *(process.position(number) for number in range(ARRIVALS))])


def test_the_gaps_are_independent_and_exponential(gaps: numpy.ndarray) -> None:
    assert (gaps > 0).all()
    assert stats.kstest(gaps, "expon").pvalue > 0.01
    assert abs(numpy.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 3 / ARRIVALS**0.5


def test_the_gaps_across_the_ends_of_blocks_are_no_different() -> None:
    across = []
    for seed in range(20):
        process = PoissonProcess(seed)
        for block in range(1, 26):
            last = process.position(block * BLOCK - 1)
            across.append(process.position(block * BLOCK) - last)
    assert stats.kstest(across, "expon").pvalue > 0.01


def test_how_many_come_varies_as_a_poisson_number_does() -> None:
    counts = numpy.array([PoissonProcess(seed).count(5000.0) for seed in range(200)])
    assert abs(counts.mean() - 5000) < 3 * (5000 / 200) ** 0.5
    # 199 times the variance over the mean is chi-squared with 199 degrees of freedom.
    low, high = stats.chi2(199).ppf([0.005, 0.995]) * 5000 / 199
    assert low < counts.var(ddof=1) < high


def test_any_arrival_can_be_looked_up_in_any_order() -> None:
    walked = PoissonProcess(3)
    positions = [walked.position(number) for number in range(5 * BLOCK)]
    for number in (4 * BLOCK + 7, 0, BLOCK - 1, BLOCK, 3 * BLOCK, 1):
        assert PoissonProcess(3).position(number) == positions[number]
        assert walked.position(number) == positions[number]


def test_a_count_agrees_with_the_positions() -> None:
    process = PoissonProcess(5)
    assert process.count(0.0) == 0
    for number in (0, 1, BLOCK - 2, BLOCK - 1, BLOCK, 3 * BLOCK + 5):
        position = process.position(number)
        assert process.count(position) == number + 1
        assert process.count(position - 1e-9) == number


def test_every_word_of_the_seed_makes_another_process() -> None:
    firsts = {PoissonProcess(*seed).position(0) for seed in ((1,), (2,), (1, 1), (1, 2), ())}
    assert len(firsts) == 5
