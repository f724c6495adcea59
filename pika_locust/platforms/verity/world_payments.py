"""The webhook through which Stripe reports paid checkouts to Verity: each is credited once."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pika_locust.platforms.verity.world_http import SERVER_ERROR, bad_request, media_type, reply
from pika_locust.platforms.verity.world_model import TokenStore
from pika_locust.sandbox.app import App
from pika_locust.sandbox.auth import StripeSignatures
from pika_locust.sandbox.world import Answer, Request

LARGEST_INT = 2**31 - 1
RECEIVED = reply({"received": True})
NO_SIGNATURE = bad_request("Missing Stripe signature")
BAD_SIGNATURE = bad_request("Invalid Stripe signature")
_WHOLE = re.compile(r"\s*([+-]?[0-9]{1,400})")


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

    def __init__(self, app: App, tokens: TokenStore, signatures: StripeSignatures) -> None:
        self._app = app
        self._tokens = tokens
        self._signatures = signatures
        self._events: set[str] = set()
        self._checkouts: set[str] = set()
        self._counts: Counter[str] = Counter()

    def to_json(self) -> dict[str, int]:
        """The counts."""
        kinds = ("received", "credited", "duplicates", "refused", "ignored", "failed")
        return {kind: self._counts[kind] for kind in kinds}

    def webhook(self, request: Request, event: dict[str, Any]) -> Answer:
        """Answers a delivery; `event` is its parsed body."""
        app, counts = self._app, self._counts
        counts["received"] += 1
        header = request.headers.get("stripe-signature", "")
        if not header:
            counts["refused"] += 1
            return NO_SIGNATURE
        # only bodies that were parsed as JSON keep their raw bytes, which are what is signed
        signed = media_type(request) == "application/json"
        if not app.hit("forget-signature") and not (signed and self._signatures.accepts(request.body, header, app.now)):
            counts["refused"] += 1
            return SERVER_ERROR if app.hit("forged-500") else BAD_SIGNATURE
        purchase = purchase_of(event)
        if purchase is None:
            counts["ignored"] += 1
            return RECEIVED
        return self._book(purchase)

    def _book(self, purchase: Purchase) -> Answer:
        app, user_id = self._app, purchase.user_id
        seen = purchase.event_id in self._events
        if seen:
            self._counts["duplicates"] += 1
            if app.hit("redelivery-500"):
                return SERVER_ERROR
            if not app.hit("forget-event"):
                return RECEIVED
        balance = self._tokens.balances.get(user_id)
        if balance is None or balance + purchase.tokens > LARGEST_INT:
            self._counts["failed"] += 1
            return SERVER_ERROR
        if purchase.checkout_id in self._checkouts and not seen:
            # the row is unique on the checkout, too: the real server's insert fails
            self._counts["duplicates"] += 1
            return SERVER_ERROR
        self._events.add(purchase.event_id)
        self._checkouts.add(purchase.checkout_id)
        for _ in range(app.copies("credit")):
            self._tokens.buy(user_id, purchase.tokens)
            self._counts["credited"] += 1
        return RECEIVED


def purchase_of(event: dict[str, Any]) -> Purchase | None:
    """The purchase that an event reports; None when there is nothing to credit."""
    checkout = _object(_object(event.get("data")).get("object"))
    about = _object(checkout.get("metadata"))
    user_id, tokens = about.get("userId"), about.get("tokens")
    if event.get("type") != "checkout.session.completed" or checkout.get("payment_status") != "paid":
        return None
    if not (user_id and about.get("packId") and tokens):
        return None
    # as `parseInt` reads it: the number that a text begins with
    number = _WHOLE.match(str(tokens))
    if number is None or int(number[1]) <= 0:
        return None
    return Purchase(str(event.get("id")), str(checkout.get("id")), str(user_id), int(number[1]))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
