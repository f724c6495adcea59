"""What a master costs with many workers: `python -m tests.benchmarks.master [--workers 50] [--users 500] [--rounds 3]`.

Whole runs of `locust -f locustfiles/queue.py --processes N` with a sandbox, interleaved with Locust alone: as many
workers whose users report two requests each second or so. The master's CPU time by the wall clock, from half a minute
after the start.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.e2e.support import free_port

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = {
    "ours": ROOT / "locustfiles" / "queue.py",
    "locust alone": ROOT / "tests" / "benchmarks" / "locustfiles" / "master_alone.py",
}
LIMIT_PERCENT = 5.0
SETTLE_S, MEASURE_S = 25.0, 30.0


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def settled_master(locustfile: Path, workers: int, users: int, *options: str) -> Iterator[psutil.Process]:
    """The master of so many worker processes, once all is settled; in the end it is stopped, and they with it.

    `options` are Locust's, beside those of the load and of the ports between master and workers.
    """
    port = str(free_port())
    command = [sys.executable, "-m", "locust", "-f", str(locustfile), *options]
    command += ["--processes", str(workers), "-u", str(users), "-r", "50", "-t", "5m"]
    command += ["--master-bind-port", port, "--master-port", port]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIKA_", "LOCUST_"))}
    with subprocess.Popen(
        command, env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as run:
        try:
            time.sleep(SETTLE_S)
            yield psutil.Process(run.pid)
        finally:
            run.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                run.wait(60)
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)


def share_percent(master: psutil.Process, look: Callable[[], object] = lambda: None) -> float:
    """How much of a core it takes for half a minute, in percent; `look` is called once a second meanwhile."""
    began_s, began_cpu_s = time.monotonic(), cpu_s(master)
    while time.monotonic() - began_s < MEASURE_S:
        look()
        time.sleep(1.0)
    return (cpu_s(master) - began_cpu_s) / (time.monotonic() - began_s) * 100


def measure(subject: str, workers: int, users: int) -> float:
    """The master's share of a core in percent."""
    with settled_master(SUBJECTS[subject], workers, users, "--headless") as master:
        share = share_percent(master)
        if len(master.children()) < workers:
            raise SystemExit(f"{subject}: {len(master.children())} processes are left of {workers} workers")
        return share


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    shares: dict[str, list[float]] = defaultdict(list)
    for number in range(1, given.rounds + 1):
        for subject in SUBJECTS:
            shares[subject].append(measure(subject, given.workers, given.users))
            print(f"round {number}  {subject:<14} {shares[subject][-1]:5.2f} % of a core", flush=True)
    medians = {subject: statistics.median(found) for subject, found in shares.items()}
    print(
        f"\nmaster of {given.workers} workers with {given.users} users: {medians['ours']:.2f} % of a core "
        f"(at most {LIMIT_PERCENT:g}); Locust's own part is {medians['locust alone']:.2f} %"
    )
    return 0 if medians["ours"] <= LIMIT_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
