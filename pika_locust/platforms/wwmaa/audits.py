"""What must balance after the load: registrations, places, payments, mails; and webhooks, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pika_locust.errors import UnreadableError
from pika_locust.judge import AuditResult, exactly_once, not_observed, unreadable
from pika_locust.observe.target import read_json
from pika_locust.platforms.wwmaa.attendees import Attendee, read_attendees
from pika_locust.scenario import AuditContext

REGISTRATION_AUDITS = ("registrations", "capacity", "payments", "mails")
_HIDDEN = "the target does not show what it holds; its sandbox does"
_NO_ADMIN = "the target shows it to its staff alone: name one of them by TEST_ADMIN_EMAIL and TEST_ADMIN_PASSWORD"


@dataclass(frozen=True, slots=True)
class _Held:
    """What the target holds of one event. `mails` is None where nobody can see who was written to."""

    attendees: Sequence[Attendee]
    capacity: AuditResult
    mails: Sequence[str] | None


def audit_registrations(context: AuditContext) -> Sequence[AuditResult]:
    """Who has a place is who was told so, once; no more than there are places; paid and written to."""
    registrations, payments = context.ledgers["registrations"], context.ledgers["payments"]
    if not registrations.count("sent"):
        return [not_observed(name, "nobody registered") for name in REGISTRATION_AUDITS]
    try:
        held = _held(context)
    except UnreadableError as error:
        about = [unreadable(name, str(error)) for name in ("registrations", "payments")]
        return [about[0], _places_told(context), about[1], not_observed("mails", _HIDDEN)]
    if held is None:
        hidden = [not_observed(name, _NO_ADMIN) for name in ("registrations", "payments")]
        return [hidden[0], _places_told(context), hidden[1], not_observed("mails", _HIDDEN)]
    mine = f"loadtest+{context.facts['run_id']}-"
    rows = [one for one in held.attendees if one.email.startswith(mine)]
    paid = exactly_once("payments", payments.expect(), [one.email for one in rows if one.is_paid])
    mails = None if held.mails is None else [email for email in held.mails if email.startswith(mine)]
    return [
        exactly_once("registrations", registrations.expect(), [one.email for one in rows]),
        held.capacity,
        paid if payments.count("sent") else not_observed("payments", "nobody paid"),
        exactly_once("mails", registrations.expect(), mails, "" if mails is not None else _HIDDEN),
    ]


def _held(context: AuditContext) -> _Held | None:
    """From the sandbox's state, or as the staff of a real target sees it; None where nobody may look."""
    state = context.sandbox_state
    if state is not None:
        event = state["registrations"][context.settings["TEST_EVENT_ID"]]
        attendees = [Attendee(email, is_paid if costs else None) for email, costs, is_paid in event["rows"]]
        return _Held(attendees, _places(event["capacity"], len(attendees)), state["mails"])
    if context.settings["TEST_ADMIN_EMAIL"] is None:
        return None
    attendees = read_attendees(context)
    return _Held(attendees, _places_told(context, len(attendees)), None)


def _places(capacity: int, held: int) -> AuditResult:
    detail = f"{held - capacity:,} more than there are places" if held > capacity else "places, and who has one"
    return AuditResult("capacity", "fail" if held > capacity else "pass", capacity, held, 0, detail)


def _places_told(context: AuditContext, held: int | None = None) -> AuditResult:
    """As the event itself tells, where it can be read; it counts itself, unless it is known how many are held."""
    event_id, is_suite = quote(context.settings["TEST_EVENT_ID"]), context.settings["CONTRACT"] == "suite"
    try:
        page: Any = read_json(f"{context.target}/api/events/{'' if is_suite else 'public/'}{event_id}")
        taken = page["current_registrations" if is_suite else "current_attendees"]
        return _places(int(page["capacity"]), int(taken) if held is None else held)
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
