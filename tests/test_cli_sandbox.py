"""`pika-locust sandbox`: what it prints, how it ends, its mistakes and its help."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import requests

from pika_locust.cli.main import main
from pika_locust.cli.sandbox import public_addresses, run

ROOT = Path(__file__).parents[1]


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pika_locust.cli.main", "sandbox", *arguments]
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
        pytest.param(["--host", "no.such.host.invalid"], "--host no.such.host.invalid: ", id="host"),
        pytest.param(["--host", "8.8.8.8"], "anybody could reach 8.8.8.8", id="public address"),
        pytest.param(["--port", "99999"], "--port 99999: ports are 1 to 65535; 0 takes a free one", id="port"),
    ],
)
def test_mistakes_end_it_with_104(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", *arguments]) == 104
    assert said in capsys.readouterr().err


def test_the_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for word in ("lose-write=0.02", "/__sandbox/state", "curl -X PUT", "--list-faults", "pika"):
        assert word in said


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "172.17.0.2", "192.168.1.4", "fd00::1", "::1", "localhost"])
def test_addresses_that_the_internet_cannot_reach_need_no_word(host: str) -> None:
    assert public_addresses(host) == []


@pytest.mark.parametrize(
    ("host", "own"), [("0.0.0.0", "93.184.215.14"), ("::", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")]
)
def test_all_addresses_are_refused_where_one_is_public(
    host: str, own: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    family = socket.AF_INET6 if ":" in own else socket.AF_INET
    addresses = {"lo": [_address("127.0.0.1", socket.AF_INET)], "eth0": [_address(own, family)]}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: addresses)
    assert public_addresses(host) == [own]
    assert main(["sandbox", "--platform", "pika", "--host", host]) == 104
    assert "say --allow-public" in capsys.readouterr().err
    del addresses["eth0"]
    assert public_addresses(host) == []


def _address(address: str, family: socket.AddressFamily) -> SimpleNamespace:
    return SimpleNamespace(address=address, family=family)


@pytest.mark.parametrize("more", [[], ["--allow-public"]], ids=["private", "allowed"])
def test_it_is_reached_at_the_address_that_was_named(more: list[str]) -> None:
    with start("--platform", "pika", "--host", "127.0.7.1", *more) as command:
        assert command.stdout is not None
        match = re.match(r"sandbox of pika at (http://127\.0\.7\.1:\d+) ", command.stdout.readline())
        assert match is not None
        assert requests.get(f"{match[1]}/__sandbox/state", timeout=5).ok
        command.send_signal(signal.SIGTERM)
        assert command.wait(5) == 0
