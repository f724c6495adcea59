"""Over how many queues sessions are spread, and what the matching worker's ceiling makes of a planned load."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pika_locust.load.plan import CONSTANT, LoadPlan

PAIRS_PER_TICK = 10
TICK_S = 0.5
"""The real worker walks all keys each 500 ms and matches at most ten pairs in each."""
KEY_PAIRS_PER_S = PAIRS_PER_TICK / TICK_S
KEY_SHARE = 0.6
"""The most of a key's ceiling that is planned with: users do not come evenly."""
MATCH_WITHIN_S = 3.0
"""The suites' promise: from joining to the match."""


def queue_keys(settings: Mapping[str, Any], users: int) -> int:
    """How many keys the users of the sessions are spread over: QUEUE_KEYS, else one as in the suite under its contract,
    else enough to stay below 60 % of what the worker can match."""
    if settings["QUEUE_KEYS"]:
        return int(settings["QUEUE_KEYS"])
    if settings["CONTRACT"] == "suite":
        return 1
    return max(1, math.ceil(pairs_needed(settings, users) / (KEY_SHARE * KEY_PAIRS_PER_S)))


def visit_s(settings: Mapping[str, Any]) -> float:
    """Seconds from one match of a user to the next one that it could have: the session, and the mean think time."""
    low, high = settings["THINK_TIME_MIN"], settings["THINK_TIME_MAX"]
    return max(TICK_S, float(settings["SESSION_HOLD_SECONDS"] + (low + max(low, high)) / 2))


def pairs_needed(settings: Mapping[str, Any], users: int) -> float:
    """Pairs a second that so many users want to be matched, when nobody has to wait."""
    return users / 2 / visit_s(settings)


def session_notes(settings: Mapping[str, Any], plan: LoadPlan) -> Iterator[str]:
    """What the ceiling of the queues means for a load of sessions."""
    if settings["QUEUE_MODE"] == "isolated":
        yield "QUEUE_MODE=isolated: each visit has a queue of its own, in which nobody meets anybody"
        return
    users, keys = plan.users_peak, queue_keys(settings, plan.users_peak)
    needed, ceiling, visit = pairs_needed(settings, users), keys * KEY_PAIRS_PER_S, visit_s(settings)
    unsaid = "as in the suite" if settings["CONTRACT"] == "suite" else "derived; QUEUE_KEYS sets it"
    told = "QUEUE_KEYS" if settings["QUEUE_KEYS"] else unsaid
    queues = f"{keys:,} queue {'key' if keys == 1 else 'keys'}"
    yield (
        f"{queues} ({told}): the worker matches at most {KEY_PAIRS_PER_S:g} pairs/s in one ({PAIRS_PER_TICK} each "
        f"{TICK_S * 1000:g} ms); {users:,} users, each back after {visit:.3g} s, need {needed:.3g} of {ceiling:,g} "
        f"pairs/s, {needed / ceiling:.0%}"
    )
    if needed > ceiling:
        hold_s = settings["SESSION_HOLD_SECONDS"]
        enough = math.ceil(needed / (KEY_SHARE * KEY_PAIRS_PER_S))
        yield (
            f"{queues} cannot hold {users:,} users: a match will take {users / 2 / ceiling - visit:.3g} s on average, "
            f"and at most {ceiling * hold_s:,.0f} sessions run at once instead of {needed * hold_s:,.0f}; "
            f"QUEUE_KEYS={enough} is enough"
        )
    first_s = users / 2 / ceiling
    if plan.name == CONSTANT and plan.spawn_rate is None and first_s > MATCH_WITHIN_S:
        yield f"all {users:,} users join at once: the last of them is matched after {first_s:.3g} s (-r spreads them)"


def queue_notes(settings: Mapping[str, Any], plan: LoadPlan) -> Iterator[str]:
    """What the way to queue means for a load of mere visits."""
    if settings["QUEUE_MODE"] == "shared":
        again = settings["SEED_TOKENS"] and settings["CONTRACT"] == "server"
        yield (
            f"QUEUE_MODE=shared: all users queue in one key, in which at most {KEY_PAIRS_PER_S:g} pairs/s are matched "
            f"({PAIRS_PER_TICK} each {TICK_S * 1000:g} ms), a token each; "
            + ("who has none left buys again" if again else "nobody buys again, so tokens may run out")
        )
