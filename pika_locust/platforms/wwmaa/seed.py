"""The data of WWMAA's suite: members, instructors, events, content, subscriptions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TypeVar

from pika_locust.kit.seeding import Row, Seed, SeedContext, SeedKind
from pika_locust.load.rng import SeededRandom
from pika_locust.platforms.wwmaa.scenarios import RSVP

STYLES = ("karate", "judo", "aikido", "kendo", "taekwondo", "jiu jitsu", "muay thai", "wing chun")
RANKS = ("1st dan", "2nd dan", "3rd dan", "4th dan", "5th dan", "6th dan")
EVENT_TYPES = ("seminar", "tournament", "certification", "training", "competition", "social", "meeting", "workshop")
TOPICS = ("kata", "kumite", "breathing", "stretching", "history", "etiquette", "nutrition", "weapons", "throws")
FORMS = ("article", "video", "guide", "interview", "news")
TIERS = ("basic", "premium", "lifetime")
PRICES_USD = (0, 25, 50, 75, 100, 150)
PLACES = 1000
"""Of the event that people register for."""

T = TypeVar("T")


def _some(dice: SeededRandom, options: tuple[T, ...], most: int) -> list[T]:
    wanted = 1 + dice.below(most)
    start = dice.below(len(options))
    return [options[(start + number) % len(options)] for number in range(wanted)]


def user_address(context: SeedContext, number: int) -> str:
    """The address of a member, by its number."""
    pattern: str = context.settings["TEST_USER_EMAIL"]
    return pattern.replace("{user}", str(number))


def users(context: SeedContext) -> Iterator[Row]:
    """Members, who log in."""
    for number in range(context.counts["users"]):
        yield {
            "email": user_address(context, number),
            "password": context.settings["TEST_USER_PASSWORD"],
            "first_name": f"Load{number}",
            "last_name": "Tester",
            "role": "member",
            "status": "active",
        }


def instructors(context: SeedContext) -> Iterator[Row]:
    """Instructors, who are listed."""
    dice = context.dice
    for number in range(context.counts["instructors"]):
        yield {
            "id": f"ins_loadtest_{number}",
            "email": f"loadtest_instructor_{number}@wwmaa.com",
            "first_name": f"Instructor{number}",
            "last_name": "Tester",
            "role": "instructor",
            "styles": _some(dice, STYLES, 3),
            "rank": dice.choice(RANKS),
            "years": 5 + dice.below(36),
        }


def events(context: SeedContext) -> Iterator[Row]:
    """The one that people register for comes first, and on top of the others."""
    dice, teachers = context.dice, max(1, context.counts["instructors"])
    begins = context.now + timedelta(days=30)
    yield {
        "id": context.settings["TEST_EVENT_ID"],
        "title": "Load Test Event: tournament with many places",
        "description": "An event for load tests",
        "event_type": "tournament",
        "start_date": begins.isoformat(),
        "end_date": (begins + timedelta(hours=6)).isoformat(),
        "capacity": PLACES,
        "price": 0,
        "status": "published",
        "instructor_id": "ins_loadtest_0",
    }
    for number in range(context.counts["events"]):
        begins = context.now + timedelta(days=1 + dice.below(365), hours=dice.below(12))
        kind, style = dice.choice(EVENT_TYPES), dice.choice(STYLES)
        yield {
            "id": f"evt_loadtest_{number}",
            "title": f"{kind} of {style} (Load Test {number})",
            "description": f"A {kind} for load tests",
            "event_type": kind,
            "start_date": begins.isoformat(),
            "end_date": (begins + timedelta(hours=1 + dice.below(4))).isoformat(),
            "capacity": 20 + dice.below(181),
            "price": dice.choice(PRICES_USD),
            "status": "published" if dice.chance(0.75) else "draft",
            "instructor_id": f"ins_loadtest_{dice.below(teachers)}",
        }


def content(context: SeedContext) -> Iterator[Row]:
    """What searches find."""
    dice = context.dice
    for number in range(context.counts["content"]):
        topic, style, form = dice.choice(TOPICS), dice.choice(STYLES), dice.choice(FORMS)
        yield {
            "id": f"cnt_loadtest_{number}",
            "title": f"{topic} in {style} (Load Test {number})",
            "type": form,
            "topic": topic,
            "style": style,
            "tags": _some(dice, TOPICS, 5),
            "body": f"About {topic}, as {style} has it.",
        }


def subscriptions(context: SeedContext) -> Iterator[Row]:
    """Of customers whom webhooks are about."""
    dice, members = context.dice, max(1, context.counts["users"])
    for number in range(context.counts["subscriptions"]):
        yield {
            "id": f"sub_lt_{number}",
            "customer_id": f"cus_lt_{number}",
            "user_email": user_address(context, dice.below(members)),
            "tier": dice.choice(TIERS),
            "status": "active" if dice.chance(0.75) else "past_due",
        }


SEED = Seed(
    RSVP,
    (
        SeedKind("users", 1000, "members, who log in", users),
        SeedKind("instructors", 200, "instructors, who are listed", instructors),
        SeedKind("events", 500, "events, beside the one that people register for", events),
        SeedKind("content", 5000, "what searches find", content),
        SeedKind("subscriptions", 100, "subscriptions, which webhooks are about", subscriptions),
    ),
    hints=lambda settings: {"MEMBERS_FILE": "{folder}/users.csv", "TEST_EVENT_ID": settings["TEST_EVENT_ID"]},
)
