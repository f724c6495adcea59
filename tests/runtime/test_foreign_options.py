from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from pika_locust.errors import ConfigurationError
from pika_locust.runtime import modes
from pika_locust.runtime.foreign_options import answers, of_plugins, refusals
from pika_locust.runtime.modes import LocustfileMode, ScenarioMode, locustfile_scenario
from pika_locust.runtime.options import parse_all
from tests.runtime.sample_scenario import SAMPLE_SCENARIO

WORDS: dict[str, tuple[str, str]] = {
    "--vus 10": ("--vus", "use -u NUMBER"),
    "--vus=10": ("--vus", "use -u NUMBER"),
    "-d 30s": ("-d", "use -t"),
    "-d30s": ("-d", "use -t"),
    "--duration 30s": ("--duration", "use -t"),
    "-o csv": ("-o", "use --out, as in --out json=FILE"),
    "--env A=b": ("--env", "write NAME=value before the command"),
    "-e A=b": ("-e", "write NAME=value before the command"),
    "--quiet": ("--quiet", "use --loglevel ERROR"),
    "--no-color": ("--no-color", "set NO_COLOR=1"),
    "--iterations 10": ("--iterations", "use the setting ITERATIONS"),
    "-i 10": ("-i", "use the setting ITERATIONS"),
    "--summary-export a.json": ("--summary-export", "use --summary-json FILE"),
    "--insecure-skip-tls-verify": ("--insecure-skip-tls-verify", "use the setting INSECURE_SKIP_TLS_VERIFY=true"),
    "--hatch-rate 5": ("--hatch-rate", "use -r"),
    "--step-load": ("--step-load", "use --stage"),
    "--user-agent x": ("--user-agent", "use the setting EXTRA_HEADERS"),
    "--address :6565": ("--address", "use --web-host and --web-port"),
    "--summary-trend-stats avg": ("--summary-trend-stats", "--summary-json FILE has all statistics"),
    "--no-summary": ("--no-summary", "use >/dev/null"),
    "--traces-output otel": ("--traces-output", "use the setting TRACE_SHARE"),
    "--min-iteration-duration 1s": ("--min-iteration-duration", "use the setting THINK_TIME_MIN"),
    "--execution-segment-sequence 0,1": ("--execution-segment-sequence", "use --processes"),
}


def unknown_words(line: str) -> list[str]:
    """What Locust's own parser, without any plugin, does not know."""
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    return parse_all(parser, line.split(), {})[1]


@pytest.mark.parametrize(("line", "told"), WORDS.items(), ids=WORDS)
def test_the_words_of_other_tools_are_answered_with_ours(line: str, told: tuple[str, str]) -> None:
    (problem,) = refusals(unknown_words(line), ["--threshold"])
    assert problem.startswith(f"there is no option {told[0]} here; {told[1]}")


def test_each_of_them_is_answered_once_and_the_rest_is_unrecognized() -> None:
    words = unknown_words("--vus 10 --vus=20 --treshold a:avg<1 --duration 5s --bogus=x")
    assert [problem.split(";")[0] for problem in refusals(words, ["--threshold"])] == [
        "there is no option --vus here",
        "there is no option --duration here",
        "unrecognized arguments: --treshold",
        "unrecognized arguments: --bogus=x",
    ]
    assert "Did you mean '--threshold'?" in refusals(words, ["--threshold"])[2]


def test_a_word_that_belongs_to_no_option_is_unrecognized() -> None:
    assert refusals(["--quiet", "10", "stray"], [])[1:] == ["unrecognized arguments: stray"]


def test_users_of_a_locustfile_s_own_have_no_setting_for_iterations() -> None:
    (answer,) = answers(["-i"], own_users=True)
    assert "ITERATIONS" not in answer
    assert "-t ends a run" in answer


@pytest.mark.parametrize("option", ["--stage", "--step-load", "--step-time"])
def test_users_of_a_locustfile_s_own_have_no_stages(option: str) -> None:
    (answer,) = answers([option], own_users=True)
    assert answer == f"there is no option {option} here; write a LoadTestShape in the locustfile"


def test_users_of_a_locustfile_s_own_have_no_setting_for_think_times() -> None:
    (answer,) = answers(["--min-iteration-duration=1s"], own_users=True)
    assert "THINK_TIME_MIN" not in answer
    assert "constant_pacing" in answer


TAGS_OF_K6 = {
    "behind the option": "--tag env=staging -u 5",
    "twice": "--tag env=staging -u 5 --tag a=b",
    "in one word": "-u 5 --tag=env=staging",
}


@pytest.mark.parametrize("line", TAGS_OF_K6.values(), ids=TAGS_OF_K6)
@pytest.mark.parametrize("mode", [ScenarioMode(SAMPLE_SCENARIO, {}), LocustfileMode(locustfile_scenario({}), {})])
def test_k6_s_tags_are_no_abbreviation_of_locust_s(line: str, mode: ScenarioMode | LocustfileMode) -> None:
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    mode.add_arguments(parser, None)
    given, unknown, problems = parse_all(parser, line.split(), {})
    with pytest.raises(ConfigurationError) as refused:
        mode.read(parser, given, problems)
    answer = "there is no option --tag here; the summary names target, settings and command of a run"
    assert refused.value.problems == (answer,)
    assert (given.num_users, given.tags, unknown) == (5, None, [])


