"""Data that WWMAA's stand-in is given before a load, and gives back: an API of the sandbox, in both contracts."""

from __future__ import annotations

from typing import Any

from pika_locust.platforms.wwmaa.world_accounts import Account
from pika_locust.platforms.wwmaa.world_catalogue import Catalogue
from pika_locust.platforms.wwmaa.world_events import Event
from pika_locust.platforms.wwmaa.world_pages import Pages
from pika_locust.platforms.wwmaa.world_search import Searches
from pika_locust.sandbox.app import Call, route
from pika_locust.sandbox.schema import Schema, absent_or, fields, list_of, number, one_of, text, whole
from pika_locust.sandbox.world import Answer

PATH = "/api/load-test-data"
_ROWS: dict[str, Schema] = {
    "users": {
        "email": text(3),
        "password": text(1),
        "first_name": text(),
        "last_name": text(),
        "role": one_of("member", "instructor", "admin"),
    },
    "instructors": {"id": text(1), "first_name": text(), "last_name": text()},
    "events": {
        "id": text(1),
        "title": text(1),
        "description": text(),
        "event_type": text(),
        "start_date": text(10),
        "end_date": text(10),
        "capacity": whole(0),
        "price": number(0),
        "status": text(),
    },
    "content": {"id": text(1), "title": text(1), "type": text(), "body": absent_or(text())},
    "subscriptions": {"id": text(1), "user_email": text(3), "tier": text(1), "status": text(1)},
}


def _anything(value: Any) -> Any:
    return value


class Seeding(Searches, Catalogue, Pages):
    """What is there already stays as it is, and stays when a batch goes."""

    def start(self) -> None:
        super().start()
        self._batches: dict[str, list[tuple[str, str]]] = {}

    def seeding_state(self) -> dict[str, Any]:
        """How many rows there are of each batch."""
        return {"batches": {batch: len(made) for batch, made in self._batches.items()}}

    @route("POST", PATH, body={"batch": text(1, 100), "kind": text(1), "rows": list_of(_anything)}, exempt=True)
    def take_rows(self, call: Call) -> Answer:
        kind, schema = call.body["kind"], _ROWS.get(call.body["kind"])
        if schema is None:
            return self.refused_body([f"kind must be one of {', '.join(_ROWS)}"])
        try:
            rows = list_of(fields(schema))(call.body["rows"])
        except ValueError as error:
            return self.refused_body([f"rows {error}"])
        made = self._batches.setdefault(call.body["batch"], [])
        before = len(made)
        for row in rows:
            if self._keep(kind, row):
                made.append((kind, row["email" if kind == "users" else "id"]))
        return Answer.json({"made": len(made) - before, "there": len(rows) - (len(made) - before)})

    @route("DELETE", PATH, body={"batch": text(1, 100)}, exempt=True)
    def drop_batch(self, call: Call) -> Answer:
        made = self._batches.pop(call.body["batch"], [])
        for kind, key in made:
            self._held(kind).pop(key, None)
        return Answer.json({"removed": len(made)})

    def _keep(self, kind: str, row: dict[str, Any]) -> bool:
        """Whether it was not there yet."""
        if kind == "users":
            if self._password_of(row["email"]) is not None:
                return False
            name = f"{row['first_name']} {row['last_name']}"
            self.accounts[row["email"]] = Account(row["password"], name, row["role"])
            return True
        held = self._held(kind)
        if row["id"] in held:
            return False
        held[row["id"]] = _event(row) if kind == "events" else row
        return True

    def _held(self, kind: str) -> dict[str, Any]:
        every: dict[str, dict[str, Any]] = {
            "users": self.accounts,
            "instructors": self.instructors_there,
            "events": self.known_events,
            "content": self.content,
            "subscriptions": self.subscriptions,
        }
        return every[kind]


def _event(row: dict[str, Any]) -> Event:
    is_there = row["status"] == "published"
    shown = {
        **row,
        "visibility": "public",
        "is_published": is_there,
        "is_deleted": False,
        "start_datetime": row["start_date"],
        "end_datetime": row["end_date"],
        "max_attendees": row["capacity"],
        "registration_fee": row["price"],
    }
    return Event(row["id"], row["capacity"], 0, row["price"], shown)
