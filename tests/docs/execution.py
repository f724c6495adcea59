"""Executes what the documentation shows: whole commands, but with loads of a few users and seconds."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pika_locust.catalogue import scenarios
from pika_locust.sandbox import start_sandbox
from tests.docs.snippets import ROOT, Example
from tests.e2e.support import free_port, is_listening

RUN_S, RUN_USERS = 2, 5
BROKEN_S, BROKEN_USERS, BROKEN_RATE = 5, 30, 0.5
"""Of a run that a fault is to fail: there must be something to lose."""
BRIEFLY = {"SESSION_HOLD_SECONDS": "1", "TALK_TIME_MIN": "1", "TALK_TIME_MAX": "2", "RNA_TIMEOUT_SECONDS": "2"}
"""A run waits for sessions and calls that have begun, which else last or ring for three quarters of a minute."""
WITHIN_S = 120.0
OF_FULL_LOAD = {"active_connections", "dropped_iterations", "successful_inferences"}
"""Thresholds on how large the load is, or how much of it comes about."""

WITHOUT_PLUGINS = "-p no:rerunfailures -p no:timeout -p no:xdist"
"""Of pytest, which `make demo` installs without those of the tests."""

_EXPECTED = re.compile(r"#.*\bexit code (\d+)")
_BACKGROUND = re.compile(r"\bpika-locust sandbox(?!.*--list-faults)|\s--worker\b")
_ADDRESS = re.compile(r"(?<=127\.0\.0\.1:)\d+|(?<=localhost:)\d+|(?<=--port )\d+|(?<=--web-port )\d+")


class NotAsDocumented(AssertionError):
    """A command did something else than its page says. What it printed is part of the message: pytest is told to run a
    test again whose load generator was late (see the Makefile)."""


def expected_code(command: str) -> int:
    """What a command ends with, by its own comment; else 0."""
    match = _EXPECTED.search(command)
    return int(match[1]) if match else 0


def is_run(command: str) -> bool:
    """Whether a command is a load test, and no look at one."""
    return re.search(r"(?:^|\s)(?:locust|pika-locust run|python -m locust)\s", command) is not None


def brief(command: str) -> str:
    """The same load test with a few users for a few seconds; any other command as it is."""
    command = command.partition("  #")[0].rstrip()
    if not is_run(command) or "--worker" in command.split():
        return command
    broken = "--sandbox-fault" in command
    users, length_s = (BROKEN_USERS, BROKEN_S) if broken else (RUN_USERS, RUN_S)
    command = re.sub(r"(?<=-u )(\d+)", lambda match: str(min(int(match[1]), users)), command)
    command = re.sub(r"(?<=-t )\S+|(?<=TEST_DURATION=)\S+", f"{length_s}s", command)
    command = re.sub(r"(--sandbox-fault [\w-]+)=0\.\d+", rf"\1={BROKEN_RATE}", command)
    if "--repeat" in command:
        return re.sub(r"(?<=--repeat )\d+", "2", command)
    more = []
    if " -t " not in command and "TEST_DURATION=" not in command:
        more.append(f"-t {length_s}s")
    if "--headless" not in command and "--autostart" not in command:
        # The web page is opened, the run is started on it, and it is closed.
        more.append(f"--autostart --autoquit 1 --web-port {free_port()}")
    if "--processes" in command or "--master" in command.split():
        port = free_port()
        more.append(f"--master-bind-port {port}")
        if "--processes" in command:
            more.append(f"--master-port {port}")
    if "--summary-json" not in command:
        more.append("--summary-json summary-of-test.json")
    return " ".join([command, *more])


def environment(folder: Path) -> dict[str, str]:
    """A reader's environment, with this package installed in it and nothing set but what is to be brief."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIKA_", "LOCUST_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), clean["PATH"]])
    more = {"PYTHONUNBUFFERED": "1", "HOME": str(folder), "PYTEST_ADDOPTS": WITHOUT_PLUGINS}
    return {**clean, **BRIEFLY, "PATH": path, "PYTHONPATH": str(ROOT), **more}


