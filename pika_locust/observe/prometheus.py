"""Asks a Prometheus one instant query: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import requests
import urllib3

from pika_locust.judge.observed import Labels, Reading

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
