"""The webhook through which Stripe reports paid checkouts: each is credited once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from pika_locust.platforms.verity.world_bodies import BROKEN, bad_request, reply
from pika_locust.platforms.verity.world_people import TokenStore
from pika_locust.platforms.verity.world_signature import javascript_int, verify
from pika_locust.sandbox.board import FaultSwitches
from pika_locust.sandbox.world import Answer, Request

LARGEST_INT = 2**31 - 1
RECEIVED = reply({"received": True})
NO_SIGNATURE = bad_request("Missing Stripe signature")
BAD_SIGNATURE = bad_request("Invalid Stripe signature")


@dataclass(frozen=True, slots=True)
class Purchase:
    """A paid checkout as an event reports it."""

    event_id: str
    checkout_id: str
    user_id: str
    tokens: int


class Payments:
    """Credits, and the counts of webhooks by what became of them:

    `received` all, `credited` bookings of tokens, `duplicates` events or checkouts seen before, `refused` for their
    signature, `ignored` because there was nothing to do, `failed` with 500 (unknown users, impossible amounts).
    """

    def __init__(self, faults: FaultSwitches, purse: TokenStore, secret: bytes) -> None:
        self._faults = faults
        self._purse = purse
        self._secret = secret
        self._events: set[str] = set()
        self._checkouts: set[str] = set()
        self.counts: Counter[str] = Counter()

    def webhook(self, request: Request, event: Any, now: float) -> Answer:
        """Answers a delivery; `event` is its parsed body."""
        self.counts["received"] += 1
        header = request.headers.get("stripe-signature", "")
        if not header:
            self.counts["refused"] += 1
            return NO_SIGNATURE
        # only bodies that were parsed as JSON keep their raw bytes, which are what is signed
        is_json = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
        if "forget-signature" in self._faults.on:
            self._faults.count("forget-signature")
        elif not is_json or verify(request.body, header, self._secret, now) is not None:
            self.counts["refused"] += 1
            if "forged-500" in self._faults.on:
                self._faults.count("forged-500")
                return BROKEN
            return BAD_SIGNATURE
        purchase = purchase_of(event)
        if purchase is None:
            self.counts["ignored"] += 1
            return RECEIVED
        return self._book(purchase)

    def _book(self, purchase: Purchase) -> Answer:
        faults, user_id = self._faults, purchase.user_id
        seen = purchase.event_id in self._events
        if seen:
            self.counts["duplicates"] += 1
            if "redelivery-500" in faults.on:
                faults.count("redelivery-500")
                return BROKEN
            if "forget-event" not in faults.on:
                return RECEIVED
            faults.count("forget-event")
        balance = self._purse.balances.get(user_id)
        if balance is None or balance + purchase.tokens > LARGEST_INT:
            self.counts["failed"] += 1
            return BROKEN
        if purchase.checkout_id in self._checkouts and not seen:
            # the row is unique on the checkout, too: the real server's insert fails
            self.counts["duplicates"] += 1
            return BROKEN
        self._events.add(purchase.event_id)
        self._checkouts.add(purchase.checkout_id)
        copies = 0 if faults.hits("lose-write", "credit") else 2 if faults.hits("double", "credit") else 1
        for _ in range(copies):
            self._purse.buy(user_id, purchase.tokens)
            self.counts["credited"] += 1
        return RECEIVED


def purchase_of(event: Any) -> Purchase | None:
    """The purchase that an event reports; None when there is nothing to credit."""
    fields = _object(event)
    checkout = _object(_object(fields.get("data")).get("object"))
    about = _object(checkout.get("metadata"))
    user_id, tokens = about.get("userId"), about.get("tokens")
    if fields.get("type") != "checkout.session.completed" or checkout.get("payment_status") != "paid":
        return None
    if not (user_id and about.get("packId") and tokens):
        return None
    number = javascript_int(str(tokens))
    if number is None or number <= 0:
        return None
    return Purchase(str(fields.get("id")), str(checkout.get("id")), str(user_id), number)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
