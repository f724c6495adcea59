"""Two scenarios in one run, as `-f` names them: each with its own load, thresholds and verdict."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.support import Run, run

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


def test_when_the_process_that_runs_them_all_is_killed_each_ends_with_its_own_results(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({"schema": 1, "verdict": "pass", "exit_code": 0}))
    load = {"QUEUE_USERS": "3", "TOKENS_BASE_RATE": "5", "TOKENS_SPIKE_RATE": "5"}
    with Run([*BOTH, "-t", "90s"], tmp_path, load) as started:
        # Before they are started, each has only read its options.
        started.wait_for(lambda output: output.count("testing the embedded sandbox") == 2, "two sandboxes")
        children = psutil.Process(started.process.pid).children()
        time.sleep(3)
        started.process.kill()
        _, alive = psutil.wait_procs(children, timeout=30)
        for child in alive:
            child.kill()
        finished = started.finish()
    assert alive == []
    assert finished.summary is not None
    assert (finished.summary["exit_code"], finished.reasons) == (107, [("unfinished", "run")])
    for name in ("queue", "tokens"):
        own = json.loads((tmp_path / f"summary.{name}.json").read_text())
        assert (own["exit_code"], [reason["code"] for reason in own["reasons"]]) == (105, ["stopped"]), own["reasons"]
        assert own["metrics"]["iterations"]["count"] > 0
        assert any("the process that has started this run was gone" in note for note in own["notes"])
