"""`pika-locust report`: LOAD_TEST_REPORT.md from the results of a suite."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pika_locust.errors import ConfigurationError, ExitCode
from pika_locust.outputs.suite_findings import readiness
from pika_locust.outputs.suite_report import render
from pika_locust.outputs.suite_results import read_suite
from pika_locust.outputs.summary import write_bytes

REPORT = "LOAD_TEST_REPORT.md"

_EPILOG = """\
examples:
  pika-locust report results/run_20260501_200000
  pika-locust report results/run_20260501_200000 --before results/run_20260424_200000
  pika-locust report nightly/                      any folder of summaries that --summary-json has written

NOT READY: something spoke against the target. NOT SHOWN: nothing did, but a scenario is missing, crashed, was not
judged, was shortened (--quick), or the target was the sandbox. READY: all ran under full load, and passed.

exit codes: 0 the report is written, whatever it says; 104 there are no results to be read; 107 it cannot be written
"""


def run(argv: Sequence[str]) -> int:
    """Write the report; returns the exit code.

    Arguments:
        argv: what follows `pika-locust report` on the command line.

    Raises ConfigurationError where there are no results that can be read.
    """
    given = _parser().parse_args(argv)
    folder = Path(given.run_dir)
    results = read_suite(folder)
    before = read_suite(Path(given.before)) if given.before is not None else None
    try:
        text = render(results, before)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{folder}: a summary in it is not one of this version: {error!r}") from error
    path = given.output or str(folder / REPORT)
    if (problem := write_bytes(text.encode(), path, "The report")) is not None:
        print(problem, file=sys.stderr)
        return int(ExitCode.INTERNAL)
    print(f"{readiness(results).word}; the report is in {path}")
    return int(ExitCode.PASS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pika-locust report",
        description="Write what a suite has found as Markdown: a verdict, every scenario with all percentiles,\n"
        "bottlenecks with their evidence, and what changed since an earlier suite.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", help="as `pika-locust suite` has made it")
    parser.add_argument("--before", metavar="RUN_DIR", help="an earlier suite, to compare with")
    parser.add_argument("--output", metavar="FILE", help=f"default {REPORT} in RUN_DIR")
    return parser
