from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy import stats

from pika_locust.judge.intervals import (
    EXACT_VARIANCE,
    Z95,
    binomial_ranks,
    mean_interval,
    percentile_interval,
    student95,
    wilson,
)
from pika_locust.metrics.histogram import Histogram


@pytest.mark.parametrize(
    ("passes", "n"),
    [(0, 1), (1, 1), (1, 2), (0, 20), (20, 20), (19, 20), (950, 1000), (999, 1000), (3, 100_000), (123_456, 1_000_000)],
)
def test_wilson_agrees_with_scipy(passes: int, n: int) -> None:
    wanted = stats.binomtest(passes, n).proportion_ci(confidence_level=0.95, method="wilson")

    assert wilson(passes, n) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_wilson_ends_exactly_where_all_outcomes_are_alike() -> None:
    for n in [*range(1, 500), 12_345]:
        none, all_of_them = wilson(0, n), wilson(n, n)
        assert none is not None
        assert all_of_them is not None
        assert none[0] == 0.0
        assert all_of_them[1] == 1.0
        assert none[1] > 0.0
        assert all_of_them[0] < 1.0


def test_wilson_has_nothing_to_say_without_samples_and_refuses_nonsense() -> None:
    assert wilson(0, 0) is None
    for passes, n in ((2, 1), (-1, 1)):
        with pytest.raises(ValueError, match="0 <= passes <= n"):
            wilson(passes, n)


def test_the_normal_point_is_scipys() -> None:
    assert pytest.approx(stats.norm.ppf(0.975), abs=1e-12) == Z95


@pytest.mark.parametrize("q", [0.01, 0.5, 0.9, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("n", [1, 2, 5, 20, 71, 72, 367, 368, 1_000, 5_000, 20_000, 300_000, 5_000_000])
def test_ranks_hold_95_percent_of_the_binomial_and_hardly_more(n: int, q: float) -> None:
    lower, upper = binomial_ranks(n, q)
    binomial = stats.binom(n, q)

    assert binomial.cdf(lower - 1) <= 0.025
    assert binomial.sf(upper - 1) <= 0.025
    # no further out than it takes: exactly so for small variances, by a few ranks for large ones
    slack = 0 if n * q * (1 - q) <= EXACT_VARIANCE else 4
    assert binomial.cdf(lower + slack) > 0.025
    assert binomial.sf(upper - 2 - slack) > 0.025


@pytest.mark.parametrize(
    ("n", "q", "bounded"),
    [
        pytest.param(71, 0.95, False, id="71 samples do not bound p(95) from above"),
        pytest.param(72, 0.95, True, id="72 samples do"),
        pytest.param(367, 0.99, False, id="367 samples do not bound p(99) from above"),
        pytest.param(368, 0.99, True, id="368 samples do"),
        pytest.param(5, 0.5, False, id="5 samples do not bound the median"),
        pytest.param(6, 0.5, True, id="6 samples do"),
    ],
)
def test_too_few_samples_leave_a_side_open(n: int, q: float, bounded: bool) -> None:
    interval = percentile_interval(Histogram(range(1, n + 1)), q)

    assert interval is not None
    assert (interval[1] < math.inf) is bounded
    if q == 0.5:
        assert (interval[0] > -math.inf) is bounded


def test_the_textbook_interval_of_a_median() -> None:
    # n = 10: the 2nd and the 9th of ten samples hold the median with 97.9 %
    assert percentile_interval(Histogram([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]), 0.5) == (20, 90)


@pytest.mark.parametrize("q", [0.0, 1.0])
def test_extremes_are_facts_and_not_estimates(q: float) -> None:
    assert percentile_interval(Histogram([1, 2, 3]), q) is None


def test_percentiles_of_nothing_and_impossible_ones() -> None:
    assert percentile_interval(Histogram(), 0.95) is None
    with pytest.raises(ValueError, match="from 0 to 1"):
        percentile_interval(Histogram([1]), 95)


@pytest.mark.parametrize("n", [80, 400, 3_000, 60_000])
@pytest.mark.parametrize("q", [0.5, 0.95])
def test_the_interval_holds_the_measured_value(n: int, q: float) -> None:
    dice = random.Random(n)
    histogram = Histogram(round(dice.lognormvariate(9, 1)) for _ in range(n))
    interval = percentile_interval(histogram, q)

    assert interval is not None
    assert interval[0] <= histogram.quantile(q) <= interval[1]


@pytest.mark.parametrize(
    ("n", "q"),
    [
        pytest.param(100, 0.5, id="the median of 100"),
        pytest.param(200, 0.95, id="p(95) of 200"),
        pytest.param(2_000, 0.99, id="p(99) of 2,000"),
    ],
)
def test_the_percentile_interval_covers_the_truth_as_often_as_it_says(n: int, q: float) -> None:
    # latencies as recorded ones look: a log-normal body with a slow mode beside it, in microseconds
    runs = 400
    dice = np.random.default_rng(20_240_607)

    def recorded(size: int) -> np.ndarray:
        body = dice.lognormal(np.log(12_000), 0.4, size)
        slow = dice.lognormal(np.log(150_000), 0.3, size)
        return np.where(dice.random(size) < 0.04, slow, body).astype(int)

    truth = float(np.quantile(recorded(4_000_000), q))
    covered = 0
    for _ in range(runs):
        interval = percentile_interval(Histogram(recorded(n).tolist()), q)
        assert interval is not None
        covered += interval[0] <= truth <= interval[1]

    # at least 95 %, less three standard deviations of 400 draws
    assert covered / runs >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)
    # and not everything: an interval that always holds the truth says nothing
    assert covered < runs


def test_the_mean_interval_agrees_with_numpy() -> None:
    dice = random.Random(4)
    values = [round(dice.gauss(50_000, 9_000)) for _ in range(5_000)]
    half = Z95 * np.std(values, ddof=1) / math.sqrt(len(values))

    interval = mean_interval(Histogram(values))

    assert interval is not None
    assert interval == pytest.approx((np.mean(values) - half, np.mean(values) + half), rel=1e-5)


def test_the_mean_interval_of_few_samples() -> None:
    assert mean_interval(Histogram()) is None
    assert mean_interval(Histogram([7])) == (-math.inf, math.inf)
    assert mean_interval(Histogram([7, 7, 7])) == (7, 7)
    # the sample's standard deviation, with n - 1: here 1; Student's t for two degrees of freedom is 4.303
    assert mean_interval(Histogram([1, 2, 3])) == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3)


def test_few_samples_are_worth_what_student_says() -> None:
    for n in [*range(2, 200), 1_000, 1_000_000]:
        assert student95(n - 1) == pytest.approx(stats.t.ppf(0.975, n - 1), rel=2e-3)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_the_mean_interval_of_few_samples_covers_the_truth_as_often_as_it_says(n: int) -> None:
    runs = 1_000
    dice = np.random.default_rng(n)
    covered = 0
    for _ in range(runs):
        interval = mean_interval(Histogram(dice.normal(100_000, 10_000, n).astype(int).tolist()))
        assert interval is not None
        covered += interval[0] <= 100_000 <= interval[1]

    assert covered / runs == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / runs))
