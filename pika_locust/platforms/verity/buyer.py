"""The payment provider of Verity: reports paid checkouts by webhook; and the set-up that makes whom they are for."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import Any

from pika_locust import clock
from pika_locust.errors import SetupError
from pika_locust.kit.meters import named
from pika_locust.kit.source_addresses import TargetClients
from pika_locust.platforms.verity.account import Account, SeededMembers, VerityActor
from pika_locust.platforms.verity.answers import DONE, Credentials, sign_up_in
from pika_locust.platforms.verity.scenarios import TOKENS_METRICS
from pika_locust.runtime.arrivals import OpenActor
from pika_locust.scenario import SetupContext, SetupResult
from pika_locust.wire.http import Response, Timeouts

logger = logging.getLogger(__name__)

WITHIN_S = 60.0
"""k6's time-out for a set-up, which ends its run there. Here the members that are made by then have to do."""
SET_UP_TIMEOUTS = Timeouts(connect_s=10.0, read_s=10.0, total_s=15.0)
"""Nobody is served yet: a target that needs longer for one sign-up has no answer for many."""
GIVE_UP_AFTER = 3
"""So many sign-ups in a row without any answer: the target is not there any more."""


class Buyer(VerityActor, OpenActor):
    """One iteration is one checkout of a random member; with REDELIVERY, some are delivered again, or forged."""

    meters: Any = named(TOKENS_METRICS)

    def begin(self) -> None:
        super().begin()
        self.members = self.worker.shared(SeededMembers)

    def act(self) -> None:
        account = self.members.pick(self.dice) or self._sign_up_late()
        if account is not None:
            self._check_out(account)
        self.think()

    def _sign_up_late(self) -> Account | None:
        """Where the set-up made no member, the target was dead: this iteration's attempt is to find out whether it is
        still, by the request that it would have to begin with."""
        account = Account(self.number)
        if self.sign_up(account):
            self.members.add(account)
        return self.members.pick(self.dice)

    def _check_out(self, account: Account) -> None:
        settings = self.worker.settings
        tokens = settings["TOKENS_PER_EVENT"]
        payload, signature = self.purchase(account.user_id, tokens)
        response = self.pay_for(account, payload, signature, tokens)
        if response.error is None:
            self.meters.stripe_webhook_latency.add(response.duration_us)
        if response.status == 200 and self.dice.chance(settings["REDELIVERY"]):
            self.misdeliver(payload, signature, lambda: self.purchase(account.user_id, tokens)[0])

    def are_ignored(self, one: Response, other: Response) -> bool:
        """One of two at the same moment may be told to come again, by a 5xx, but not both."""
        return self.is_ignored(one) or self.is_ignored(other)


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
    clients = TargetClients(context.target, context.settings, SET_UP_TIMEOUTS)
    with ExitStack() as opened:
        http = opened.enter_context(clients.client(0))
        wanted = context.settings["SEED_USER_COUNT"]
        logger.info("Making %s members before the load", f"{wanted:,}")
        deadline_s = clock.monotonic() + WITHIN_S
        for number in range(wanted):
            if clock.monotonic() > deadline_s:
                why = f"there was no time for more within {WITHIN_S:g} s"
                break
            if number and not clients.keep:
                http = opened.enter_context(clients.client(number))
            response = http.post("/auth/signup-anonymous", json={})
            member = sign_up_in(response) if response.status in DONE else None
            lives = response.error is None and response.status < 500
            if member is not None:
                members[member.user_id] = member.credentials
            elif lives or dead:
                why = _why(response)
            dead = dead and not lives
            unanswered = unanswered + 1 if response.error is not None else 0
            if unanswered and (not members or unanswered == GIVE_UP_AFTER):
                why = why or _why(response)
                break
    return members, dead, why


def _why(response: Response) -> str:
    return response.summary if response.error is not None else f"sign-up was answered {response.summary}"
