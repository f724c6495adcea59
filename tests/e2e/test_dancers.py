"""The dancers as a user runs them: locally, with worker processes, and what must come out the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.support import DANCERS, LOCAL_AND_WORKERS, run, sandbox, socket_url

pytestmark = [pytest.mark.e2e, pytest.mark.long]


@LOCAL_AND_WORKERS
def test_a_healthy_run_passes_and_every_frame_and_like_is_accounted_for(extra: list[str], tmp_path: Path) -> None:
    with sandbox() as target:
        finished = run(
            ["--headless", "-f", DANCERS, "-u", "40", "-r", "20", "-t", "16s", "--seed", "7", *extra],
            tmp_path,
            {"WS_URL": socket_url(target)},
        )
        state = target.state()
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    assert finished.summary["verdict"] == "pass"
    assert finished.reasons == []
    assert finished.summary["resolving_power"]
    # To the server, the DJ's second connection is a dancer's: it hears the end of the session, and of an open poll.
    assert state["frames_to_dancers"] - finished.metric("ws_messages_received")["count"] in (1, 2)
    for name, held in (("likes", "likes_held"), ("tempo votes", "tempo_held"), ("poll votes", "poll_votes_held")):
        audit = finished.audit(name)
        assert (audit["status"], audit["expected"], audit["unanswered"]) == ("pass", state[held], 0), audit
        assert audit["expected"] > 0
    assert finished.metric("fanout_latency")["count"] > 0
    assert finished.metric("ack_latency")["count"] > 0
    assert finished.metric("fanout_delivery")["rate"] == 1.0
    assert finished.summary["load"]["users_peak"] == 40
    assert finished.summary["load"]["complete"] is True
    assert finished.summary["load"]["workers"] == (2 if extra else 1)
    assert all(worker["final"] for worker in finished.summary["workers"])


@pytest.mark.alone
def test_workers_keep_up_while_users_are_started_every_second(tmp_path: Path) -> None:
    # Every tick of a ramp sends a spawn message, for which Locust would build a parser per option: 225 ms each time.
    finished = run(
        ["--headless", "-f", DANCERS, "--stage", "10s:200,3s:200", "--processes", "2", "--seed", "5"], tmp_path
    )
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    for worker in finished.summary["workers"]:
        assert worker["lag_ms"]["p(99)"] < 50, worker
    assert finished.summary["load"]["users_peak"] == 200
