"""WWMAA's events with a limited number of places: registrations, payments and confirmation mails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pika_locust.platforms.wwmaa.world_accounts import SERVER_ERROR, STAFF, Accounts
from pika_locust.sandbox.app import Call, route
from pika_locust.sandbox.schema import Refused, fields, optional, read_fields, text
from pika_locust.sandbox.world import Answer

SHARE_OF_PLACES = 0.8
"""Of the registrations that are planned, how many find a place."""
_PERSON = fields({"email": text(3), "first_name": text(1), "last_name": text(1), "phone": optional(text(), "")})
_SUITE = {"participant": _PERSON, "payment": optional(fields({"payment_method": text(1)}))}
_SERVER = {
    "user_name": text(1),
    "user_email": text(3, pattern=r"[^@\s]+@[^@\s]+"),
    "user_phone": optional(text(), ""),
}


@dataclass(slots=True)
class Registration:
    """A row: somebody has a place."""

    id: str
    who: str | None
    """The person, by which nobody is there twice: an address, or the id of a member."""
    email: str
    at: str
    costs: bool
    paid: bool
    copies: int = 1
    """How often it is kept: once, unless a fault has it otherwise."""

    @property
    def payment_status(self) -> str | None:
        """What its payment came to; None where there is nothing to pay."""
        return None if not self.costs else "succeeded" if self.paid else "pending"


@dataclass(slots=True)
class Event:
    """An event, and who comes."""

    id: str
    capacity: int
    taken: int = 0
    """Places that somebody has who is not among the rows."""
    fee: float = 0.0
    shown: Mapping[str, Any] = field(default_factory=dict)
    """What the public list shows of it, where that is not what all events have."""
    rows: list[Registration] = field(default_factory=list)
    people: dict[str | None, Registration] = field(default_factory=dict)

    @property
    def places_taken(self) -> int:
        """All places that are gone."""
        return self.taken + len(self.rows)

    @property
    def title(self) -> str:
        """What it is called."""
        return str(self.shown.get("title") or f"Event {self.id}")

    @property
    def is_published(self) -> bool:
        """Whether it is in the lists; a draft is not."""
        return bool(self.shown.get("is_published", True))


class Registrations(Accounts):
    """TEST_EVENT_ID names the event, EVENT_CAPACITY its places: by default fewer than REGISTRATIONS, so it fills."""

    def start(self) -> None:
        super().start()
        planned = self.setting("REGISTRATIONS", 500.0)
        capacity = self.setting("EVENT_CAPACITY", round(planned * SHARE_OF_PLACES))
        event_id = self.setting("TEST_EVENT_ID", "evt_load_test_001")
        self.known_events = {event_id: Event(event_id, capacity)}
        self.mails: list[str] = []

    def registrations_state(self) -> dict[str, Any]:
        """Rows by event, and the mails that were sent."""
        rows = {
            event.id: {
                "capacity": event.capacity,
                "rows": [[row.email, row.costs, row.paid] for row in event.rows],
            }
            for event in self.known_events.values()
        }
        return {"registrations": rows, "mails": self.mails}

    @route("GET", "/api/events/{id}")
    def event(self, call: Call) -> Answer:
        """The suite's is everybody's, the real one's is for its staff."""
        refusal = self._refuses_strangers(call)
        if refusal is not None:
            return refusal
        event = self.known_events.get(call.params["id"])
        return self.not_found(call.request) if event is None else Answer.json(_page(event))

    @route("GET", "/api/events")
    def events(self, call: Call) -> Answer:
        """The suite's list of all."""
        return self._listed(call, "")

    @route("GET", "/api/events/search")
    def search_events(self, call: Call) -> Answer:
        """The suite's list of those with certain words."""
        return self._listed(call, call.query.get("q", ""))

    def _listed(self, call: Call, words: str) -> Answer:
        refusal = self._refuses_strangers(call)
        if refusal is not None:
            return refusal
        found = [event for event in self.known_events.values() if event.is_published and words in event.title]
        limit = call.query.get("limit", "")
        pages = [_page(event) for event in (found[: int(limit)] if limit.isdecimal() else found)]
        return Answer.json({"events": pages, "total": len(found)})

    def _refuses_strangers(self, call: Call) -> Answer | None:
        """What the real server answers to all but its staff. As it is shipped, it fails over who calls."""
        if self.is_suite:
            return None
        call.user = self.authenticate(call)
        if call.user is None:
            return self.unauthorized(call)
        if "as-shipped" in self.faults.on:
            return Answer.json(SERVER_ERROR, 500)
        return None if call.user["role"] in STAFF else Answer.json({"detail": "Insufficient permissions"}, 403)

    @route("GET", "/api/events/{id}/registrations")
    def registrations_of(self, call: Call) -> Answer:
        """The suite's: whether somebody is registered; for its staff, everybody who is."""
        event = self.known_events.get(call.params["id"])
        if event is None or not self.is_suite:
            return self.not_found(call.request)
        email = call.query.get("email")
        if email is not None:
            found = [{"registration_id": row.id, "email": row.email} for row in event.rows if row.email == email]
            return Answer.json({"registrations": found}, 200 if found else 404)
        call.user = self.authenticate(call)
        if call.user is None or call.user["role"] not in STAFF:
            return self.unauthorized(call)
        rows = [
            {"registration_id": row.id, "email": row.email, "payment_status": row.payment_status}
            for row in self._page_of(event, call)
        ]
        return Answer.json({"registrations": rows, "total": len(event.rows)})

    @route("GET", "/api/events/{id}/attendees", exempt=True)
    def attendees(self, call: Call) -> Answer:
        """The real server's, for its staff; as it is shipped, it asks for what nobody can give."""
        if self.is_suite:
            return self.not_found(call.request)
        if "as-shipped" in self.faults.on:
            return Answer.json(
                {"detail": [{"type": "missing", "loc": ["query", "func"], "msg": "Field required"}]}, 422
            )
        refusal, event = self._refuses_strangers(call), self.known_events.get(call.params["id"])
        if refusal is not None:
            return refusal
        if event is None:
            return self.not_found(call.request)
        rows = [
            {"rsvp_id": row.id, "user_email": row.email, "status": "confirmed", "payment_status": row.payment_status}
            for row in self._page_of(event, call)
        ]
        return Answer.json({"attendees": rows, "total": len(event.rows)})

    def _page_of(self, event: Event, call: Call) -> list[Registration]:
        limit, offset = call.query.get("limit", "50"), call.query.get("offset", "0")
        first = int(offset) if offset.isdecimal() else 0
        return event.rows[first : first + (int(limit) if limit.isdecimal() else 50)]

    @route("POST", "/api/events/{id}/rsvp")
    def rsvp(self, call: Call) -> Answer:
        """In the suite's words; or in the real server's, where it is known who calls."""
        event = self.known_events.get(call.params["id"])
        if not self.is_suite:
            call.user = self.authenticate(call)
            if call.user is None:
                return self.unauthorized(call)
        try:
            body = read_fields(call.body, _SUITE if self.is_suite else _SERVER)
        except Refused as refused:
            return self.refused_body(refused.problems)
        if self.is_suite:
            return self.not_found(call.request) if event is None else self._register_suite(event, body)
        return self._register(call, event, body)

    def _register(self, call: Call, event: Event | None, body: dict[str, Any]) -> Answer:
        if event is None:
            return _failed(f"Failed to create RSVP: Unexpected error: Event {call.params['id']} not found")
        if event.fee:
            words = "This is a paid event. Use create_paid_event_checkout instead."
            return _failed(f"Failed to create RSVP: Unexpected error: {words}")
        who = None if "as-shipped" in self.faults.on else call.user["sub"]
        there = event.people.get(who)
        if there is not None and not self.hit("duplicate-booking"):
            words = f"User {who} already has an RSVP for event {event.id} with status confirmed"
            return Answer.json({"detail": words}, 400)
        if self._is_full(event):
            words = f"Event {event.id} is at full capacity ({event.places_taken} attendees)"
            return Answer.json({"detail": words}, 400)
        row = self._book(event, who, body["user_email"], costs=False)
        return Answer.json(
            {
                "rsvp_id": row.id,
                "status": "confirmed",
                "event_id": event.id,
                "event_title": event.title,
                "event_date": "2026-12-21T03:12:52.875672",
                "qr_code": "iVBORw0KGgo=",
                "message": "RSVP confirmed successfully!",
            },
            201,
        )

    def _register_suite(self, event: Event, body: dict[str, Any]) -> Answer:
        email, costs = body["participant"]["email"], body["payment"] is not None
        if email in event.people and not self.hit("duplicate-booking"):
            return Answer.json({"error": "already registered"}, 409)
        if self._is_full(event):
            return Answer.json({"error": "event is full: capacity reached"}, 400)
        row = self._book(event, email, email, costs)
        paid = {"payment_status": "succeeded"} if costs else {}
        return Answer.json({"booking_id": row.id, "registration_id": row.id, "status": "confirmed", **paid}, 201)

    def _is_full(self, event: Event) -> bool:
        return event.places_taken >= event.capacity and not self.hit("oversell")

    def _book(self, event: Event, who: str | None, email: str, costs: bool) -> Registration:
        number = f"{event.id} {email} {len(event.people)} {len(event.rows)}"
        paid = costs and not self.hit("unpaid")
        at = datetime.fromtimestamp(self.now, UTC).replace(tzinfo=None).isoformat()
        row = Registration(str(uuid5(NAMESPACE_URL, number)), who, email, at, costs, paid)
        event.people[who] = row
        row.copies = self.copies("registration")
        event.rows += [row] * row.copies
        self.mails += [email] * self.copies("mail")
        return row

    @route("GET", "/api/events/{id}/rsvp/status", auth=True)
    def rsvp_status(self, call: Call) -> Answer:
        """The real server's: whether whoever calls has a place, or could have one."""
        event = self.known_events.get(call.params["id"])
        if event is None:
            words = "Failed to get RSVP status"
            return _failed(f"{words}: {words}: Event {call.params['id']} not found")
        row = event.people.get(None if "as-shipped" in self.faults.on else call.user["sub"])
        if row is not None and not row.copies:
            row = None
        left = max(0, event.capacity - event.places_taken)
        could = (left > 0, left == 0, left == 0, left) if row is None else (None, None, None, None)
        return Answer.json(
            {
                "has_rsvp": row is not None,
                "rsvp_id": row and row.id,
                "status": row and "confirmed",
                "rsvp_date": row and row.at,
                "payment_status": None,
                "check_in_status": row and False,
                "can_rsvp": could[0],
                "event_full": could[1],
                "waitlist_available": could[2],
                "available_spots": could[3],
            }
        )


def _page(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "title": event.title,
        "description": "An event for load tests",
        "capacity": event.capacity,
        "current_registrations": event.places_taken,
    }


def _failed(words: str) -> Answer:
    return Answer.json({"detail": words, "error_id": None}, 500)
