"""`pika-locust sandbox`: what it prints, how it ends, its mistakes and its help."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pika_locust.cli.sandbox import run

ROOT = Path(__file__).parents[1]
RUN = "import sys; from pika_locust.cli.sandbox import run; sys.exit(run(sys.argv[1:]))"


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", RUN, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_prints_where_the_target_is_and_a_signal_is_a_normal_end(number: signal.Signals) -> None:
    with start("--platform", "pika", "--fault", "drop=0.5") as command:
        assert command.stdout is not None
        line = command.stdout.readline()
        match = re.fullmatch(r"sandbox of pika at (http://127\.0\.0\.1:\d+) \(process (\d+)\); Ctrl-C ends it\n", line)
        assert match is not None
        assert command.stdout.readline() == "with fault drop=0.5\n"
        command.send_signal(number)
        assert command.wait(5) == 0
        assert not psutil.pid_exists(int(match[2]))


def test_a_sandbox_that_ends_by_itself_is_an_error() -> None:
    with start("--platform", "pika") as command:
        assert command.stdout is not None
        assert command.stderr is not None
        match = re.search(r"process (\d+)", command.stdout.readline())
        assert match is not None
        time.sleep(0.05)
        os.kill(int(match[1]), signal.SIGKILL)
        assert command.wait(5) == 100
        assert "the sandbox ended by itself, with code -9" in command.stderr.read()


def test_the_faults_are_listed_with_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--platform", "pika", "--list-faults"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "latency=MS",
        "error=RATE",
        "drop=RATE",
        "lose-write=RATE",
        "lose-fanout=RATE",
        "double=RATE",
        "throttle=N/60s",
        "refuse=RATE",
        "max-sockets=N",
        "close-after=S",
        "dead-session",
        "leak=MB/min",
        "crash-after=S",
        "swallow-likes=RATE",
        "swallow-tempo=RATE",
        "swallow-poll-updates=RATE",
        "swallow-poll-ends=RATE",
        "swallow-reactions=RATE",
        "swallow-session-ends=RATE",
        "swallow-tempo-resets=RATE",
        "double-tracks=RATE",
        "miscount-listeners=RATE",
        "nonsense=RATE",
    ]
    assert "writes are acknowledged, but not kept (pika)" in lines[3]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--platform", "nope"], "platform 'nope' has no sandbox; known are", id="platform"),
        pytest.param(["--platform", "pika", "--fault", "drop=x"], "fault drop cannot have the value 'x'", id="value"),
        pytest.param(["--platform", "pika", "--fault", "dorp"], "legal are close-after=S", id="name"),
        pytest.param(["--port", "99999"], "--port 99999: ports are 1 to 65535; 0 takes a free one", id="port"),
    ],
)
def test_mistakes_end_it_with_104(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 104
    assert said in capsys.readouterr().err


def test_the_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for word in ("lose-write=0.02", "/__sandbox/state", "curl -X PUT", "--list-faults", "pika"):
        assert word in said