def lay_out(example: Example, folder: Path) -> None:
    """Make `folder` the clone that a reader works in, and write the files that the page has named."""
    for name in ("locustfiles", "shapes", "examples", "conf", "docs"):
        (folder / name).symlink_to(ROOT / name)
    # A copy, as a page may have a file of this name.
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, text in example.files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def execute(example: Example, folder: Path) -> None:
    """Run all commands of an example; raises NotAsDocumented for the first that ends otherwise than its page says."""
    lay_out(example, folder)
    ports: dict[str, int] = {}
    commands = [
        _ADDRESS.sub(lambda match: str(ports.setdefault(match[0], free_port())), one) for one in example.commands
    ]
    master_port = free_port()
    background = [one for one in commands if _BACKGROUND.search(one)]
    with _started(background, folder, master_port), _target(commands, background, ports):
        for command in commands:
            if command not in background:
                _execute(command, folder, master_port if any("--worker" in one for one in background) else None)


@contextmanager
def _started(commands: list[str], folder: Path, master_port: int) -> Iterator[None]:
    """Sandboxes and workers, which stay until the example is through."""
    started = []
    try:
        for command in commands:
            command = command.partition("  #")[0].rstrip()
            if "--worker" in command:
                command = command.replace("ADDRESS", "127.0.0.1") + f" --master-port {master_port}"
            log = (folder / f"background-{len(started)}.txt").open("w")
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=folder,
                env=environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            started.append((process, log))
            if port := re.search(r"--port (\d+)", command):
                _wait_for(int(port[1]), process, Path(log.name))
        yield
    finally:
        for process, log in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            log.close()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + 30.0
    while not is_listening(port):
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise NotAsDocumented(f"nobody listens on {port}:\n{log.read_text()}")
        time.sleep(0.05)


@contextmanager
def _target(commands: list[str], background: list[str], ports: dict[str, int]) -> Iterator[None]:
    """The reader's own server, for commands that name one on this machine and start none: a sandbox in its place."""
    named = [re.search(r"_URL=\w+://127\.0\.0\.1:(\d+)", one) for one in commands]
    platforms = [_platform(one) for one, match in zip(commands, named, strict=True) if match]
    port = next((int(match[1]) for match in named if match), None)
    if port is None or any("sandbox" in one for one in background):
        yield
        return
    # It knows the same secrets, and speaks the same dialect.
    settings = dict(re.findall(r"\b([A-Z_]+)=(\S+)", " ".join(commands)))
    with start_sandbox(list(dict.fromkeys(platforms)), port=port, env={**os.environ, **BRIEFLY, **settings}):
        yield


def _platform(command: str) -> str:
    """The platform of the scenario that a command runs."""
    words = re.split(r"[\s/,]", command)
    known = scenarios()
    name = next(word.removesuffix(".py") for word in words if word.removesuffix(".py") in known)
    return known[name].platform


def _execute(command: str, folder: Path, master_port: int | None) -> None:
    words = brief(command)
    if master_port is not None and "--master" in words.split():
        words = re.sub(r"--master-bind-port \d+", f"--master-bind-port {master_port}", words)
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", words],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WITHIN_S,
        errors="replace",
    )
    told = f"{command}\nwas run as\n{words}\nand ended with {ended.returncode}:\n{ended.stdout[-6000:]}"
    if "pytest" in words.split() and re.search(r"\d+ skipped", ended.stdout):
        raise NotAsDocumented(f"a test was skipped, as it is under load generator overload: {told}")
    expected = expected_code(command)
    if ended.returncode != expected and not (expected == 0 and is_run(command) and _is_verdict(words, folder)):
        raise NotAsDocumented(told)


def _is_verdict(words: str, folder: Path) -> bool:
    """Whether a run came to its end, and only had too little time for some things, or too little of this machine: its
    generator was late, or answers were.

    What it measures of its target, in seconds on a machine that runs other tests as well, is not what is tested here.
    """
    match = re.search(r"--summary-json (\S+)", words)
    path = folder / (match[1] if match else "")
    if not path.is_file():
        return False
    summary = json.loads(path.read_text())
    each = summary["scenarios"].values() if "scenarios" in summary else [summary]
    reasons = [reason for one in each for reason in one["reasons"]]
    # A tag that is misspelt in the command has nothing however long it runs, where others or other values have samples.
    misspelt = [
        one for one in reasons if re.search(r"these tags(, but with|: )", one["text"]) and f"{one['subject']}:" in words
    ]
    return not misspelt and all(
        one["code"] in ("no_data", "generator")
        or one["subject"] in OF_FULL_LOAD
        or (one["code"] == "threshold" and re.search(r"limit <=?[\d,.]+ ms\b", one["text"]))
        for one in reasons
    )
