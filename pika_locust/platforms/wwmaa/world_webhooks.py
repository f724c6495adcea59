"""The webhook through which Stripe reports to WWMAA: each event is processed once, whatever its handler makes of it."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pika_locust.platforms.wwmaa.world_accounts import SERVER_ERROR, Accounts, user_id
from pika_locust.sandbox.app import Call, route
from pika_locust.sandbox.auth import StripeSignatures
from pika_locust.sandbox.schema import parse_json
from pika_locust.sandbox.world import Answer, Request

DEFAULT_SECRET = "whsec_test_secret"
KNOWN = "_lt_"
"""What the ids of the customers and subscriptions have in them that are in the database."""
_IGNORED: dict[str, Any] = {}


class Webhooks(Accounts):
    """STRIPE_WEBHOOK_SECRET signs the events."""

    def start(self) -> None:
        super().start()
        self._signatures = StripeSignatures(self.setting("STRIPE_WEBHOOK_SECRET", DEFAULT_SECRET).encode())
        self._seen: set[str] = set()
        self.processed: Counter[str] = Counter()

    def webhooks_state(self) -> dict[str, Any]:
        """How often each event was processed."""
        return {"webhooks": dict(self.processed)}

    def read_body(self, request: Request, schema: Any) -> dict[str, Any]:
        """A webhook's is looked at when it is known who sent it."""
        return {} if request.path == "/api/webhooks/stripe" else super().read_body(request, schema)

    @route("POST", "/api/webhooks/stripe")
    def webhook(self, call: Call) -> Answer:
        header = call.request.headers.get("stripe-signature", "")
        if "forget-signature" not in self.faults.on:
            if not header:
                return Answer.json({"detail": "Missing Stripe-Signature header"}, 400)
            if not self._signatures.accepts(call.request.body, header, self.now):
                return Answer.json({"detail": "Invalid signature"}, 400)
        try:
            event = parse_json(call.request.body)
        except ValueError:
            return Answer.json({"detail": "Invalid payload"}, 400)
        if not isinstance(event, dict) or not isinstance(event.get("id"), str):
            return Answer.json(SERVER_ERROR, 500)
        if event["id"] in self._seen and not self.hit("forget-event"):
            return self._duplicate(event["id"])
        self._seen.add(event["id"])
        result = self._handle(str(event.get("type")), event)
        for _ in range(self.copies("webhook")):
            self.processed[event["id"]] += 1
        return self._answer(event, result)

    def _duplicate(self, event_id: str) -> Answer:
        if self.is_suite:
            return Answer.json({"received": True, "status": "duplicate"})
        return Answer.json({"status": "duplicate", "event_id": event_id, "message": "Event already processed"})

    def _answer(self, event: dict[str, Any], result: dict[str, Any] | None) -> Answer:
        if self.is_suite:
            return Answer.json({"received": True})
        if result is None:
            words = "Event stored for manual processing"
            return Answer.json({"status": "error", "event_id": event["id"], "message": words})
        kind = event.get("type")
        ignored = {"status": "ignored", "message": f"Event type {kind} not handled"}
        done = {**(result or ignored), "processing_time_seconds": 0.001}
        return Answer.json({"status": "success", "event_id": event["id"], "event_type": kind, "result": done})

    def _handle(self, kind: str, event: dict[str, Any]) -> dict[str, Any] | None:
        """What a handler says; nothing in it where there is none, and None where it fails."""
        data = event.get("data")
        about = data.get("object") if isinstance(data, dict) else None
        about = about if isinstance(about, dict) else {}
        customer, is_shipped = str(about.get("customer")), "as-shipped" in self.faults.on
        user = {"user_id": user_id(customer)}
        match kind:
            case "customer.subscription.updated":
                new = {"subscription_id": _row(str(about.get("id"))), "new_status": about.get("status")}
                return _done("subscription_updated", **new) if KNOWN in str(about.get("id")) else None
            case "customer.subscription.deleted":
                new = {"subscription_id": _row(str(about.get("id"))), **user, "new_role": "public"}
                return _done("subscription_deleted", **new) if KNOWN in customer else None
            case "invoice.paid":
                return _done("invoice_paid", payment_id=_row(event["id"]), **user) if KNOWN in customer else None
            case "invoice.payment_failed":
                # As shipped, the handler is called and never waited for.
                return None if is_shipped else _done("invoice_payment_failed", **user)
            case "charge.refunded":
                amount = (about.get("amount_refunded") or 0) / 100
                return _done("charge_refunded", payment_id=_row(event["id"]), refund_amount=amount, **user)
            case "checkout.session.completed":
                metadata = about.get("metadata")
                is_rsvp = isinstance(metadata, dict) and metadata.get("type") == "event_rsvp"
                if is_rsvp:
                    return None if is_shipped else _done("rsvp_created", rsvp_id=_row(event["id"]), **user)
                return _done("checkout_completed", subscription_id=_row(str(about.get("subscription"))), **user)
        return _IGNORED


def _done(action: str, **told: Any) -> dict[str, Any]:
    return {"status": "success", "action": action, **told}


def _row(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))
