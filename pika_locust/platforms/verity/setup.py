"""The members that webhooks pay for: made before the load, one after the other, as the suite's own set-up does."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack

from pika_locust.errors import SetupError
from pika_locust.platforms.verity.answers import DONE, Credentials, member_in
from pika_locust.scenario import SetupContext, SetupResult
from pika_locust.wire.http import HttpClient, Origin, Response, SourceAddresses, Timeouts

logger = logging.getLogger(__name__)

WITHIN_S = 60.0
"""k6's time-out for a set-up, which ends its run there. Here the members that are made by then have to do."""
TIMEOUTS = Timeouts(connect_s=10.0, read_s=10.0, total_s=15.0)
"""Nobody is served yet: a target that needs longer for one sign-up has no answer for many."""
GIVE_UP_AFTER = 3
"""So many sign-ups in a row without any answer: the target is not there any more."""


def seed_users(context: SetupContext) -> SetupResult:
    """SEED_USER_COUNT anonymous accounts. Some may fail, as with a server that throttles.

    A target that is dead (no connection, no answer, nothing but 5xx) gives none, and a note: the load will show it.
    Raises SetupError where one that lives gives none.
    """
    members, dead, why = _sign_up(context)
    if not members and not dead:
        raise SetupError(f"no user could be made for the webhooks: {why}")
    notes: tuple[str, ...] = ()
    wanted = context.settings["SEED_USER_COUNT"]
    if members and len(members) < wanted:
        notes = (f"{len(members):,} of {wanted:,} members were made before the load: {why}",)
    if not members:
        notes = (f"no user could be made before the load: {why}; users try again whenever a webhook is due",)
    return SetupResult(public={"users": list(members)}, private={"members": members}, notes=notes)


def _sign_up(context: SetupContext) -> tuple[dict[str, Credentials], bool, str]:
    """The members; whether the target showed no life at all; and the last reason for which it gave none, a refusal
    rather than a failure."""
    members: dict[str, Credentials] = {}
    dead, why, unanswered = True, "", 0
    pool = context.settings["SOURCE_ADDRESSES"]
    addresses = SourceAddresses(pool) if pool else None
    origin = Origin(context.target)
    with ExitStack() as clients:
        http = clients.enter_context(HttpClient(origin, timeouts=TIMEOUTS))
        wanted = context.settings["SEED_USER_COUNT"]
        logger.info("Making %s members before the load", f"{wanted:,}")
        deadline_s = time.monotonic() + WITHIN_S
        for number in range(wanted):
            if time.monotonic() > deadline_s:
                why = f"there was no time for more within {WITHIN_S:g} s"
                break
            if addresses is not None:
                source = addresses[number]
                http = clients.enter_context(HttpClient(origin, timeouts=TIMEOUTS, source_address=source))
            response = http.post("/auth/signup-anonymous", json={})
            member = member_in(response) if response.status in DONE else None
            lives = response.error is None and response.status < 500
            if member is not None:
                members[member.user_id] = member.entry
            elif lives or dead:
                why = _why(response)
            dead = dead and not lives
            unanswered = unanswered + 1 if response.error is not None else 0
            if unanswered and (not members or unanswered == GIVE_UP_AFTER):
                why = why or _why(response)
                break
    return members, dead, why


def _why(response: Response) -> str:
    if response.error is not None:
        return str(response.error)
    return f"sign-up was answered {response.status} {response.reason}"
