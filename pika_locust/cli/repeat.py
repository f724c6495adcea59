"""`pika-locust run … --repeat N`: the same run several times, for a comparison that knows how far runs lie apart."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pika_locust.cli.child_run import ChildRun, new_folder, overwritten, run_locust, told_to_stop
from pika_locust.cli.compare import show
from pika_locust.errors import ConfigurationError, ExitCode
from pika_locust.format import clock
from pika_locust.outputs import redact
from pika_locust.outputs.comparison import compare, read_runs
from pika_locust.outputs.recorded import closest, judged_in
from pika_locust.outputs.summary import unwritable
from pika_locust.runtime.side_by_side import exit_code_of

MOST = 100


def repeats(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """What has to do with repetition, and the other words. Without `--repeat`, all of them are others."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--repeat", type=int)
    try:
        if parser.parse_known_args(list(words))[0].repeat is None:
            return argparse.Namespace(repeat=None), list(words)
        parser.add_argument("--output-dir", default="results")
        parser.add_argument("--baseline")
        given, others = parser.parse_known_args(list(words))
    except argparse.ArgumentError as error:
        raise ConfigurationError(str(error)) from error
    if not 1 <= given.repeat <= MOST:
        raise ConfigurationError(f"--repeat {given.repeat}: from 1 to {MOST} times")
    if problems := [
        f"{one} with --repeat: each run would overwrite it; see --output-dir" for one in overwritten(others)
    ]:
        raise ConfigurationError(problems)
    if given.baseline is not None:
        # Before the first run, which may take an hour, and whose summary may lie in the same folder.
        given.before = read_runs([Path(given.baseline)])
    if (why := unwritable(str(Path(given.output_dir) / "run"))) is not None:
        raise ConfigurationError(f"--output-dir {given.output_dir}: {why}")
    return given, others


def run_repeatedly(files: str, words: Sequence[str], environ: dict[str, str], given: argparse.Namespace) -> int:
    """Run locustfiles headless, `given.repeat` times; returns the exit code, the strongest of theirs.

    Each run's summary is in a new folder. With `given.baseline` all of them are compared with the runs there, and it
    counts as a failed threshold where something is worse.
    """
    folder = new_folder(Path(given.output_dir))
    print(f"{given.repeat} runs; summaries and logs are in {folder}", flush=True)
    codes: list[int] = []
    with told_to_stop() as stopped:
        for number in range(1, given.repeat + 1):
            if stopped():
                break
            run = run_locust(Path(files), words, environ, folder / f"{number}", stopped)
            codes.append(_code(run))
            print(f"  {number:>3}  exit {codes[-1]:<3}  {clock(run.seconds):>6}  {_why(run)}", flush=True)
            if run.exit_code == ExitCode.CONFIG:
                # All others would be refused as well.
                break
        if stopped():
            codes.append(int(ExitCode.STOPPED))
    code = exit_code_of(codes)
    if given.baseline is None:
        print(f"\n`pika-locust compare BEFORE {folder}` compares them with earlier runs")
        return code
    try:
        found = compare(given.before, read_runs([folder]))
    except ConfigurationError as error:
        sys.stderr.writelines(f"{redact.text(problem)}\n" for problem in error.problems)
        return exit_code_of([code, int(ExitCode.CONFIG)])
    print()
    show(found)
    return exit_code_of([code, int(ExitCode.FAILED if found.is_worse else ExitCode.PASS)])


def _code(run: ChildRun) -> int:
    if run.stopped:
        return int(ExitCode.STOPPED)
    # A success that has measured nothing is none (`--list`, a locustfile that ends the process).
    return run.exit_code or int(ExitCode.INTERNAL if run.problem else ExitCode.PASS)


def _why(run: ChildRun) -> str:
    if run.problem or run.summary is None:
        return redact.one_line(run.problem)
    if reasons := run.summary["reasons"]:
        return redact.one_line(reasons[0]["text"])
    return redact.one_line(closest([one for scenario in run.scenarios for one in judged_in(scenario)]))
