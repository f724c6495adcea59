from __future__ import annotations

from dataclasses import replace

import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from pika_locust.runtime.modes import ScenarioMode
from pika_locust.runtime.options import parse_all
from tests.runtime.sample_scenario import SAMPLE_SCENARIO


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
