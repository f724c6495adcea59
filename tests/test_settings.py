from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pika_locust.settings import (
    Environment,
    Setting,
    Settings,
    duration,
    environ_of_world,
    one_of,
    read_settings,
    sized,
    text,
    url,
    whole,
)

DECLARED = (
    Setting("API_URL", url("http", "https"), None, "the target"),
    Setting("USERS", whole(1, 100), 10, "how many"),
    Setting("HOLD", duration, 60.0, "how long"),
    Setting("PIKA_MODE", one_of("own", "external"), "own", "whose DJ"),
    Setting("PIKA_TOKEN", sized(4, 8), None, "a token", secret=True),
)


def read(environ: Mapping[str, str], platform: str = "pika") -> tuple[Settings, list[str]]:
    return read_settings(DECLARED, environ, platform, "dancers")


def test_nothing_set_gives_the_defaults() -> None:
    settings, problems = read({})
    assert dict(settings) == {"API_URL": None, "USERS": 10, "HOLD": 60.0, "PIKA_MODE": "own", "PIKA_TOKEN": None}
    assert set(settings.sources.values()) == {"default"}
    assert problems == []


def test_values_are_parsed_and_say_where_they_came_from() -> None:
    settings, problems = read({"API_URL": "http://127.0.0.1:8080/", "USERS": " 5 ", "HOLD": "2m", "OTHER": "x"})
    assert (settings["API_URL"], settings["USERS"], settings["HOLD"]) == ("http://127.0.0.1:8080", 5, 120.0)
    assert settings.sources["HOLD"] == "HOLD"
    assert len(settings) == len(DECLARED)
    assert problems == []


SOURCES: dict[str, tuple[dict[str, str], int, str]] = {
    "the shared name": ({"USERS": "5"}, 5, "USERS"),
    "the platform's own name": ({"PIKA_USERS": "6"}, 6, "PIKA_USERS"),
    "the platform's own name wins": ({"USERS": "5", "PIKA_USERS": "6"}, 6, "PIKA_USERS"),
    "another platform's name says nothing": ({"USERS": "5", "VERITY_USERS": "6"}, 5, "USERS"),
    "the scenario's own name wins over both": (
        {"USERS": "5", "PIKA_USERS": "6", "DANCERS_USERS": "7"},
        7,
        "DANCERS_USERS",
    ),
    "another scenario's name says nothing": ({"USERS": "5", "QUEUE_USERS": "6"}, 5, "USERS"),
    "an empty own name is not set": ({"USERS": "5", "PIKA_USERS": " "}, 5, "USERS"),
    "an empty name is not set": ({"USERS": ""}, 10, "default"),
}


@pytest.mark.parametrize(("environ", "value", "source"), SOURCES.values(), ids=SOURCES)
def test_a_name_can_be_given_for_one_platform(environ: dict[str, str], value: int, source: str) -> None:
    settings, _ = read(environ)
    assert (settings["USERS"], settings.sources["USERS"]) == (value, source)


def test_a_name_that_is_the_platform_s_already_has_no_second_prefix() -> None:
    settings, _ = read({"PIKA_PIKA_MODE": "external"})
    assert settings["PIKA_MODE"] == "own"
    assert read({"PIKA_MODE": "external"})[0]["PIKA_MODE"] == "external"


def test_the_platform_s_wrong_value_is_told_and_does_not_fall_back_to_the_shared_name() -> None:
    settings, problems = read({"USERS": "5", "PIKA_USERS": "many"})
    assert settings["USERS"] == 10
    assert problems == ["PIKA_USERS=many: not a whole number; it must be at least 1 and at most 100"]


def test_all_mistakes_are_told_and_the_rest_is_read() -> None:
    settings, problems = read({"API_URL": "ftp://x", "USERS": "0", "HOLD": "soon", "PIKA_MODE": "mine"})
    assert problems == [
        "API_URL=ftp://x: not a URL that begins with http:// or https://",
        "USERS=0: it must be at least 1 and at most 100",
        "HOLD=soon: 'soon' is not a duration; write it like 90s, 10m, 1h30m or 500ms",
        "PIKA_MODE=mine: it must be one of own, external",
    ]
    assert dict(settings) == dict(read({})[0])


def test_a_secret_is_in_no_message_whatever_its_parser_says() -> None:
    def chatty(value: str) -> str:
        raise ValueError(f"{value!r} will not do, {value} is short")

    for parse in (sized(40, 80), chatty, duration):
        _, problems = read_settings(
            [Setting("PIKA_TOKEN", parse, None, "", secret=True)], {"PIKA_TOKEN": "s3cr3t"}, "pika"
        )
        assert len(problems) == 1
        assert problems[0].startswith("PIKA_TOKEN: ")
        assert "s3cr3t" not in problems[0]


def test_a_secret_is_readable_here_and_nowhere_else() -> None:
    settings, _ = read({"PIKA_TOKEN": "s3cr3t", "USERS": "5"})
    assert settings["PIKA_TOKEN"] == "s3cr3t"
    assert "PIKA_TOKEN" not in settings.public()
    assert settings.given == {"USERS": "5"}, "what was given is shown as it was written"
    assert settings.public()["USERS"] == 5


def test_another_process_gives_its_public_values_and_keeps_its_secrets_to_itself() -> None:
    master, _ = read({"API_URL": "http://10.0.0.1", "USERS": "5", "PIKA_TOKEN": "master"})
    worker, _ = read({"USERS": "9", "PIKA_TOKEN": "worker"})
    both = worker.with_public(master.public())
    assert (both["API_URL"], both["USERS"], both["PIKA_TOKEN"]) == ("http://10.0.0.1", 5, "worker")
    assert "PIKA_TOKEN" not in both.public()
    assert worker["USERS"] == 9


