"""What must balance after the load: registrations, places, payments, mails; and webhooks, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pika_locust.errors import UnreadableError
from pika_locust.judge import AuditResult, exactly_once, not_observed, unreadable
from pika_locust.observe.target import read_json
from pika_locust.scenario import AuditContext

REGISTRATION_AUDITS = ("registrations", "capacity", "payments", "mails")
_HIDDEN = "the target does not show what it holds; its sandbox does"


def audit_registrations(context: AuditContext) -> Sequence[AuditResult]:
    """Who has a place is who was told so, once; no more than there are places; paid and written to."""
    registrations, payments = context.ledgers["registrations"], context.ledgers["payments"]
    if not registrations.count("sent"):
        return [not_observed(name, "nobody registered") for name in REGISTRATION_AUDITS]
    state = context.sandbox_state
    if state is None:
        hidden = [not_observed(name, _HIDDEN) for name in REGISTRATION_AUDITS if name != "capacity"]
        return [*hidden, _places_told(context)]
    event = state["registrations"][context.settings["TEST_EVENT_ID"]]
    mine = f"loadtest+{context.facts['run_id']}-"
    rows = [row for row in event["rows"] if row[0].startswith(mine)]
    mails = [email for email in state["mails"] if email.startswith(mine)]
    paid = [email for email, costs, is_paid in rows if costs and is_paid]
    return [
        exactly_once("registrations", registrations.expect(), [row[0] for row in rows]),
        _places(event["capacity"], len(event["rows"])),
        exactly_once("payments", payments.expect(), paid)
        if payments.count("sent")
        else not_observed("payments", "nobody paid"),
        exactly_once("mails", registrations.expect(), mails),
    ]


def _places(capacity: int, held: int) -> AuditResult:
    detail = f"{held - capacity:,} more than there are places" if held > capacity else "places, and who has one"
    return AuditResult("capacity", "fail" if held > capacity else "pass", capacity, held, 0, detail)


def _places_told(context: AuditContext) -> AuditResult:
    """As the event itself tells, where it can be read."""
    if context.settings["CONTRACT"] == "server":
        return not_observed("capacity", "the backend shows no event to members")
    try:
        page: Any = read_json(f"{context.target}/api/events/{context.settings['TEST_EVENT_ID']}")
        return _places(int(page["capacity"]), int(page["current_registrations"]))
    except UnreadableError as error:
        return unreadable("capacity", str(error))
    except (KeyError, TypeError, ValueError):
        return unreadable("capacity", "the event does not say how many places it has")


def audit_webhooks(context: AuditContext) -> Sequence[AuditResult]:
    """Every acknowledged event was processed once, and nothing else."""
    webhooks = context.ledgers["webhooks"]
    if not webhooks.count("sent"):
        return [not_observed("webhooks", "no webhook was sent")]
    if context.sandbox_state is None:
        return [not_observed("webhooks", _HIDDEN, webhooks.count("acked"))]
    processed: Mapping[str, int] = context.sandbox_state["webhooks"]
    mine = f"evt_{context.facts['run_id']}-"
    held = [event for event, times in processed.items() if event.startswith(mine) for _ in range(times)]
    return [exactly_once("webhooks", webhooks.expect(), held)]
