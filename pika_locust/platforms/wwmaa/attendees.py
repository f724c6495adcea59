"""Who comes to an event, as a real target shows it to its staff: what audits compare with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pika_locust.errors import UnreadableError
from pika_locust.observe.target import read_json
from pika_locust.platforms.wwmaa.scenarios import PAID_STATUSES
from pika_locust.scenario import AuditContext
from pika_locust.wire.http import HttpClient

PAGE = 500
"""Attendees asked for at a time."""
MOST_PAGES = 2000


@dataclass(frozen=True, slots=True)
class Attendee:
    """Somebody who has a place. `is_paid` is None for a place that costs nothing."""

    email: str
    is_paid: bool | None


def read_attendees(context: AuditContext) -> list[Attendee]:
    """Everybody who has a place, as TEST_ADMIN_EMAIL sees them. Raises UnreadableError."""
    headers = {"authorization": f"Bearer {_token(context)}"}
    is_suite = context.settings["CONTRACT"] == "suite"
    part = "registrations" if is_suite else "attendees"
    url = f"{context.target}/api/events/{quote(context.settings['TEST_EVENT_ID'])}/{part}"
    return [_read(row, "email" if is_suite else "user_email") for row in _rows(url, headers, part)]


def _token(context: AuditContext) -> str:
    body = {"email": context.settings["TEST_ADMIN_EMAIL"], "password": context.settings["TEST_ADMIN_PASSWORD"]}
    with HttpClient(context.target) as http:
        answer = http.post("/api/auth/login", json=body)
    try:
        told = answer.json() if answer.error is None and answer.status == 200 else {}
    except ValueError:
        told = {}
    token = told.get("access_token") if isinstance(told, dict) else None
    if not isinstance(token, str):
        said = answer.error.text if answer.error is not None else answer.summary
        raise UnreadableError(f"TEST_ADMIN_EMAIL cannot log in: {said}")
    return token


def _rows(url: str, headers: Mapping[str, str], part: str) -> Iterator[Any]:
    """All pages of a list, until one is not full, or is the same again: then the target knows no pages."""
    before: Any = None
    for number in range(MOST_PAGES):
        page: Any = read_json(f"{url}?limit={PAGE}&offset={number * PAGE}", headers)
        rows = page.get(part) if isinstance(page, dict) else None
        if not isinstance(rows, list):
            raise UnreadableError(f"GET {url} has no list of {part}")
        if rows == before:
            return
        yield from rows
        if len(rows) < PAGE:
            return
        before = rows


def _read(row: Any, field: str) -> Attendee:
    if not isinstance(row, dict) or not isinstance(row.get(field), str):
        raise UnreadableError(f"somebody who has a place is without {field}")
    status = row.get("payment_status")
    return Attendee(row[field], None if status is None else status in PAID_STATUSES)
