"""What a metric is: its name, its kind, its unit, and which aggregations make sense of it.

Kinds and aggregations are k6's. Nothing here holds a sample; that is the business of `histogram` and `values`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

GaugeMerge = Literal["sum", "max", "min"]

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,127}")
"""The grammar of metric names and of tag keys: k6's, which is also legal in Prometheus and InfluxDB."""


class Kind(StrEnum):
    """How the samples of a metric are condensed."""

    COUNTER = "counter"
    """A sum that only grows."""
    GAUGE = "gauge"
    """A level: the latest value, with the lowest and the highest."""
    RATE = "rate"
    """Passes among attempts; both outcomes are added."""
    TREND = "trend"
    """A distribution, from which percentiles are taken."""

    @property
    def aggregations(self) -> tuple[str, ...]:
        """The aggregations a threshold may ask of this kind; `p(N)` stands for every 0 <= N <= 100."""
        return _AGGREGATIONS[self]


_AGGREGATIONS: dict[Kind, tuple[str, ...]] = {
    Kind.COUNTER: ("count", "rate"),
    Kind.GAUGE: ("value",),
    Kind.RATE: ("rate",),
    Kind.TREND: ("avg", "min", "max", "med", "p(N)"),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """The declaration of a metric: a value, equal to every declaration that says the same.

    `unit` is what results are reported in. Samples of a trend in "ms" are given and kept as integer microseconds;
    samples in any other unit are given and reported in that unit (whole numbers for trends). `about` is one sentence
    for readers of a report. `merge` says how the levels of a gauge in several processes, or under several tags,
    become one level.

    Raises `ValueError` for a name outside the grammar, an unknown kind, or a `merge` on something that is no gauge.
    """

    name: str
    kind: Kind
    unit: str = ""
    about: str = ""
    merge: GaugeMerge = "sum"

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"metric name {self.name!r} is not legal: a letter or underscore first, then letters, digits and "
                "underscores, 128 at most"
            )
        # A plain string is accepted and made a Kind, so that declarations read from a wire need no special case.
        if self.kind not in tuple(Kind):
            raise ValueError(f"metric {self.name}: kind {self.kind!r} is not one of {', '.join(Kind)}")
        object.__setattr__(self, "kind", Kind(self.kind))
        if self.merge not in ("sum", "max", "min"):
            raise ValueError(f"metric {self.name}: merge {self.merge!r} is not one of sum, max, min")
        if self.merge != "sum" and self.kind is not Kind.GAUGE:
            raise ValueError(f"metric {self.name}: merge={self.merge!r} is for gauges; a {self.kind} always adds up")

    @property
    def scale(self) -> int:
        """What a kept value is divided by to be reported: 1000 for trends in "ms" (kept in microseconds), else 1."""
        return 1000 if self.kind is Kind.TREND and self.unit == "ms" else 1

    @property
    def kept_unit(self) -> str:
        """The unit of the values inside: "us" for trends reported in "ms", else the metric's own."""
        return "us" if self.scale == 1000 else self.unit


def counter(name: str, about: str = "", unit: str = "") -> Metric:
    """Declare a sum that only grows, such as messages sent."""
    return Metric(name, Kind.COUNTER, unit, about)


def gauge(name: str, about: str = "", unit: str = "", merge: GaugeMerge = "sum") -> Metric:
    """Declare a level, such as open connections; `merge` says how the levels of several workers become one."""
    return Metric(name, Kind.GAUGE, unit, about, merge)


def rate(name: str, about: str = "") -> Metric:
    """Declare a share of passes among attempts."""
    return Metric(name, Kind.RATE, "", about)


def trend(name: str, about: str = "", unit: str = "ms") -> Metric:
    """Declare a distribution. With the default unit, samples are integer microseconds and results milliseconds."""
    return Metric(name, Kind.TREND, unit, about)
