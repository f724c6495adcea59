"""Reads a visit that a browser recorded (HAR, HTTP Archive) into the draft of a load test."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from pika_locust.cli.draft import Draft, Pause, Request, Step, Unknown
from pika_locust.errors import ConfigurationError
from pika_locust.outputs import redact

_STATIC = re.compile(r"\.(js|mjs|css|png|jpe?g|gif|svg|ico|webp|avif|woff2?|ttf|map|mp4|webm)$", re.IGNORECASE)
_SWITCHING_PROTOCOLS = 101
_LEAST_PAUSE_S = 0.5
"""Shorter gaps between two requests are the page's own, and no pause of the visitor's."""
_LONGEST_PAUSE_S = 30.0
_SECRET = re.compile(
    "card|cvc|cvv|pwd|passcode|session|sess_?id|jwt|csrf|signature|auth(?!or)|pass(?![a-z])"
    "|(?<![a-z])(?:pin|t?otp|sid|sig)(?![a-z])"
)
"""In names of lower case with underscores, beside what is hidden everywhere."""
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")
_DEEPEST = 100
"""Python itself reads no more than 200 brackets inside of each other."""


def read_har(text: str, name: str, source: str, host: str | None = None) -> Draft:
    """The requests of one host, in their order, with the visitor's pauses.

    Left out are what a page loads beside (scripts, styles, images, fonts), WebSockets, other hosts, and values that
    look secret.

    Arguments:
        text: the file's content.
        name: what the load test is called.
        source: the file's name, for messages.
        host: whose requests; None: the host's that most of them went to.

    Raises ConfigurationError for what is no HAR file, and for one without requests of that host.
    """
    try:
        return _draft(json.loads(text)["log"]["entries"], name, source, host)
    except RecursionError as error:
        raise ConfigurationError(f"{source}: it is nested too deeply to be read") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ConfigurationError(f"{source}: this is no HAR file: {type(error).__name__}: {error}") from error


def _draft(recorded: Sequence[Mapping[str, Any]], name: str, source: str, host: str | None) -> Draft:
    all_of_them = sorted(((one, urlsplit(one["request"]["url"])) for one in recorded), key=lambda one: _began_s(one[0]))
    # A server refuses the same as a plain GET.
    entries = [(one, url) for one, url in all_of_them if not _is_websocket(one, url)]
    hosts = Counter(url.netloc for _, url in entries if not _STATIC.search(url.path))
    chosen = host or next((one for one, _ in hosts.most_common(1)), "")
    kept = [(entry, url) for entry, url in entries if url.netloc == chosen and not _STATIC.search(url.path)]
    if not kept:
        there = ", ".join(hosts) or "none"
        raise ConfigurationError(f"{source}: there are no requests to {chosen or 'any host'}, but to: {there}")
    notes = [f"{times} requests to {other}" for other, times in hosts.items() if other != chosen]
    if beside := len(entries) - sum(hosts.values()):
        notes.append(f"{beside} scripts, styles, images and fonts")
    if sockets := len(all_of_them) - len(entries):
        notes.append(f"{sockets} WebSocket connections")
    return Draft(
        name=name,
        source=source,
        steps=list(_steps(kept)),
        profiles={"standard": "30s:20,1m:20,10s:0"},
        thresholds=[("http_req_duration", "p(95)<500"), ("http_req_failed", "rate<0.01")],
        notes=notes,
    )


def _is_websocket(entry: Mapping[str, Any], url: SplitResult) -> bool:
    return url.scheme in ("ws", "wss") or entry.get("response", {}).get("status") == _SWITCHING_PROTOCOLS


def _began_s(entry: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(entry["startedDateTime"])).timestamp()


def _steps(entries: Sequence[tuple[Mapping[str, Any], SplitResult]]) -> Iterator[Step]:
    over_s: float | None = None
    for entry, url in entries:
        began_s = _began_s(entry)
        if over_s is not None and began_s - over_s >= _LEAST_PAUSE_S:
            yield Pause(round(min(began_s - over_s, _LONGEST_PAUSE_S), 1))
        over_s = max(over_s or 0.0, began_s + max(0.0, float(entry.get("time") or 0)) / 1000)
        request = entry["request"]
        method, path = str(request["method"]).upper(), url.path or "/"
        status = int(entry.get("response", {}).get("status") or 200)
        named = re.sub(r"/(\d+|[0-9a-f]{8}-[0-9a-f-]{27})(?=/|$)", "/{id}", path)
        yield Request(
            method,
            path + (f"?{_query(url.query)}" if url.query else ""),
            f"{method} {named}",
            _body(request.get("postData") or {}),
            statuses=(status,) if 200 < status < 400 and status != 201 else (),
        )


def _query(query: str) -> str:
    """The query of an address, with holes in place of secrets."""
    parts = [part.partition("=") for part in query.split("&")]
    return "&".join(
        f"{name}={{secret}}" if _is_secret(unquote(name)) else f"{name}{sign}{value}" for name, sign, value in parts
    )


def _body(data: Mapping[str, Any]) -> Any:
    """The JSON of a request; of a form, its fields."""
    try:
        found = json.loads(data.get("text") or "null")
    except ValueError:
        found = {one["name"]: one.get("value", "") for one in data.get("params") or []}
    return _without_secrets(found)


def _is_secret(name: str) -> bool:
    plain = _HUMP.sub("_", name).lower()
    # What somebody searches for is no key.
    return redact.is_secret(plain.replace("keyword", "")) or _SECRET.search(plain) is not None


def _without_secrets(value: Any, secret: str = "", level: int = 0) -> Any:
    """The value with holes in place of secrets, which all is that stands inside of one called `secret`."""
    if level > _DEEPEST:
        raise RecursionError
    if isinstance(value, dict):
        return {
            name: _without_secrets(one, secret or (name if _is_secret(name) else ""), level + 1)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(one, secret, level + 1) for one in value]
    return Unknown(secret) if secret else value
