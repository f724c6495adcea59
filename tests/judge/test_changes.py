"""Whether runs differ by more than noise: the test itself, its false alarms and its power on simulated runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pika_locust.judge import changes
from pika_locust.judge.changes import FALSE_ALARMS, RunFigure, difference, holm, two_sided
from pika_locust.metrics.histogram import Histogram


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 9, 30, 31])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 2.5, 6.2])
def test_students_tails_are_scipys(freedom: int, t: float) -> None:
    assert two_sided(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-9, abs=1e-14)


def test_the_normal_tail_is_scipys() -> None:
    assert two_sided(3.3, None) == pytest.approx(2 * stats.norm.sf(3.3))


def test_with_three_runs_a_side_it_is_students_test() -> None:
    before, after = [1.0, 1.2, 1.1], [1.5, 1.4, 1.9]
    found = difference([RunFigure(value) for value in before], [RunFigure(value) for value in after])
    assert found.p == pytest.approx(stats.ttest_ind(after, before).pvalue)
    assert found.detectable(0.01) == pytest.approx(stats.t.isf(0.005, 4) * found.error)


def test_runs_that_agree_by_chance_are_as_uncertain_as_their_samples() -> None:
    same = [RunFigure(1.0, variance=0.04)] * 5
    assert difference(same, same).error == pytest.approx(0.2 * math.sqrt(2 / 5))


def test_one_run_a_side_shows_large_differences_only() -> None:
    one = [RunFigure(math.log(100.0), 1e-4)]
    assert difference(one, [RunFigure(math.log(130.0), 1e-4)]).p > 0.1
    assert difference(one, [RunFigure(math.log(300.0), 1e-4)]).p < 1e-6


def test_two_runs_that_lie_far_apart_are_believed_to_be_noisy() -> None:
    quiet = [RunFigure(0.0), RunFigure(0.1)]
    noisy = [RunFigure(0.0), RunFigure(1.0)]
    assert difference(noisy, noisy).error > 4 * difference(quiet, quiet).error


def test_of_too_few_runs_the_assumed_spread_and_the_samples_noise_add_up() -> None:
    one = [RunFigure(1.0, variance=0.04, spread=0.3)]
    assert difference(one, one).error == pytest.approx(math.sqrt((0.3**2 + 0.04) * 2))


def test_runs_without_any_noise_differ_for_certain() -> None:
    assert difference([RunFigure(1.0)] * 3, [RunFigure(1.1)] * 3).p == 0.0


def test_without_runs_there_is_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="at least one run on each side"):
        difference([], [RunFigure(1.0)])


def test_holm_steps_down_and_stops_at_the_first_that_is_noise() -> None:
    assert holm([0.004, 0.001, 0.2, 0.003], 0.01) == [True, True, False, True]
    assert holm([0.0026, 0.006, 0.006, 0.006], 0.01) == [False] * 4


def test_what_could_never_have_been_a_difference_takes_nothing_from_the_others() -> None:
    assert holm([0.004, 1.0, 1.0, 1.0], 0.01) == [False] * 4
    assert holm([0.004, 1.0, 1.0, 1.0], 0.01, 2) == [True, False, False, False]
    assert holm([0.0, 0.0], 0.01, 1) == [True, False]


def test_a_percentile_without_enough_samples_is_no_figure() -> None:
    assert changes.quantile(Histogram(range(1, 5)), 0.99) is None
    assert changes.quantile(Histogram(), 0.5) is None
    assert changes.quantile(Histogram([0] * 1000), 0.5) is None


def test_the_noise_of_a_percentile_is_that_of_its_order_statistics() -> None:
    random = np.random.default_rng(7)
    runs = [changes.quantile(Histogram(map(round, 50_000 * random.lognormal(0, 0.5, 4000))), 0.95) for _ in range(60)]
    shown = np.var([run.value for run in runs if run], ddof=1)
    assert np.mean([run.variance for run in runs if run]) == pytest.approx(shown, rel=0.5)


def test_the_noise_of_a_share_and_of_a_count_is_that_of_their_samples() -> None:
    random = np.random.default_rng(8)
    shares = [changes.share(int(passes), 2000) for passes in random.binomial(2000, 0.03, 400)]
    counts = [changes.count(int(n), 60.0) for n in random.poisson(900, 400)]
    for runs in (shares, counts):
        shown = np.var([run.value for run in runs if run], ddof=1)
        assert np.mean([run.variance for run in runs if run]) == pytest.approx(shown, rel=0.25)


def test_the_spread_of_a_share_is_that_of_the_rarer_outcome() -> None:
    """0.15 of 4 % are 0.006, whichever of the two is counted."""
    rare, usual = changes.share(40, 1000), changes.share(960, 1000)
    assert rare is not None
    assert usual is not None
    assert rare.spread == pytest.approx(math.asin(math.sqrt(0.046)) - math.asin(math.sqrt(0.04)), rel=0.05)
    assert usual.spread == pytest.approx(rare.spread)
    assert rare.variance == 1 / 4000
    assert changes.share(0, 1) is not None
    assert changes.share(0, 0) is None


def test_a_count_of_nothing_is_a_figure_and_one_in_no_time_is_none() -> None:
    assert changes.count(0, 10.0) == RunFigure(math.log(0.05), 2.0)
    assert changes.count(3, 10.0) == RunFigure(math.log(0.35), 1 / 3.5)
    assert changes.count(3, 0.0) is None


def test_shares_of_nothing_and_of_all_can_be_compared() -> None:
    none, all_of_them = [changes.share(0, 500)] * 3, [changes.share(500, 500)] * 3
    assert difference(none, all_of_them).p < 1e-6  # type: ignore[arg-type]
    assert difference(none, none).p == 1.0  # type: ignore[arg-type]


METRICS = 6
SAMPLES = 20_000


def _runs(random: np.random.Generator, runs: int, shift: float, between: float) -> list[list[RunFigure]]:
    """p(95) and median of `METRICS` trends in each of several runs; the first trend is slower by `shift`.

    A percentile of a lognormal distribution, by the normal approximation of its sampling noise: what a histogram of
    `SAMPLES` gives (see the test of its noise above), without drawing every one of them a hundred times over.
    """
    figures = []
    own = between / math.sqrt(2)
    run_effects = random.normal(0, own, (runs, 1)) + random.normal(0, own, (runs, METRICS))
    for q in (0.5, 0.95):
        z = stats.norm.ppf(q)
        noise = 0.5 * math.sqrt(q * (1 - q) / SAMPLES) / stats.norm.pdf(z)
        values = 0.5 * z + run_effects + random.normal(0, noise, (runs, METRICS))
        values[:, 0] += math.log1p(shift)
        figures += [[RunFigure(value, noise**2) for value in values[:, metric]] for metric in range(METRICS)]
    return figures


def _alarms(random: np.random.Generator, shift: float, between: float) -> list[bool]:
    before, after = _runs(random, 5, 0.0, between), _runs(random, 5, shift, between)
    return holm([difference(*pair).p for pair in zip(before, after, strict=True)], FALSE_ALARMS / 2)


@pytest.mark.parametrize("between", [0.0, 0.01, 0.2])
def test_equal_runs_are_called_different_once_in_a_hundred_comparisons_at_most(between: float) -> None:
    random = np.random.default_rng(2026)
    false = sum(any(_alarms(random, 0.0, between)) for _ in range(1000))
    assert false <= 10


def test_five_percent_are_found_from_five_runs_a_side() -> None:
    random = np.random.default_rng(2027)
    # The shift is in the first trend's p(95), which is the first of the second half.
    found = sum(_alarms(random, 0.05, 0.005)[METRICS] for _ in range(200))
    assert found >= 190
