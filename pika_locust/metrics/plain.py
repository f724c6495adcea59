"""Strict reading of plain values that came over a network: whole numbers, finite numbers, text.

What another process sends may be anything: a text where a number should be, NaN, a number below zero, a list in a list
in a list. Each of these raises ValueError here, at the door, instead of spoiling every sum that it is added to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from reprlib import Repr
from typing import Any

_SHOWN = Repr()
_SHOWN.maxlevel = 3
_SHOWN.maxother = _SHOWN.maxstring = 40


def shown(value: Any) -> str:
    """The start of a value, for messages; of one within another within another only the outer ones."""
    return _SHOWN.repr(value)[:80]


LARGEST = 10**30
"""No sum of what a run measures comes near it, and it can still be divided as a decimal number."""


def whole(value: Any) -> int:
    """A whole number of either sign. Raises ValueError for anything else, True and False included, and for absurdly
    large ones."""
    if type(value) is not int:
        raise ValueError(f"{shown(value)} is not a whole number")
    if not -LARGEST <= value <= LARGEST:
        raise ValueError(f"{shown(value)} is larger than anything that can be measured")
    return value


def count(value: Any) -> int:
    """A whole number that is not below zero. Raises ValueError for anything else."""
    if whole(value) < 0:
        raise ValueError(f"{shown(value)} is below zero, and counts never are")
    return int(value)


def number(value: Any) -> int | float:
    """A finite number. Raises ValueError for anything else, NaN and infinity included."""
    is_number = abs(value) <= LARGEST if type(value) is int else type(value) is float and math.isfinite(value)
    if not is_number:
        raise ValueError(f"{shown(value)} is not a finite number")
    return value  # type: ignore[no-any-return]


def text(value: Any) -> str:
    """A text. Raises ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a text")
    return value


def items(value: Any) -> Sequence[Any]:
    """A list. Raises ValueError for anything else, a text included."""
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{shown(value)} is not a list")
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """A mapping whose keys are texts. Raises ValueError for anything else."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{shown(value)} is not a mapping of names")
    return value
