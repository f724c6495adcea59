"""The results of a suite as a document: what they come to, every scenario on a row, then all of each of them.

Every sentence follows from the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pika_locust.errors import ConfigurationError
from pika_locust.format import clock, number, plural
from pika_locust.outputs import document_markdown
from pika_locust.outputs.comparison import RecordedRun, compare
from pika_locust.outputs.document import (
    Banner,
    Block,
    Bullets,
    Document,
    Fold,
    Heading,
    Paragraph,
    table,
)
from pika_locust.outputs.recorded import judged_in, tally
from pika_locust.outputs.run_report import comparison_blocks, run_blocks
from pika_locust.outputs.suite_findings import Readiness, Word, bottlenecks, readiness
from pika_locust.outputs.suite_results import Ending, SuiteEntry, SuiteResults
from pika_locust.outputs.table import Span, Tone

REPORT = "LOAD_TEST_REPORT"
"""The report's file in the folder of a suite, without its ending."""
_TONES: dict[Word, Tone] = {"READY": "good", "NOT READY": "bad", "NOT SHOWN": "doubt"}
_ENDINGS: dict[Ending, str] = {
    "complete": "",
    "fail_fast": ", ended by the first failure",
    "stopped": ", stopped",
    "setup": ", which never began",
    "unfinished": ", unfinished",
}


def render(results: SuiteResults, before: SuiteResults | None = None) -> str:
    """The whole report in Markdown; `before` is an earlier suite to compare with."""
    return document_markdown.render(suite_document(results, before))


def suite_document(results: SuiteResults, before: SuiteResults | None = None) -> Document:
    """The whole report; `before` is an earlier suite to compare with."""
    title = f"Load test report: {results.platform or results.name}"
    return Document(title, (Heading(title, 1), *_blocks(results, before)))


def _blocks(results: SuiteResults, before: SuiteResults | None) -> Iterator[Block]:
    yield from _head(results, readiness(results))
    yield Heading("Scenarios")
    yield _overview(results)
    yield Heading("Bottlenecks")
    found = bottlenecks(results)
    if found:
        yield table(["scenario", "what", "evidence"], [[one.scenario, one.what, one.evidence] for one in found])
    else:
        yield Paragraph("No figure of these runs shows one.")
    yield from _before_after(results, before) if before is not None else ()
    for entry in results.loads:
        yield from _scenario(entry, results.baseline_of(entry.scenario))


def _head(results: SuiteResults, verdict: Readiness) -> Iterator[Block]:
    passed = sum(entry.passed for entry in results.loads)
    words = f"{passed} of {plural(len(results.loads), 'scenario')} passed."
    yield Banner(verdict.word, words, _TONES[verdict.word])
    yield Bullets(tuple(Span(reason) for reason in verdict.because))
    if verdict.reservations:
        reservations = Bullets(tuple(Span(reason) for reason in verdict.reservations))
        yield Fold(f"{plural(len(reservations.items), 'reservation')}, which decide nothing", (reservations,))
    summaries = [entry.summary for entry in results.loads if entry.summary is not None]
    targets = dict.fromkeys(
        f"{one['target']}{' (sandbox)' if one['sandbox'] else ''}" for one in summaries if one["target"]
    )
    versions = dict.fromkeys(f"{name} {version}" for one in summaries for name, version in one["versions"].items())
    lasted_s = sum(entry.seconds for entry in results.entries)
    rows = [
        ("run", f"{results.name}{_ENDINGS[results.ending]}"),
        ("began", results.started_at),
        ("runs took", clock(lasted_s)),
        ("target", "sandboxes, one for each run" if _sandboxes(summaries) else ", ".join(targets)),
        ("load", "shortened (--quick)" if results.quick else "the scenarios' own, or as set"),
        ("made with", ", ".join(versions)),
    ]
    yield table(["", ""], [[name, words] for name, words in rows if words])


def _sandboxes(summaries: Sequence[Mapping[str, Any]]) -> bool:
    return len(summaries) > 1 and all(one["sandbox"] for one in summaries)


def _overview(results: SuiteResults) -> Block:
    rows: list[list[Span | str]] = []
    for entry in results.loads:
        summary = entry.summary or {}
        judged = judged_in(summary) if summary else ()
        load = summary.get("load", {})
        rows.append(
            [
                entry.scenario,
                Span(_word(entry), "good" if entry.passed else "bad"),
                "" if entry.exit_code is None else str(entry.exit_code),
                number(load.get("users_peak")),
                number(load.get("iterations")),
                clock(summary.get("duration_s")),
                _held([one.status for one in judged if one.limit]),
                _held([one.status for one in judged if not one.limit]),
                entry.why,
            ]
        )
    titles = ["scenario", "result", "exit", "users", "iterations", "time", "thresholds", "data integrity", ""]
    return table(titles, rows, right=(2, 3, 4, 5))


def _held(statuses: Sequence[str]) -> str:
    return tally(statuses) if statuses else "-"


def _word(entry: SuiteEntry) -> str:
    return "pass" if entry.passed else entry.state.replace("_", " ").upper()


def _before_after(results: SuiteResults, before: SuiteResults) -> Iterator[Block]:
    yield Heading("Before and after")
    yield Paragraph(f"Before: {before.name} ({before.started_at}).")
    was = {entry.scenario: entry for entry in before.loads}
    states = [
        [entry.scenario, _word(was[entry.scenario]) if entry.scenario in was else "not there", _word(entry)]
        for entry in results.loads
    ]
    yield table(["scenario", "before", "after"], states)
    try:
        yield from comparison_blocks(compare(_runs(before), _runs(results)))
    except ConfigurationError as error:
        yield Paragraph("; ".join(error.problems), "doubt")


def _runs(results: SuiteResults) -> list[RecordedRun]:
    return [
        RecordedRun(entry.scenario, {**entry.summary, "scenario": entry.scenario})
        for entry in results.loads
        if entry.summary is not None
    ]


def _scenario(entry: SuiteEntry, baseline: SuiteEntry | None) -> Iterator[Block]:
    yield Heading(f"{entry.scenario}: {_word(entry)}")
    if entry.summary is None:
        yield Paragraph(entry.why or "It did not run.")
        return
    alone = baseline.summary["metrics"] if baseline is not None and baseline.summary is not None else None
    for block in run_blocks(entry.summary, alone=alone):
        yield Heading(block.text, block.level + 1) if isinstance(block, Heading) else block
