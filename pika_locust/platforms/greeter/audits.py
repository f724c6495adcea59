"""What must balance after the load: every call was answered, and the server is left with nothing of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pika_locust.errors import UnreadableError
from pika_locust.judge import AuditResult, balance, not_observed, unreadable
from pika_locust.kit.audits import answered
from pika_locust.kit.settling import until_settled
from pika_locust.observe.target import read_json
from pika_locust.scenario import AuditContext, SetupContext, SetupResult

SETTLE_S = 5.0
"""The server notices some time later that a connection is closed."""
_FIGURES = {
    "sockets": ("connections", "sockets"),
    "visitors": ("connections", "visitors"),
    "pending calls": ("calls", "pending"),
    "active calls": ("calls", "active"),
}
"""Audit -> where its figure is on the metrics page."""


def look_before(context: SetupContext) -> SetupResult:
    """What the server holds before the load, which is somebody else's. A page that cannot be read is noted here, and
    fails the audits."""
    if not context.settings["METRICS_PAGE"]:
        return SetupResult()
    try:
        return SetupResult(private={"before": _figures(context)})
    except UnreadableError as error:
        return SetupResult(notes=(f"the server's metrics page could not be read before the load: {error}",))


def audit_end(context: AuditContext) -> Sequence[AuditResult]:
    """All our sockets are gone."""
    return _left(context, "sockets")


def audit_visitors(context: AuditContext) -> Sequence[AuditResult]:
    """All our sockets and visitors are gone."""
    return _left(context, "sockets", "visitors")


def audit_calls(context: AuditContext) -> Sequence[AuditResult]:
    """Each call had an answer, and nothing of any is left."""
    return [_calls(context), *_left(context, *_FIGURES)]


def _calls(context: AuditContext) -> AuditResult:
    """Calls that were asked for against those that were answered, whatever the answer was.

    Two servers that do not pass calls on to each other lose some of them: the visitor is assigned an agent whose socket
    the other one has, and hears nothing.
    """
    late = f"had no answer within {context.settings['CALL_ANSWER_WITHIN']:g} s"
    return answered("calls", context.ledgers["calls"], "no call was asked for", late)


def _left(context: AuditContext, *names: str) -> Sequence[AuditResult]:
    if not context.settings["METRICS_PAGE"]:
        return [not_observed(name, "METRICS_PAGE=0: the server's metrics page was not looked at") for name in names]
    before = context.given.get("before", {})

    def look() -> list[AuditResult]:
        try:
            now = _figures(context)
        except UnreadableError as error:
            return [unreadable(name, _why(error, context)) for name in names]
        return [_compared(name, before.get(name), now[name]) for name in names]

    return until_settled(look, SETTLE_S)


def _compared(name: str, before: int | None, now: int) -> AuditResult:
    if before is None:
        return unreadable(name, "the server's metrics page could not be read before the load")
    # Others may have left meanwhile.
    return balance(name, min(before, now), now, 0, f"at most as many as before the load: {before:,}")


def _figures(context: AuditContext | SetupContext) -> dict[str, int]:
    """Raises UnreadableError."""
    key = context.settings["METRICS_API_KEY"]
    headers = {"x-metrics-api-key": key} if key else {}
    page: Any = read_json(f"{context.target}/metrics", headers)
    try:
        return {name: int(page[part][field]) for name, (part, field) in _FIGURES.items()}
    except (KeyError, TypeError, ValueError):
        raise UnreadableError("the metrics page does not have the server's figures") from None


def _why(error: UnreadableError, context: AuditContext) -> str:
    hint = " (METRICS_API_KEY opens the page, METRICS_PAGE=0 does without)" if error.status in (401, 403) else ""
    return f"{error}{hint}"
