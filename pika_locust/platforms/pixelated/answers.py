"""What is in the model's answers, whatever a target puts there."""

from __future__ import annotations

from typing import Any

LONGEST_MS = 3_600_000


def has_words(response: Any) -> bool:
    """Whether the model has said something."""
    return isinstance(response, str) and bool(response)


def reported_us(milliseconds: Any) -> int | None:
    """The time that an answer reports, in microseconds; None when it is none."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    return round(milliseconds * 1000) if 0 <= milliseconds <= LONGEST_MS else None
