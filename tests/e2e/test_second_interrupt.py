"""Ctrl-C, and Ctrl-C again: whoever does not want to wait for sessions that last still gets everything measured."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from pika_locust.sandbox import start_sandbox
from tests.e2e.support import LOCAL_AND_WORKERS, Run

pytestmark = pytest.mark.e2e


@LOCAL_AND_WORKERS
def test_who_interrupts_twice_has_users_cut_off_and_everything_told(extra: list[str], tmp_path: Path) -> None:
    arguments = ["--headless", "-f", "locustfiles/sessions.py", "-u", "8", "-t", "90s", *extra]
    settings = {"STRIPE_WEBHOOK_SECRET": "whsec_test_secret", "SESSION_HOLD_SECONDS": "60"}
    with (
        start_sandbox(["verity"], env=settings) as target,
        Run(arguments, tmp_path, {**settings, "BASE_URL": target.url}) as started,
    ):
        started.wait_for(lambda _: target.state()["sessions_live"] == 4, "a session of each two")
        time.sleep(1.0)
        started.signal_group(signal.SIGINT)
        time.sleep(3.0)
        # The first one waits for sessions to end, which takes a minute.
        assert started.process.poll() is None
        began_s = time.monotonic()
        started.signal_group(signal.SIGINT)
        finished = started.finish(timeout_s=60)
    assert time.monotonic() - began_s < 25
    assert finished.exit_code == 105, finished.output
    assert finished.reasons[0] == ("stopped", "SIGINT")
    assert finished.summary is not None
    assert finished.summary["load"]["complete"] is True
    assert finished.metric("iterations_cut")["count"] == 8
    assert finished.metric("match_time")["count"] == 8
    tokens = finished.audit("tokens")
    assert tokens["status"] == "pass", tokens
    assert "balances looked up: 8 of 8 users" in tokens["detail"]
