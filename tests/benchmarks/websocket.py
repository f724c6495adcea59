"""What a dancer costs, beside websocket-client on gevent: `python -m tests.benchmarks.websocket [--rounds 5]`.

Rounds are interleaved, so that a noisy machine disturbs both sides alike; medians are compared as ratios. Every
measurement runs in a fresh process against a fresh peer.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import timeit
from collections import defaultdict

from pika_locust.metrics import Registry, trend

BROADCASTS_PER_S = 90.0

LIMITS = (
    ("acknowledged round trip", "actor_ack", "plain_echo", 0.25),
    ("broadcast frame", "actor_broadcast", "plain_broadcast", 0.2),
)
MEMORY_LIMIT_KB = 16.0
ADD_LIMIT_US = 1.0


def measure(subject: str) -> float:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rate = BROADCASTS_PER_S if "broadcast" in subject else 0.0
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.peer", str(port), str(rate)], stdout=subprocess.PIPE
    ) as peer:
        try:
            assert peer.stdout is not None
            assert peer.stdout.readline() == b"listening\n"
            command = [sys.executable, "-m", "tests.benchmarks.subjects", subject, str(port)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
            return float(json.loads(done.stdout.splitlines()[-1]))
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{subject} failed:\n{error.stderr[-2000:]}") from error
        finally:
            peer.kill()


def trend_add_us() -> float:
    handle = Registry([trend("latency")]).trend("latency").tagged(kind="like")
    samples = [100 + 37 * i % 90_000 for i in range(1000)]

    def add_all(add=handle.add) -> None:  # type: ignore[no-untyped-def]
        for sample in samples:
            add(sample)

    return min(timeit.repeat(add_all, number=100, repeat=7)) / (100 * len(samples)) * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-rounds", type=int, default=3)
    given = parser.parse_args()
    figures: dict[str, list[float]] = defaultdict(list)
    subjects = [subject for _, ours, plain, _ in LIMITS for subject in (plain, ours)]
    for number in range(1, given.rounds + 1):
        for subject in subjects:
            figures[subject].append(measure(subject))
            print(f"round {number}  {subject:<16} {figures[subject][-1]:7.2f} µs", flush=True)
    for number in range(1, given.memory_rounds + 1):
        figures["memory"].append(measure("memory_kb"))
        print(f"round {number}  memory           {figures['memory'][-1]:7.2f} kB", flush=True)
    held = True
    print()
    for name, ours, plain, limit in LIMITS:
        mine, theirs = statistics.median(figures[ours]), statistics.median(figures[plain])
        ratio = mine / theirs
        held &= ratio <= limit
        print(f"{name:<26} {mine:6.2f} µs, plain peer {theirs:6.2f} µs: ratio {ratio:.3f} (at most {limit})")
    memory, add_us = statistics.median(figures["memory"] or [float("nan")]), trend_add_us()
    held &= memory <= MEMORY_LIMIT_KB and add_us < ADD_LIMIT_US
    print(f"{'memory per dancer':<26} {memory:6.2f} kB (at most {MEMORY_LIMIT_KB:g})")
    print(f"{'add on a bound Trend':<26} {add_us:6.2f} µs (under {ADD_LIMIT_US:g})")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
