"""The name of a series: a metric's name and the tags its samples carry, as a key and as text.

The text is k6's: `name` or `name{tag:value,tag2:value}`. A tag's value runs from the first colon to the next comma; one
that holds a comma, a brace, a quote or outer blanks is put in double quotes, with a backslash before `"` and `\\`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pika_locust.measure.metric import NAME

Tags = tuple[tuple[str, str], ...]
"""Tags sorted by key, each key once."""

SeriesKey = tuple[str, Tags]
"""What identifies a series; untagged samples have no tags: `("iterations", ())`."""

OTHER: Tags = (("series", "other"),)
"""The tags of the series that takes the samples of all those past a registry's limit."""

_EXAMPLE = "write name or name{tag:value,tag2:value}, such as http_req_duration{method:GET}"
_TAG = re.compile(
    r"""\s*(?P<key>[^:,{}"']*?)\s*:\s*
    (?: "(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>(?:[^'\\]|\\.)*)' | (?P<bare>[^,{}"']*?) )
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
            raise ValueError(f"{text!r}: cannot read a tag at {inside[at:].strip()!r}; {_EXAMPLE}")
        key, end = match["key"], match["end"]
        if not NAME.fullmatch(key):
            raise ValueError(f"{text!r}: {key!r} is no tag key; {_EXAMPLE}")
        if key in tags:
            raise ValueError(f"{text!r}: tag {key!r} is given twice; a sample carries each tag once")
        quoted = match["double"] if match["double"] is not None else match["single"]
        tags[key] = match["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
        at, more = match.end(), end == ","
    return name, tags


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(value: str) -> str:
    if not _NEEDS_QUOTES.search(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
