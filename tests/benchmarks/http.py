"""What an HTTP request of an actor or a FastUser costs: `python -m tests.benchmarks.http [--rounds 5]`.

Needs nginx (and wrk). Beside it: Locust's FastHttpUser with the same bookkeeping, the bare floor on gevent without
any, and wrk. Rounds are interleaved, medians are compared as ratios, every measurement runs in a fresh process.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict

from tests.benchmarks.http_floor import ANSWERS
from tests.benchmarks.nginx import serving

SUBJECTS = ("bare_floor", "actor", "fast_user", "fast_http_user", "thinking_100", "thinking_2000")
LIMITS = (
    ("actor", "fast_http_user", 0.09),
    ("actor", "bare_floor", 1.4),
    ("thinking_2000", "thinking_100", 1.3),
    ("fast_user", "fast_http_user", 0.25),
)


def measure(subject: str, port: int) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.http_subjects", subject, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise SystemExit(f"{subject} failed:\n{done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def wrk(port: int) -> float:
    """CPU µs per request of wrk, which is written in C."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["wrk", "-t1", "-c50", "-d3s", f"http://127.0.0.1:{port}/queue/join"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"(\d+) requests in", said)
    assert found is not None, said
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu_s / int(found[1]) * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    costs: dict[str, list[float]] = defaultdict(list)
    with serving(ANSWERS) as target:
        for number in range(1, given.rounds + 1):
            for subject in SUBJECTS:
                costs[subject].append(measure(subject, target.port))
                print(f"round {number}  {subject:<14} {costs[subject][-1]:7.2f} µs", flush=True)
            if shutil.which("wrk") is not None:
                costs["wrk"].append(wrk(target.port))
                print(f"round {number}  {'wrk':<14} {costs['wrk'][-1]:7.2f} µs", flush=True)
    print()
    medians = {subject: statistics.median(values) for subject, values in costs.items()}
    for subject, median in medians.items():
        print(f"{subject:<16} {median:7.2f} µs CPU per request")
    held = True
    for subject, other, limit in LIMITS:
        ratio = statistics.median(mine / theirs for mine, theirs in zip(costs[subject], costs[other], strict=True))
        held &= ratio <= limit
        print(f"{subject:<13} / {other:<14} {ratio:6.3f} (at most {limit:g})")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
