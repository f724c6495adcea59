from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments
from locust.runners import MasterRunner

from pika_locust.errors import ConfigurationError
from pika_locust.runtime.modes import ScenarioMode
from pika_locust.runtime.options import parse_all
from tests.open_files import files_at_most
from tests.runtime.sample_scenario import SAMPLE_SCENARIO, read


@pytest.mark.parametrize(
    ("finish_s", "line", "stop_timeout"),
    [
        pytest.param(0.0, "", 30, id="thirty seconds, as with k6"),
        pytest.param(65.0, "", 65, id="as long as an iteration may need"),
        pytest.param(65.0, "-s 5", 5, id="what the user says"),
    ],
)
def test_users_have_time_to_finish(finish_s: float, line: str, stop_timeout: int) -> None:
    users = ScenarioMode(replace(SAMPLE_SCENARIO, finish_s=lambda settings: finish_s), {"PIKA_CODE": "sesame"})
    words = ["-u", "4", *line.split()]
    # Locust parses the command line once more, and the web page makes a parser of its own.
    for _ in range(2):
        parser = get_empty_argument_parser()
        setup_parser_arguments(parser)
        users.add_arguments(parser, None)
        arguments, _, problems = parse_all(parser, words, {})
        users.read(parser, arguments, problems)
        assert parser.parse_args(words).stop_timeout == stop_timeout


class SampleUser:
    sockets = 2


def attached(runner: Any, line: str, target: str = "http://127.0.0.1:9/") -> Any:
    """A run of users with two sockets each, which has just been set up; gives what was told to listen."""
    scenario = replace(SAMPLE_SCENARIO, primary=f"{__name__}:SampleUser", supporters=lambda settings, users: ())
    mode = ScenarioMode(scenario, {"PIKA_CODE": "sesame"})
    options = replace(read(f"-u 100 -t 5s -H {target} {line}", scenario=scenario))
    events = SimpleNamespace(test_stopping=SimpleNamespace(add_listener=lambda listener: None))
    environment = SimpleNamespace(web_ui=None, user_classes=[], events=events, parsed_options=None)
    coordinator: Any = Mock()
    mode.attach(environment, runner, coordinator, options, lambda: options)
    return coordinator


def test_users_whose_sockets_this_process_cannot_open_are_refused_before_the_load() -> None:
    with files_at_most(201), pytest.raises(ConfigurationError, match="100 users at the peak: 200 sockets at once"):
        attached(None, "")
    with files_at_most(400):
        attached(None, "").attach.assert_called_once()


@pytest.mark.parametrize(
    ("processes", "limit", "fits"),
    [(2, 201, True), (2, 120, False), (None, 120, True)],
    ids=["two processes share them", "and have too few files", "nobody knows what other machines have"],
)
def test_processes_share_the_sockets(processes: int | None, limit: int, fits: bool) -> None:
    master = Mock(spec=MasterRunner)
    master.environment = SimpleNamespace(parsed_options=SimpleNamespace(processes=processes))
    expected: Any = nullcontext() if fits else pytest.raises(ConfigurationError, match="100 sockets at once")
    with files_at_most(limit), expected:
        attached(master, "")
