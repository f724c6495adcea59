"""What the locustfiles' own words promise: their commands, and how long those take."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from pika_locust.catalogue import find_scenario
from pika_locust.load.durations import format_duration
from pika_locust.runtime.options import add_arguments, parse_all, read_options
from tests.docs.snippets import PAGES, SHELL, blocks

ROOT = Path(__file__).parents[2]
PLACES = [*sorted(ROOT.glob("locustfiles/*.py")), *PAGES]
TIMED = re.compile(r"^\s*((?:\w+=\S+ )*locust .*-f locustfiles/(\w+)\.py.*?)\s+# ((?:\d+[hms])+)\b", re.MULTILINE)
UNTIMED = re.compile(r"^\s*(?:\w+=\S+ )*locust --headless .*$", re.MULTILINE)


def words_of(place: Path) -> str:
    if place.suffix == ".md":
        return "\n".join(block.text for block in blocks(place) if block.language == SHELL)
    return ast.get_docstring(ast.parse(place.read_text())) or ""


TIMES = [(place.name, *found) for place in PLACES for found in TIMED.findall(words_of(place))]


@pytest.mark.parametrize(("place", "command", "name", "told"), TIMES)
def test_a_command_takes_the_time_that_is_told_beside_it(place: str, command: str, name: str, told: str) -> None:
    scenario = find_scenario(name)
    words = shlex.split(command)
    at = words.index("locust")
    environ = dict(word.split("=", 1) for word in words[:at])
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    add_arguments(parser, scenario, None)
    arguments, unknown, problems = parse_all(parser, words[at + 1 :], environ)
    plan = read_options(scenario, arguments, environ, problems).plan
    # Arrivals begin a little after the run, which nobody needs to know beforehand.
    duration_s = plan.duration_s if plan.arrivals is None else plan.arrivals_s
    assert (unknown, duration_s is not None and format_duration(duration_s)) == ([], told)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_no_headless_command_is_without_its_time(place: Path) -> None:
    lines = [line.strip() for line in UNTIMED.findall(words_of(place))]
    assert [line for line in lines if not re.search(r"# ((\d+[hms])+|exit code 104)\b", line)] == []
