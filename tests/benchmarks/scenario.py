"""What a request of a whole run costs: `python -m tests.benchmarks.scenario [--rounds 5] [--seconds 30]`.

`locust -f locustfiles/queue.py` as a user runs it, start-up, bookkeeping, statistics, reports, audit and verdict
included, against an nginx that answers with fixed JSON; beside it the same flow on Locust's FastHttpUser with nothing
but Locust's own statistics. 100 users who never pause, and 2,000 users who think for 0.5 to 1 s. The rounds are
interleaved; medians are compared as ratios.

The figure is the CPU time of all of the run's processes (user and system) by the number of requests that the server
saw. Memory is the most that the processes' resident sets added up to.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.nginx import Nginx, serving

ROOT = Path(__file__).resolve().parents[2]
LOCUSTFILES = {
    "queue.py": "locustfiles/queue.py",
    "FastHttpUser": "tests/benchmarks/locustfiles/queue_fast_http_user.py",
}
ANSWERS = {
    "/": (404, "{}"),
    "/health": (200, '{"status":"ok"}'),
    "/auth/signup-anonymous": (201, '{"accessToken":"token","user":{"id":"user"}}'),
    "/webhooks/stripe": (200, '{"received":true}'),
    "/queue/join": (201, '{"status":"queued","queueKey":"australiacentral:seed","position":17}'),
    "/queue/leave": (200, '{"status":"left","refunded":true}'),
    "/tokens/balance": (200, '{"tokenBalance":2}'),
}


@dataclass(frozen=True)
class Load:
    """Users, the seconds that they think for, and what is wanted: ours to FastHttpUser's, at most."""

    name: str
    users: int
    think_s: tuple[float, float]
    limit: float


LOADS = (
    Load("100 users without think time", 100, (0.0, 0.0), 0.1),
    Load("2,000 users, 0.5 to 1 s", 2000, (0.5, 1.0), 0.12),
)


@dataclass(frozen=True)
class Cost:
    """Of one run."""

    cpu_us: float
    """By request that the server saw."""
    memory_mb: float
    requests: int


def measure(target: Nginx, locustfile: str, load: Load, seconds: float) -> Cost:
    """Run Locust once. Raises SystemExit when the run has not counted what the server saw."""
    with tempfile.TemporaryDirectory() as directory:
        summary = Path(directory, "summary.json")
        own = {
            "PYTHONPATH": str(ROOT),
            "STRIPE_WEBHOOK_SECRET": "whsec_benchmark",
            "THINK_TIME_MIN": str(load.think_s[0]),
            "THINK_TIME_MAX": str(load.think_s[1]),
            "PIKA_SUMMARY_JSON": str(summary),
        }
        # One core works through what 2,000 users of FastHttpUser ask for in more than a second for each.
        command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "-f", LOCUSTFILES[locustfile]]
        command += ["-H", target.url, "-u", str(load.users), "-r", "200", "-t", f"{seconds:g}s", "--stop-timeout", "10"]
        before = target.requests()
        with open(os.path.join(directory, "output"), "w+") as output:
            # Compiled files are kept, as where the package is installed.
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
            process = subprocess.Popen(command, env=environment | own, cwd=ROOT, stdout=output, stderr=output)
            memory_mb = _watched(process.pid)
            _, _, used = os.wait4(process.pid, 0)
            output.seek(0)
            said = output.read()
        requests = target.requests() - before
        if requests < load.users:
            raise SystemExit(f"{locustfile} sent {requests} requests:\n{said[-3000:]}")
        if locustfile == "queue.py":
            _check_counts(json.loads(summary.read_text()), requests, said)
    return Cost((used.ru_utime + used.ru_stime) / requests * 1e6, memory_mb, requests)


def _watched(pid: int) -> float:
    """The most megabytes that the process and its descendants had, when it has ended."""
    process, most = psutil.Process(pid), 0.0
    while process.status() != psutil.STATUS_ZOMBIE:
        total = 0
        for each in (process, *process.children(recursive=True)):
            try:
                total += each.memory_info().rss
            except psutil.NoSuchProcess:
                pass
        most = max(most, total / 1e6)
        time.sleep(0.2)
    return most


def _check_counts(summary: dict[str, Any], requests: int, said: str) -> None:
    """A run that is cheap because it does not count is none: what it counted is what the server saw, but for the
    probes of the target's health and the audit's look-ups."""
    counted = summary["metrics"]["http_reqs"]["count"]
    failed = summary["metrics"]["http_req_failed"]["passes"]
    audited = sum(1 for audit in summary["audits"] if audit["status"] == "pass")
    if failed or audited != len(summary["audits"]) or not 0 <= requests - counted <= 0.02 * requests + 2000:
        raise SystemExit(f"counted {counted}, {failed} failed; the server saw {requests}:\n{said[-3000:]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run")
    parser.add_argument("--load", type=int, choices=range(len(LOADS)), help="one of the loads only: 0 or 1")
    given = parser.parse_args()
    loads = LOADS if given.load is None else (LOADS[given.load],)
    costs: dict[tuple[str, str], list[Cost]] = defaultdict(list)
    with serving(ANSWERS) as target:
        for number in range(1, given.rounds + 1):
            for load in loads:
                for locustfile in LOCUSTFILES:
                    cost = measure(target, locustfile, load, given.seconds)
                    costs[load.name, locustfile].append(cost)
                    print(
                        f"round {number}  {load.name:<30} {locustfile:<13} {cost.cpu_us:7.1f} µs a request, "
                        f"{cost.memory_mb:4.0f} MB, {cost.requests:,} requests",
                        flush=True,
                    )
    print()
    held = True
    for load in loads:
        ours, theirs = (costs[load.name, locustfile] for locustfile in LOCUSTFILES)
        ratio = statistics.median(mine.cpu_us / other.cpu_us for mine, other in zip(ours, theirs, strict=True))
        held &= ratio <= load.limit
        print(
            f"{load.name:<30} {_median(ours):7.1f} µs, FastHttpUser {_median(theirs):7.1f} µs: "
            f"{ratio:.3f} (at most {load.limit:g}); "
            f"memory {statistics.median(c.memory_mb for c in ours):.0f} MB, "
            f"FastHttpUser {statistics.median(c.memory_mb for c in theirs):.0f} MB"
        )
    return 0 if held else 1


def _median(costs: list[Cost]) -> float:
    return statistics.median(cost.cpu_us for cost in costs)


if __name__ == "__main__":
    sys.exit(main())
