"""Whichever way a run ends, its end is not lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pika_locust.sandbox import SandboxProcess
from tests.e2e.support import DANCERS, LOCAL_AND_WORKERS, Run, free_port, run, sandbox, socket_url

pytestmark = pytest.mark.e2e

OPTIONS = ["--headless", "-f", DANCERS, "-u", "20", "-r", "20", "-t", "60s"]


@pytest.fixture
def target() -> Iterator[SandboxProcess]:
    with sandbox() as started:
        yield started


def wait_until_dancing(run: Run, target: SandboxProcess) -> None:
    """Until all twenty and the DJ are there, and the first of them have liked what is played."""

    def dancing(_: str) -> bool:
        state = target.state()
        return bool(state["memory"]["sockets"] > 20 and state["likes_held"] > 5)

    run.wait_for(dancing, "likes")


@LOCAL_AND_WORKERS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stopped_run_drains_and_writes_everything(
    number: signal.Signals, extra: list[str], target: SandboxProcess, tmp_path: Path
) -> None:
    with Run([*OPTIONS, *extra], tmp_path, {"WS_URL": socket_url(target)}) as started:
        wait_until_dancing(started, target)
        if number is signal.SIGINT:
            started.signal_group(number)  # a terminal's Ctrl-C reaches every process of the group
        else:
            started.process.send_signal(number)
        finished = started.finish()
        assert finished.exit_code == 105, finished.output
        assert finished.summary is not None
        assert finished.summary["verdict"] == "fail"
        assert finished.reasons == [("stopped", number.name)], finished.summary["reasons"]
        assert finished.summary["load"]["complete"] is True
        for audit in finished.summary["audits"]:
            assert audit["status"] == "pass", audit
        assert finished.metric("ws_session_live")["passes"] == 20


@pytest.mark.long
def test_a_killed_worker_is_named_and_what_the_other_one_saw_is_kept(target: SandboxProcess, tmp_path: Path) -> None:
    with Run([*OPTIONS[:-1], "12s", "--processes", "2"], tmp_path, {"WS_URL": socket_url(target)}) as started:
        wait_until_dancing(started, target)
        workers = started.children()
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        finished = started.finish()
        assert finished.exit_code == 99, finished.output
        assert finished.summary is not None
        lost = [worker for worker in finished.summary["workers"] if not worker["final"]]
        kept = [worker for worker in finished.summary["workers"] if worker["final"]]
        assert len(lost) == len(kept) == 1
        assert ("incomplete", f"worker {lost[0]['index']}") == finished.reasons[0]
        assert finished.summary["load"]["workers_lost"] == 1
        assert finished.summary["load"]["complete"] is False
        assert finished.metric("ws_messages_received")["count"] > 0


def test_a_target_that_is_switched_off_can_never_be_green(tmp_path: Path) -> None:
    began = time.monotonic()
    finished = run(
        ["--headless", "-f", DANCERS, "-u", "10", "-r", "10", "-t", "5s"],
        tmp_path,
        {"WS_URL": f"ws://127.0.0.1:{free_port()}/ws"},
    )
    assert finished.exit_code == 99, finished.output
    success = finished.metric("ws_connection_success")
    assert success["passes"] == 0
    assert success["fails"] >= 10
    users_and_dj = 11
    assert success["fails"] / (time.monotonic() - began) / users_and_dj < 5
    assert "ws_connection_success" in finished.subjects
    assert any("connection refused" in error["error"] for error in finished.summary["errors"])  # type: ignore[index]


def test_a_threshold_of_the_command_line_may_end_the_run_early(tmp_path: Path) -> None:
    threshold = "ws_message_latency:p(95)<0.001; abort_on_fail; delay_abort_eval=4s"
    arguments = ["--headless", "-f", DANCERS, "-u", "10", "-r", "10", "-t", "120s", "--threshold", threshold]
    finished = run(arguments, tmp_path)
    assert finished.exit_code == 99, finished.output
    assert finished.summary is not None
    assert 4 <= finished.summary["duration_s"] < 30
    assert finished.reasons == [("threshold", "ws_message_latency")]
    assert any("abort_on_fail" in note for note in finished.summary["notes"])
