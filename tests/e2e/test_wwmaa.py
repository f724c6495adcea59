"""WWMAA's scenarios as its team runs them: green in both contracts, each locally and in two processes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.e2e.support import run

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Short:
    """A scenario, shortened, in one contract."""

    scenario: str
    contract: str = "suite"
    settings: dict[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    unseen: frozenset[str] = frozenset()
    """Metrics that have no samples in this contract."""


SEARCH = {"SEARCH_RATE": "900", "TEST_DURATION": "4s"}
RSVP = {"RSVP_REGISTRATIONS": "100", "TEST_DURATION": "4s", "RSVP_PAUSE": "0.1", "DOUBLES": "0.2"}
WEBHOOKS = {"WEBHOOK_RATE": "40", "TEST_DURATION": "4s", "REDELIVERY": "0.1"}
RATES = {"AUTH_RATE": "10", "EVENTS_RATE": "15", "SUBSCRIPTIONS_RATE": "5"}
API = {**RATES, "TEST_DURATION": "4s", "API_PAUSE": "0.2", "REUSE": "0.5"}
RTC = {"CHAT_EVERY": "0.5", "SESSION_LENGTH": "30s"}
PAGES = {"THINK_TIME_MIN": "0.2", "THINK_TIME_MAX": "0.4"}
RTC_WORDS = ("-u", "10", "-r", "10", "-t", "5s")
PAGES_WORDS = ("-u", "30", "-r", "30", "-t", "5s")
KINDS = (
    Short("search", settings=SEARCH),
    Short("search", "server", SEARCH, unseen=frozenset({"search_relevance"})),
    Short("rsvp", settings=RSVP),
    Short("rsvp", "server", RSVP, unseen=frozenset({"payment_processing_success", "payments"})),
    Short("webhooks", settings=WEBHOOKS),
    Short("webhooks", "server", WEBHOOKS),
    Short("rtc", settings=RTC, words=RTC_WORDS),
    Short("api", settings=API),
    Short("api", "server", API),
    Short("pages", settings=PAGES, words=PAGES_WORDS),
)
RUNS = (*KINDS, *(replace(kind, words=(*kind.words, "--processes", "2")) for kind in KINDS))
NEVER_SEEN = {"target_memory_mb", "http_req_tls_handshaking"}
"""What takes a minute of load, or TLS."""


def name(short: Short) -> str:
    where = "with two worker processes" if "--processes" in short.words else "in one process"
    return f"{short.scenario} {short.contract}-{where}"


@pytest.mark.parametrize("short", RUNS, ids=name)
def test_a_short_run_is_green_with_all_its_samples(short: Short, tmp_path: Path) -> None:
    judge(short, tmp_path)


def test_the_script_s_own_loop_of_searches_is_green(tmp_path: Path) -> None:
    closed = {"SEARCH_RATE": "0", "SEARCH_PAUSE": "0.2"}
    judge(Short("search", settings=closed, words=("-u", "20", "-r", "20", "-t", "4s")), tmp_path)


def judge(short: Short, tmp_path: Path) -> None:
    arguments = ["--headless", "-f", f"locustfiles/{short.scenario}.py", "--seed", "11", *short.words]
    finished = run(arguments, tmp_path, {**short.settings, "CONTRACT": short.contract})
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    judged = [one for one in finished.summary["thresholds"] if "count" not in one["expression"]]
    assert {one["metric"] for one in judged if not one["samples"]} <= NEVER_SEEN | short.unseen
    audits = {audit["name"]: audit["status"] for audit in finished.summary["audits"]}
    assert {name for name, status in audits.items() if status != "pass"} == short.unseen & audits.keys()
    if short.scenario == "rsvp":
        # More people than places.
        assert finished.audit("capacity")["expected"] == finished.audit("capacity")["actual"] == 80
