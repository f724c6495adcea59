"""What WWMAA shows to everybody: its list of events, and what memberships there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from pika_locust.platforms.wwmaa.world_events import Event, Registrations
from pika_locust.sandbox.app import Call, route
from pika_locust.sandbox.world import Answer

KINDS = (
    *("live_training", "seminar", "tournament", "certification", "training", "competition", "social", "meeting"),
    "other",
)
_CHOICES = {"type": KINDS, "location": ("in_person", "online"), "price": ("free", "paid"), "order": ("asc", "desc")}
MOST = 100
"""Events on one page of the list."""
_DEFAULT = 12
_NEWS = "Monthly newsletter subscription"
_ALL_EVENTS = "Access to all events"
_ALL_VIDEOS = "Unlimited training video library access"
_DIRECTORY = "Member directory access"
_SUPPORT = "Priority customer support"
_EXCLUSIVE = "Exclusive members-only content"
_FORUM = "Community forum access"
_EARLY = "Early access to new features"


def _discount(percent: int) -> str:
    return f"{percent}% discount on event registrations"


def _tier(name: str, title: str, price_usd: float, every: str, benefits: Sequence[str], **features: Any) -> Any:
    usual = {"event_access": "all", "training_videos": True, "video_limit": "unlimited", "member_directory": True}
    more = {"newsletter": True, "discount_events": "0%", "priority_support": True, "exclusive_content": True}
    return {
        "id": name,
        "code": name.upper(),
        "name": f"{title} Membership",
        "price_usd": price_usd,
        "billing_interval": every,
        "benefits": benefits,
        "features": {**usual, **more, "community_forum": True, **features},
        "is_popular": name == "premium",
    }


_FREE = _tier(
    "free",
    "Free",
    0.0,
    "free",
    ("Access to public events", _NEWS, _FORUM),
    event_access="public_only",
    training_videos=False,
    video_limit=0,
    member_directory=False,
    priority_support=False,
    exclusive_content=False,
)
_BASIC = _tier(
    "basic",
    "Basic",
    29.0,
    "year",
    (_ALL_EVENTS, "Access to training video library (10 videos/month)", _DIRECTORY, _NEWS, _discount(10), _FORUM),
    video_limit=10,
    discount_events="10%",
    priority_support=False,
    exclusive_content=False,
)
_PREMIUM = _tier(
    "premium",
    "Premium",
    79.0,
    "year",
    (_ALL_EVENTS, _ALL_VIDEOS, _DIRECTORY, _NEWS, _discount(20), _SUPPORT, _EXCLUSIVE, _FORUM, _EARLY),
    discount_events="20%",
    early_access=True,
)
_LIFETIME = _tier(
    "lifetime",
    "Instructor",
    149.0,
    "lifetime",
    (
        *("Lifetime access to all features", _ALL_EVENTS, _ALL_VIDEOS, _DIRECTORY, _NEWS, _discount(25), _SUPPORT),
        *(_EXCLUSIVE, _FORUM, _EARLY, "Founding member badge", "Instructor certification opportunities"),
    ),
    discount_events="25%",
    early_access=True,
    lifetime_access=True,
    founding_member=True,
    instructor_certification=True,
)
TIERS = {"free": _FREE, "basic": _BASIC, "premium": _PREMIUM, "lifetime": _LIFETIME}
"""The real server's memberships, by what they are called."""


