"""Ctrl-C, and Ctrl-C again: whoever does not want to wait for sessions that last still gets everything measured."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from pika_locust.sandbox import start_sandbox
from tests.e2e.support import LOCAL_AND_WORKERS, Finished, Run

pytestmark = pytest.mark.e2e

LONG_TASKS = """
import time
from locust import User, task
from pika_locust import install

install(thresholds={"iterations_cut": "count<100"})

class Sleeper(User):
    @task
    def sleep(self):
        time.sleep(60)
"""


def interrupted_twice(started: Run) -> Finished:
    """What a run comes to that is interrupted while it waits for what takes a minute."""
    time.sleep(1.0)
    started.signal_group(signal.SIGINT)
    time.sleep(3.0)
    assert started.process.poll() is None
    began_s = time.monotonic()
    started.signal_group(signal.SIGINT)
    finished = started.finish(timeout_s=60)
    assert time.monotonic() - began_s < 25
    assert finished.exit_code == 105, finished.output
    assert finished.reasons[0] == ("stopped", "SIGINT")
    assert finished.summary is not None
    assert finished.summary["load"]["complete"] is True
    return finished


@LOCAL_AND_WORKERS
def test_who_interrupts_twice_has_users_cut_off_and_everything_told(extra: list[str], tmp_path: Path) -> None:
    arguments = ["--headless", "-f", "locustfiles/sessions.py", "-u", "8", "-t", "90s", *extra]
    settings = {"STRIPE_WEBHOOK_SECRET": "whsec_test_secret", "SESSION_HOLD_SECONDS": "60"}
    with (
        start_sandbox(["verity"], env=settings) as target,
        Run(arguments, tmp_path, {**settings, "BASE_URL": target.url}) as started,
    ):
        started.wait_for(lambda _: target.state()["sessions_live"] == 4, "a session of each two")
        finished = interrupted_twice(started)
    assert finished.metric("iterations_cut")["count"] == 8
    assert finished.metric("match_time")["count"] == 8
    tokens = finished.audit("tokens")
    assert tokens["status"] == "pass", tokens
    assert "balances looked up: 8 of 8 users" in tokens["detail"]


@LOCAL_AND_WORKERS
def test_so_has_who_does_not_wait_for_a_locustfile_s_own_users(extra: list[str], tmp_path: Path) -> None:
    (file := tmp_path / "sleep.py").write_text(LONG_TASKS)
    load = ["-H", "http://127.0.0.1", "-u", "4", "-r", "4", "-s", "60"]
    with Run(["--headless", "-f", str(file), *load, *extra], tmp_path, {}) as started:
        started.wait_for(lambda output: "All users spawned" in output, "four users in their tasks")
        finished = interrupted_twice(started)
    assert finished.metric("iterations_cut")["count"] == 4
    assert "Traceback" not in finished.output
