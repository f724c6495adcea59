"""Every fault that a platform's sandbox can plant ends the run in 99, for the metric or audit that must notice it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pika_locust.catalogue import find_platform, known_platforms
from tests.e2e.support import run

pytestmark = pytest.mark.e2e

# What is load enough for each scenario's faults, and no longer.
LOADS: dict[str, tuple[list[str], dict[str, str]]] = {
    "calls": (
        [],
        {
            "CALL_RATE": "5",
            "TEST_DURATION": "6s",
            "TALK_TIME_MIN": "1",
            "TALK_TIME_MAX": "2",
            "AGENT_ACCEPT": "1",
            "AGENT_REJECT": "0",
            "AGENT_DELAY": "0.3",
        },
    ),
    "connections": (["-u", "40", "-r", "40", "-t", "7s"], {"HOLD_TIME_MIN": "1", "HOLD_TIME_MAX": "3"}),
    "inference": (["-u", "20", "-r", "20", "-t", "4s"], {"THINK_TIME_MIN": "0.1", "THINK_TIME_MAX": "0.3"}),
    "streaming": (
        ["-u", "20", "-r", "20", "-t", "4s"],
        {
            "TURNS": "3",
            "CHUNKS": "3",
            "CHUNK_PAUSE": "0.1",
            "THINK_TIME_MIN": "0.1",
            "THINK_TIME_MAX": "0.2",
            "RESULT_WITHIN": "2",
        },
    ),
    "search": ([], {"SEARCH_RATE": "1800", "TEST_DURATION": "3s"}),
    "rsvp": ([], {"REGISTRATIONS": "150", "TEST_DURATION": "4s", "RSVP_PAUSE": "0.1", "DOUBLES": "0.3"}),
    "api": (
        [],
        {
            "AUTH_RATE": "10",
            "EVENTS_RATE": "15",
            "SUBSCRIPTIONS_RATE": "5",
            "TEST_DURATION": "4s",
            "API_PAUSE": "0.1",
            "REUSE": "0.5",
        },
    ),
    "pages": (["-u", "40", "-r", "40", "-t", "5s"], {"THINK_TIME_MIN": "0.2", "THINK_TIME_MAX": "0.4"}),
    "rtc": (["-u", "20", "-r", "20", "-t", "5s"], {"SESSION_LENGTH": "30s", "CHAT_EVERY": "0.5"}),
    "webhooks": ([], {"WEBHOOK_RATE": "60", "TEST_DURATION": "3s", "REDELIVERY": "0.2"}),
    "widget": (["-u", "40", "-r", "40", "-t", "6s"], {"SESSION_MIN": "1", "SESSION_MAX": "3"}),
    "dancers": (["-u", "40", "-r", "40", "-t", "9s"], {}),
    "queue": (["-u", "60", "-r", "60", "-t", "6s"], {"THINK_TIME_MIN": "0.2", "THINK_TIME_MAX": "0.5"}),
    "sessions": (["-u", "20", "-r", "20", "-t", "7s"], {"SESSION_HOLD_SECONDS": "1"}),
    "tokens": (
        ["-t", "5s"],
        {
            "BASE_RATE": "20",
            "SPIKE_RATE": "30",
            "RAMP_UP": "1s",
            "SPIKE_HOLD": "3s",
            "RAMP_DOWN": "1s",
            "REDELIVERY": "0.1",
        },
    ),
}
LONGER = {
    # A poll comes with the third track, and tracks 5.2 s apart.
    ("dancers", "lose-write=0.1"): "16s",
    ("dancers", "double=0.2"): "16s",
    ("dancers", "broadcasts"): "16s",
    # Of few sessions, one has to be told nothing of its end.
    ("sessions", "lose-fanout=0.3"): "10s",
    # It takes as long to leak the gigabyte that the queue may have.
    ("queue", "leak=9000"): "10s",
    # The target is gone after 3 s, counted from its own start.
    ("inference", "crash-after=3"): "7s",
    # One in hundreds leaves in the moment in which the worker holds it.
    ("queue", "ghost"): "14s",
    # One of thousands of messages is lost.
    ("rtc", "lose-fanout=0.0006"): "6s",
    # A browser has to start first.
    ("pages", "heavy-page"): "6s",
    # One of hundreds of events is.
    ("webhooks", "latency+double"): "5s",
    ("webhooks", "lose-write=0.004"): "5s",
}
"""How long a run takes, where that is not enough: by scenario and fault."""


@dataclass
class Run:
    """One run of a scenario: the faults that are planted in it, and whatever must notice them."""

    faults: set[str] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)
    settings: dict[str, str] = field(default_factory=dict)


def runs() -> dict[tuple[str, str], Run]:
    """By scenario and fault, or what the faults are called that are planted together."""
    found: defaultdict[tuple[str, str], Run] = defaultdict(Run)
    for name in known_platforms():
        for cover in find_platform(name).covers:
            one = found[cover.scenario, cover.together or cover.planted]
            one.faults.add(cover.planted)
            one.subjects.add(cover.subject)
            one.settings.update(cover.settings)
    return dict(found)


RUNS = runs()
ELSEWHERE = {("dancers", "latency=800"): "test_monitoring.py has a slower one, with a Prometheus beside it"}


def test_every_scenario_with_faults_has_a_load() -> None:
    assert {scenario for scenario, _ in RUNS} <= LOADS.keys()
    assert RUNS.keys() >= ELSEWHERE.keys() | SLOW


def test_no_two_faults_that_are_planted_together_are_noticed_by_the_same() -> None:
    noticed = Counter(
        (cover.scenario, cover.together, cover.subject)
        for name in known_platforms()
        for cover in find_platform(name).covers
        if cover.together
    )
    assert [one for one, times in noticed.items() if times > 1] == []


CASES = [case for case in RUNS if case not in ELSEWHERE]
SLOW = {
    *LONGER,
    ("queue", "drop=0.05"),
    ("streaming", "drop=0.05"),
    ("streaming", "lose-chunk=0.05"),
    ("sessions", "dead-session"),
}
"""Those that take longest, also because somebody waits half a minute for an answer."""


@pytest.mark.parametrize(
    ("scenario", "name"),
    [pytest.param(*case, id=" ".join(case), marks=[pytest.mark.long] * (case in SLOW)) for case in CASES],
)
def test_a_fault_is_noticed_by_what_covers_it(scenario: str, name: str, tmp_path: Path) -> None:
    load, env = LOADS[scenario]
    planted = RUNS[scenario, name]
    arguments = ["--headless", "-f", f"locustfiles/{scenario}.py", *load, "--seed", "11"]
    for fault in sorted(planted.faults):
        arguments += ["--sandbox-fault", fault]
    if length := LONGER.get((scenario, name)):
        # Arrivals last as long as their scenario says, everything else as long as -t does.
        env = {**env, "TEST_DURATION": length} if "TEST_DURATION" in env else env
        arguments += [] if "TEST_DURATION" in env else ["-t", length]
    finished = run(arguments, tmp_path, {**env, **planted.settings})
    assert finished.exit_code == 99, finished.output
    assert finished.subjects >= planted.subjects, finished.reasons
