"""`python -m pika_locust.sandbox` as a process: its line on stdout, its signals, its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pika_locust.sandbox", "--platform", "pika", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


def announced(process: subprocess.Popen[str]) -> dict[str, int]:
    assert process.stdout is not None
    line: dict[str, int] = json.loads(process.stdout.readline())
    return line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_one_line_says_where_it_listens_and_a_signal_ends_it(number: signal.Signals) -> None:
    with start() as process:
        line = announced(process)
        assert line["pid"] == process.pid
        assert 0 < line["port"] < 65536
        assert process.stdin is not None
        process.stdin.close()
        time.sleep(0.1)
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(5) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""


@pytest.mark.alone
def test_it_ends_with_stdin_if_that_is_asked_for() -> None:
    with start("--until-stdin-closes") as process:
        announced(process)
        assert process.stdin is not None
        started = time.monotonic()
        process.stdin.close()
        assert process.wait(5) == 0
        assert time.monotonic() - started < 0.4


def test_wrong_faults_end_it_with_104_before_it_listens() -> None:
    with start("--fault", "drop=2") as process:
        assert process.wait(5) == 104
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read() == ""
        assert "fault drop cannot have the value '2'" in process.stderr.read()


def test_the_module_has_a_help_text(capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "pika_locust.sandbox", "--help"]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "COLUMNS": "120"})
    assert "--until-stdin-closes" in capfd.readouterr().out
