"""Prometheus instant queries before and after the load, side by side in the report; they decide nothing.

`Prometheus` asks one query, `compare` makes the rows of the report, `PROMETHEUS_SETTINGS` name the server and queries.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pika_locust.judge.report import Observed
from pika_locust.settings import Setting, url

if TYPE_CHECKING:
    import requests

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


def no_answer(timeout_s: float) -> str:
    """The problem of a query that took too long."""
    return f"no answer within {timeout_s:g} s"


class Prometheus:
    """A Prometheus server, or one that speaks its HTTP API."""

    def __init__(self, url: str, token: str | None, timeout_s: float) -> None:
        """`url` is what `/api/v1/query` is added to; `token` is sent as bearer, and is in nothing that comes back;
        `timeout_s` limits the connecting and each wait for bytes, not the whole."""
        self._url = f"{url}/api/v1/query"
        self._token = token
        self._timeout_s = timeout_s

    def poll(self, query: str) -> Reading:
        """Ask now. Whatever goes wrong is the reading's problem, never an exception."""
        import urllib3

        try:
            status, reason, body = self._get(query)
            if len(body) > MAX_ANSWER_BYTES:
                raise _NoReading(f"the answer is longer than {MAX_ANSWER_BYTES / 1e6:g} MB")
            document = _document(body)
            if status != 200 or (document or {}).get("status") == "error":
                raise _NoReading(f"answered {status} {reason}{_own_words(document)}")
            if document is None:
                raise _NoReading("what it answered is no JSON object: is this a Prometheus?")
            series = _series(document)
            return Reading(query, {self._without_token(labels): value for labels, value in series.items()})
        except _NoReading as error:
            problem = str(error)
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            problem = _why(error, self._timeout_s)
        return Reading(query, problem=self._hide(problem)[:MAX_PROBLEM])

    def _get(self, query: str) -> tuple[int, str, bytes]:
        import requests

        with requests.Session() as session:
            # a proxy or a .netrc that this machine happens to have
            session.trust_env = False
            answer = session.get(
                self._url,
                params={"query": query},
                auth=self._authorise if self._token is not None else None,
                timeout=self._timeout_s,
                stream=True,
            )
            body = bytearray()
            for piece in answer.iter_content(1 << 16):
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    break
            return answer.status_code, answer.reason or "", bytes(body)

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # `requests` takes the header off when it is sent on to another host
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

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


def _why(error: BaseException, timeout_s: float) -> str:
    """The deepest reason. The text of `requests`' own errors is not repeated: it holds the query, and may hold more."""
    causes = list(_causes(error))
    import requests

    if any(isinstance(cause, TimeoutError | requests.Timeout) for cause in causes):
        return no_answer(timeout_s)
    said = [str(cause.strerror) for cause in causes if isinstance(cause, OSError) and cause.strerror]
    words = said[-1] if said else ""
    if not words and any(isinstance(cause, ConnectionResetError) for cause in causes):
        words = "closed without an answer"
    return words[:1].lower() + words[1:] or f"no usable answer ({type(causes[-1]).__name__})"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


MAX_QUERIES = 20
"""As many as a Prometheus answers at once, unless it is told otherwise (`--query.max-concurrency`)."""

DEFAULT_QUERIES = (
    "redis_connected_clients",
    "redis_used_memory_bytes",
    "pg_stat_database_xact_commit",
    "pg_stat_database_blks_read",
)
"""What the Verity suite asks. Not every exporter has these names: redis_exporter's is `redis_memory_used_bytes`."""

# PromQL's three kinds of text: a semicolon inside of one separates nothing.
_TEXT_OR_SEPARATOR = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`|;', re.DOTALL)
_parse_url = url("http", "https")


def split_queries(words: str) -> tuple[str, ...]:
    """The queries of `PROMETHEUS_QUERIES`, each once; `;` separates them because PromQL has commas of its own."""
    cuts = [found.start() for found in _TEXT_OR_SEPARATOR.finditer(words) if found[0] == ";"]
    pieces = [words[start + 1 : end].strip() for start, end in zip([-1, *cuts], [*cuts, len(words)], strict=True)]
    return tuple(dict.fromkeys(pieces))


def _queries(words: str) -> str:
    """A list of queries, as its text."""
    queries = split_queries(words)
    if "" in queries:
        raise ValueError("a query in it is empty; write one ; between two queries, and none at either end")
    if len(queries) > MAX_QUERIES:
        raise ValueError(f"it has {len(queries)} queries; it may have at most {MAX_QUERIES}")
    return words


def _server(words: str) -> str:
    """The base URL of a Prometheus."""
    base: str = _parse_url(words)
    if re.search(r"\s", base) or urlsplit(base).query or urlsplit(base).fragment:
        raise ValueError("it must be a base URL, such as http://127.0.0.1:9090; /api/v1/query is added to it")
    return base.rstrip("/")


def _token(words: str) -> str:
    """A bearer token: visible ASCII, because it travels in a header."""
    if re.fullmatch(r"[!-~]+", words) is None:
        raise ValueError("it must be visible ASCII without spaces: the token alone, without the word Bearer")
    return words


PROMETHEUS_SETTINGS = (
    Setting("PROMETHEUS_URL", _server, None, "a Prometheus that watches the target; asked before and after the load"),
    Setting("PROMETHEUS_BEARER_TOKEN", _token, None, "sent to that Prometheus, where it wants one", secret=True),
    Setting("PROMETHEUS_QUERIES", _queries, "; ".join(DEFAULT_QUERIES), "instant queries to ask it, separated by ;"),
)
"""Which Prometheus is asked, and what: settings that any scenario can have."""
