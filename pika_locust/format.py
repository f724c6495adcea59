"""Numbers, durations and units as text, as people read them: `1,234,567`, `12.3 ms`, `99.97 %`, `1:01`.

Rounding never changes the message: a ratio below one is never shown as 100 %, and a value on one side of a limit is
never shown as the limit itself.
"""

from __future__ import annotations

import math
import unicodedata


def significant(value: float, beside: float | None = None) -> str:
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


MISSING = "-"
"""Shown for what is absent or not a finite number."""

_MEASURED = frozenset({"ms", "s", "us"})
_MAX_DECIMALS = 9
_SMALLEST, _LARGEST = 1e-9, 1e15
"""Beyond these digits say less than the exponent."""


def number(value: float | None, limit: float | None = None, *, measured: bool = False) -> str:
    """About three digits, thousands separated; more where `limit` would hide the difference.

    `measured` values keep their decimals when they happen to be whole: `11.0`, unlike counts.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if abs(value) >= _LARGEST or 0 < abs(value) < _SMALLEST:
        return f"{value:.3g}"
    if value == 0 or (value == int(value) and not measured):
        return f"{value:,.0f}"
    return _fixed(value, _decimals(value), () if limit is None else (limit,))


def percent(ratio: float | None, limit: float | None = None) -> str:
    """A ratio of one as a percentage: `0.9997` is `99.97 %`."""
    if ratio is None or not math.isfinite(ratio):
        return MISSING
    if abs(ratio) >= _LARGEST or 0 < abs(ratio) < _SMALLEST:
        return f"{ratio * 100:.3g} %"
    if ratio in (0, 1):
        return f"{ratio * 100:.0f} %"
    # 0.07 * 100 is 7.000000000000001
    limits = [0.0, 100.0] if limit is None else [0.0, 100.0, round(limit * 100, _MAX_DECIMALS)]
    return f"{_fixed(round(ratio * 100, _MAX_DECIMALS), 2, tuple(limits))} %"


def amount(value: float | None, unit: str, limit: float | None = None) -> str:
    """A number with its unit; the unit `%` means that `value` and `limit` are ratios."""
    if unit == "%":
        return percent(value, limit)
    shown = number(value, limit, measured=unit in _MEASURED)
    return f"{shown} {unit}" if unit and shown != MISSING else shown


def span(
    low: float,
    high: float,
    unit: str,
    to: str = " .. ",
    limit: float | None = None,
    at_least: str = ">=",
    at_most: str = "<=",
) -> str:
    """Both ends of an interval, the unit once: `11.0 .. 14.9 ms`; with one end open `>= 11.0 ms`, with both `open`."""
    if math.isinf(low) and math.isinf(high):
        return "open"
    if math.isinf(high):
        return f"{at_least} {amount(low, unit, limit)}"
    if math.isinf(low):
        return f"{at_most} {amount(high, unit, limit)}"
    first, last = amount(low, unit, limit), amount(high, unit, limit)
    return f"{first.removesuffix(f' {unit}') if last != MISSING else first}{to}{last}"


def clock(seconds: float | None) -> str:
    """Seconds as `m:ss`, from an hour on `h:mm:ss`; fractions are cut, as on a stopwatch."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    whole = max(0, int(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def plural(count: int, singular: str, several: str | None = None) -> str:
    """`1 worker`, `2 workers`, `1,200 kinds`."""
    return f"{number(count)} {singular if count == 1 else several or singular + 's'}"


def width_of(words: str) -> int:
    """How many columns a terminal gives these words: two for East Asian ones and emoji, none for combining marks."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in words)


def cut(words: str, columns: int, ellipsis: str = "...") -> str:
    """`words` in at most `columns` columns, the end replaced by the ellipsis where it does not fit."""
    if width_of(words) <= columns:
        return words
    kept_columns = columns - width_of(ellipsis)
    if kept_columns <= 0:
        return ellipsis[: max(0, columns)]
    kept = ""
    for character in words:
        if width_of(kept + character) > kept_columns:
            break
        kept += character
    return kept.rstrip() + ellipsis


def _decimals(value: float) -> int:
    size = abs(value)
    return 0 if size >= 99.95 else 1 if size >= 9.995 else 2 if size >= 0.0995 else 3


def _fixed(value: float, decimals: int, limits: tuple[float, ...]) -> str:
    """Fixed decimals, as many more as it takes for the rounded value to stand where the exact one does."""
    guarded = (*limits, 0.0)
    while decimals < _MAX_DECIMALS and any(_side(round(value, decimals), x) != _side(value, x) for x in guarded):
        decimals += 1
    shown = f"{value:,.{decimals}f}"
    return shown.removeprefix("-") if float(shown.replace(",", "")) == 0 else shown


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)
