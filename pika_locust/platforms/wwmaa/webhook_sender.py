"""Stripe, as WWMAA's webhook sees it: events in the suite's mix, delivered again, forged and stale ones among them."""

from __future__ import annotations

from json import dumps
from typing import Any

from pika_locust import clock
from pika_locust.kit import WebhookActor
from pika_locust.kit.meters import named
from pika_locust.platforms.wwmaa.member import WwmaaUser
from pika_locust.platforms.wwmaa.scenarios import WEBHOOKS_METRICS
from pika_locust.runtime.arrivals import OpenActor
from pika_locust.wire.http import Response

MIX = (
    ("payment_intent.succeeded", 0.4),
    ("customer.subscription.updated", 0.3),
    ("invoice.payment_succeeded", 0.15),
    ("payment_intent.payment_failed", 0.1),
    ("customer.subscription.deleted", 0.05),
)
"""Kinds of events, with the share of each."""
KNOWN = 100
"""Customers and subscriptions that the target has: `cus_lt_0`, `sub_lt_0` and so on."""
MONTH_S = 30 * 86_400


class WebhookSender(WwmaaUser, WebhookActor, OpenActor):
    """One iteration is one event, and with REDELIVERY what must have no effect."""

    meters: Any = named(WEBHOOKS_METRICS)
    webhook = "/api/webhooks/stripe"
    webhook_name = "webhook"

    def act(self) -> None:
        if not self.prepare_posts():
            self.meters.webhook_processing_success.add(False)
            return
        event_id, payload = self._event()
        signature = self.sign(payload)
        ledger = self.worker.ledgers["webhooks"]
        ledger.sent(event_id)
        try:
            response = self.deliver(self.http, payload, signature)
        except BaseException:
            ledger.uncertain(event_id)
            raise
        good = self._judge(response)
        if good:
            ledger.acked(event_id)
        elif response.refused:
            ledger.refused(event_id, str(response.status))
        else:
            ledger.uncertain(event_id)
        if good and self.dice.chance(self.worker.settings["REDELIVERY"]):
            self.misdeliver(payload, signature, lambda: self._event()[1])

    def _judge(self, response: Response) -> bool:
        """Whether an event that is new was taken and processed."""
        answer = response.json_object()
        taken = self.checked("status is 200", response.error is None and response.status == 200)
        done = taken and (answer.get("received") is True or answer.get("status") == "success")
        if taken:
            self.meters.webhook_processing_latency.add(response.duration_us)
            self.checked("response has success indicator", done)
            if not done:
                self.worker.error("webhook", str(answer.get("status")), response.says)
        if answer.get("status") == "duplicate" or response.status == 409:
            self.meters.webhook_duplicates.add()
        if response.error is None and response.status < 500:
            self.meters.webhook_signature_valid.add(response.status != 400)
        self.meters.webhook_processing_success.add(done)
        return done

    def is_ignored(self, answer: Response) -> bool:
        """The real server says that it knows the event; of the suite's, only that it has received it is known."""
        if self.is_suite:
            return answer.status in (200, 409)
        return answer.status == 200 and answer.json_object().get("status") == "duplicate"

    def _event(self) -> tuple[str, bytes]:
        kind, number, now_s = self.dice.weighted(MIX), self.dice.below(KNOWN), int(clock.time())
        mark = self.new_id()
        event = {
            "id": f"evt_{mark}",
            "object": "event",
            "api_version": "2023-10-16",
            "created": now_s,
            "type": kind,
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": f"req_{mark}", "idempotency_key": mark},
            "data": {"object": _about(kind, mark, number, now_s, self.worker.settings["TEST_MEMBERSHIP_TIER_ID"])},
        }
        return event["id"], dumps(event, separators=(",", ":")).encode()


def _about(kind: str, mark: str, number: int, now_s: int, tier: str) -> dict[str, Any]:
    customer, subscription = f"cus_lt_{number}", f"sub_lt_{number}"
    metadata = {"membership_tier": tier, "user_id": f"user_{number}"}
    if kind.startswith("payment_intent"):
        succeeded = kind.endswith("succeeded")
        status = "succeeded" if succeeded else "requires_payment_method"
        intent = {"id": f"pi_{mark}", "object": "payment_intent", "amount": 9900, "currency": "usd", "status": status}
        error = {} if succeeded else {"last_payment_error": {"code": "card_declined", "message": "declined"}}
        return {**intent, "customer": customer, "metadata": metadata, **error}
    if kind.startswith("invoice"):
        invoice = {"id": f"in_{mark}", "object": "invoice", "customer": customer, "subscription": subscription}
        return {**invoice, "amount_paid": 9900, "currency": "usd", "status": "paid"}
    gone = {"canceled_at": now_s} if kind.endswith("deleted") else {}
    return {
        "id": subscription,
        "object": "subscription",
        "customer": customer,
        "status": "canceled" if gone else "active",
        "current_period_start": now_s,
        "current_period_end": now_s + MONTH_S,
        "items": {"data": [{"id": f"si_{number}", "price": {"id": "price_1", "unit_amount": 9900}}]},
        "metadata": metadata,
        **gone,
    }
