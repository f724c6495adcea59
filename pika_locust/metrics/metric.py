"""Metric declarations: name, kind, unit, legal aggregations; series names with tags.

Kinds and aggregations are k6's, but `slope`, and a gauge's `min` and `max`. Nothing here holds a sample; that is the
business of `histogram` and `values`.

A series is a metric's name and the tags its samples carry. Its text is k6's: `name` or `name{tag:value,tag2:value}`. A
tag's value runs from the first colon to the next comma; one that holds a comma, a brace, a quote or outer blanks is put
in double quotes, with a backslash before `"` and the backslash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    Kind.GAUGE: ("value", "min", "max", "slope"),
    Kind.RATE: ("rate",),
    Kind.TREND: ("avg", "min", "max", "med", "p(N)", "slope"),
}


_KEPT_UNITS = {"ms": "us", "score": "score/1000"}
"""Units of trends whose samples are thousandths of them: reported unit -> kept one."""


def scale_of(unit: str) -> int:
    """What kept values of a trend are divided by to be reported in `unit`: 1000 for "ms" and "score", else 1."""
    return 1000 if unit in _KEPT_UNITS else 1


@dataclass(frozen=True, slots=True)
class Metric:
    """The declaration of a metric: a value, equal to every declaration that says the same.

    `unit` is what results are reported in. Samples of a trend in "ms" are given and kept as integer microseconds, those
    of one in "score" (a number without a unit, mostly below 1) as integer thousandths;
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
        """What a kept value is divided by to be reported: 1000 for trends in "ms" and "score", else 1."""
        return scale_of(self.unit) if self.kind is Kind.TREND else 1

    @property
    def kept_unit(self) -> str:
        """The unit of the values inside: "us" for trends reported in "ms", else mostly the metric's own."""
        return _KEPT_UNITS[self.unit] if self.scale == 1000 else self.unit


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
    """Declare a distribution. With the default unit, samples are integer microseconds (`add`) or milliseconds
    (`add_ms`), and results milliseconds."""
    return Metric(name, Kind.TREND, unit, about)


Tags = tuple[tuple[str, str], ...]
"""Tags sorted by key, each key once."""

SeriesKey = tuple[str, Tags]
"""What identifies a series; untagged samples have no tags: `("iterations", ())`."""

FAILURE = "failure"
"""The tag by which failed samples say what they were (`answered 500`), for whoever reads that a threshold failed."""
OTHER: Tags = (("series", "other"),)
"""The tags of the series that takes the samples of all those past a registry's limit."""

_EXAMPLE = "write name or name{tag:value,tag2:value}, such as http_req_duration{name:/login}"
_TAG = re.compile(
    r"""\s*(?P<key>[^:,{}"']*?)\s*:\s*
    (?: "(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>(?:[^'\\]|\\.)*)' | (?P<bare>[^,"']*?) )
    \s*(?P<end>,|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_NEEDS_QUOTES = re.compile(r"""[,{}"'\\]|^\s|\s$|^$""")


def tags_of(tags: Mapping[str, str | int | bool]) -> Tags:
    """Tags as part of a key: sorted, values as text (booleans as k6 writes them, true and false).

    Raises `ValueError` for a tag key outside the grammar of metric names.
    """
    for key in tags:
        if not NAME.fullmatch(key):
            raise ValueError(f"tag key {key!r} is not legal: letters, digits and underscores, no digit first")
    return tuple(sorted((key, _text(value)) for key, value in tags.items()))


def series_text(name: str, tags: Mapping[str, str] | Tags = ()) -> str:
    """The text form of a series, tags in alphabetical order; `parse_series` reads it back."""
    pairs = sorted(dict(tags).items())
    return f"{name}{{{','.join(f'{key}:{_quoted(value)}' for key, value in pairs)}}}" if pairs else name


def parse_series(text: str) -> tuple[str, dict[str, str]]:
    """Read the text form of a series into the metric's name and the tags. Blanks around them do not matter.

    Raises `ValueError`, saying what is wrong and how it is written.
    """
    name, brace, rest = text.strip().partition("{")
    name = name.rstrip()
    if not NAME.fullmatch(name):
        raise ValueError(f"{text!r}: {name!r} is no metric name; {_EXAMPLE}")
    if not brace:
        return name, {}
    if not rest.endswith("}"):
        raise ValueError(f"{text!r}: the closing brace is missing at the end; {_EXAMPLE}")
    inside = rest[:-1]
    if not inside.strip():
        raise ValueError(f"{text!r}: no tag between the braces; {_EXAMPLE}")
    tags: dict[str, str] = {}
    at, more = 0, True
    while more:
        match = _TAG.match(inside, at)
        if match is None:
            raise ValueError(f"{text!r}: cannot read a tag at {inside[at:].strip()!r}; {_mending(tags, inside[at:])}")
        key, end = match["key"], match["end"]
        if not NAME.fullmatch(key):
            raise ValueError(f"{text!r}: {key!r} is no tag key; {_EXAMPLE}")
        if key in tags:
            raise ValueError(f"{text!r}: tag {key!r} is given twice; a sample carries each tag once")
        quoted = match["double"] if match["double"] is not None else match["single"]
        tags[key] = match["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
        at, more = match.end(), end == ","
    return name, tags


def _mending(before: Mapping[str, str], rest: str) -> str:
    """How a tag that cannot be read is written: `rest` begins with it, `before` are those that could be read."""
    if not before or ":" in rest.partition(",")[0] or not rest.strip():
        return _EXAMPLE
    # What stands behind a comma, without a key of its own, belongs to the value before it, as in a list of ids.
    key, value = list(before.items())[-1]
    return f"a value with a comma in it stands in quotes, such as {key}:{_quoted(f'{value},{rest.strip()}')}"


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(value: str) -> str:
    if not _NEEDS_QUOTES.search(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
