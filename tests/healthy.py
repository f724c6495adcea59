"""Healthy runs in a row on a busy machine: each must be green, or say that the machine was too slow, but never blame
the target. `make healthy`, or `python -m tests.healthy --rounds 1 --scenario queue`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pika_locust.errors import ExitCode
from tests.e2e.support import Finished, MachineTooSlow, run
from tests.e2e.test_covers import LOADS

RIGHT = (ExitCode.PASS, ExitCode.GENERATOR)


@contextmanager
def busy() -> Iterator[None]:
    """Beside a process that takes all of a core that it can get."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as loop:
        try:
            yield
        finally:
            loop.kill()


def why(finished: Finished) -> list[str]:
    """All reasons for a verdict; the whole output of a run that has written none."""
    if finished.summary is None:
        return finished.output.splitlines()
    return [reason["text"] for reason in finished.summary["reasons"]]


def main(argv: Sequence[str]) -> int:
    """Runs, and returns 1 when one of the runs ended as a healthy one must not, or 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each scenario (5)")
    parser.add_argument("--busy", type=int, default=1, help="processes that are busy meanwhile (1)")
    parser.add_argument("--scenario", action="append", choices=sorted(LOADS), help="only this one; may be repeated")
    options = parser.parse_args(argv)
    codes: Counter[int] = Counter()
    folder = Path(tempfile.mkdtemp(prefix="healthy-"))
    with ExitStack() as stack:
        for _ in range(options.busy):
            stack.enter_context(busy())
        for number in range(1, options.rounds + 1):
            for scenario in options.scenario or sorted(LOADS):
                load, env = LOADS[scenario]
                directory = folder / f"{scenario}-{number}"
                directory.mkdir()
                began = time.monotonic()
                try:
                    finished = run(["--headless", "-f", f"locustfiles/{scenario}.py", *load], directory, env)
                except MachineTooSlow as late:
                    finished = late.finished
                codes[finished.exit_code] += 1
                print(f"{scenario} {number}: {finished.exit_code} after {time.monotonic() - began:.0f} s", flush=True)
                for line in why(finished):
                    print(f"    {line}", flush=True)
                if finished.exit_code in RIGHT:
                    shutil.rmtree(directory)
    print(", ".join(f"{count} ended with {code}" for code, count in sorted(codes.items())))
    if set(codes) <= set(RIGHT):
        shutil.rmtree(folder)
        return 0
    print(f"outputs and summaries of the others are in {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
