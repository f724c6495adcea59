from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.metrics.histogram import HIGHEST, Histogram
from pika_locust.metrics.values import RateValue

BOUND = 0.001
QS = [0.0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0]

DURATIONS = st.integers(1, HIGHEST)
ANYTHING = st.integers(-(10**15), 10**15)
SAMPLES = st.lists(st.one_of(st.integers(1, 5000), DURATIONS, ANYTHING), max_size=40)


def _bimodal(random: np.random.Generator) -> Any:
    return np.concatenate([random.normal(2_000, 100, 9_000), random.normal(900_000, 50_000, 1_000)])


SHAPES: dict[str, Any] = {
    "log-normal around 20 ms": lambda random: random.lognormal(np.log(20_000), 1.0, 20_000),
    "uniform up to a second": lambda random: random.uniform(1, 1_000_000, 20_000),
    "uniform in the logarithm, 1 us to 1 h": lambda random: np.exp(random.uniform(0, np.log(HIGHEST), 20_000)),
    "bimodal, 2 ms and 900 ms": _bimodal,
    "few samples far apart": lambda random: np.array([3, 1_500, 70_001, 5_000_000, 3_000_000_000]),
    "two samples": lambda random: np.array([1_025, 2_000_003]),
}


def _samples(shape: str, seed: int = 7) -> Any:
    return np.maximum(SHAPES[shape](np.random.default_rng(seed)), 1).astype(np.int64)


@pytest.mark.parametrize("shape", SHAPES)
def test_quantiles_are_numpys_within_a_thousandth(shape: str) -> None:
    samples = _samples(shape)
    histogram = Histogram(samples.tolist())
    wanted = np.quantile(samples, QS, method="linear")
    assert histogram.quantiles(QS) == pytest.approx(wanted.tolist(), rel=BOUND)
    assert [histogram.quantile(q) for q in QS] == histogram.quantiles(QS)


