"""Runs that are stopped or killed before they could end: no older summary is taken for theirs, and nothing is left."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import LOCAL_AND_WORKERS, ROOT, Run

pytestmark = pytest.mark.e2e

LOCUSTFILE = """
import os, sys, time
from locust import User, constant, task
import pika_locust
judge = pika_locust.install(ledgers=["orders"])
class Visitor(User):
    wait_time = constant(0.1)
    @task
    def visit(self):
        print("a task runs" + "." * int(os.environ.get("DOTS", "0")), flush=True)
        if os.environ.get("LEAVE"):
            os._exit(0)
"""
SLOW_START = """
from locust import events
@events.init.add_listener
def slowly(**_):
    print("starting", flush=True)
    time.sleep(30)
"""
SLOW_AUDIT = """
@judge.audit("orders")
def held(run):
    print("auditing", flush=True)
    time.sleep(60)
"""
F_SETPIPE_SZ = 1031
OLDER = {"schema": 1, "verdict": "pass", "exit_code": 0}


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(OLDER))
    return path


def start(tmp_path: Path, text: str = LOCUSTFILE, *options: str, **env: str) -> Run:
    (tmp_path / "locustfile.py").write_text(text)
    arguments = ["-f", str(tmp_path / "locustfile.py"), *(options or ("--headless", "-u", "1", "-t", "60s"))]
    return Run(arguments, tmp_path, {"PYTHONPATH": str(ROOT), **env})


def check_unfinished(summary: dict[str, Any] | None) -> None:
    assert summary is not None
    assert (summary["verdict"], summary["exit_code"]) == ("invalid", 107)
    assert [reason["code"] for reason in summary["reasons"]] == ["unfinished"]


def test_a_run_that_is_killed_leaves_no_older_pass(summary: Path, tmp_path: Path) -> None:
    with start(tmp_path) as started:
        started.wait_for(lambda output: "a task runs" in output, "a task")
        os.killpg(started.process.pid, signal.SIGKILL)
        finished = started.finish()
    check_unfinished(finished.summary)
    assert finished.summary is not None
    assert finished.summary["run_id"]


def test_a_run_that_a_task_ends_without_a_word_leaves_no_older_pass(summary: Path, tmp_path: Path) -> None:
    with start(tmp_path, LEAVE="1") as started:
        check_unfinished(started.finish().summary)


def test_a_run_that_is_killed_while_it_starts_leaves_no_older_pass(summary: Path, tmp_path: Path) -> None:
    with start(tmp_path, LOCUSTFILE + SLOW_START) as started:
        started.wait_for(lambda output: "starting" in output, "the start")
        os.killpg(started.process.pid, signal.SIGKILL)
        check_unfinished(started.finish().summary)


@LOCAL_AND_WORKERS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_run_that_is_stopped_while_it_starts_says_so_and_leaves_no_worker(
    number: signal.Signals, extra: list[str], summary: Path, tmp_path: Path
) -> None:
    """The signal goes to the first process alone, as that of a supervisor does."""
    with start(tmp_path, LOCUSTFILE + SLOW_START, "--headless", "-t", "60s", *extra) as started:
        started.wait_for(lambda output: output.count("starting") == 1 + len(extra), "the start")
        workers = started.children()
        began_s = time.monotonic()
        started.process.send_signal(number)
        finished = started.finish()
        assert time.monotonic() - began_s < 25
    assert len(workers) == len(extra)
    assert finished.exit_code == 105, finished.output
    assert finished.reasons == [("stopped", number.name)]
    assert "Exit code 105" in finished.output
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_the_first_signal_during_the_audits_ends_the_run(number: signal.Signals, tmp_path: Path) -> None:
    with start(tmp_path, LOCUSTFILE + SLOW_AUDIT, "--headless", "-t", "1s") as started:
        started.wait_for(lambda output: "auditing" in output, "the audit")
        began_s = time.monotonic()
        started.process.send_signal(number)
        finished = started.finish()
        assert time.monotonic() - began_s < 25
    assert finished.exit_code == 105, finished.output
    assert finished.reasons[0] == ("stopped", number.name)
    assert finished.summary is not None
    assert finished.summary["duration_s"] > 0


def test_a_run_whose_output_nobody_reads_ends_with_a_summary(summary: Path, tmp_path: Path) -> None:
    (tmp_path / "locustfile.py").write_text(LOCUSTFILE)
    options = ["--headless", "-u", "1", "-t", "1s", "--summary-json", str(summary)]
    with subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", str(tmp_path / "locustfile.py"), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT), "DOTS": "20000"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        fcntl.fcntl(process.stdout, F_SETPIPE_SZ, 4096)
        try:
            code = process.wait(timeout=40)
        finally:
            process.kill()
    written = json.loads(summary.read_text())
    assert written["exit_code"] == code
    # Nothing was measured; and where the output held the generator up, its lag tells.
    assert code in (99, 110), written["reasons"]


def test_who_asks_for_a_list_keeps_the_older_summary(summary: Path, tmp_path: Path) -> None:
    for option in ("--list", "--help", "--show-task-ratio"):
        with start(tmp_path, LOCUSTFILE, "--headless", option) as started:
            assert started.finish().summary == OLDER
