"""How many connections are held, and what each costs: `python -m tests.benchmarks.hold SUBJECT [--users N]`.

    dancers      100,000 of Pika!'s dancers over seven processes, at peers that answer them and broadcast nothing: what
                 a hundred thousand people say in one session would have to be sent ten billion times (7 minutes)
    broadcasts   500 of them in one process, each of whom receives 50 broadcasts a second (2 minutes)
    connections  19,900 Socket.IO connections to Ghost Greeter's sandbox over three processes (4 minutes)
    streaming    1,000 conversations with Pixelated's sandbox, each of which sends 16 KiB of audio every 250 ms
                 (3 minutes)

A whole run of `locust` as a user starts it. All are connected, held for a minute, and leave as they came. A process has
a file for each of its connections: where `ulimit -Hn` says 20,000, a sandbox can hold no more.
Memory is the slope between a tenth of the users and all of them, so that what a process takes anyhow is not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
HOLD_S = 60.0
RAMP_WITHIN_S = 900.0


@dataclass(frozen=True)
class Subject:
    locustfile: str
    users: int
    processes: int
    per_s: float
    """Users that are started each second."""
    env: Mapping[str, str] = field(default_factory=dict)
    peers: int = 0
    """So many share a port, in place of a sandbox."""
    broadcasts_per_s: float = 0.0
    """What each peer sends to everybody."""


# Locust puts a locustfile's folder first where Python looks for modules: beside this file, `websocket.py` would be
# found in place of websocket-client. So those of the benchmarks have a folder of their own.
SUBJECTS = {
    "dancers": Subject(
        "tests/benchmarks/locustfiles/held_dancers.py",
        100_000,
        7,
        500.0,
        {"PIKA_DJ": "external", "SESSION_WAIT": "0", "SOURCE_ADDRESSES": "127.0.8.0/22"},
        peers=7,
    ),
    "broadcasts": Subject(
        "tests/benchmarks/locustfiles/held_dancers.py",
        500,
        1,
        100.0,
        {"PIKA_DJ": "external", "SESSION_WAIT": "0"},
        peers=1,
        broadcasts_per_s=50.0,
    ),
    "connections": Subject(
        "locustfiles/connections.py",
        19_900,
        3,
        400.0,
        {"HOLD_TIME_MIN": "600", "HOLD_TIME_MAX": "600", "SOURCE_ADDRESSES": "127.0.8.0/22"},
    ),
    "streaming": Subject(
        "locustfiles/streaming.py",
        1_000,
        1,
        25.0,
        {"CHUNKS": "240", "THINK_TIME_MIN": "0", "THINK_TIME_MAX": "1", "MALFORMED": "0"},
    ),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def peer(port: int, broadcasts_per_s: float) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "tests.benchmarks.peer", str(port), str(broadcasts_per_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"listening\n"
            yield psutil.Process(server.pid)
        finally:
            server.kill()


@dataclass(frozen=True)
class Look:
    """The processes of a run at a moment."""

    at_s: float
    files: int
    """What the workers have open, connections included."""
    memory_bytes: int
    """Of the workers."""
    cpu_s: Mapping[str, float]


def look(workers: list[psutil.Process], groups: Mapping[str, list[psutil.Process]]) -> Look:
    return Look(
        time.monotonic(),
        sum(worker.num_fds() for worker in workers),
        sum(worker.memory_info().rss for worker in workers),
        {name: sum(p.cpu_times().user + p.cpu_times().system for p in group) for name, group in groups.items()},
    )


def split(run: subprocess.Popen[bytes], processes: int) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """The workers of a run, and its sandbox if it has one, as soon as they are there."""
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        children = psutil.Process(run.pid).children()
        sandboxes = [child for child in children if "pika_locust.sandbox" in child.cmdline()]
        workers = [child for child in children if child not in sandboxes]
        if processes == 1 and (sandboxes or "WS_URL" in psutil.Process(run.pid).environ()):
            return [psutil.Process(run.pid)], sandboxes
        if len(workers) >= processes:
            return workers, sandboxes
        time.sleep(0.2)
    raise SystemExit("the run did not start")


def measure(name: str, subject: Subject, users: int, processes: int, per_s: float) -> None:
    ramp_s = users / per_s
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        env = {key: value for key, value in os.environ.items() if not key.startswith(("PIKA_", "LOCUST_"))}
        env = {**subject.env, **env}
        port = free_port()
        servers = [stack.enter_context(peer(port, subject.broadcasts_per_s)) for _ in range(subject.peers)]
        if servers:
            env["WS_URL"] = f"ws://127.0.0.1:{port}/ws"
        command = [sys.executable, "-m", "locust", "--headless", "-f", str(ROOT / subject.locustfile)]
        # They leave as fast as they came: who is told to at once by a hundred thousand is late with everybody's answer.
        held_s = ramp_s * 0.2 + HOLD_S + 20
        command += ["--stage", f"{ramp_s:.0f}s:{users},{held_s:.0f}s:{users},{ramp_s:.0f}s:0"]
        command += ["--summary-json", str(directory / "summary.json")]
        if processes > 1:
            port = free_port()
            command += ["--processes", str(processes), "--master-bind-port", str(port), "--master-port", str(port)]
        output = stack.enter_context((directory / "output.txt").open("wb"))
        run = stack.enter_context(
            subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        )
        try:
            workers, sandboxes = split(run, processes)
            groups = {"generator": workers, "target": servers or sandboxes}
            if processes > 1:
                groups["master"] = [psutil.Process(run.pid)]
            watch(name, users, workers, groups)
            run.wait(600)
        except psutil.NoSuchProcess as error:
            print((directory / "output.txt").read_text()[-4000:])
            raise SystemExit(f"a process of the run ended before its time: {error}") from error
        finally:
            if run.poll() is None:
                os.killpg(run.pid, 9)
        verdict(json.loads((directory / "summary.json").read_text()))


def watch(name: str, users: int, workers: list[psutil.Process], groups: Mapping[str, list[psutil.Process]]) -> None:
    first = look(workers, groups)
    looks = [first]
    while looks[-1].files - first.files < users:
        time.sleep(1.0)
        looks.append(look(workers, groups))
        if len(looks) % 30 == 0:
            there, after_s = looks[-1].files - first.files, looks[-1].at_s - first.at_s
            print(f"  {there:,} connections after {after_s:.0f} s", flush=True)
        if looks[-1].at_s - first.at_s > RAMP_WITHIN_S:
            print(f"{looks[-1].files - first.files:,} of {users:,} connections after {RAMP_WITHIN_S:g} s")
            break
    reached = looks[-1]
    tenth = next(one for one in looks if one.files - first.files >= users / 10)
    time.sleep(HOLD_S)
    held = look(workers, groups)
    connections = held.files - first.files
    # Requests on connections of their own are among the files, few and short.
    rate = (reached.files - tenth.files) / (reached.at_s - tenth.at_s)
    memory_kb = (held.memory_bytes - tenth.memory_bytes) / (held.files - tenth.files) / 1000
    held_s = held.at_s - reached.at_s
    print(f"{name}: {connections:,} connections held for {held_s:.0f} s, opened at {rate:,.0f} a second")
    print(f"  memory {memory_kb:.1f} kB a user, {held.memory_bytes / 1e6:,.0f} MB in {len(workers)} processes")
    for group in groups:
        opening = (reached.cpu_s[group] - tenth.cpu_s[group]) / (reached.at_s - tenth.at_s) * 100
        holding = (held.cpu_s[group] - reached.cpu_s[group]) / held_s * 100
        print(f"  {group:<10} CPU {opening:4.0f} % of a core while opening, {holding:4.0f} % while holding")


def verdict(summary: Mapping[str, Any]) -> None:
    print(f"  verdict {summary['verdict']}, exit code {summary['exit_code']}, generator {summary['generator']}")
    if "ws_messages_received" in summary["metrics"]:
        print(f"  {summary['metrics']['ws_messages_received']['count']:,} WebSocket messages received in all")
    for reason in summary["reasons"]:
        print(f"  {reason['code']}: {reason['text']}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--users", type=int)
    parser.add_argument("--processes", type=int)
    parser.add_argument("--per-s", type=float, help="users that are started each second")
    given = parser.parse_args()
    subject = SUBJECTS[given.subject]
    measure(
        given.subject,
        subject,
        given.users or subject.users,
        given.processes or subject.processes,
        given.per_s or subject.per_s,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