@pytest.mark.parametrize("shape", SHAPES)
def test_count_total_mean_and_extremes_are_exact(shape: str) -> None:
    samples = _samples(shape)
    histogram = Histogram(samples.tolist())
    assert histogram.count == histogram.samples == len(samples)
    assert histogram.total == int(samples.sum())
    assert (histogram.minimum, histogram.maximum) == (int(samples.min()), int(samples.max()))
    assert histogram.quantile(0) == samples.min()
    assert histogram.quantile(1) == samples.max()
    assert histogram.mean == pytest.approx(float(samples.mean()), rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_merged_parts_have_the_quantiles_of_the_whole(shape: str) -> None:
    samples = _samples(shape).tolist()
    merged = Histogram()
    for part in (samples[0::3], samples[1::3], samples[2::3]):
        merged.merge(Histogram(part))
    assert merged == Histogram(samples)


@given(SAMPLES, SAMPLES)
def test_many_values_at_once_count_like_one_after_the_other(first: list[int], second: list[int]) -> None:
    one_by_one, at_once = Histogram(), Histogram()
    for value in first + second:
        one_by_one.add(value)
    at_once.add_all(first)
    at_once.add_all(iter(second))
    assert at_once == one_by_one


def test_a_value_that_is_refused_among_many_leaves_those_before_it_counted() -> None:
    histogram = Histogram([1, 2000])
    with pytest.raises(TypeError, match="takes whole numbers"):
        histogram.add_all([1000, 1500.5, 1200])  # type: ignore[list-item]
    assert histogram == Histogram([1, 2000, 1000])


def test_each_value_from_a_microsecond_to_an_hour_is_known_within_a_thousandth() -> None:
    # The worst of a bucket are its edges: every power of two, its neighbours, and a grid that hits all buckets' sizes.
    values = {p + d for e in range(32) for p in (1 << e, 3 << e, 5 << e) for d in (-1, 0, 1)}
    values |= {round(1.00391**n) for n in range(5_650)}
    for value in sorted(v for v in values if 1 <= v <= HIGHEST):
        # Kept away from the exact extremes, so that the bucket alone has to know it.
        assert Histogram([1, value, HIGHEST]).value_at_rank(1) == pytest.approx(value, rel=BOUND)


@given(st.lists(DURATIONS, min_size=1, max_size=50), st.floats(0, 1))
def test_any_quantile_of_any_durations_is_within_a_thousandth(samples: list[int], q: float) -> None:
    wanted = float(np.quantile(np.array(samples, dtype=np.float64), q))
    assert Histogram(samples).quantile(q) == pytest.approx(wanted, rel=BOUND)


@given(st.lists(ANYTHING, min_size=1, max_size=50))
def test_every_rank_has_its_sample_within_a_thousandth(samples: list[int]) -> None:
    histogram = Histogram(samples)
    for rank, sample in enumerate(sorted(samples)):
        assert histogram.value_at_rank(rank) == pytest.approx(sample, rel=BOUND)


@pytest.mark.parametrize(
    ("samples", "q", "value"),
    [
        pytest.param([7], 0.95, 7.0, id="one sample is every quantile"),
        pytest.param([10, 20], 0.5, 15.0, id="the median of two lies between them"),
        pytest.param([10, 20, 30], 0.5, 20.0, id="the median of three is one of them"),
        pytest.param([10, 20, 30, 40, 50], 0.9, 46.0, id="0.9 x 4 = rank 3.6"),
        pytest.param([1] * 99 + [1000], 0.99, 1 + 0.01 * 999, id="a lone slow one pulls as k6 lets it"),
    ],
)
def test_quantiles_are_interpolated_between_two_ranks(samples: list[int], q: float, value: float) -> None:
    assert Histogram(samples).quantile(q) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("samples", "underflow", "overflow"),
    [
        pytest.param([1, HIGHEST], 0, 0, id="both ends of the range are inside"),
        pytest.param([0, 5], 1, 0, id="zero is below"),
        pytest.param([-3, -3, 5], 2, 0, id="clock differences may be negative"),
        pytest.param([HIGHEST + 1, 5, 10**13, HIGHEST + 1], 0, 3, id="more than an hour is above"),
        pytest.param([HIGHEST + 9, HIGHEST + 5, HIGHEST + 7], 0, 3, id="also when it is no new extreme"),
        pytest.param([-9, -5, -7, 10**10], 3, 1, id="both at once"),
    ],
)
def test_values_out_of_range_are_kept_and_counted_apart(samples: list[int], underflow: int, overflow: int) -> None:
    histogram = Histogram(samples)
    assert (histogram.underflow, histogram.overflow) == (underflow, overflow)
    assert histogram.count == len(samples)
    assert histogram.total == sum(samples)
    assert (histogram.minimum, histogram.maximum) == (min(samples), max(samples))


@given(SAMPLES)
def test_out_of_range_counts_hold_in_any_order(samples: list[int]) -> None:
    histogram = Histogram(samples)
    assert histogram.underflow == sum(value < 1 for value in samples)
    assert histogram.overflow == sum(value > HIGHEST for value in samples)
    assert histogram == Histogram(sorted(samples)) == Histogram(sorted(samples, reverse=True))


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda h: h.minimum, "has no minimum"),
        (lambda h: h.maximum, "has no maximum"),
        (lambda h: h.mean, "has no mean"),
        (lambda h: h.quantile(0.5), "a histogram without samples has no"),
        (lambda h: h.value_at_rank(0), "a histogram without samples has no"),
    ],
    ids=["minimum", "maximum", "mean", "quantile", "value at a rank"],
)
def test_no_data_is_never_a_number(read: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(Histogram())


@pytest.mark.parametrize("q", [-0.01, 1.01, 95, float("nan")])
def test_a_quantile_out_of_range_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match=r"out of range: 0 to 1, so p\(95\) is 0.95"):
        Histogram([1, 2]).quantile(q)


@pytest.mark.parametrize("before", [[], [1, 1000]], ids=["as the first sample", "among others"])
@pytest.mark.parametrize("value", [12.5, 2e9, float("nan")], ids=repr)
def test_a_fraction_is_refused_with_advice_and_leaves_nothing(before: list[int], value: Any) -> None:
    histogram = Histogram(before)
    with pytest.raises(
        TypeError, match=rf"takes whole numbers \(microseconds for times\), not {value!r}: round\(seconds"
    ):
        histogram.add(value)
    assert histogram == Histogram(before)


# Merging and subtracting


