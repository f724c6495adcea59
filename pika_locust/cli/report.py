"""`pika-locust report`: HTML and Markdown from the results of a suite, or from summaries."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pika_locust.errors import ConfigurationError, ExitCode
from pika_locust.outputs.comparison import read_runs
from pika_locust.outputs.document import Document
from pika_locust.outputs.recorded import read_summary
from pika_locust.outputs.report_files import compared, is_report, write_document
from pika_locust.outputs.run_report import run_report
from pika_locust.outputs.suite_findings import readiness
from pika_locust.outputs.suite_report import REPORT, suite_document
from pika_locust.outputs.suite_results import SuiteResults, each, read_suite, suite_of

_EPILOG = """\
examples:
  pika-locust report results/run_20260501_200000
  pika-locust report results/run_20260501_200000 --before results/run_20260424_200000
  pika-locust report nightly/                      any folder of summaries that --summary-json has written
  pika-locust report summary.json                  one run, also one that was killed: summary.html beside it
  pika-locust report a.json b.json --output both.html --output both.md

Of several runs: NOT READY: something spoke against the target. NOT SHOWN: nothing did, but a scenario is missing,
crashed, was not judged, was shortened (--quick), or the target was the sandbox. READY: all ran under full load, and
passed.

exit codes: 0 the report is written, whatever it says; 104 there are no results to be read; 107 it cannot be written
"""


def run(argv: Sequence[str]) -> int:
    """Write the report; returns the exit code.

    Arguments:
        argv: what follows `pika-locust report` on the command line.

    Raises ConfigurationError where there are no results that can be read.
    """
    given = _parser().parse_args(argv)
    results = [Path(path) for path in given.results]
    if bad := [path for path in given.output if not is_report(path)]:
        raise ConfigurationError([f"--output {path}: its name must end with .html or .md" for path in bad])
    try:
        word, document = _document(results, given.before)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{results[0]}: a summary in it is not one of this version: {error!r}") from error
    paths = given.output or _names(results)
    for path in paths:
        if (problem := write_document(document, path)) is not None:
            print(problem, file=sys.stderr)
            return int(ExitCode.INTERNAL)
    print(f"{word}; the report is in {' and '.join(paths)}")
    return int(ExitCode.PASS)


def _document(results: Sequence[Path], before: str | None) -> tuple[str, Document]:
    """What it comes to, in a word, and all of it."""
    if len(results) == 1 and not results[0].is_dir() and "scenarios" not in (summary := _summary(results[0])):
        runs = read_runs([Path(before)]) if before is not None else None
        return str(summary["verdict"]).upper(), run_report(summary, compared(summary, runs))
    suite = _suite(results)
    earlier = _suite([Path(before)]) if before is not None else None
    return readiness(suite).word, suite_document(suite, earlier)


def _suite(results: Sequence[Path]) -> SuiteResults:
    if len(results) == 1 and results[0].is_dir():
        return read_suite(results[0])
    found = [(path, one) for path in results for one in each(_summary(path))]
    return suite_of(found, "summaries")


def _summary(path: Path) -> Mapping[str, Any]:
    found = read_summary(path)
    if found is None or "verdict" not in found:
        raise ConfigurationError(f"{path}: there is no summary of a run in it")
    return found


def _names(results: Sequence[Path]) -> list[str]:
    """Where reports go that nobody has named a place for."""
    if len(results) > 1:
        return [f"{REPORT}.md", f"{REPORT}.html"]
    if results[0].is_dir():
        return [str(results[0] / f"{REPORT}.md"), str(results[0] / f"{REPORT}.html")]
    return [str(results[0].with_suffix(".html"))]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pika-locust report",
        description="Write what runs have found, as one HTML page that needs nothing else and as Markdown: a verdict,\n"
        "every scenario with all percentiles, findings with their evidence, and what changed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "results", nargs="+", metavar="RUN_DIR|SUMMARY", help="a suite's folder, any folder of summaries, or summaries"
    )
    parser.add_argument("--before", "--baseline", metavar="RUN", help="an earlier suite or run, to compare with")
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help=f"an .html or .md file, as often as wanted (default {REPORT}.md and .html in RUN_DIR)",
    )
    return parser
