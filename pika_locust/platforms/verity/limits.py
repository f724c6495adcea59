"""What the real server allows one address a minute, and how many addresses a load needs for it."""

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
