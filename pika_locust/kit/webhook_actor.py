"""`WebhookActor`: a payment provider that delivers signed events to a webhook, some again, and some signed wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import gevent

from pika_locust import clock
from pika_locust.kit import stripe
from pika_locust.kit.http_actor import HttpActor
from pika_locust.metrics import Rate
from pika_locust.metrics.metric import FAILURE
from pika_locust.wire.http import HttpClient, Response

SANDBOX_SECRET = "whsec_test_secret"
"""Public: what a sandbox's webhook takes when nobody gave it another."""
REFUSED = (400, 401, 403)
"""How a receiver refuses a signature. A 5xx is a defect: Stripe would deliver the event again for three days."""


class WebhookActor(HttpActor):
    """Delivers events as Stripe does, signed by the setting STRIPE_WEBHOOK_SECRET. Whoever calls `misdeliver` declares
    the rates `redelivery_ignored` and `forged_refused`."""

    abstract = True

    webhook: ClassVar[str] = "/webhooks/stripe"
    """Its path."""
    webhook_name: ClassVar[str] = "stripe_webhook"
    """The name that its requests are counted by."""

    @property
    def secret(self) -> str:
        """What events are signed with."""
        return self.worker.settings["STRIPE_WEBHOOK_SECRET"] or SANDBOX_SECRET

    def sign(self, payload: bytes) -> str:
        """The signature of an event that is sent now."""
        return stripe.signature(self.secret, payload, clock.time())

    def deliver(self, http: HttpClient, payload: bytes, signature: str) -> Response:
        """Send an event over this connection."""
        headers = {"content-type": "application/json", stripe.HEADER: signature}
        return http.post(self.webhook, data=payload, headers=headers, name=self.webhook_name)

    def is_ignored(self, answer: Response) -> bool:
        """Whether this is the answer to an event that was there before; override it where it says more than 200."""
        return answer.status == 200

    def are_ignored(self, one: Response, other: Response) -> bool:
        """The same of two deliveries at the same moment."""
        return self.is_ignored(one) and self.is_ignored(other)

    def misdeliver(self, payload: bytes, signature: str, another: Callable[[], bytes]) -> None:
        """Deliver an event that was taken again, also twice at once, and two of `another` that are signed wrongly. None
        of it may have an effect, and all of it stays out of the HTTP metrics."""
        again = self.deliver(self.apart, payload, signature)
        _add(self.meters.redelivery_ignored, self.is_ignored(again), _told(again))
        with self.new_client(metered=False) as second:
            at_once: Any = gevent.spawn(self.deliver, second, payload, signature)
            one = self.deliver(self.apart, payload, signature)
            other: Response = at_once.get()
        _add(self.meters.redelivery_ignored, self.are_ignored(one, other), f"at once {_told(one)} and {_told(other)}")
        for wrong in (stripe.forged, stripe.stale):
            event = another()
            answer = self.deliver(self.apart, event, wrong(self.secret, event, clock.time()))
            what = _told(answer) if answer.error is not None else f"not taken, but {_told(answer)}"
            if 200 <= answer.status < 300:
                what = f"taken ({_told(answer)})"
            _add(self.meters.forged_refused, answer.status in REFUSED, what)


def _add(rate: Rate, ok: bool, otherwise: str) -> None:
    """Count an outcome; a bad one with what it was."""
    if ok:
        rate.add(True)
    else:
        rate.tagged(**{FAILURE: otherwise}).add(False)


def _told(response: Response) -> str:
    return f"answered {response.status}" if response.error is None else "not answered"