def test_an_abbreviation_of_locust_s_own_tags_stays_one() -> None:
    parser = parser_with_plugin(LocustfileMode(locustfile_scenario({}), {}))
    for line in ("--tag slow -u 5", "--tag=slow -u 5"):
        given, unknown, problems = parse_all(parser, line.split(), {})
        assert (given.num_users, given.tags, unknown, problems) == (5, ["slow"], [], [])


CHOOSING_TASKS: dict[str, tuple[str, dict[str, str]]] = {
    "tags": ("--tags slow", {}),
    "an abbreviation": ("--tag slow", {}),
    "tags to leave out": ("--exclude-tags slow", {}),
    "the environment": ("", {"LOCUST_TAGS": "slow"}),
}


@pytest.mark.parametrize(("line", "environ"), CHOOSING_TASKS.values(), ids=CHOOSING_TASKS)
def test_a_scenario_has_no_tasks_to_choose_from_but_a_locustfile_has(line: str, environ: dict[str, str]) -> None:
    of_scenario = ScenarioMode(SAMPLE_SCENARIO, {})
    parser = parser_with_plugin(of_scenario)
    with pytest.raises(ConfigurationError, match="choose among Locust's @task methods"):
        of_scenario.read(parser, parse_all(parser, line.split(), environ)[0], [])
    of_locustfile = LocustfileMode(locustfile_scenario({}), {})
    parser = parser_with_plugin(of_locustfile)
    assert of_locustfile.read(parser, parse_all(parser, line.split(), environ)[0], []).thresholds


def test_a_scenario_without_tags_runs() -> None:
    mode = ScenarioMode(SAMPLE_SCENARIO, {})
    parser = parser_with_plugin(mode)
    assert mode.read(parser, parse_all(parser, ["-u", "1", "-t", "5s"], {"LOCUST_TAGS": ""})[0], []).plan


PLUGIN_OPTIONS: dict[str, tuple[Any, str]] = {
    "iterations": (10, "use the setting ITERATIONS"),
    "ips": (2.5, "use the settings of the scenario's own pace"),
    "check_rps": (1.0, "use --threshold"),
    "check_fail_ratio": (0.0, "use --threshold"),
    "check_avg_response_time": (300.0, "use --threshold"),
}


@pytest.mark.parametrize("name", PLUGIN_OPTIONS)
def test_an_option_of_locust_plugins_that_is_set_is_answered(name: str) -> None:
    value, answer = PLUGIN_OPTIONS[name]
    unset: dict[str, Any] = dict.fromkeys(PLUGIN_OPTIONS)
    assert of_plugins(SimpleNamespace(**unset)) == []
    (problem,) = of_plugins(SimpleNamespace(**{**unset, name: value}))
    assert "is locust-plugins'" in problem
    assert answer in problem


def parser_with_plugin(mode: Any) -> Any:
    """Locust's parser with two options as locust-plugins declares them, and ours."""
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    parser.add_argument("-i", "--iterations", type=int)
    parser.add_argument("--check-fail-ratio", type=float)
    mode.add_arguments(parser, None)
    return parser


LINE = ["-i", "10", "--check-fail-ratio", "0.1"]


def test_a_scenario_refuses_them_before_the_run() -> None:
    mode = ScenarioMode(SAMPLE_SCENARIO, {})
    parser = parser_with_plugin(mode)
    with pytest.raises(ConfigurationError) as refused:
        mode.read(parser, parse_all(parser, LINE, {})[0], [])
    assert [problem.split()[0] for problem in refused.value.problems] == ["-i/--iterations", "--check-fail-ratio"]


def test_a_scenario_refuses_them_also_when_the_plugin_came_after_it() -> None:
    environment = SimpleNamespace(parsed_options=SimpleNamespace(iterations=10), web_ui=object())
    nobody: Any = None
    with pytest.raises(ConfigurationError, match="ITERATIONS=500"):
        ScenarioMode(SAMPLE_SCENARIO, {}).attach(environment, nobody, nobody, nobody, nobody)


def test_in_a_locustfile_of_one_s_own_they_do_what_they_always_did() -> None:
    mode = LocustfileMode(locustfile_scenario({}), {})
    parser = parser_with_plugin(mode)
    assert mode.read(parser, parse_all(parser, LINE, {})[0], []).thresholds


@pytest.mark.parametrize("words", [["--vus"], ["-q"]])
def test_an_option_that_a_plugin_declares_is_not_unknown(words: Sequence[str]) -> None:
    parser = parser_with_plugin(ScenarioMode(SAMPLE_SCENARIO, {}))
    parser.add_argument(*words, action="store_true")
    assert answers(parse_all(parser, words, {})[1]) == []
    assert modes.of_plugins(parse_all(parser, words, {})[0]) == []
