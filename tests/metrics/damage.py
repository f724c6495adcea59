"""Damages a wire form at each of its places, as a faulty or hostile process might."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from typing import Any

from pika_locust.metrics.plain import shown

WRONG: tuple[Any, ...] = (
    None,
    True,
    math.nan,
    math.inf,
    b"\xff",
    {"x": None},
    reduce(lambda inner, _: [inner], range(100_000), []),
)
"""What stands nowhere in a wire form: the last one is a list in a list, 100,000 deep."""


def damaged_at_each_place(wire: Any, wrong: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Where it is damaged, and the wire form with `wrong` in that place; the whole is the first place."""
    yield place or "the whole", wrong
    inner = wire.items() if isinstance(wire, dict) else enumerate(wire) if isinstance(wire, list) else ()
    for key, part in inner:
        for inside, damaged in damaged_at_each_place(part, wrong, f"{place}/{key}"):
            copy = dict(wire) if isinstance(wire, dict) else list(wire)
            copy[key] = damaged
            yield inside, copy


def places_that_take(wrongs: Iterable[Any], wire: Any, read: Callable[[Any], object]) -> list[str]:
    """Where `read` takes one of these in a wire form, instead of raising ValueError."""
    found = []
    for wrong in wrongs:
        for place, damaged in damaged_at_each_place(wire, wrong):
            try:
                read(damaged)
            except ValueError:
                continue
            found.append(f"{shown(wrong)} at {place}")
    return found
