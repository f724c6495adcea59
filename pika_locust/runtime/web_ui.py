"""Validates the start form of Locust's web page: an input that makes no test is refused with a message in the form.

Locust's own check ends with numbers that cannot be read; past it, a start always succeeds as far as the page can tell.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

from flask import jsonify, request
from locust.util.timespan import parse_timespan

from pika_locust.outputs import redact

logger = logging.getLogger(__name__)


_START = "locust.swarm"
_FIELDS: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("user_count", "num_users", int),
    ("spawn_rate", "spawn_rate", float),
    ("run_time", "run_time", parse_timespan),
    ("load_profile", "load_profile", str),
)
"""Field of the form, its name among Locust's options, and how to read it."""
_SETTLED = "another is running, whose load was settled when it began; stop it first"


def check_form(environment: Any, check: Callable[[Any], object]) -> None:
    """Have every start from the page looked at before Locust goes about it.

    Arguments:
        check: given a copy of the environment, as the form would make it; raises ValueError with every mistake, one a
            line, which the form then shows.
    """
    web_ui = environment.web_ui
    start = web_ui.app.view_functions[_START]

    def checked() -> Any:
        if request.form.get("run_time") == "":
            # Where the field is empty, Locust keeps what the test before had in it.
            environment.parsed_options.run_time = None
        try:
            wanted = _as_the_form_says(environment)
        except ValueError:
            # Locust says so itself.
            return start()
        # Locust would answer that it has started, and change nothing.
        problem = _SETTLED if environment.runner.shape_greenlet else _problem(check, wanted)
        if problem is None:
            return start()
        # The page shows what it is answered to Start, and the log's last lines; to Update, only the latter.
        logger.error("This test cannot run: %s", problem)
        return jsonify(success=False, message=problem, host=environment.host)

    web_ui.app.view_functions[_START] = web_ui.auth_required_if_enabled(checked)


def _problem(check: Callable[[Any], object], wanted: Any) -> str | None:
    try:
        check(wanted)
    except ValueError as error:
        return redact.text("; ".join(str(error).split("\n")))
    return None


def _as_the_form_says(environment: Any) -> Any:
    """A copy with what Locust is about to put into its environment. Raises ValueError for a field that cannot be
    read."""
    wanted = copy.copy(environment)
    wanted.parsed_options = copy.copy(environment.parsed_options)
    for field, option, read in _FIELDS:
        if text := request.form.get(field):
            setattr(wanted.parsed_options, option, read(text))
    wanted.host = request.form.get("host", environment.host)
    return wanted
