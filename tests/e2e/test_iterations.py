"""`ITERATIONS`: a fixed number of iterations, after which the run ends; and arrivals whose worker has died."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from pika_locust.sandbox import start_sandbox
from tests.e2e.support import DANCERS, LOCAL_AND_WORKERS, Run, run

pytestmark = pytest.mark.e2e

QUEUE = ["--headless", "-f", "locustfiles/queue.py"]
SECRET = {"STRIPE_WEBHOOK_SECRET": "whsec_test_secret"}
BRISK = {"THINK_TIME_MIN": "0.05", "THINK_TIME_MAX": "0.1"}


@LOCAL_AND_WORKERS
@pytest.mark.parametrize(("asked", "done"), [("61", 61), ("4/user", 20)], ids=["shared by all", "for each user"])
def test_exactly_so_many_iterations(asked: str, done: int, extra: list[str], tmp_path: Path) -> None:
    finished = run([*QUEUE, "-u", "5", *extra], tmp_path, {"ITERATIONS": asked, **BRISK})
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    assert finished.summary["load"]["iterations"] == done
    assert finished.summary["load"]["dropped_iterations"] == 0
    # Each is one visit of the queue.
    assert finished.metric("queue_join_latency")["count"] == done
    assert finished.summary["duration_s"] < 20


def test_what_never_began_in_time_is_dropped(tmp_path: Path) -> None:
    finished = run([*QUEUE, "-u", "5", "-t", "4s"], tmp_path, {"ITERATIONS": "100000", **BRISK})
    assert finished.reasons == [("threshold", "dropped_iterations")]
    assert finished.summary is not None
    load = finished.summary["load"]
    assert load["iterations"] > 50
    assert load["iterations"] + load["dropped_iterations"] == 100_000


def test_where_it_makes_no_sense_it_is_refused(tmp_path: Path) -> None:
    finished = run(["--headless", "-f", DANCERS, "-u", "5"], tmp_path, {"ITERATIONS": "100"})
    assert finished.exit_code == 104
    assert "ITERATIONS=100" in finished.summary["reasons"][0]["text"]  # type: ignore[index]


def kill_one(started: Run) -> None:
    os.kill(started.children()[0], signal.SIGKILL)


@pytest.mark.long
def test_what_a_killed_worker_did_not_finish_is_done_by_the_other(tmp_path: Path) -> None:
    with (
        start_sandbox(["verity"], env=SECRET) as target,
        Run(
            [*QUEUE, "-u", "6", "--processes", "2"],
            tmp_path,
            {"ITERATIONS": "160", "BASE_URL": target.url, **SECRET, **BRISK},
        ) as started,
    ):
        started.wait_for(lambda _: target.state()["webhooks"]["credited"] == 6, "users")
        time.sleep(2.0)
        kill_one(started)
        finished = started.finish()
    assert finished.exit_code == 99
    assert finished.reasons[0][0] == "incomplete"
    assert finished.summary is not None
    load = finished.summary["load"]
    assert load["workers_lost"] == 1
    assert load["iterations"] >= 160
    assert load["dropped_iterations"] == 0


@pytest.mark.long
def test_the_arrivals_of_a_killed_worker_are_taken_by_the_others(tmp_path: Path) -> None:
    """60 a second for 14 s, of which one of three workers lives for a quarter."""
    env = {"BASE_RATE": "60", "SPIKE_RATE": "60", "RAMP_UP": "5s", "SPIKE_HOLD": "9s", "RAMP_DOWN": "1s"}
    arguments = ["--headless", "-f", "locustfiles/tokens.py", "-t", "14s", "--processes", "3"]
    with (
        start_sandbox(["verity"], env=SECRET) as target,
        Run(arguments, tmp_path, {**env, **SECRET, "BASE_URL": target.url}) as started,
    ):
        started.wait_for(lambda _: target.state()["webhooks"]["credited"] > 200, "four seconds of arrivals")
        kill_one(started)
        finished = started.finish()
    assert finished.exit_code == 99
    assert finished.reasons[0][0] == "incomplete"
    assert finished.summary is not None
    begun = finished.metric("iterations_started")["count"]
    dropped = finished.summary["load"]["dropped_iterations"]
    # The schedule's integral, exactly; and what is missing is a third of a few seconds, not of the rest of the run.
    assert begun + dropped == 14 * 60
    assert dropped < 8 * 20
    assert "2 workers take the arrivals, and not 3 as before" in finished.output
    assert any("went down with lost workers" in note for note in finished.summary["notes"])
