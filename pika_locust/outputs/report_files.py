"""`--report FILE.html` and `FILE.md`: written whichever way a run ends, from the same summary as the JSON file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pika_locust.errors import ConfigurationError
from pika_locust.outputs import document_html, document_markdown, summary
from pika_locust.outputs.comparison import Comparison, RecordedRun, compare, read_runs
from pika_locust.outputs.document import Document
from pika_locust.outputs.run_report import run_report

_WRITERS = {".html": document_html.render, ".htm": document_html.render, ".md": document_markdown.render}


def problems(paths: Sequence[str]) -> list[str]:
    """Why reports will not be written, as far as that can be known beforehand, a sentence each."""
    found = []
    for path in paths:
        if not is_report(path):
            found.append(f"--report {path}: its name must end with .html or .md")
        elif (why := summary.unwritable(path)) is not None:
            found.append(f"--report {path}: {why}")
    return found


def read_baseline(baseline: str | None, paths: Sequence[str], wrong: list[str]) -> list[RecordedRun] | None:
    """The runs that reports are to compare with, read before a new summary may take their place; None where there is
    no baseline. What is wrong is added to `wrong`, a sentence each.

    Arguments:
        baseline: a summary, a k6 export or a folder of them.
        paths: of the reports.
    """
    if baseline is None:
        return None
    if not paths:
        wrong.append(f"--baseline {baseline}: there is no report that it could be in; --report FILE.html makes one")
    try:
        return read_runs([Path(baseline)])
    except ConfigurationError as error:
        wrong += [f"--baseline {problem}" for problem in error.problems]
        return None


def write(
    found: Mapping[str, Any], paths: Sequence[str], before: Sequence[RecordedRun] | None = None, number: int = 1
) -> list[str]:
    """Write the reports of a process's test `number`, counted from 1; what went wrong, a sentence each.

    Arguments:
        found: the summary, as `summary.to_dict` makes it.
        before: the runs to compare with.
    """
    if not paths:
        return []
    document = run_report(found, compared(found, before))
    return [problem for path in paths if (problem := write_document(document, summary.numbered(path, number)))]


def write_document(document: Document, path: str) -> str | None:
    """Write a document to `path`, in the language that its ending names; returns what went wrong, or None."""
    text = _WRITERS[_suffix(path)](document)
    return summary.write_bytes(text.encode("utf-8", "replace"), path, "The report")


def compared(found: Mapping[str, Any], before: Sequence[RecordedRun] | None) -> Comparison | None:
    """A run compared with those of a baseline; None where there is nothing to compare."""
    if before is None:
        return None
    try:
        return compare(before, [RecordedRun("this run", found)])
    except ConfigurationError as error:
        return Comparison(0, 0, (), warnings=tuple(error.problems), method="nothing could be compared")


def is_report(path: str) -> bool:
    """Whether a file's name says in which language it is to be written."""
    return _suffix(path) in _WRITERS


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()
