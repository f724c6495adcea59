"""Inputs for fuzzing: what is right, changed in a few places; how a stream is cut; how long a reader may be busy."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, AnyStr

from hypothesis import given
from hypothesis import strategies as st

HANGS_AFTER_S = 2.0
"""Of processor time, so that a busy machine makes nothing hang; no input here is longer than a few thousand bytes."""

_MOST_EDITS = 5
_MOST_REPEATED = 200

Test = Callable[..., None]


class Hang(AssertionError):
    """An input kept its reader busy for far too long."""


@contextmanager
def _no_hang() -> Iterator[None]:
    def late(*_: object) -> None:
        raise Hang(f"still busy after {HANGS_AFTER_S:g} s of processor time")

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANGS_AFTER_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def fuzz(**strategies: st.SearchStrategy[Any]) -> Callable[[Test], Test]:
    """A test that is called with many inputs of these kinds. One that hangs it is a failure as any other."""

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def guarded(**inputs: Any) -> None:
            with _no_hang():
                test(**inputs)

        return given(**strategies)(guarded)

    return decorate


@st.composite
def changed(draw: st.DrawFn, samples: Sequence[AnyStr], fragments: Sequence[AnyStr]) -> AnyStr:
    """One of the samples with a few places deleted, repeated, or filled with fragments or with anything.

    Arguments:
        samples: what a reader takes as right, or nearly so.
        fragments: what means something to it.
    """
    data = draw(st.sampled_from(samples))
    anything: st.SearchStrategy[Any] = st.binary(max_size=8) if isinstance(data, bytes) else st.text(max_size=8)
    for _ in range(draw(st.integers(0, _MOST_EDITS))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 8)))
        match draw(st.sampled_from(("delete", "repeat", "fragment", "anything", "splice"))):
            case "delete":
                data = data[:start] + data[end:]
            case "repeat":
                data = data[:end] + data[start:end] * draw(st.integers(1, _MOST_REPEATED)) + data[end:]
            case "fragment":
                data = data[:start] + draw(st.sampled_from(fragments)) + data[end:]
            case "anything":
                data = data[:start] + draw(anything) + data[end:]
            case "splice":
                data = data[:start] + draw(st.sampled_from(samples))[end:]
    return data


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    """The same stream in pieces, as TCP may deliver it; `at` are any numbers. None is empty: that would be its end."""
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:end] for start, end in pairwise(places)]


CUTS = st.lists(st.integers(0, 5000), max_size=12)
"""Where to cut a stream, see `cut`."""

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from((2**63, -(2**63), 2**64, 10**400))
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(("7", "9" * 400, "9" * 5000)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
"""Anything that JSON or msgpack could carry, and some that they could not."""
