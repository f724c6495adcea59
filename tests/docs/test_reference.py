"""The reference is what the code says, and the pages use no name that the code does not know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from pika_locust.catalogue import find_scenario, scenarios
from pika_locust.handle import Handle
from pika_locust.metrics import Histogram, trend
from pika_locust.metrics.metric import parse_series
from pika_locust.runtime.foreign_options import answers
from pika_locust.runtime.http_meter import HttpMeter
from pika_locust.runtime.modes import LocustfileMode, locustfile_scenario
from pika_locust.runtime.options import LOAD_SETTINGS, add_arguments, all_metrics, parse_all
from pika_locust.settings import names_of
from tests.docs import reference
from tests.docs.snippets import PAGES, examples, spans
from tests.runtime.sample_scenario import make_context

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_is_what_the_code_says() -> None:
    assert reference.PATH.read_text() == reference.text(), "python -m tests.docs.reference writes it"


def test_it_has_every_metric_and_setting_of_every_scenario() -> None:
    words = reference.text()
    for scenario in scenarios().values():
        for one in (*scenario.metrics, *scenario.settings):
            assert f"| `{one.name}` |" in words, one.name


def rows() -> dict[str, str]:
    """Where the reference says that something is, by its name; of options, by all their names and values."""
    cells = [line.removesuffix(" |").split(" | ") for line in reference.text().splitlines() if line.startswith("| `")]
    return {row[0].split("`")[1]: row[-1] for row in cells}


def test_what_a_locustfile_s_own_users_do_not_have_is_said_to_be_of_scenarios_alone() -> None:
    mode = LocustfileMode(locustfile_scenario({}), {})
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    mode.add_arguments(parser, None)
    run = mode.read(parser, parse_all(parser, [], {})[0], [])
    measured = {metric.name for metric in all_metrics(locustfile_scenario({}))}
    options = {name for action in parser._actions for name in action.option_strings}
    common = {name: where for name, where in rows().items() if where in ("every run", "every scenario")}
    assert {"--out", "vus", "CA_FILE", "--stage", "iterations", "HOLD"} <= {name.split()[0] for name in common}
    for name, where in common.items():
        there = name in measured or name in run.settings or name.split()[0] in options
        assert where == ("every run" if there else "every scenario"), name


def test_a_switch_is_shown_as_it_is_typed() -> None:
    assert "| `SEED_TOKENS` | `1` |" in reference.text()


def test_the_list_of_production_hosts_is_named_where_targets_are_allowed() -> None:
    for place in ("docs/reference.md", "docs/ten-minutes.md", "conf/.env.load-tests.example"):
        assert "PIKA_PRODUCTION_HOSTS" in (ROOT / place).read_text(), place


def test_a_sample_that_a_page_adds_is_in_ms_as_thresholds_are() -> None:
    added = {span for page in PAGES for _, span in spans(page) if span.startswith("judge.trend(")}
    assert len(added) > 1
    for line in added:
        judge = Handle()
        judge.bind(make_context(locustfile_scenario({}, [trend("checkout_time")])))
        eval(line, {"judge": judge, "ms": 850.0})
        assert judge.trend("checkout_time").read() == Histogram([850_000]), line


def test_requests_are_shown_with_a_tag_that_they_have_in_every_run() -> None:
    """Of a table, in the last column: before it are the names of others."""
    lines = [line.split(" | ")[-1] for page in PAGES for line in page.read_text().splitlines()]
    with pytest.raises(ValueError) as refused:
        parse_series("latency{}")
    shown = [re.findall(r"http_req\w*\{(\w+):", line) for line in [*lines, str(refused.value)]]
    worker = make_context(find_scenario("queue"))
    HttpMeter(worker)._find("/login", "GET")
    tags = {tag for one in worker.metrics.trend("http_req_duration").family() for tag, _ in one.tags}
    assert {tag for found in shown for tag in found} <= tags
    assert shown[-1]


def known_options() -> set[str]:
    """Options of a run, and of this package's own commands as their modules declare them."""
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    add_arguments(parser, find_scenario(reference.ANY), None)
    known = {name for action in parser._actions for name in action.option_strings}
    for path in (ROOT / "pika_locust" / "cli").glob("*.py"):
        known |= set(re.findall(r'"(--[a-z][a-z-]+)"', path.read_text()))
    return known


