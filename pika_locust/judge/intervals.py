"""95 % confidence intervals for rates, percentiles and means.

Each function returns `(low, high)` in the unit of its samples, or None where there is nothing to say. A side that
the samples cannot bound is infinite: no 95 % statement about the 99th percentile has an upper end before the 368th
sample.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from pika_locust.metrics.histogram import Histogram, bucket_edges

CONFIDENCE = 0.95
Z95 = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
"""The two-sided 95 % point of the normal distribution, 1.95996…"""

_T95 = (12.7062, 4.3027, 3.1824, 2.7764)
"""Student's two-sided 95 % points for 1 to 4 degrees of freedom, from where on the expansion is good."""

EXACT_VARIANCE = 2500.0
"""Binomial ranks are summed exactly up to this variance (some thousand steps), and approximated beyond."""

Interval = tuple[float, float]


def wilson(passes: int, n: int, z: float = Z95) -> Interval | None:
    """Wilson's score interval for a share of `passes` in `n` (E. B. Wilson, 1927).

    centre = (p + z²/2n) / (1 + z²/n),  half width = z √(p(1-p)/n + z²/4n²) / (1 + z²/n)

    Unlike p ± z√(p(1-p)/n) it does not collapse to a point when nothing failed. None for n = 0.
    Raises ValueError unless 0 <= passes <= n.
    """
    if not 0 <= passes <= n:
        raise ValueError(f"a share needs 0 <= passes <= n, not {passes} of {n}")
    if n == 0:
        return None
    p = passes / n
    shrink = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / shrink
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / shrink
    # the ends are exactly 0 and 1 when all outcomes are alike; rounding must not put a limit of 1 inside
    low = 0.0 if passes == 0 else max(0.0, centre - half)
    high = 1.0 if passes == n else min(1.0, centre + half)
    return low, high


def percentile_interval(histogram: Histogram, q: float) -> Interval | None:
    """The order statistics between which the true q-quantile lies with at least 95 %, in the histogram's own unit.

    The number of samples below the true quantile is binomial(n, q), whatever the distribution of the samples; so
    its 2.5 % and 97.5 % points are ranks, and the samples at those ranks are the ends. A rank outside 1 to n means
    that the samples leave that side open. None for an empty histogram and for q = 0 and q = 1 (an extreme is what was
    seen, not an estimate).

    Raises ValueError for q outside 0 to 1.
    """
    if not 0 <= q <= 1:
        raise ValueError(f"a quantile goes from 0 to 1, not {q}")
    n = histogram.count
    if n == 0 or q in (0, 1):
        return None
    lower, upper = binomial_ranks(n, q)
    # ranks of the binomial count from 1, those of the histogram from 0
    low = histogram.value_at_rank(lower - 1) if lower >= 1 else -math.inf
    high = histogram.value_at_rank(upper - 1) if upper <= n else math.inf
    return low, high


def mean_interval(histogram: Histogram) -> Interval | None:
    """mean ± t s/√n with Student's t for n - 1, and s from the middles of the buckets, in the histogram's own unit.

    None for an empty histogram; a single sample bounds neither side.
    """
    n = histogram.count
    if n == 0:
        return None
    if n == 1:
        return -math.inf, math.inf
    mean = histogram.mean
    squares = math.fsum(
        count * (sum(bucket_edges(index)) / 2 - mean) ** 2 for index, count in histogram.buckets.items()
    )
    half = student95(n - 1) * math.sqrt(squares / (n - 1) / n)
    return mean - half, mean + half


def student95(freedom: int) -> float:
    """Student's two-sided 95 % point: its expansion around the normal one (Abramowitz and Stegun, 26.7.5), to 0.2 %.

    With the normal one, as few as two samples would hold the truth between them in 70 % of the cases only.
    """
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = Z95
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def binomial_ranks(n: int, q: float) -> tuple[int, int]:
    """Ranks (1 = the smallest sample) l and u with P(l <= B < u) >= 95 % for B ~ binomial(n, q).

    l is the greatest rank with P(B < l) <= 2.5 %, u the smallest with P(B >= u) <= 2.5 %. l = 0 and u = n + 1 say
    that no sample is low or high enough.
    """
    tail = (1 - CONFIDENCE) / 2
    mean, variance = n * q, n * q * (1 - q)
    if variance > EXACT_VARIANCE:
        # one rank further out on both sides covers the binomial's skewness, which shifts its points by less than half
        half = Z95 * math.sqrt(variance)
        return max(0, math.floor(mean - half) - 1), min(n + 1, math.ceil(mean + half) + 2)
    # Beyond 12 standard deviations (and 40 either way, for the long tails of tiny variances) nothing is left that a
    # float would notice beside 2.5 %.
    reach = math.ceil(12 * math.sqrt(variance)) + 40
    first, last = max(0, math.floor(mean) - reach), min(n, math.ceil(mean) + reach)
    masses = _binomial_masses(n, q, first, last)
    lower, below = first, 0.0
    while below + masses[lower - first] <= tail:
        below += masses[lower - first]
        lower += 1
    upper, above = last + 1, 0.0
    while above + masses[upper - 1 - first] <= tail:
        above += masses[upper - 1 - first]
        upper -= 1
    return lower, upper


def _binomial_masses(n: int, q: float, first: int, last: int) -> list[float]:
    """P(B = k) for k from first to last, by the ratio of neighbours from the mode outwards, which cannot underflow."""
    mode = min(last, max(first, math.floor((n + 1) * q)))
    odds = q / (1 - q)
    upwards = [1.0]
    for k in range(mode, last):
        upwards.append(upwards[-1] * (n - k) / (k + 1) * odds)
    downwards = [1.0]
    for k in range(mode, first, -1):
        downwards.append(downwards[-1] * k / (n - k + 1) / odds)
    masses = downwards[:0:-1] + upwards
    total = math.fsum(masses)
    return [mass / total for mass in masses]
