"""Ghost Greeter's scenarios as its teams run them: green and complete, and red for what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.support import Finished, run

pytestmark = pytest.mark.e2e

CALLS = {
    "CALL_RATE": "5",
    "TEST_DURATION": "5s",
    "TALK_TIME_MIN": "1",
    "TALK_TIME_MAX": "2",
    "AGENT_DELAY": "0.3",
    "RNA_TIMEOUT_SECONDS": "2",
}
SHORT: Mapping[str, tuple[list[str], dict[str, str]]] = {
    "connections": (["-u", "30", "-r", "30", "-t", "5s"], {"HOLD_TIME_MIN": "1", "HOLD_TIME_MAX": "3"}),
    "widget": (["-u", "30", "-r", "30", "-t", "6s"], {"SESSION_MIN": "1", "SESSION_MAX": "4"}),
    "calls": ([], CALLS),
}
EACH = pytest.mark.parametrize("scenario", SHORT)


def short(scenario: str, folder: Path, *options: str, **settings: str) -> Finished:
    load, env = SHORT[scenario]
    arguments = ["--headless", "-f", f"locustfiles/{scenario}.py", *load, "--seed", "11", *options]
    return run(arguments, folder, {**env, **settings})


@EACH
@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["local", "two processes"])
def test_a_short_run_is_green_and_leaves_nothing_behind(
    scenario: str, processes: tuple[str, ...], tmp_path: Path
) -> None:
    finished = short(scenario, tmp_path, *processes)
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    assert {audit["status"] for audit in finished.summary["audits"]} == {"pass"}


def test_agents_do_what_their_weights_say_and_every_call_is_accounted_for(tmp_path: Path) -> None:
    # Few agents, so that what one of them rejects or lets ring is not taken by another.
    shares = {"AGENT_ACCEPT": "0.4", "AGENT_REJECT": "0.3", "CALL_ABANDON": "0.2"}
    finished = short("calls", tmp_path, AGENTS="4", TEST_DURATION="6s", CALL_ANSWER_WITHIN="15", **shares)
    assert finished.summary is not None, finished.output
    metrics = finished.summary["metrics"]
    outcomes = ("accepted", "rejected", "rang_out", "abandoned", "failed", "timed_out")
    counts = {name: metrics.get(f"calls_{name}", {"count": 0})["count"] for name in outcomes}
    assert all(counts[name] > 0 for name in ("accepted", "rejected", "rang_out", "abandoned")), counts
    assert sum(counts.values()) == metrics["calls_requested"]["count"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"AGENT_ACCEPT": "0", "AGENT_REJECT": "0"}, "agent_ignore_rate"),
        ({"AGENT_ACCEPT": "0", "AGENT_REJECT": "1"}, "agent_reject_rate"),
        ({"AGENTS": "0"}, "call_agent_found"),
    ],
    ids=["agents who ignore", "agents who reject", "no agents"],
)
def test_agents_who_are_of_no_use_are_three_different_reasons(
    settings: dict[str, str], reason: str, tmp_path: Path
) -> None:
    # A call that nobody takes goes from one agent to the next for so long.
    finished = short("calls", tmp_path, CALL_ANSWER_WITHIN="10", **settings)
    assert finished.exit_code == 99, finished.output
    reasons = {"agent_ignore_rate", "agent_reject_rate", "call_agent_found"} & finished.subjects
    assert reasons == {reason}, finished.reasons


@EACH
def test_a_port_on_which_nobody_listens_is_red(scenario: str, tmp_path: Path) -> None:
    finished = short(scenario, tmp_path, "-t", "2s", SERVER_URL="ws://127.0.0.1:9")
    assert finished.exit_code == 99, finished.output
    assert "connection refused" in finished.output.lower()
