"""Real `locust` processes, as a user starts them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pika_locust.errors import ExitCode
from pika_locust.sandbox import SandboxProcess, start_sandbox

ROOT = Path(__file__).resolve().parents[2]
DANCERS = "locustfiles/dancers.py"

LOCAL_AND_WORKERS = pytest.mark.parametrize(
    "extra", [[], ["--processes", "2"]], ids=["in one process", "with two worker processes"]
)
"""The same run locally and with worker processes: what comes out must be the same."""


TOO_SLOW = {"lag p(95)", "lag p(99)", "cpu"}
"""What the reasons are about when a load generator could not keep up."""


@dataclass
class Finished:
    """A run that has ended."""

    exit_code: int
    summary: dict[str, Any] | None
    output: str

    @property
    def reasons(self) -> list[tuple[str, str]]:
        """Code and subject of each; without this machine's, where others decide: it may be busy with other things."""
        assert self.summary is not None, self.output
        found = [(reason["code"], reason["subject"]) for reason in self.summary["reasons"]]
        others = [reason for reason in found if reason[0] != "generator"]
        return found if self.exit_code == ExitCode.GENERATOR else others

    @property
    def subjects(self) -> set[str]:
        return {subject for _, subject in self.reasons}

    def metric(self, name: str) -> dict[str, Any]:
        assert self.summary is not None, self.output
        return self.summary["metrics"][name]

    def audit(self, name: str) -> dict[str, Any]:
        assert self.summary is not None, self.output
        return next(audit for audit in self.summary["audits"] if audit["name"] == name)


class MachineTooSlow(AssertionError):
    """A run has measured this machine and not its target; pytest is told to run the test again (see pyproject.toml)."""

    def __init__(self, finished: Finished) -> None:
        super().__init__(finished.output)
        self.finished = finished


class Run:
    """A `locust` process in a process group of its own, as a terminal would start it."""

    def __init__(self, arguments: Sequence[str], directory: Path, env: Mapping[str, str] | None = None) -> None:
        self.summary_path = directory / "summary.json"
        self.log_path = directory / "output.txt"
        if "--processes" in arguments:
            # Runs at the same time must not take each other's workers.
            port = str(free_port())
            arguments = [*arguments, "--master-bind-port", port, "--master-port", port]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIKA_", "LOCUST_"))}
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "locust", *arguments, "--summary-json", str(self.summary_path)],
                cwd=ROOT,
                env={**clean, "PYTHONUNBUFFERED": "1", **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *failure: object) -> None:
        """Leave nothing running, also when a test failed in between."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @property
    def output(self) -> str:
        return self.log_path.read_text()

    def wait_for(self, condition: Callable[[str], bool], what: str, timeout_s: float = 40.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition(self.output):
            assert self.process.poll() is None, f"ended before {what}:\n{self.output}"
            assert time.monotonic() < deadline, f"no {what} within {timeout_s} s:\n{self.output}"
            time.sleep(0.1)

    def children(self) -> list[int]:
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)], capture_output=True, text=True
        )
        return [
            int(line.split()[0]) for line in listed.stdout.splitlines() if "locust" in line and "sandbox" not in line
        ]

    def signal_group(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def finish(self, timeout_s: float = 120.0) -> Finished:
        """Wait for the end. Raises MachineTooSlow when it, or a test of its web page, has measured nothing else."""
        with self:
            try:
                code = self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"still running after {timeout_s} s:\n{self.output}") from None
        summary = json.loads(self.summary_path.read_text()) if self.summary_path.exists() else None
        finished = Finished(code, summary, self.output)
        for path in self.summary_path.parent.glob("summary*.json"):
            written = json.loads(path.read_text())
            if written["exit_code"] == ExitCode.GENERATOR and TOO_SLOW & {one["subject"] for one in written["reasons"]}:
                raise MachineTooSlow(finished)
        return finished


def run(arguments: Sequence[str], directory: Path, env: Mapping[str, str] | None = None) -> Finished:
    """Run to the end."""
    return Run(arguments, directory, env).finish()


def run_however_late(arguments: Sequence[str], directory: Path, env: Mapping[str, str] | None = None) -> Finished:
    """Run to the end, for what was measured: that the load generator was late, beside browsers that start on the same
    two cores, decides nothing here."""
    try:
        return run(arguments, directory, env)
    except MachineTooSlow as late:
        return late.finished


@contextmanager
def sandbox(*faults: str) -> Iterator[SandboxProcess]:
    """A sandbox that outlives the run, so that its state can be read afterwards."""
    with start_sandbox(["pika"], faults=faults) as process:
        yield process


def socket_url(sandbox: SandboxProcess) -> str:
    return f"ws://127.0.0.1:{sandbox.port}/ws"


def is_listening(port: int) -> bool:
    """Whether somebody takes connections on this port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
