"""A second implementation of the arrival times, in exact fractions: slow, forwards only, one stage after another."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isqrt

DIGITS = 10**30


def root(number: Fraction) -> Fraction:
    """The square root, to 30 decimals."""
    return Fraction(isqrt(number.numerator * DIGITS * DIGITS // number.denominator), DIGITS)


def due_s(start_rate: Fraction, stages: Sequence[tuple[Fraction, Fraction]], target: int) -> Fraction | None:
    """When the integral of the rate is `target`; None when it never is. Stages are durations and rates, per second."""
    begin, done, a = Fraction(0), Fraction(0), start_rate
    for duration, b in stages:
        area = (a + b) / 2 * duration
        if done + area >= target and duration:
            n, s = target - done, (b - a) / duration
            return begin + (n / a if s == 0 else (root(a * a + 2 * s * n) - a) / s) if n else begin
        begin, done, a = begin + duration, done + area, b
    return begin if done == target else None
