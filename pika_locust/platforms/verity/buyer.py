"""A payment provider at rush hour: reports paid checkouts by webhook, whenever one is due."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import Any

import gevent

from pika_locust.errors import SetupError
from pika_locust.kit import stripe
from pika_locust.platforms.verity.account import Account, Payee, SeededMembers, VerityContext, think_s
from pika_locust.platforms.verity.messages import DONE, Credentials, member_in
from pika_locust.runtime.arrivals import OpenActor
from pika_locust.scenario import SetupContext, SetupResult
from pika_locust.wire.http import HttpClient, Origin, Response, SourceAddresses, Timeouts

logger = logging.getLogger(__name__)


REFUSED = (400, 401, 403)


class Buyer(OpenActor):
    """One iteration is one checkout of a random member; with REDELIVERY, some are delivered again, or forged."""

    def begin(self) -> None:
        self.lobby = self.worker.shared(VerityContext)
        self.members = self.worker.shared(SeededMembers)
        self.http = self.lobby.client(self.number)
        self._apart: HttpClient | None = None
        metrics = self.worker.metrics
        self._latency = metrics.trend("stripe_webhook_latency")
        self._ignored = metrics.rate("redelivery_ignored")
        self._refused = metrics.rate("forged_refused")

    def act(self) -> None:
        payee = self.members.pick(self.dice) or self._newcomer()
        if payee is not None:
            self._check_out(payee)
        self.pause(think_s(self.worker.settings, self.dice))

    def _newcomer(self) -> Payee | None:
        """Where the set-up made no member, the target was dead: this iteration's attempt is to find out whether it is
        still, by the request that it would have to begin with."""
        account = Account(self.number, self.dice, self.lobby)
        try:
            if account.sign_up():
                self.members.welcome(account)
        finally:
            account.close()
        return self.members.pick(self.dice)

    def _check_out(self, payee: Payee) -> None:
        settings = self.worker.settings
        tokens = settings["TOKENS_PER_EVENT"]
        payload, signature = self.lobby.purchase(payee.user_id, tokens, self.dice)
        # Until it is answered it may be credited or not; that stays so when it never is, or when we are cut off.
        payee.tokens.maybe(tokens)
        response = self.lobby.deliver(self.http, payload, signature)
        ok = self.lobby.checked("stripe webhook ok", response.status == 200)
        if response.error is None:
            self._latency.add(response.duration_us)
            payee.tokens.known(tokens, ok)
        if ok and self.dice.chance(settings["REDELIVERY"]):
            self._misbehave(payload, signature, payee.user_id, tokens)

    # Deliberate negatives: their answers are expected ones, and stay out of failure rates and latencies

    def _misbehave(self, payload: bytes, signature: str, user_id: str, tokens: int) -> None:
        """The same event again, twice at once, and two that no receiver may take; none of them may credit anything."""
        if self._apart is None:
            self._apart = self.lobby.client(self.number, metered=False)
        self._ignored.add(self.lobby.deliver(self._apart, payload, signature).status == 200)
        self._ignored.add(self._at_once(payload, signature))
        secret, now_s = self.lobby.secret, time.time()
        event, _ = self.lobby.purchase(user_id, tokens, self.dice)
        for wrong in (stripe.forged(secret, event, now_s), stripe.stale(secret, event, now_s)):
            # A 5xx, as the real server gives it, is a defect: Stripe would deliver the event again for three days.
            self._refused.add(self.lobby.deliver(self._apart, event, wrong).status in REFUSED)

    def _at_once(self, payload: bytes, signature: str) -> bool:
        """Two more deliveries at the same moment; one may be told to come again, by a 5xx, but not both."""
        assert self._apart is not None
        second = self.lobby.client(self.number, metered=False)
        other: Any = gevent.spawn(self.lobby.deliver, second, payload, signature)
        mine = self.lobby.deliver(self._apart, payload, signature)
        theirs = other.get()
        second.close()
        return any(answer.status == 200 for answer in (mine, theirs))

    def on_stop(self) -> None:
        if hasattr(self, "http"):
            self.http.close()
        if getattr(self, "_apart", None) is not None:
            assert self._apart is not None
            self._apart.close()
        super().on_stop()


# The members that webhooks pay for: made before the load, one after the other, as the suite's own set-up does.

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
