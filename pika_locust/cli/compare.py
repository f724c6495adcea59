"""`pika-locust compare`: runs after a change against runs before it, with an exit code for a pipeline."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pika_locust.errors import ExitCode
from pika_locust.format import plural
from pika_locust.outputs import redact
from pika_locust.outputs.comparison import ALLOWED, Comparison, Outcome, compare, read_runs, shown, to_json
from pika_locust.outputs.summary import write_bytes
from pika_locust.outputs.table import Column, Line, Medium, Span, Tone, heading, paint, prose, table

_EPILOG = """\
examples:
  pika-locust compare before.json after.json
  pika-locust compare results/before/ results/after/          folders of summaries: several runs a side
  pika-locust compare k6-summary.json after.json              what k6's --summary-export or handleSummary has written
  pika-locust compare before/ after/ --allow 10               only what is worse by more than 10 %
  pika-locust compare before/*.json --after after/*.json

Each run gives one value of each figure, and how far the runs of a side lie apart is the noise. With three or more runs
a side that is Student's test; with fewer, only large differences count (one run says nothing of how far the next is
from it). All figures together are called different by accident once in a hundred comparisons at most. Five runs a side
see differences of a few per cent. Runs whose load generator could not keep up, that lost a worker, or that were
stopped, are left out.

exit codes: 0 nothing is worse by more than noise; 99 something is, or a data-integrity check that held fails, or a
threshold's figure is gone, or a slope or worst window no longer holds, or all runs after of a scenario are left out;
104 there is nothing to compare
"""
_TONES: dict[Outcome, Tone] = {"worse": "bad", "better": "good", "changed": "doubt", "same": "dim"}
_WORDS: dict[Outcome, str] = {"worse": "WORSE", "better": "better", "changed": "changed", "same": "no difference shown"}


def run(argv: Sequence[str]) -> int:
    """Compare; returns the exit code.

    Arguments:
        argv: what follows `pika-locust compare` on the command line.

    Raises ConfigurationError where there are no runs that can be compared.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    if given.after is None and len(given.runs) != 2:
        parser.error("two files or folders, BEFORE and AFTER; of several before, the others follow --after")
    befores, afters = (given.runs, given.after) if given.after is not None else (given.runs[:1], given.runs[1:])
    before, after = (read_runs(map(Path, side)) for side in (befores, afters))
    found = compare(before, after, given.allow / 100)
    show(found, given.all)
    if given.json is not None:
        text = json.dumps(to_json(found), indent=2) + "\n"
        if (problem := write_bytes(text.encode(), given.json, "The comparison")) is not None:
            print(problem, file=sys.stderr)
            return int(ExitCode.INTERNAL)
    return int(ExitCode.FAILED if found.is_worse else ExitCode.PASS)


def show(found: Comparison, with_all: bool = False) -> None:
    """Print a comparison; `with_all` shows figures without a difference, too."""
    medium = Medium(sys.stdout.isatty(), shutil.get_terminal_size().columns if sys.stdout.isatty() else 200)
    print(paint(_lines(found, medium, with_all), medium), end="", flush=True)


def _lines(found: Comparison, medium: Medium, show_all: bool) -> Iterator[Line]:
    worse = found.regressions
    verdict = f"{plural(len(worse) + len(found.broken), 'regression')}" if found.is_worse else "nothing is worse"
    tone: Tone = "bad" if found.is_worse else "good"
    yield Span("Comparison", "strong"), Span("  "), Span(verdict, tone)
    yield from prose(redact.one_line(found.method), medium, "dim")
    for sentence in found.warnings:
        yield from prose(redact.one_line(sentence), medium, "doubt", lead=Span("!", "doubt"), indent=4)
    for sentence in found.broken:
        yield from prose(redact.one_line(sentence), medium, "bad", lead=Span("x", "bad"), indent=4)
    one_scenario = len({row.scenario for row in found.rows}) < 2
    for title, rows in (
        ("Thresholds", [row for row in found.rows if row.expression is not None]),
        ("Other figures", [row for row in found.rows if row.expression is None]),
    ):
        kept = [row for row in rows if row.outcome != "same" or show_all or row.expression is not None]
        same = len(rows) - len(kept)
        if not rows:
            continue
        yield ()
        yield heading(title, f"{plural(same, 'figure')} without a difference left out: --all" if same else "")
        columns = [
            Column("scenario", folds=3),
            Column("figure"),
            Column("before", right=True),
            Column("after", right=True),
            Column("difference", right=True),
            Column("noise up to", right=True, folds=2),
            Column(""),
            Column("threshold", folds=1),
        ]
        yield from table(
            columns,
            [
                [
                    Span("" if one_scenario else row.scenario),
                    Span(redact.one_line(f"{row.series} {row.statistic}")),
                    *map(Span, shown(row)),
                    Span(_WORDS[row.outcome], _TONES[row.outcome]),
                    Span(row.expression or "", "dim"),
                ]
                for row in kept
            ],
            medium,
        )


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to 1000 per cent; write it like 10 or 10%")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pika-locust compare",
        usage="%(prog)s [options] BEFORE AFTER",
        description="Compare runs after a change with runs before it: what differs by more than noise, and whether\n"
        "anything is worse.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a summary, a k6 export, or a folder of them")
    parser.add_argument("--after", nargs="+", metavar="RUN", help="the runs after the change; all others are before it")
    parser.add_argument(
        "--allow",
        type=_percent,
        default=ALLOWED * 100,
        metavar="PERCENT",
        help="differences up to this are no regression, however certain (default 2)",
    )
    parser.add_argument("--all", action="store_true", help="show figures without a difference, too")
    parser.add_argument("--json", metavar="FILE", help="write the comparison there as well")
    return parser
