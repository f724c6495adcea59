"""What must balance after the load: registrations, places, payments, mails; and webhooks, each once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pika_locust.errors import UnreadableError
from pika_locust.judge import AuditResult, exactly_once, not_observed, unreadable
from pika_locust.observe.target import read_json
from pika_locust.platforms.wwmaa.scenarios import PAID_STATUSES
from pika_locust.scenario import AuditContext
from pika_locust.wire.http import HttpClient

REGISTRATION_AUDITS = ("registrations", "capacity", "payments", "mails")
_HIDDEN = "the target does not show what it holds; its sandbox does"
_NO_ADMIN = "the target shows it to its staff alone: name one of them by TEST_ADMIN_EMAIL and TEST_ADMIN_PASSWORD"
PAGE = 500
"""Attendees asked for at a time."""
MOST_PAGES = 2000
_PLACELESS = ("waitlist", "waitlisted", "cancelled", "canceled")
"""What a list says of somebody who has no place."""


@dataclass(frozen=True, slots=True)
class Attendee:
    """Somebody who has a place. `is_paid` is None for a place that costs nothing."""

    email: str
    is_paid: bool | None


@dataclass(frozen=True, slots=True)
class _Held:
    """What the target holds of one event. `mails` is None where nobody can see who was written to."""

    attendees: Sequence[Attendee]
    capacity: AuditResult
    mails: Sequence[str] | None


def audit_registrations(context: AuditContext) -> Sequence[AuditResult]:
    """Who has a place is who was told so, once; as many as there are places, where some were refused for it; paid and
    written to."""
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
        event_id = context.settings["TEST_EVENT_ID"]
        event = state["registrations"].get(event_id)
        if event is None:
            raise UnreadableError(f"the target has no event {event_id}")
        attendees = [Attendee(email, is_paid if costs else None) for email, costs, is_paid in event["rows"]]
        return _Held(attendees, _places(context, event["capacity"], len(attendees)), state["mails"])
    if context.settings["TEST_ADMIN_EMAIL"] is None:
        return None
    attendees = read_attendees(context)
    return _Held(attendees, _places_told(context, len(attendees)), None)


def _places(context: AuditContext, capacity: int, held: int) -> AuditResult:
    turned_away = context.ledgers["registrations"].refused_by.get("full", 0)
    if held > capacity:
        detail = f"{held - capacity:,} more than there are places"
    elif held < capacity and turned_away:
        detail = f"{turned_away:,} were refused because it is full, and {capacity - held:,} places are free"
    else:
        return AuditResult("capacity", "pass", capacity, held, 0, "places, and who has one")
    return AuditResult("capacity", "fail", capacity, held, 0, detail)


def _places_told(context: AuditContext, held: int | None = None) -> AuditResult:
    """As the event itself tells, where it can be read; it counts itself, unless it is known how many are held."""
    event_id, is_suite = quote(context.settings["TEST_EVENT_ID"]), context.settings["CONTRACT"] == "suite"
    try:
        page: Any = read_json(f"{context.target}/api/events/{'' if is_suite else 'public/'}{event_id}")
        taken = page["current_registrations" if is_suite else "current_attendees"]
        return _places(context, int(page["capacity"]), int(taken) if held is None else held)
    except UnreadableError as error:
        return unreadable("capacity", str(error))
    except (KeyError, TypeError, ValueError):
        return unreadable("capacity", "the event does not say how many places it has")


def read_attendees(context: AuditContext) -> list[Attendee]:
    """Everybody who has a place, as TEST_ADMIN_EMAIL sees them. Raises UnreadableError."""
    headers = {"authorization": f"Bearer {_token(context)}"}
    is_suite = context.settings["CONTRACT"] == "suite"
    part = "registrations" if is_suite else "attendees"
    url = f"{context.target}/api/events/{quote(context.settings['TEST_EVENT_ID'])}/{part}"
    rows = _rows(url, headers, part)
    return [_read(row, "email" if is_suite else "user_email") for row in rows if not _is_placeless(row)]


def _token(context: AuditContext) -> str:
    body = {"email": context.settings["TEST_ADMIN_EMAIL"], "password": context.settings["TEST_ADMIN_PASSWORD"]}
    with HttpClient(context.target) as http:
        answer = http.post("/api/auth/login", json=body)
    token = answer.json_object().get("access_token")
    if answer.failed or not isinstance(token, str):
        said = answer.error.text if answer.error is not None else answer.summary
        raise UnreadableError(f"TEST_ADMIN_EMAIL cannot log in: {said}")
    return token


def _rows(url: str, headers: Mapping[str, str], part: str) -> Iterator[Any]:
    """All pages of a list, which may be shorter than asked for, until one is empty, or is the same again: then the
    target knows no pages. Its own total is not asked: the real server's is of the page."""
    before: Any = None
    seen = 0
    for _ in range(MOST_PAGES):
        page: Any = read_json(f"{url}?limit={PAGE}&offset={seen}", headers)
        rows = page.get(part) if isinstance(page, dict) else None
        if not isinstance(rows, list):
            raise UnreadableError(f"GET {url} has no list of {part}")
        if not rows or rows == before:
            return
        yield from rows
        seen += len(rows)
        before = rows
    raise UnreadableError(f"GET {url} is longer than {MOST_PAGES:,} pages: {seen:,} {part}, and no end")


def _is_placeless(row: Any) -> bool:
    """Whether this is somebody who waits for a place, or gave it back, whom a list may show as well."""
    return isinstance(row, dict) and str(row.get("status")).casefold() in _PLACELESS


def _read(row: Any, field: str) -> Attendee:
    if not isinstance(row, dict) or not isinstance(row.get(field), str):
        raise UnreadableError(f"somebody who has a place is without {field}")
    status = row.get("payment_status")
    return Attendee(row[field], None if status is None else status in PAID_STATUSES)


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
