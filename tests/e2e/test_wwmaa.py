"""WWMAA's scenarios as its team runs them: green in both contracts, locally and in two processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.support import run

pytestmark = pytest.mark.e2e

SHORT: Mapping[str, Mapping[str, str]] = {
    "search": {"SEARCH_RATE": "900", "TEST_DURATION": "5s"},
    "rsvp": {"REGISTRATIONS": "100", "TEST_DURATION": "5s", "RSVP_PAUSE": "0.1", "DOUBLES": "0.2"},
    "api": {
        "AUTH_RATE": "10",
        "EVENTS_RATE": "15",
        "SUBSCRIPTIONS_RATE": "5",
        "TEST_DURATION": "5s",
        "API_PAUSE": "0.2",
        "REUSE": "0.5",
    },
    "webhooks": {"WEBHOOK_RATE": "40", "TEST_DURATION": "5s", "REDELIVERY": "0.1"},
}
UNSEEN = {"target_memory_mb", "http_req_tls_handshaking"}
ONLY_SUITE = {"search_relevance", "payment_processing_success"}


def test_short_visits_of_pages_are_green(tmp_path: Path) -> None:
    arguments = ["--headless", "-f", "locustfiles/pages.py", "-u", "20", "-r", "20", "-t", "5s", "--seed", "11"]
    finished = run(arguments, tmp_path, {"THINK_TIME_MIN": "0.2", "THINK_TIME_MAX": "0.4"})
    assert finished.exit_code == 0, finished.output
    assert finished.metric("page_load_success")["passes"] > 100


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["local", "two processes"])
def test_a_short_session_is_green(processes: tuple[str, ...], tmp_path: Path) -> None:
    arguments = ["--headless", "-f", "locustfiles/rtc.py", "-u", "10", "-r", "10", "-t", "6s", *processes]
    finished = run(arguments, tmp_path, {"CHAT_EVERY": "0.5", "SESSION_LENGTH": "30s"})
    assert finished.exit_code == 0, finished.output
    assert finished.metric("message_delivery_success")["passes"] > 100


@pytest.mark.parametrize("scenario", SHORT)
@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["local", "two processes"])
@pytest.mark.parametrize("contract", ["suite", "server"])
def test_a_short_run_is_green(scenario: str, processes: tuple[str, ...], contract: str, tmp_path: Path) -> None:
    arguments = ["--headless", "-f", f"locustfiles/{scenario}.py", "--seed", "11", *processes]
    finished = run(arguments, tmp_path, {**SHORT[scenario], "CONTRACT": contract})
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    unseen = UNSEEN | (ONLY_SUITE if contract == "server" else set())
    judged = [one for one in finished.summary["thresholds"] if one["metric"] not in unseen]
    assert [one["metric"] for one in judged if not one["samples"] and "count" not in one["expression"]] == []
    hidden = {"payments"} if contract == "server" else set()
    found = {audit["name"]: audit["status"] for audit in finished.summary["audits"]}
    assert {name for name, status in found.items() if status != "pass"} <= hidden
