from __future__ import annotations

import argparse
from typing import Any

import pytest
from locust.argument_parser import LocustArgumentParser, get_empty_argument_parser, setup_parser_arguments

from pika_locust.errors import ConfigurationError
from pika_locust.runtime.options import add_arguments, parse_all, summary_path
from tests.runtime.sample_scenario import SAMPLE_SCENARIO


def parser_of(profile: str | None = None) -> Any:
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    add_arguments(parser, SAMPLE_SCENARIO, profile)
    return parser


def test_our_options_stand_beside_locust_s() -> None:
    words = ["-u", "5", "--stage", "10s:5", "--seed", "7", "--threshold", "a:avg<1", "--threshold", "b:avg<1"]
    given, unknown, problems = parse_all(parser_of(), [*words, "--strict", "--fail-on", "critical"], {})
    assert (given.num_users, given.stage, given.seed, given.strict) == (5, "10s:5", 7, True)
    assert (given.threshold, given.fail_on) == (["a:avg<1", "b:avg<1"], "critical")
    assert (given.load_profile, given.sandbox_fault, given.summary_json) == (None, [], None)
    assert (given.allow_production, unknown, problems) == (False, [], [])


def test_they_are_read_from_the_environment_as_well() -> None:
    environ = {
        "PIKA_LOAD_PROFILE": "stress",
        "PIKA_STAGE": "10s:5",
        "PIKA_SEED": "7",
        "PIKA_SUMMARY_JSON": "out.json",
        "LOCUST_USERS": "9",
    }
    given, _, problems = parse_all(parser_of(), ["--seed", "8"], environ)
    assert (given.load_profile, given.stage, given.seed) == ("stress", "10s:5", 8)
    assert (given.summary_json, given.num_users, problems) == ("out.json", 9, [])


def test_repeated_stages_follow_each_other() -> None:
    given, _, _ = parse_all(parser_of(), ["--stage", "10s:5", "--stage=20s:5,5s:0"], {"PIKA_STAGE": "1s:1"})
    assert given.stage == "10s:5,20s:5,5s:0"
    assert parse_all(parser_of(), [], {"PIKA_STAGE": "1s:1,2s:2"})[0].stage == "1s:1,2s:2"


def test_the_environment_that_is_given_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIKA_SEED", "1")
    assert parse_all(parser_of(), [], {})[0].seed is None


MISTAKES: dict[str, tuple[str, str]] = {
    "no such profile": ("--load-profile no", "--load-profile no: it must be one of standard, stress, constant"),
    "a seed that is no number": ("--seed x", "--seed x: it is not a whole number"),
    "users that are no number": ("-u x", "-u/--users x: it is not a whole number"),
    "a rate of Locust's own parser": ("-u 1 -r 0", "-r/--spawn-rate 0: must be > 0"),
    "a rate that is no number": ("-u 1 -r x", "-r/--spawn-rate x: it cannot be read"),
    "a time": ("-t 5x", "-t/--run-time 5x: Invalid time span format"),
    "a grade": ("--fail-on never", "--fail-on never: it must be one of warning, critical"),
}


@pytest.mark.parametrize(("line", "problem"), MISTAKES.values(), ids=MISTAKES)
def test_a_value_that_cannot_be_read_is_told_and_left_out(line: str, problem: str) -> None:
    given, _, problems = parse_all(parser_of(), [*line.split(), "--stage", "10s:5"], {})
    assert len(problems) == 1
    assert problems[0].startswith(problem)
    assert given.stage == "10s:5"


def test_all_of_them_are_told_at_once_also_those_of_the_environment() -> None:
    _, _, problems = parse_all(parser_of(), ["-u", "x", "--seed", "y", "--fail-on", "z"], {"LOCUST_RUN_TIME": "w"})
    assert [problem.split(":")[0] for problem in problems] == [
        "-t/--run-time w",
        "-u/--users x",
        "--seed y",
        "--fail-on z",
    ]


def test_a_secret_option_s_value_is_not_told() -> None:
    parser = parser_of()
    parser.add_argument("--pin", type=int, is_secret=True)
    assert parse_all(parser, ["--pin", "sesame"], {})[2] == ["--pin: it is not a whole number"]


def test_what_nobody_knows_is_given_back() -> None:
    assert parse_all(parser_of(), ["--stagge", "--seed", "7"], {})[1] == ["--stagge"]


def test_words_that_cannot_be_taken_apart_are_a_mistake_like_others() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_all(parser_of(), ["--seed", "x", "-u"], {})
    assert caught.value.problems[-1] == "argument -u/--users: expected one argument"


def test_the_parser_is_afterwards_as_it_was() -> None:
    parser = parser_of()
    before = [(action, action.type, action.choices) for action in parser._actions]
    parse_all(parser, ["--seed", "x"], {})
    with pytest.raises(ConfigurationError):
        parse_all(parser, ["-u"], {})
    assert [(action, action.type, action.choices) for action in parser._actions] == before
    assert parser.error.__func__ is LocustArgumentParser.error


def test_a_profile_of_another_name_can_be_chosen_in_the_web_page_as_long_as_it_is_the_plan() -> None:
    def choices(profile: str | None) -> list[str]:
        return list(parser_of(profile).args_included_in_web_ui["load_profile"].choices)

    assert choices(None) == ["standard", "stress", "constant"]
    assert choices("stress") == ["standard", "stress", "constant"]
    assert choices("by hand") == ["standard", "stress", "constant", "by hand"]
    assert parser_of("by hand").get_default("load_profile") == "by hand"


def test_of_ours_only_the_profile_is_in_the_web_page() -> None:
    plain = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(plain)
    ours = set(parser_of().args_included_in_web_ui) - set(plain.args_included_in_web_ui)
    assert ours == {"load_profile"}


PATHS: dict[str, tuple[str, dict[str, str], str | None]] = {
    "nobody wants it": ("-u 5", {}, None),
    "on the command line": ("-u x --summary-json a.json --bogus", {}, "a.json"),
    "with an equals sign": ("--summary-json=a.json", {}, "a.json"),
    "in the environment": ("-u x", {"PIKA_SUMMARY_JSON": "b.json"}, "b.json"),
    "the command line wins": ("--summary-json a.json", {"PIKA_SUMMARY_JSON": "b.json"}, "a.json"),
    "its own value is missing": ("-u x --summary-json", {"PIKA_SUMMARY_JSON": "b.json"}, None),
}


@pytest.mark.parametrize(("line", "environ", "path"), PATHS.values(), ids=PATHS)
def test_where_results_go_is_known_whatever_else_is_wrong(line: str, environ: dict[str, str], path: str | None) -> None:
    assert summary_path(line.split(), environ) == path


def test_help_shows_the_choices() -> None:
    text = parser_of().format_help()
    for option in ("--load-profile", "--stage", "--seed", "--summary-json", "--threshold", "--sandbox-fault"):
        assert option in text
    assert "{warning,critical}" in text
    assert isinstance(parser_of(), argparse.ArgumentParser)
