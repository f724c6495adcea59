"""Bringing a finished report to where it is wanted: the summary file, and the screen."""

from __future__ import annotations

import shutil
import sys

from pika_locust.judge import Report
from pika_locust.outputs import console, summary

PLAIN_WIDTH = 120


def write(report: Report, path: str, number: int = 1) -> None:
    """Write the summary of a process's test `number`, counted from 1; where that fails, say so and go on."""
    problem = summary.write(report, summary.numbered(path, number))
    if problem is not None:
        sys.stderr.write(f"{problem}\n")


def show(report: Report) -> None:
    """Print the report to standard output: with colours and marks on a terminal, plain elsewhere."""
    terminal = sys.stdout.isatty() and (sys.stdout.encoding or "").lower().startswith("utf")
    width = shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns if terminal else PLAIN_WIDTH
    sys.stdout.write(console.render(report, terminal=terminal, width=width) + "\n")
    sys.stdout.flush()
