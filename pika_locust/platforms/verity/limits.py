"""What the real server's limits mean for a load: pairs that are matched a second, requests of one address a minute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pika_locust.load.plan import CONSTANT, LoadPlan
from pika_locust.settings import SourceAddresses

SIGN_UPS_A_MINUTE = 10
REQUESTS_A_MINUTE = 120
"""Of one kind, such as joining the queue."""
_STEP_S = 10


def addresses_needed(sign_ups_a_minute: float, requests_a_minute: float) -> int:
    """How many addresses keep below both limits, where users are spread over them evenly."""
    if math.isinf(requests_a_minute):
        # Users who do not think ask as fast as they are answered: nobody knows how many.
        requests_a_minute = 0
    return max(1, math.ceil(sign_ups_a_minute / SIGN_UPS_A_MINUTE), math.ceil(requests_a_minute / REQUESTS_A_MINUTE))


def started_a_minute(plan: LoadPlan) -> int:
    """The most users that a plan starts within a minute."""
    if plan.name == CONSTANT:
        return plan.users_peak if plan.spawn_rate is None else min(plan.users_peak, math.ceil(60 * plan.spawn_rate))
    last_s = max(0.0, (plan.duration_s or 0) - 0.001)
    wanted = [plan.users_at(min(at_s, last_s)) or 0 for at_s in range(0, int(last_s) + 1 + _STEP_S, _STEP_S)]
    minute = 60 // _STEP_S
    rises = [later - before for before, later in zip(wanted, wanted[minute:], strict=False)]
    return max([max(wanted[: minute + 1], default=0), *rises])


def address_notes(settings: Mapping[str, Any], sign_ups: float, requests: float) -> Iterator[str]:
    """That SOURCE_ADDRESSES are too few for so many sign-ups, and requests of one kind, a minute.

    Without a pool it is said of a server that is named in the settings: the sandbox has no such limits.
    """
    pool = settings["SOURCE_ADDRESSES"]
    if not pool and not settings["BASE_URL"]:
        return
    there, needed = SourceAddresses(pool).size if pool else 1, addresses_needed(sign_ups, requests)
    if there < needed:
        have = f"SOURCE_ADDRESSES has {there:,}" if pool else "SOURCE_ADDRESSES is not set"
        yield (
            f"{have}: this load needs {needed:,} addresses where an address is allowed {SIGN_UPS_A_MINUTE} sign-ups "
            f"and {REQUESTS_A_MINUTE} requests of a kind a minute, as on the real server; others are answered 429"
        )


PAIRS_PER_TICK = 10
TICK_S = 0.5
"""The real worker walks all keys each 500 ms and matches at most ten pairs in each."""
KEY_PAIRS_PER_S = PAIRS_PER_TICK / TICK_S
KEY_SHARE = 0.6
"""The most of a key's ceiling that is planned with: users do not come evenly."""
MATCH_WITHIN_S = 3.0
"""The suites' promise: from joining to the match."""
MATCH_WAIT_S = 30.0
"""A user who is not matched by then leaves the queue and tries again."""
FEW_USERS = 20
"""Among fewer, one who finds nobody is more than the share of visits without a match that match_rate allows."""


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
    """What the ceiling of the queues, and the limits for an address, mean for a load of sessions."""
    yield from address_notes(settings, started_a_minute(plan), plan.users_peak * 60 / visit_s(settings))
    if settings["QUEUE_MODE"] == "isolated":
        yield "QUEUE_MODE=isolated: each visit has a queue of its own, in which nobody meets anybody"
        return
    users, keys, hold_s = plan.users_peak, queue_keys(settings, plan.users_peak), settings["SESSION_HOLD_SECONDS"]
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
        enough = math.ceil(needed / (KEY_SHARE * KEY_PAIRS_PER_S))
        yield (
            f"{queues} cannot hold {users:,} users: a match will take {users / 2 / ceiling - visit:.3g} s on average, "
            f"and at most {ceiling * hold_s:,.0f} sessions run at once instead of {needed * hold_s:,.0f}; "
            f"QUEUE_KEYS={enough} is enough"
        )
    if users % 2 and users < FEW_USERS and hold_s > MATCH_WAIT_S and settings["CONTRACT"] == "server":
        yield (
            f"an odd number of users ({users}): whoever finds no partner waits while the others talk for {hold_s:g} s, "
            f"and gives up after {MATCH_WAIT_S:g} s, which match_rate counts as no match; an even "
            "number leaves nobody over"
        )
    first_s = users / 2 / ceiling
    if plan.name == CONSTANT and plan.spawn_rate is None and first_s > MATCH_WITHIN_S:
        yield f"all {users:,} users join at once: the last of them is matched after {first_s:.3g} s (-r spreads them)"


def queue_notes(settings: Mapping[str, Any], plan: LoadPlan) -> Iterator[str]:
    """What the way to queue, and the limits for an address, mean for a load of mere visits."""
    low, high = settings["THINK_TIME_MIN"], settings["THINK_TIME_MAX"]
    visit_s = low + max(low, high)
    yield from address_notes(settings, started_a_minute(plan), plan.users_peak * 60 / visit_s if visit_s else math.inf)
    if settings["QUEUE_MODE"] == "shared":
        again = settings["SEED_TOKENS"] and settings["CONTRACT"] == "server"
        yield (
            f"QUEUE_MODE=shared: all users queue in one key, in which at most {KEY_PAIRS_PER_S:g} pairs/s are matched "
            f"({PAIRS_PER_TICK} each {TICK_S * 1000:g} ms), a token each; "
            + ("who has none left buys again" if again else "nobody buys again, so tokens may run out")
        )


def token_notes(settings: Mapping[str, Any], plan: LoadPlan) -> Iterator[str]:
    """What the limits for an address mean for a load of webhooks."""
    # A repeated delivery is five requests more, of the same kind.
    rate_a_s = max(settings["BASE_RATE"], settings["SPIKE_RATE"]) * (1 + 5 * settings["REDELIVERY"])
    yield from address_notes(settings, settings["SEED_USER_COUNT"], 60 * rate_a_s)
