"""What Locust itself logs, counts, shows and reports, without secrets."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import locust.web
import pytest
from locust import User
from locust.env import Environment

from pika_locust.observe.prometheus_settings import PROMETHEUS_SETTINGS
from pika_locust.outputs import redact
from pika_locust.runtime import redaction
from pika_locust.runtime.locust_stats import LocustStats
from pika_locust.runtime.web_ui import check_form
from pika_locust.settings import Setting, Settings, read_settings, text

HOST = "http://loader:S3cr3tPass@127.0.0.1:1/?token=tok-9f8e7d6c"
SHOWN = "http://REDACTED@127.0.0.1:1/?token=REDACTED"
SECRETS = ("S3cr3tPass", "tok-9f8e7d6c")


class Nobody(User):
    abstract = False


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    # Locust's page parses the command line again.
    monkeypatch.setattr(sys, "argv", ["locust"])
    monkeypatch.setattr(locust.web, "get_html_report", locust.web.get_html_report)
    hub = gevent.get_hub()
    monkeypatch.setattr(hub, "exception_stream", hub.exception_stream)
    handlers = logging.getLogger().handlers
    formatters = [handler.formatter for handler in handlers]
    options = SimpleNamespace(num_users=None, spawn_rate=None, run_time=None, host=HOST, stats_history_enabled=False)
    made = Environment(user_classes=[Nobody], host=HOST, parsed_options=options)
    runner = made.create_local_runner()
    runner.start = lambda users, rate: None
    made.create_web_ui("127.0.0.1", 0, delayed_start=True)
    redaction.attach(made)
    check_form(made, check, lambda users, rate: None)
    redaction.attach_to_page(made)
    redaction.conceal(Settings({}, {}), HOST)
    yield made
    runner.greenlet.kill()
    for handler, formatter in zip(handlers, formatters, strict=True):
        handler.setFormatter(formatter)


def check(wanted: Any) -> None:
    """The form may have the target that it was given to show, and others but one."""
    if wanted.host in ("http://wrong", SHOWN):
        raise ValueError(f"not {wanted.host}")


def no_secret_in(shown: str) -> bool:
    return not any(secret in shown for secret in SECRETS)


def test_statistics_errors_and_exceptions_hold_no_secret(environment: Any) -> None:
    fire = environment.events.request.fire
    for error in (None, ValueError("bad tok-9f8e7d6c"), "bad tok-9f8e7d6c"):
        fire(
            request_type="GET",
            name="/a?token=tok-9f8e7d6c",
            response_time=3,
            response_length=1,
            exception=error,
            context={},
        )
    stats = LocustStats(environment.events.request)
    assert stats.is_alone()
    for _ in range(2):
        stats.write("GET", "/a?token=tok-9f8e7d6c", (3.0, 4.0), 10)
    (entry,) = environment.stats.entries.values()
    assert (entry.name, entry.num_requests, entry.num_failures) == ("/a?token=REDACTED", 7, 2)
    errors = sorted(error.to_name() for error in environment.stats.errors.values())
    assert [error.partition(": ")[2] for error in errors] == ["ValueError('bad REDACTED')", "bad REDACTED"]
    try:
        raise ValueError("it said S3cr3tPass")
    except ValueError as error:
        environment.events.user_error.fire(user_instance=None, exception=error, tb=error.__traceback__)
    (row,) = environment.runner.exceptions.values()
    assert row["msg"] == "it said REDACTED"
    assert "test_redaction.py" in row["traceback"]
    assert no_secret_in(row["traceback"])


def test_the_web_page_shows_no_secret_and_takes_what_it_showed_for_the_target(environment: Any) -> None:
    client = environment.web_ui.app.test_client()
    page = client.get("/").get_data(as_text=True)
    assert "REDACTED@127.0.0.1" in page
    assert no_secret_in(page)
    form = {"user_count": "1", "spawn_rate": "1", "host": SHOWN}
    assert client.post("/swarm", data=form).get_json() == {
        "success": True,
        "message": "Swarming started",
        "host": SHOWN,
    }
    assert environment.host == HOST
    refused = client.post("/swarm", data={**form, "host": "http://wrong"}).get_json()
    assert refused == {"success": False, "message": "not http://wrong", "host": SHOWN}
    for path in ("/stats/report", "/stats/report?download=1", "/stats/requests/csv"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert no_secret_in(answer.get_data(as_text=True) + str(answer.headers)), path
    client.post("/swarm", data={**form, "host": "http://other"})
    assert environment.host == "http://other"


def test_the_log_and_what_nobody_handled_hold_no_secret(environment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = io.StringIO()
    handler = logging.StreamHandler(printed)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    monkeypatch.setattr(sys, "stderr", printed)
    logging.getLogger().addHandler(handler)
    try:
        redaction.attach(environment)
        logging.getLogger("shop").warning("it said %s", "S3cr3tPass")
        gevent.spawn(lambda: int("tok-9f8e7d6c")).join()
    finally:
        logging.getLogger().removeHandler(handler)
    assert "WARNING it said REDACTED\n" in printed.getvalue()
    assert "invalid literal for int() with base 10: 'REDACTED'" in printed.getvalue()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("the password S3cr3t/Pass9 is wrong", "the password REDACTED is wrong"),
        ("S3cr3t%2FPass9", "REDACTED"),
        ("x_whsec-mine-1_y", "x_REDACTED_y"),
        ("bG9hZGVyOlMzY3IzdC9QYXNzOQ==", "REDACTED=="),
        ("key of a query: q-1234567", "key of a query: REDACTED"),
        ("the dancer among dancers", "the REDACTED among dancers"),
        ("loader", "loader"),
        ("you sent c00kie-9, a1b2c3d4 from staging", "you sent REDACTED, REDACTED from staging"),
        ("not a key: lettersonly", "not a key: REDACTED"),
        ("no page for zzzzzz-health", "no page for REDACTED"),
        ("key abc123def456 or def-9a is not valid, Bearer", "key REDACTED or REDACTED is not valid, Bearer"),
    ],
)
def test_known_values_are_hidden_wherever_they_stand(environment: Any, said: str, shown: str) -> None:
    names = ("SIGNING", "EXTRA_HEADERS", "OBSERVE_HEADERS", "OTLP_HEADERS")
    secret = [Setting(name, text, None, "", secret=True) for name in names]
    declared = [*secret, Setting("API", text, None, "")]
    environ = {
        "SIGNING": "whsec-mine-1",
        "API": "http://loader:S3cr3t%2FPass9@a/?api_key=q-1234567",
        "EXTRA_HEADERS": '{"Authorization": "Bearer a1b2c3d4", "Cookie": "sid=c00kie-9; a=b", "X-Env": "staging", '
        '"X-Api-Key": "lettersonly"}',
        "OBSERVE_HEADERS": "X-Health: zzzzzz-health",
        "OTLP_HEADERS": "api-key=abc123def456,x-sender=Bearer def-9a",
    }
    redaction.conceal(read_settings(declared, environ, "x")[0], "ws://u:dancer@b")
    assert redact.text(said) == shown
    assert redact.name(said) == shown


def test_workers_are_not_sent_what_only_the_master_uses() -> None:
    environ = {"PROMETHEUS_URL": "http://scraper:S3cr3tPass@127.0.0.1:9090", "PROMETHEUS_BEARER_TOKEN": "abcdef"}
    settings, problems = read_settings(PROMETHEUS_SETTINGS, environ, "verity")
    assert problems == []
    assert settings["PROMETHEUS_URL"] == environ["PROMETHEUS_URL"]
    assert settings.for_workers() == {}
    assert set(settings.public()) == {"PROMETHEUS_URL", "PROMETHEUS_QUERIES"}
