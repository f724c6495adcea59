"""What a join costs, beside python-socketio on gevent: `python -m tests.benchmarks.socketio [--rounds 5]`.

A visitor of Ghost Greeter joins again and again, with everything that a run switches on: metrics, checks, Locust's
statistics and request event, ledgers, timers, reports. Beside it python-socketio's `Client.call` with the same payload,
which is acknowledged, and does no bookkeeping at all. Rounds are interleaved; medians are compared as ratios.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict

LIMIT = 0.35
MEMORY_LIMIT_KB = 16.0


def measure(subject: str, url: str) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.socketio_subjects", subject, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise SystemExit(f"{subject} failed:\n{done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    from pika_locust.sandbox.process import start_sandbox

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-rounds", type=int, default=1)
    given = parser.parse_args()
    figures: dict[str, list[float]] = defaultdict(list)
    world = start_sandbox(["tests.benchmarks.socketio_world:PLATFORM"], (), path=(os.getcwd(),))
    greeter = start_sandbox(["greeter"], ())
    try:
        for number in range(1, given.rounds + 1):
            for subject in ("python_socketio", "visitor_join"):
                figures[subject].append(measure(subject, world.url))
                print(f"round {number}  {subject:<16} {figures[subject][-1]:7.2f} µs", flush=True)
        for _ in range(given.memory_rounds):
            for subject in ("visitor_kb", "agent_kb"):
                figures[subject].append(measure(subject, greeter.url))
                print(f"{subject:<25} {figures[subject][-1]:7.2f} kB", flush=True)
    finally:
        world.stop()
        greeter.stop()
    mine, theirs = (statistics.median(figures[name]) for name in ("visitor_join", "python_socketio"))
    print(f"join {mine:.2f} µs, Client.call {theirs:.2f} µs: ratio {mine / theirs:.3f} (at most {LIMIT})")
    held = mine / theirs <= LIMIT
    for subject in ("visitor_kb", "agent_kb"):
        if subject in figures:
            kilobytes = statistics.median(figures[subject])
            held &= kilobytes <= MEMORY_LIMIT_KB
            print(f"{subject:<10} {kilobytes:.2f} kB (at most {MEMORY_LIMIT_KB:g})")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
