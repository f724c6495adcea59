"""Bringing a finished report to where it is wanted: the summary file, the screen, and the log."""

from __future__ import annotations

import logging
import shutil
import sys
from typing import TextIO

from pika_locust.judge import Report
from pika_locust.outputs import console, redact, summary

PLAIN_WIDTH = 120

logger = logging.getLogger(__name__)


def problems(path: str | None) -> list[str]:
    """Why a summary will not be written to what `--summary-json` names, as far as that can be known beforehand."""
    why = summary.unwritable(path) if path else None
    return [f"--summary-json {path}: {why}"] if why is not None else []


def write(report: Report, path: str, number: int = 1) -> str | None:
    """Write the summary of a process's test `number`, counted from 1; where that fails, say so and why it did."""
    problem = summary.write(report, summary.numbered(path, number))
    if problem is not None:
        sys.stderr.write(f"{problem}\n")
    return problem


def log(report: Report) -> None:
    """Say the verdict in the log, where who sits before the web page sees it: a line, and one for each reason."""
    level = logging.INFO if report.verdict == "pass" else logging.ERROR
    logger.log(level, "%s %s, exit code %d", report.verdict.upper(), report.scenario, report.exit_code)
    for reason in report.reasons:
        logger.log(level, "%s", redact.one_line(reason.text))


def show(report: Report, stream: TextIO) -> None:
    """Print the report: with colours and marks on a terminal, plain elsewhere."""
    encoding = stream.encoding or "utf-8"
    terminal = stream.isatty() and encoding.lower().startswith("utf")
    width = shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns if terminal else PLAIN_WIDTH
    page = console.render(report, terminal=terminal, width=width) + "\n"
    # The target's words may hold letters that the stream's encoding lacks; the verdict must not be lost for that.
    stream.write(page.encode(encoding, "replace").decode(encoding))
    stream.flush()
