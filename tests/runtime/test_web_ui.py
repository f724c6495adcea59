from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from locust import User
from locust.env import Environment

from pika_locust.plugin import Plugin
from pika_locust.runtime.modes import locustfile_scenario
from pika_locust.runtime.web_ui import check_form, show_one_profile

FORM = {"user_count": "8", "spawn_rate": "2.5", "run_time": "1m", "host": "http://a", "load_profile": "stress"}


class Nobody(User):
    abstract = False


class Page:
    """Locust's own start form, whose tests are only noted down."""

    def __init__(self) -> None:
        options = SimpleNamespace(
            num_users=None, spawn_rate=None, run_time=20, host=None, load_profile=None, stats_history_enabled=False
        )
        self.environment = Environment(user_classes=[Nobody], host="http://before", parsed_options=options)
        self.runner = self.environment.create_local_runner()
        self.started: list[int] = []
        self.runner.start = lambda users, rate: self.started.append(users)
        self.asked: list[Any] = []
        self.problem: str | None = None
        web_ui = self.environment.create_web_ui("127.0.0.1", 0, delayed_start=True)
        self.edited: list[tuple[int, float]] = []
        check_form(self.environment, self._check, self._edit)
        self._client = web_ui.app.test_client()

    def _check(self, wanted: Any) -> None:
        self.asked.append(wanted)
        if self.problem is not None:
            raise ValueError(self.problem)

    def _edit(self, users: int, spawn_rate: float) -> None:
        if self.problem is not None:
            raise ValueError(self.problem)
        self.edited.append((users, spawn_rate))

    def index(self) -> str:
        return self._client.get("/").get_data(as_text=True)

    def press_start(self, **changed: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.post("/swarm", data={**FORM, **changed}).get_json()
        if self.environment.web_ui._swarm_greenlet is not None:
            self.environment.web_ui._swarm_greenlet.join()
        return answer


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    # Locust's page parses the command line again.
    monkeypatch.setattr(sys, "argv", ["locust"])
    opened = Page()
    yield opened
    opened.environment.runner.greenlet.kill()


@pytest.mark.parametrize("beside", [True, False], ids=["beside a load profile", "in one's own locustfile"])
def test_locust_s_own_profile_is_not_shown_beside_a_load_profile(beside: bool, page: Page) -> None:
    if beside:
        show_one_profile(page.environment)
    head, _, body = page.index().partition("</head>")
    assert ('input[name="profile"]) { display: none; }' in head) is beside
    assert body


def test_the_form_is_looked_at_as_locust_will_read_it(page: Page) -> None:
    assert page.press_start()["success"] is True
    (wanted,) = page.asked
    options = wanted.parsed_options
    assert (options.num_users, options.spawn_rate, options.run_time) == (8, 2.5, 60)
    assert (wanted.host, options.load_profile) == ("http://a", "stress")
    assert page.started == [8]
    theirs = page.environment.parsed_options
    assert {name: getattr(theirs, name) for name in ("num_users", "spawn_rate", "run_time", "load_profile")} == {
        name: getattr(options, name) for name in ("num_users", "spawn_rate", "run_time", "load_profile")
    }
    assert page.environment.host == wanted.host


def test_what_makes_no_test_is_answered_without_secrets_and_nothing_starts(
    page: Page, caplog: pytest.LogCaptureFixture
) -> None:
    page.problem = "no such host\nno users, whsec_0123456789"
    answer = page.press_start()
    assert answer == {"success": False, "message": "no such host; no users, REDACTED", "host": "http://before"}
    assert page.started == []
    assert page.environment.host == "http://before"
    assert page.environment.parsed_options.num_users is None
    assert "This test cannot run: no such host; no users, REDACTED" in caplog.text


def test_an_empty_run_time_forgets_that_of_the_test_before(page: Page) -> None:
    page.press_start(run_time="")
    assert page.asked[0].parsed_options.run_time is None
    assert page.environment.parsed_options.run_time is None


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [("user_count", "many", "user_count"), ("spawn_rate", "fast", "spawn_rate"), ("run_time", "long", "run_time")],
)
def test_numbers_that_cannot_be_read_are_locusts_to_refuse(page: Page, field: str, text: str, said: str) -> None:
    answer = page.press_start(**{field: text})
    assert answer["success"] is False
    assert said in answer["message"]
    assert page.asked == page.started == []


def test_the_edit_of_a_test_that_a_shape_leads_is_carried_out(page: Page) -> None:
    page.runner.shape_greenlet = object()
    answer = page.press_start()
    assert answer["success"] is True
    assert page.edited == [(8, 2.5)]
    assert (page.environment.parsed_options.num_users, page.environment.parsed_options.spawn_rate) == (8, 2.5)
    # Nothing is started.
    assert page.asked == page.started == []


def test_an_edit_that_is_not_possible_is_answered_with_the_reason(page: Page) -> None:
    page.runner.shape_greenlet = object()
    page.problem = "this test follows 'stress', whsec_0123456789"
    answer = page.press_start()
    assert (answer["success"], answer["refusedEdit"]) == (False, True)
    assert answer["message"] == "this test follows 'stress', REDACTED"
    assert page.environment.parsed_options.num_users is None
    page.problem = None
    assert page.press_start(user_count="", spawn_rate="")["message"] == "give user_count and spawn_rate"
    assert page.edited == page.started == []


@pytest.mark.parametrize(
    ("running", "asked"),
    [(None, 1), (SimpleNamespace(finishing=False), 1), (SimpleNamespace(finishing=True), 0)],
    ids=["no test", "a test that runs", "a test that is being judged"],
)
def test_no_test_begins_while_the_one_before_is_being_judged(
    running: Any, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin, chosen = Plugin(locustfile_scenario({})), []
    monkeypatch.setattr(plugin._mode, "choose", lambda *arguments: chosen.append(arguments))
    with contextlib.nullcontext() if asked else pytest.raises(ValueError, match="still being judged"):
        plugin._check_form(SimpleNamespace(running=running), None, None)  # type: ignore[arg-type]
    assert len(chosen) == asked
