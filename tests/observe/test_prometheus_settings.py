from __future__ import annotations

import pytest

from pika_locust.observe.prometheus_settings import DEFAULT_QUERIES, PROMETHEUS_SETTINGS, split_queries
from pika_locust.settings import Settings, read_settings


def read(**environ: str) -> tuple[Settings, list[str]]:
    return read_settings(PROMETHEUS_SETTINGS, environ, "verity")


def test_nobody_is_asked_unless_a_server_is_named() -> None:
    settings, problems = read()
    assert (settings["PROMETHEUS_URL"], settings["PROMETHEUS_BEARER_TOKEN"], problems) == (None, None, [])


def test_the_suite_s_four_queries_are_asked_unless_others_are_named() -> None:
    assert split_queries(read()[0]["PROMETHEUS_QUERIES"]) == DEFAULT_QUERIES
    assert len(DEFAULT_QUERIES) == 4


LISTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "one": ("up", ("up",)),
    "several, with blanks and a new line": (" up ;\n node_load1 ", ("up", "node_load1")),
    "commas belong to a query": ("sum by (a, b) (x); y", ("sum by (a, b) (x)", "y")),
    "a semicolon in double quotes": (
        'label_join(x, "d", ";", "a", "b"); y',
        ('label_join(x, "d", ";", "a", "b")', "y"),
    ),
    "a semicolon in single quotes": ("x{a=';'};y", ("x{a=';'}", "y")),
    "a semicolon in backquotes": ("x{a=~`\\d;`};y", ("x{a=~`\\d;`}", "y")),
    "an escaped quote": (r'x{a="\";"};y', (r'x{a="\";"}', "y")),
    "an apostrophe in double quotes": ('x{a="it\'s"};y', ('x{a="it\'s"}', "y")),
    "a quote that nobody closes is for Prometheus to refuse": ('x{a="};y', ('x{a="}', "y")),
    "the same twice is asked once": ("up; y; up", ("up", "y")),
}


@pytest.mark.parametrize(("words", "queries"), LISTS.values(), ids=LISTS)
def test_queries_are_separated_by_semicolons(words: str, queries: tuple[str, ...]) -> None:
    settings, problems = read(PROMETHEUS_QUERIES=words)
    assert problems == []
    assert split_queries(settings["PROMETHEUS_QUERIES"]) == queries


URLS = {
    "http://127.0.0.1:9090": "http://127.0.0.1:9090",
    "http://127.0.0.1:9090/": "http://127.0.0.1:9090",
    "https://example.org/prometheus/": "https://example.org/prometheus",
    "http://user:word@[::1]:9090": "http://user:word@[::1]:9090",
}


@pytest.mark.parametrize(("given", "url"), URLS.items(), ids=URLS)
def test_a_server_is_named_by_its_base_url(given: str, url: str) -> None:
    settings, problems = read(VERITY_PROMETHEUS_URL=given)
    assert (settings["PROMETHEUS_URL"], problems) == (url, [])


MISTAKES: dict[str, tuple[str, str, str]] = {
    "no scheme": ("PROMETHEUS_URL", "127.0.0.1:9090", "not a URL that begins with http:// or https://"),
    "no host": ("PROMETHEUS_URL", "http://", "not a URL that begins with http:// or https://"),
    "a port that is none": ("PROMETHEUS_URL", "http://h:99999", "its port is not a number from 1 to 65535"),
    "a blank": ("PROMETHEUS_URL", "http://my host:9090", "its host"),
    "a query": ("PROMETHEUS_URL", "http://h:9090/?x=1", "it must be a base URL"),
    "a page of the server": ("PROMETHEUS_URL", "http://h:9090/#/graph", "a server's URL has no #fragment"),
    "an empty query": ("PROMETHEUS_QUERIES", "up;;y", "a query in it is empty"),
    "a separator at the end": ("PROMETHEUS_QUERIES", "up;", "a query in it is empty"),
    "only a separator": ("PROMETHEUS_QUERIES", ";", "a query in it is empty"),
    "too many": (
        "PROMETHEUS_QUERIES",
        ";".join(f"q{number}" for number in range(21)),
        "it has 21 queries; it may have at most 20",
    ),
}


@pytest.mark.parametrize(("name", "given", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_what_would_be_right(name: str, given: str, says: str) -> None:
    (problem,) = read(**{name: given})[1]
    assert problem.startswith(f"{name}={given}: {says}")


@pytest.mark.parametrize("token", ["Bearer abc", "a\tb", "schlüssel"], ids=["with the word", "a tab", "no ASCII"])
def test_a_token_that_no_header_can_carry_is_told_without_the_token(token: str) -> None:
    (problem,) = read(PROMETHEUS_BEARER_TOKEN=token)[1]
    assert problem.startswith("PROMETHEUS_BEARER_TOKEN: it must be visible ASCII without spaces: the token alone")
    assert token not in problem


def test_the_token_is_told_to_nobody() -> None:
    settings, problems = read(PROMETHEUS_BEARER_TOKEN="abc-123")
    assert (settings["PROMETHEUS_BEARER_TOKEN"], problems) == ("abc-123", [])
    assert "PROMETHEUS_BEARER_TOKEN" not in settings.public()
