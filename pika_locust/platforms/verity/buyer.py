"""A payment provider at rush hour: reports paid checkouts by webhook, whenever one is due."""

from __future__ import annotations

import time
from typing import Any

import gevent

from pika_locust.platforms.verity.account import Account
from pika_locust.platforms.verity.lobby import VerityContext, think_s
from pika_locust.platforms.verity.members import Payee, SeededMembers
from pika_locust.runtime.arrivals import OpenActor
from pika_locust.wire import stripe
from pika_locust.wire.http import HttpClient

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
        gevent.sleep(think_s(self.worker.settings, self.dice))

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
