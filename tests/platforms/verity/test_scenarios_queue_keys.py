from __future__ import annotations

import pytest

from pika_locust.load.plan import LoadPlan, LoadRequest, resolve
from pika_locust.platforms.verity.limits import queue_keys
from pika_locust.platforms.verity.scenarios import QUEUE, SESSIONS
from pika_locust.scenario import Scenario
from tests.platforms.verity.harness import settings_of

KEYS = {
    "few": (20, {"SESSION_HOLD_SECONDS": "2"}, 1),
    "as many as one key takes": (72, {"SESSION_HOLD_SECONDS": "2"}, 1),
    "one more": (73, {"SESSION_HOLD_SECONDS": "2"}, 2),
    "the suite's, at 45 s": (2000, {}, 2),
    "many and short": (2000, {"SESSION_HOLD_SECONDS": "2"}, 28),
    "those who think long come seldom": (2000, {"THINK_TIME_MIN": "74", "THINK_TIME_MAX": "76"}, 1),
    "nobody is back before the next tick": (
        120,
        {"SESSION_HOLD_SECONDS": "0", "THINK_TIME_MIN": "0", "THINK_TIME_MAX": "0"},
        10,
    ),
    "nobody": (0, {}, 1),
    "as said": (2000, {"QUEUE_KEYS": "1"}, 1),
    "all in one, as in the suite": (2000, {"CONTRACT": "suite"}, 1),
    "as said, in the suite's way": (20, {"CONTRACT": "suite", "QUEUE_KEYS": "3"}, 3),
}


@pytest.mark.parametrize(("users", "environ", "keys"), KEYS.values(), ids=KEYS)
def test_users_are_spread_over_enough_queues_for_the_worker_to_keep_up(
    users: int, environ: dict[str, str], keys: int
) -> None:
    # Each comes by once in the session's length and a second of thinking; a key gets 60 % of its 40 users a second.
    assert queue_keys(settings_of(SESSIONS, **environ), users) == keys


def plan(scenario: Scenario, **request: object) -> LoadPlan:
    return resolve(LoadRequest(**request), scenario.profiles, scenario.default_profile)  # type: ignore[arg-type]


def notes(scenario: Scenario, environ: dict[str, str], **request: object) -> list[str]:
    return list(scenario.notes(settings_of(scenario, **environ), plan(scenario, **request)))


ENOUGH = (
    "2 queue keys (derived; QUEUE_KEYS sets it): the worker matches at most 20 pairs/s in one (10 each 500 ms); "
    "2,000 users, each back after 46 s, need 21.7 of 40 pairs/s, 54%"
)
TOO_FEW = (
    "1 queue key (QUEUE_KEYS): the worker matches at most 20 pairs/s in one (10 each 500 ms); "
    "2,000 users, each back after 46 s, need 21.7 of 20 pairs/s, 109%"
)
# 2,000 users, of whom 40 a second are matched, are matched every 50 s: 4 s later than the 46 s they would need; and 20
# pairs a second for 45 s are 900 sessions, where 1,000 pairs each 46 s would be 978.
CANNOT = (
    "1 queue key cannot hold 2,000 users: a match will take 4 s on average, and at most 900 sessions run at once "
    "instead of 978; QUEUE_KEYS=2 is enough"
)
AT_ONCE = "all 2,000 users join at once: the last of them is matched after {} s (-r spreads them)"
SESSION_NOTES = {
    "the suite's load": ({}, {}, [ENOUGH]),
    "one key for all": ({"QUEUE_KEYS": "1"}, {}, [TOO_FEW, CANNOT]),
    "all at once": ({}, {"users": 2000}, [ENOUGH, AT_ONCE.format(25)]),
    "all at once in one key": ({"QUEUE_KEYS": "1"}, {"users": 2000}, [TOO_FEW, CANNOT, AT_ONCE.format(50)]),
    "one after the other": ({}, {"users": 2000, "spawn_rate": 20.0}, [ENOUGH]),
    "nobody meets": (
        {"QUEUE_MODE": "isolated"},
        {},
        ["QUEUE_MODE=isolated: each visit has a queue of its own, in which nobody meets anybody"],
    ),
}


@pytest.mark.parametrize(("environ", "request_", "told"), SESSION_NOTES.values(), ids=SESSION_NOTES)
def test_what_the_ceiling_of_the_queues_makes_of_a_plan(
    environ: dict[str, str], request_: dict[str, object], told: list[str]
) -> None:
    assert notes(SESSIONS, environ, **request_) == told


ONE_LEFT = (
    "an odd number of users ({}): whoever finds no partner waits while the others talk for 45 s, and gives up after "
    "30 s, which match_rate counts as no match; an even number leaves nobody over"
)
LEFT_OVER: dict[str, tuple[int, dict[str, str], bool]] = {
    "five": (5, {}, True),
    "nineteen": (19, {}, True),
    "so many that one of them is below the limit": (21, {}, False),
    "an even number": (6, {}, False),
    "the others are back before": (5, {"SESSION_HOLD_SECONDS": "25"}, False),
    "nobody meets": (5, {"QUEUE_MODE": "isolated"}, False),
    "nobody listens": (5, {"CONTRACT": "suite"}, False),
}


@pytest.mark.parametrize(("users", "environ", "told"), LEFT_OVER.values(), ids=LEFT_OVER)
def test_of_an_odd_number_of_few_users_one_finds_nobody(users: int, environ: dict[str, str], told: bool) -> None:
    said = [note for note in notes(SESSIONS, environ, users=users) if note.startswith("an odd number")]
    assert said == ([ONE_LEFT.format(users)] if told else [])


def test_the_suites_one_key_is_told_as_such() -> None:
    (told,) = notes(SESSIONS, {"CONTRACT": "suite"}, users=100)
    assert told.startswith("1 queue key (as in the suite): ")


QUEUE_NOTES = {
    "nobody meets": ({}, ""),
    "shared": ({"QUEUE_MODE": "shared"}, "; who has none left buys again"),
    "shared, in the suite's way": (
        {"QUEUE_MODE": "shared", "CONTRACT": "suite"},
        "; nobody buys again, so tokens may run out",
    ),
    "shared, without tokens": ({"QUEUE_MODE": "shared", "SEED_TOKENS": "0"}, "so tokens may run out"),
}


@pytest.mark.parametrize(("environ", "ends"), QUEUE_NOTES.values(), ids=QUEUE_NOTES)
def test_what_sharing_a_queue_costs(environ: dict[str, str], ends: str) -> None:
    told = notes(QUEUE, environ)
    assert len(told) == bool(ends)
    assert all("at most 20 pairs/s are matched" in note and note.endswith(ends) for note in told)