@given(SAMPLES, SAMPLES)
def test_merging_is_commutative_and_counts_all_samples(ours: list[int], theirs: list[int]) -> None:
    one, other = Histogram(ours), Histogram(theirs)
    one.merge(Histogram(theirs))
    other.merge(Histogram(ours))
    assert one == other == Histogram(ours + theirs)


@given(SAMPLES, SAMPLES, SAMPLES)
def test_merging_is_associative(a: list[int], b: list[int], c: list[int]) -> None:
    left, right, tail = Histogram(a), Histogram(a), Histogram(b)
    left.merge(Histogram(b))
    left.merge(Histogram(c))
    tail.merge(Histogram(c))
    right.merge(tail)
    assert left == right


@given(SAMPLES, SAMPLES)
def test_a_window_is_later_minus_earlier(before: list[int], during: list[int]) -> None:
    histogram = Histogram(before)
    earlier = histogram.copy()
    for value in during:
        histogram.add(value)
    window = histogram.minus(earlier)
    alone = Histogram(during)
    assert window.buckets == alone.buckets
    assert (window.total, window.underflow, window.overflow) == (alone.total, alone.underflow, alone.overflow)
    if during:
        for rank, sample in enumerate(sorted(during)):
            assert window.value_at_rank(rank) == pytest.approx(sample, rel=BOUND)
        assert histogram.minimum <= window.minimum <= window.maximum <= histogram.maximum
    earlier.merge(window)
    assert earlier == histogram


def test_extremes_reached_in_a_window_are_exact() -> None:
    earlier, later = Histogram([50_000, 60_001]), Histogram([50_000, 60_001, 40_013, 70_017])
    window = later.minus(earlier)
    assert (window.minimum, window.maximum) == (40_013, 70_017)


def test_extremes_not_reached_in_a_window_are_the_middle_of_their_buckets() -> None:
    earlier, later = Histogram([100, 90_000]), Histogram([100, 90_000, 4_096, 8_207])
    window = later.minus(earlier)
    assert (window.minimum, window.maximum) == (4_099, 8_199)  # of 4096..4103 and 8192..8207


@pytest.mark.parametrize(
    "earlier",
    [
        pytest.param([5, 5], id="more in one bucket"),
        pytest.param([6], id="a bucket that the later one lacks"),
    ],
)
def test_what_is_no_earlier_copy_cannot_be_subtracted(earlier: list[int]) -> None:
    with pytest.raises(ValueError, match="the earlier histogram holds samples that the later one lacks"):
        Histogram([5, 7]).minus(Histogram(earlier))


@pytest.mark.parametrize("combine", [Histogram.merge, Histogram.minus], ids=["merge", "minus"])
def test_other_kinds_are_refused(combine: Any) -> None:
    with pytest.raises(TypeError, match="goes together with histograms only, not with a RateValue"):
        combine(Histogram(), RateValue())


def test_a_copy_goes_its_own_way() -> None:
    histogram = Histogram([5])
    copy = histogram.copy()
    histogram.add(6)
    copy.add(1)
    assert (histogram.buckets, copy.buckets) == ({5: 1, 6: 1}, {5: 1, 1: 1})
    buckets = histogram.buckets
    buckets[99] = 1
    assert histogram.count == 2


def test_a_histogram_merged_with_itself_counts_twice() -> None:
    histogram = Histogram([5, 2_000])
    histogram.merge(histogram)
    assert histogram == Histogram([5, 2_000, 5, 2_000])


def test_equality_and_repr() -> None:
    assert Histogram([1]) != Histogram([2])
    assert Histogram([1]) != 1
    assert repr(Histogram()) == "Histogram(count=0, total=0)"
    assert repr(Histogram([3, 9])) == "Histogram(count=2, total=12, minimum=3, maximum=9)"


# The wire


@given(SAMPLES)
def test_the_wire_brings_back_what_was_sent(samples: list[int]) -> None:
    histogram = Histogram(samples)
    packed = msgpack.packb(histogram.to_wire())
    back = Histogram.from_wire(msgpack.unpackb(packed))
    assert back == histogram
    for value in samples:  # it also goes on counting as the original does
        back.add(value)
    histogram.merge(Histogram(samples))
    assert back == histogram
