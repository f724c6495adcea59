"""Prometheus instant queries before and after the load, side by side in the report; they decide nothing.

`Prometheus` asks one query, `compare` makes the rows of the report.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from pika_locust.judge.report import Observed
from pika_locust.observe.target import look, problem_of
from pika_locust.wire.http import ErrorKind, Response

Labels = tuple[tuple[str, str], ...]
"""What tells the series of one query apart: names and values, in the order of the names."""

MAX_SERIES = 20
"""Rows of one query in a report."""

NO_SERIES = "no such series"
_INFINITE = {math.inf: "+Inf", -math.inf: "-Inf"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one query showed at one time. Without any series, `problem` may say why."""

    query: str
    series: Mapping[Labels, float] = field(default_factory=dict)
    problem: str = ""

    @property
    def why_nothing(self) -> str:
        """Why there is no series."""
        return self.problem or NO_SERIES


def compare(start: Reading, end: Reading) -> tuple[Observed, ...]:
    """A row for each series that either reading has, at most MAX_SERIES, in the order of their labels; where neither
    has one, a row that says why."""
    series = sorted({*start.series, *end.series})[:MAX_SERIES]
    if not series:
        return (Observed(start.query, {}, None, None, None, f"not observed: {_why_left_out(start, end)}"),)
    return tuple(_row(labels, start, end) for labels in series)


def left_out(start: Reading, end: Reading) -> str | None:
    """A sentence when there are more series than `compare` has rows for."""
    count = len({*start.series, *end.series})
    if count <= MAX_SERIES:
        return None
    return (
        f"{start.query}: the first {MAX_SERIES} of {count:,} series are listed, in the order of their labels; "
        "a sum() in the query would take them all"
    )


def _why_left_out(start: Reading, end: Reading) -> str:
    if start.why_nothing == end.why_nothing:
        return start.why_nothing
    return f"{start.why_nothing} (start), {end.why_nothing} (end)"


def _row(labels: Labels, start: Reading, end: Reading) -> Observed:
    values: dict[str, float | None] = {}
    notes = []
    for when, reading in (("start", start), ("end", end)):
        value = values[when] = reading.series.get(labels)
        if value is None:
            notes.append(f"not observed at the {when}: {reading.problem or NO_SERIES}")
        elif not math.isfinite(value):
            notes.append(f"{_INFINITE.get(value, 'NaN')} at the {when}")
    first, last = values["start"], values["end"]
    difference = None if first is None or last is None else last - first
    if difference is not None and not math.isfinite(difference):
        difference = None
    return Observed(start.query, dict(labels), first, last, difference, "; ".join(notes))


MAX_ANSWER_BYTES = 16_000_000
MAX_PROBLEM = 300
"""Characters of a problem, which may hold the server's own words."""

HIDDEN = "REDACTED"
"""What stands in place of the token."""


class Prometheus:
    """A Prometheus server, or one that speaks its HTTP API."""

    def __init__(self, url: str, token: str | None, timeout_s: float) -> None:
        """`url` is what `/api/v1/query` is added to; `token` is sent as bearer, and is in nothing that comes back;
        `timeout_s` is for a query in all, from connecting to the last byte."""
        self._url = f"{url}/api/v1/query"
        self._token = token
        self._timeout_s = timeout_s

    def poll(self, query: str) -> Reading:
        """Ask now. Whatever goes wrong is the reading's problem, never an exception."""
        try:
            answer = self._get(query)
            document = _document(answer.content)
            if answer.status != 200 or (document or {}).get("status") == "error":
                raise _NoReading(f"answered {answer.status} {answer.reason}{_own_words(document)}")
            if document is None:
                raise _NoReading("what it answered is no JSON object: is this a Prometheus?")
            series = _series(document)
            return Reading(query, {self._without_token(labels): value for labels, value in series.items()})
        except (_NoReading, ValueError) as error:
            return Reading(query, problem=self._hide(str(error))[:MAX_PROBLEM])

    def _get(self, query: str) -> Response:
        url = f"{self._url}?{urlencode({'query': query})}"
        headers = {"Authorization": f"Bearer {self._token}"} if self._token is not None else None
        answer = look(url, headers, within_s=self._timeout_s, max_body_bytes=MAX_ANSWER_BYTES)
        if answer.error is not None and answer.error.kind == ErrorKind.TOO_LARGE:
            raise _NoReading(f"the answer is longer than {MAX_ANSWER_BYTES / 1e6:g} MB")
        if (problem := problem_of(answer, self._timeout_s)) is not None:
            raise _NoReading(problem)
        if 300 <= answer.status < 400 and (onward := answer.headers.get("location")):
            raise _NoReading(f"answered {answer.status} {answer.reason}, which leads to {onward}")
        return answer

    def _without_token(self, labels: Labels) -> Labels:
        return tuple((name, self._hide(value)) for name, value in labels)

    def _hide(self, words: str) -> str:
        return words.replace(self._token, HIDDEN) if self._token is not None else words


class _NoReading(Exception):
    """The problem, in words."""


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _own_words(document: dict[str, Any] | None) -> str:
    words = (document or {}).get("error")
    return f": {words}" if words else ""


def _series(document: dict[str, Any]) -> dict[Labels, float]:
    try:
        kind, result = document["data"]["resultType"], document["data"]["result"]
        if kind == "scalar":
            return {(): float(result[1])}
        if kind != "vector":
            raise _NoReading(f"the query gives a {kind}; one that gives an instant vector or a scalar can be compared")
        if any("value" not in sample for sample in result):
            raise _NoReading("a native histogram has no single value; histogram_count() or histogram_sum() has")
        # A Prometheus writes numbers as text, NaN and +Inf among them, in the way that float() reads.
        return {_labels(sample["metric"]): float(sample["value"][1]) for sample in result}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise _NoReading("what it answered is not what a Prometheus answers") from None


def _labels(metric: dict[str, Any]) -> Labels:
    return tuple(sorted((str(name), str(value)) for name, value in metric.items()))