class Catalogue(Registrations):
    """Lists that can be read without logging in. What the real server's filters do wrong is `as-shipped`."""

    def start(self) -> None:
        super().start()
        self.subscriptions: dict[str, dict[str, Any]] = {}

    @route("GET", "/api/events/public")
    def public_events(self, call: Call) -> Answer:
        """The real server's list; as it is shipped, most of its filters find nothing, and its total is of the page."""
        if self.is_suite:
            return self.not_found(call.request)
        asked = call.query
        wrong = _wrong_choice(asked)
        if wrong is not None:
            return self.refused_query(wrong)
        limit, offset = int(asked.get("limit", _DEFAULT)), int(asked.get("offset", 0))
        from_date = asked.get("date_from", "")
        if from_date and not _is_date(from_date):
            return Answer.json({"detail": "Invalid date_from format. Use YYYY-MM-DD"}, 400)
        listed = [event for event in self.known_events.values() if event.is_published]
        found = [shown for shown in map(_shown, listed) if self._matches(shown, asked)]
        page = [{"id": shown["id"], "data": shown} for shown in found[offset : offset + limit]]
        total = len(page) if "as-shipped" in self.faults.on else len(found)
        return Answer.json({"events": page, "total": total, "limit": limit, "offset": offset})

    def _matches(self, shown: dict[str, Any], asked: dict[str, str]) -> bool:
        """Whether an event is what the filters ask for; as shipped, all but equality finds nothing."""
        place = "online" if shown.get("location_name") == "Online" else "in_person"
        costs = "paid" if shown["price"] else "free"
        if asked.get("type", shown["event_type"]) != shown["event_type"] or asked.get("price", costs) != costs:
            return False
        if "as-shipped" in self.faults.on:
            return asked.get("price") != "paid" and not {"location", "date_from"} & asked.keys()
        begins: str = shown["start_date"]
        return asked.get("location", place) == place and begins[:10] >= asked.get("date_from", "")

    @route("GET", "/api/events/public/{id}")
    def public_event(self, call: Call) -> Answer:
        """One of that list; as it is shipped, it never finds one."""
        event = self.known_events.get(call.params["id"])
        if event is None or self.is_suite or "as-shipped" in self.faults.on:
            return Answer.json({"detail": "Event not found"}, 404)
        return Answer.json(_shown(event))

    def refused_query(self, name: str) -> Answer:
        """A parameter behind the question mark is not what it may be."""
        problem = {"type": "value_error", "loc": ["query", name], "msg": "Input should be another"}
        return Answer.json({"detail": [problem]}, 422)

    @route("GET", "/api/subscriptions")
    def tiers(self, call: Call) -> Answer:
        """The real server's list of all memberships."""
        if self.is_suite:
            return self.not_found(call.request)
        return Answer.json({"tiers": list(TIERS.values()), "total": len(TIERS)})

    @route("GET", "/api/subscriptions/{tier}")
    def tier(self, call: Call) -> Answer:
        """The real server's page of one."""
        if self.is_suite:
            return self.not_found(call.request)
        name = call.params["tier"]
        if name not in TIERS:
            words = f"Invalid tier ID: {name}. Valid tiers: {', '.join(TIERS)}"
            return Answer.json({"detail": words}, 400)
        return Answer.json(TIERS[name])

    @route("GET", "/api/subscriptions/plans")
    def plans(self, call: Call) -> Answer:
        """The suite's list of memberships. The real server takes the last word for the name of one."""
        if not self.is_suite:
            call.params = {"tier": "plans"}
            return self.tier(call)
        return self._of_members(
            call, {"plans": [{"id": name, "price_usd": tier["price_usd"]} for name, tier in TIERS.items()]}
        )

    @route("GET", "/api/subscriptions/my-subscription")
    def my_subscription(self, call: Call) -> Answer:
        """The suite's: nobody has one but those who were given one."""
        if not self.is_suite:
            call.params = {"tier": "my-subscription"}
            return self.tier(call)
        email = (self.authenticate(call) or {}).get("email")
        mine = next((one for one in self.subscriptions.values() if one["user_email"] == email), None)
        return self._of_members(call, mine or {"detail": "No subscription"}, 404 if mine is None else 200)

    def _of_members(self, call: Call, value: Any, status: int = 200) -> Answer:
        known = self.authenticate(call) is not None
        return Answer.json(value, status) if known else self.unauthorized(call)


def _wrong_choice(asked: dict[str, str]) -> str | None:
    """The first parameter that the list does not take."""
    for name, choices in _CHOICES.items():
        if asked.get(name, choices[0]) not in choices:
            return name
    for name, least, most in (("limit", 1, MOST), ("offset", 0, 10**9)):
        value = asked.get(name, str(least))
        if not value.isdecimal() or not least <= int(value) <= most:
            return name
    return None


def _is_date(words: str) -> bool:
    try:
        date.fromisoformat(words)
    except ValueError:
        return False
    return True


def _shown(event: Event) -> dict[str, Any]:
    """What the list shows of an event."""
    if event.shown:
        return dict(event.shown)
    begins, ends = "2026-12-21T03:12:43.989947", "2026-12-21T09:12:43.989973"
    return {
        "id": event.id,
        "title": event.title,
        "description": "An event for load tests",
        "event_type": "tournament",
        "visibility": "public",
        "status": "published",
        "is_published": True,
        "is_deleted": False,
        "start_date": begins,
        "end_date": ends,
        "start_datetime": begins,
        "end_datetime": ends,
        "location_name": "Arena",
        "address": "123 Test St",
        "current_attendees": event.places_taken,
        "capacity": event.capacity,
        "price": event.fee,
        "max_attendees": event.capacity,
        "registration_fee": event.fee,
    }
