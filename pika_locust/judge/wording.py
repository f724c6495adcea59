"""Numbers in sentences: few digits, but never so few that a value looks like the limit it crossed."""

from __future__ import annotations

import math


def number(value: float, beside: float | None = None) -> str:
    """A value with three significant digits (or all before the point), thousands separated: 914, 12,345, 0.943.

    With `beside` it gets as many more as it takes to stand on its own side of that number: 500.04 beside 500.
    """
    if not math.isfinite(value):
        return str(value)
    if value == int(value):
        return f"{int(value):,}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    while beside is not None and _side(round(value, decimals), beside) != _side(value, beside) and decimals < 17:
        decimals += 1
    return plain(round(value, decimals), decimals)


def plain(value: float, decimals: int = 6) -> str:
    """A number with at most so many decimals and without zeros at the end: 0.95, 1,000."""
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def with_unit(text: str, unit: str) -> str:
    """A number's text and its unit, if it has one."""
    return f"{text} {unit}" if unit else text


def clock(seconds: float) -> str:
    """A moment of the run, as a stop watch shows it: 0:30, 12:05, 1:02:03."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _side(value: float, of: float) -> int:
    return (value > of) - (value < of)