def test_settings_are_frozen() -> None:
    settings, _ = read({})
    with pytest.raises(AttributeError):
        settings.sources = {}  # type: ignore[misc]


def test_a_value_of_the_file_says_so_and_so_do_the_file_s_mistakes() -> None:
    settings, problems = read(Environment({}, {"PIKA_USERS": "7", "HOLD": "soon", "PIKA_TOKEN": "abc"}, ("line 3",)))
    assert (settings["USERS"], settings.sources["USERS"]) == (7, "PIKA_USERS in .env.load-tests")
    assert problems == [
        "line 3",
        "HOLD=soon in .env.load-tests: 'soon' is not a duration; write it like 90s, 10m, 1h30m or 500ms",
        "PIKA_TOKEN in .env.load-tests: it must have 4 to 8 characters, it has 3",
    ]


def test_the_environment_wins_over_the_file_whatever_the_prefix() -> None:
    settings, _ = read(Environment({"USERS": "5"}, {"PIKA_USERS": "7"}))
    assert (settings["USERS"], settings.sources["USERS"]) == (5, "USERS")


def test_a_name_that_nobody_reads_is_told_when_it_is_nearly_a_setting() -> None:
    assert read({"PIKA_APIURL": "http://x", "HOLDS": "5s", "OTHER": "1"})[1] == [
        "PIKA_APIURL: no setting is called so; did you mean PIKA_API_URL?",
        "HOLDS: no setting is called so; did you mean HOLD?",
    ]
    assert read({"HOLDS": "5s", "HOLD": "5s"})[1] == []


# The parsers

PARSED: dict[str, tuple[Any, str, Any]] = {
    "any text": (text, "à b", "à b"),
    "a duration": (duration, "1h30m", 5400.0),
    "a plain number is seconds": (duration, "90", 90.0),
    "a whole number": (whole(), "42", 42),
    "a negative number where it may be": (whole(-5), "-5", -5),
    "the bounds are within": (whole(1, 3), "3", 3),
    "a word": (one_of("a", "b"), "b", "b"),
    "a URL": (url("ws"), "ws://127.0.0.1:3001/ws", "ws://127.0.0.1:3001/ws"),
    "a URL's final slash goes where there is no path": (url("http"), "http://host/", "http://host"),
    "a URL's path stays as it is": (url("http"), "http://host/a/", "http://host/a/"),
    "a URL's credentials stay": (url("http"), "http://al:pa55@host/", "http://al:pa55@host"),
    "a URL with an IPv6 address": (url("http"), "http://[::1]:81", "http://[::1]:81"),
    "a text of the least length": (sized(2, 3), "ab", "ab"),
    "a text of the most length": (sized(2, 3), "abc", "abc"),
}


@pytest.mark.parametrize(("parse", "given", "value"), PARSED.values(), ids=PARSED)
def test_values_are_read(parse: Any, given: str, value: Any) -> None:
    assert parse(given) == value


WRONG: dict[str, tuple[Any, str, str]] = {
    "no number": (whole(1), "x", "not a whole number; it must be at least 1"),
    "a fraction": (whole(), "1.5", "not a whole number"),
    "an exponent": (whole(), "1e3", "not a whole number"),
    "an underscore": (whole(), "1_000", "not a whole number"),
    "digits of another script": (whole(), "٣", "not a whole number"),
    "too small": (whole(1), "0", "it must be at least 1"),
    "too large": (whole(0, 5), "6", "it must be at least 0 and at most 5"),
    "longer than any number": (whole(), "9" * 5000, "not a whole number"),
    "another word": (one_of("a", "b"), "c", "it must be one of a, b"),
    "another scheme": (url("ws", "wss"), "http://host", "not a URL that begins with ws:// or wss://"),
    "no scheme": (url("http"), "host:80", "not a URL that begins with http://"),
    "no host": (url("http"), "http://", "not a URL that begins with http://"),
    "a port that is none": (url("http"), "http://host:99999", "1 to 65535"),
    "a bracket left open": (url("http"), "http://[::1", "Invalid IPv6 URL"),
    "too short": (sized(2, 3), "a", "it must have 2 to 3 characters, it has 1"),
    "too long": (sized(2, 3), "abcd", "it must have 2 to 3 characters, it has 4"),
    "no duration": (duration, "soon", "is not a duration"),
}


@pytest.mark.parametrize(("parse", "given", "why"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_read_says_what_would_be_right(parse: Any, given: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(given)
    assert why in str(caught.value)


def test_the_credentials_of_a_url_that_is_wrong_are_not_repeated() -> None:
    for given in ("http://alice:pa55@a..b", "http://alice:pa55@b@host:0", "htp://alice:pa55@host", "//alice:pa55@h"):
        _, (problem,) = read({"API_URL": given})
        assert problem.startswith("API_URL=")
        assert "...@" in problem
        assert "pa55" not in problem


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"QUEUE_USERS": "3", "VERITY_USERS": "2", "USERS": "1"}, "3"),
        ({"VERITY_USERS": "2", "USERS": "1"}, "2"),
        ({"USERS": "1"}, "1"),
        ({}, None),
    ],
)
def test_a_stand_in_for_the_server_reads_what_holds_for_the_scenario(given: dict[str, str], value: str | None) -> None:
    declared = [Setting("USERS", whole(1), None, "")]
    told = environ_of_world(declared, {**given, "OTHER": "x"}, "verity", "queue")
    assert (told.get("VERITY_USERS"), told.get("USERS"), told["OTHER"]) == (value, value, "x")
