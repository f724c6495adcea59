"""Validates the forms of Locust's web page: an input that makes no test is refused with a message in the form.

Locust's own check ends with numbers that cannot be read; past it, a start always succeeds as far as the page can tell,
and so does the edit of a test that a shape leads.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

from flask import Response, jsonify, request
from locust.util.timespan import parse_timespan

from pika_locust.outputs import redact

logger = logging.getLogger(__name__)


_INDEX = "locust.index"
_START = "locust.swarm"
_FIELDS: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("user_count", "num_users", int),
    ("spawn_rate", "spawn_rate", float),
    ("run_time", "run_time", parse_timespan),
    ("load_profile", "load_profile", str),
)
"""Field of the form, its name among Locust's options, and how to read it."""
_TELL_WHY_NOT = """
<script>
  // Locust's page closes the dialog "Edit" whatever it is answered. What was refused is told in it, and it stays open.
  const ask = window.fetch;
  window.fetch = async (...request) => {
    const answer = await ask(...request);
    const form = document.querySelector('.MuiModal-root form');
    if (!form || !new URL(answer.url).pathname.endsWith('/swarm')) return answer;
    const said = await answer.clone().json();
    form.querySelector('[data-refused]')?.remove();
    if (!said.refusedEdit) return answer;
    const told = document.createElement('p');
    told.setAttribute('role', 'alert');
    told.setAttribute('data-refused', '');
    told.style.color = '#d32f2f';
    told.textContent = said.message;
    form.append(told);
    return new Promise(() => {});
  };
</script>
"""


_ONE_PROFILE = """
<style>
  /* Locust's own "Profile" is a word that groups runs (--profile sets it, too); beside a load profile it misleads. */
  .MuiAutocomplete-root:has(input[name="profile"]) { display: none; }
</style>
"""


def show_one_profile(environment: Any) -> None:
    """Leave out of the form what Locust calls a profile, where there is a load profile to choose."""

    def without_locusts(response: Response) -> Response:
        if request.endpoint == _INDEX and response.mimetype == "text/html":
            response.set_data(response.get_data(as_text=True).replace("</head>", f"{_ONE_PROFILE}</head>"))
        return response

    environment.web_ui.app.after_request(without_locusts)


def check_form(environment: Any, check: Callable[[Any], object], edit: Callable[[int, float], None]) -> None:
    """Have every start and every edit from the page looked at before Locust goes about it.

    Arguments:
        check: given a copy of the environment, as the form would make it; raises ValueError with every mistake, one a
            line, which the form then shows.
        edit: given users and users a second, has the running test go on with them where a shape leads it; raises
            ValueError as `check` does.
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
        if environment.runner.shape_greenlet:
            # Locust would answer that it has started, and change nothing.
            return _edited(environment, edit, wanted.parsed_options)
        problem = _problem(lambda: check(wanted))
        if problem is None:
            return start()
        # The page shows what it is answered, and the log's last lines.
        logger.error("This test cannot run: %s", problem)
        return jsonify(success=False, message=problem, host=environment.host)

    def with_reasons(response: Response) -> Response:
        if request.endpoint == _INDEX and response.mimetype == "text/html":
            response.set_data(response.get_data(as_text=True).replace("</body>", f"{_TELL_WHY_NOT}</body>"))
        return response

    web_ui.app.view_functions[_START] = web_ui.auth_required_if_enabled(checked)
    web_ui.app.after_request(with_reasons)


def _edited(environment: Any, edit: Callable[[int, float], None], wanted: Any) -> Response:
    users, spawn_rate = wanted.num_users, wanted.spawn_rate
    known = users is not None and spawn_rate is not None
    problem = _problem(lambda: edit(users, spawn_rate)) if known else "give user_count and spawn_rate"
    if problem is not None:
        logger.error("The running test cannot be edited: %s", problem)
        return jsonify(success=False, refusedEdit=True, message=problem, host=environment.host)
    environment.parsed_options.num_users, environment.parsed_options.spawn_rate = users, spawn_rate
    return jsonify(success=True, message="The running test goes on with these numbers", host=environment.host)


def _problem(check: Callable[[], object]) -> str | None:
    try:
        check()
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