OPTIONS = known_options()
_K6_RUN = """
--address --batch --batch-per-host --blacklist-ip --block-hostnames --compatibility-mode --config --console-output
--discard-response-bodies --dns --duration --env --execution-segment --execution-segment-sequence --http-debug
--include-system-env-vars --insecure-skip-tls-verify --iterations --linger --local-ips --log-format --log-output
--max-redirects --min-iteration-duration --no-color --no-connection-reuse --no-setup --no-summary --no-teardown
--no-thresholds --no-usage-report --no-vu-connection-reuse --out --paused --profiling-enabled --quiet --rps
--secret-source --stage --summary-export --summary-mode --summary-time-unit --summary-trend-stats --system-tags
--tag --throw --traces-output --type --user-agent --verbose --vus
"""
OF_K6 = set(_K6_RUN.split())
"""All long options of `k6 run`."""
OF_OTHERS = OF_K6 | {
    # of locust-plugins, likewise
    "--check-fail-ratio",
    # of programs beside locust and pika-locust
    "--profile",
    "--scale",
    "--exit-code-from",
    "--websocket",
    "--socketio",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_that_a_page_names_is_one(page: Path) -> None:
    """Of Locust, of this package, or one of another tool that is told what it is called here."""
    named = {option for _, span in spans(page) for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", span)}
    unknown = {one for one in named - OPTIONS - OF_OTHERS if not answers([one])}
    assert unknown == set()


def test_what_is_named_to_those_who_come_from_locust_is_there_for_users_of_their_own() -> None:
    """The page is theirs: options of scenarios alone would be unrecognized."""
    page = (ROOT / "docs" / "coming-from-locust.md").read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    named = {option for row in rows for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", row[-1])}
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    LocustfileMode(locustfile_scenario({}), {}).add_arguments(parser, None)
    assert named >= {"--threshold", "--worker"}
    assert named - {name for action in parser._actions for name in action.option_strings} == set()


def test_every_option_of_k6_has_its_place_on_the_page_for_those_who_come_from_there() -> None:
    page = (ROOT / "docs" / "coming-from-k6.md").read_text()
    assert {one for one in OF_K6 if not re.search(rf"`[^`]*{one}(?![\w-])", page)} == set()


def test_every_option_of_k6_that_there_is_not_is_answered() -> None:
    """Or argparse would propose whatever is spelt alike."""
    assert {one for one in OF_K6 - OPTIONS if not answers([one])} == set()


SETTINGS = {one.name for scenario in scenarios().values() for one in (*LOAD_SETTINGS, *scenario.settings)}
OF_WORLDS_AND_TOOLS = set(
    re.findall(
        r"\b[A-Z][A-Z0-9_]{2,}\b",
        "\n".join(
            path.read_text()
            for path in [
                *(ROOT / "pika_locust" / "platforms").rglob("world*.py"),
                *(ROOT / "pika_locust" / "runtime").glob("*.py"),
                *(ROOT / "pika_locust" / "sandbox").glob("*.py"),
                ROOT / "docker-compose.yml",
                ROOT / "Dockerfile",
            ]
        ),
    )
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_a_page_names_is_read_by_something(page: Path) -> None:
    named = {name for _, span in spans(page) for name in re.findall(r"(?:^| )([A-Z][A-Z0-9_]{2,})=", span)}
    prefixed = {name for name in named if any(name.endswith(f"_{one}") for one in SETTINGS)}
    assert named - prefixed - SETTINGS - OF_WORLDS_AND_TOOLS - {"NAME"} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_run_is_given_only_settings_that_its_scenario_reads(page: Path) -> None:
    """A target named by another would be none, and the sandbox be tested in its place."""
    for command in (one for example in examples(page) for one in example.commands):
        runs = re.findall(r"locustfiles/(\w+)\.py", command)
        declared = [
            (setting.name, scenario)
            for scenario in map(find_scenario, runs)
            for setting in (*LOAD_SETTINGS, *scenario.settings)
        ]
        read = {name for one, scenario in declared for name in names_of(one, scenario.name, scenario.platform)}
        given = set(re.findall(r"(?:^| )([A-Z][A-Z0-9_]{2,})=", command.partition("locust ")[0]))
        assert not runs or given & SETTINGS <= read, command
