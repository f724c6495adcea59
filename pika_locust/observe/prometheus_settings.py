"""The settings that name a Prometheus and its queries; apart from the asking, so that listing them loads no client."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pika_locust.settings import Setting, url

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
    Setting(
        "PROMETHEUS_URL",
        _server,
        None,
        "a Prometheus that watches the target; asked before and after the load",
        for_master=True,
    ),
    Setting("PROMETHEUS_BEARER_TOKEN", _token, None, "token for PROMETHEUS_URL, where it wants one", secret=True),
    Setting(
        "PROMETHEUS_QUERIES",
        _queries,
        "; ".join(DEFAULT_QUERIES),
        "instant queries for PROMETHEUS_URL, separated by ;",
        for_master=True,
    ),
)
"""Which Prometheus is asked, and what: settings that any scenario can have."""
