"""What must balance after the load: every chunk was acknowledged, and every complete had exactly one result."""

from __future__ import annotations

from collections.abc import Sequence

from pika_locust.judge import AuditResult, not_observed
from pika_locust.kit.audits import answered
from pika_locust.scenario import AuditContext

EXTRA_RESULTS = "extra_results"
"""The fact that says how many results nobody had asked for."""


def audit_streams(context: AuditContext) -> Sequence[AuditResult]:
    """Chunks against acknowledgements, and completes against results."""
    return [_chunks(context), _results(context)]


def _chunks(context: AuditContext) -> AuditResult:
    if context.settings["CONTRACT"] == "suite":
        return not_observed("chunks", "CONTRACT=suite: in the suite's dialect, no chunk is acknowledged")
    return answered("chunks", context.ledgers["chunks"], "no chunk was sent", "were never acknowledged")


def _results(context: AuditContext) -> AuditResult:
    """An error is an answer as well: the complete has come to nothing, but not without a word."""
    late = f"had no result within {context.settings['RESULT_WITHIN']:g} s"
    extra, beyond = int(context.facts.get(EXTRA_RESULTS, 0)), "results were of nothing that was completed"
    return answered("results", context.ledgers["results"], "nothing was completed", late, extra, beyond)
