"""What must balance after the load: every chunk was acknowledged, and every complete had exactly one result."""

from __future__ import annotations

from collections.abc import Sequence

from pika_locust.judge import AuditResult, balance, not_observed
from pika_locust.scenario import AuditContext

EXTRA_RESULTS = "extra_results"
"""The fact that says how many results nobody had asked for."""


def audit_streams(context: AuditContext) -> Sequence[AuditResult]:
    """Chunks against acknowledgements, and completes against results."""
    return [_chunks(context), _results(context)]


def _chunks(context: AuditContext) -> AuditResult:
    if context.settings["CONTRACT"] == "suite":
        return not_observed("chunks", "CONTRACT=suite: in the suite's dialect, no chunk is acknowledged")
    chunks = context.ledgers["chunks"]
    acked, lost = chunks.count("acked"), chunks.count("timed_out")
    if not chunks.count("sent"):
        return not_observed("chunks", "no chunk was sent")
    detail = f"{lost:,} were never acknowledged" if lost else ""
    return balance("chunks", acked + lost, acked, chunks.count("uncertain") + chunks.open, detail)


def _results(context: AuditContext) -> AuditResult:
    """An error is an answer as well: the complete has come to nothing, but not without a word."""
    results = context.ledgers["results"]
    if not results.count("sent"):
        return not_observed("results", "nothing was completed")
    answered, lost = results.count("acked") + results.count("refused"), results.count("timed_out")
    extra = int(context.facts.get(EXTRA_RESULTS, 0))
    details = [f"{lost:,} had no result within {context.settings['RESULT_WITHIN']:g} s"] if lost else []
    if extra:
        details.append(f"{extra:,} results were of nothing that was completed")
    # A result too many does not make up for one that is missing.
    held = answered + lost + extra if extra else answered
    unknown = 0 if extra else results.count("uncertain") + results.open
    return balance("results", answered + lost, held, unknown, "; ".join(details))
