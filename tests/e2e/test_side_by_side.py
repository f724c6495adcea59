"""Two scenarios in one run, as `-f` names them: each with its own load, thresholds and verdict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.support import run

pytestmark = pytest.mark.e2e

BOTH = ["--headless", "-f", "locustfiles/queue.py,locustfiles/tokens.py"]


def test_two_scenarios_run_side_by_side_and_each_is_judged_by_itself(tmp_path: Path) -> None:
    # What few queue users do in so short a time, and what the webhooks of a second exceed.
    options = ["-t", "6s", "--threshold", "iterations:count<20"]
    load = {"QUEUE_USERS": "3", "QUEUE_RAMP_UP": "1s", "TOKENS_BASE_RATE": "10", "TOKENS_SPIKE_RATE": "10"}
    finished = run([*BOTH, *options], tmp_path, load)
    assert finished.exit_code == 99, finished.output
    assert finished.summary is not None
    assert finished.summary["exit_codes"] == {"queue": 0, "tokens": 99}
    queue, tokens = (json.loads((tmp_path / f"summary.{name}.json").read_text()) for name in ("queue", "tokens"))
    assert (queue["verdict"], tokens["verdict"]) == ("pass", "fail")
    assert [reason["subject"] for reason in tokens["reasons"]] == ["iterations"]
    assert queue["load"]["users_peak"] <= 3 < tokens["metrics"]["iterations"]["count"]
    assert finished.summary["scenarios"] == {"queue": queue, "tokens": tokens}
    assert finished.output.index("PASS  queue") < finished.output.index("FAIL  tokens")


def test_a_mistake_in_one_of_them_is_told_before_either_sends_anything(tmp_path: Path) -> None:
    finished = run([*BOTH, "-t", "5s"], tmp_path, {"QUEUE_USERS": "many", "TOKENS_SPIKE_RATE": "10"})
    assert finished.exit_code == 104, finished.output
    assert "queue |   - QUEUE_USERS=many: not a whole number" in finished.output
    assert "sandbox" not in finished.output
