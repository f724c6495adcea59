"""What all actors of one process have in common: the address, how they connect, the bound metrics, the books."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pika_locust.load.dice import SeededRandom
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.http_meter import HttpMeter
from pika_locust.wire import stripe
from pika_locust.wire.http import HttpClient, Origin, Response, SourceAddresses, Timeouts

SANDBOX_SECRET = "whsec_test_secret"
"""Public: what the sandbox's webhook takes when nobody gave it another."""
TIMEOUTS = Timeouts(connect_s=10.0, read_s=30.0, total_s=60.0)


class VerityContext:
    """Get it with `worker.shared(VerityContext)`."""

    def __init__(self, worker: WorkerContext) -> None:
        settings = worker.settings
        self.worker = worker
        self.origin = Origin(worker.begin.target)
        self.meter = worker.shared(HttpMeter)
        self.errors = worker.metrics.rate("error_rate")
        self.secret: str = settings["STRIPE_WEBHOOK_SECRET"] or SANDBOX_SECRET
        addresses = settings["SOURCE_ADDRESSES"]
        self.addresses = SourceAddresses(addresses) if addresses else None

    def client(self, number: int, *, metered: bool = True) -> HttpClient:
        """A connection of a user's own; with a pool of source addresses, from an address of its own. What goes over one
        that is not metered stays out of the HTTP metrics."""
        address = None
        if self.addresses is not None:
            address = self.addresses[self.worker.global_number(number)]
        observer = self.meter if metered else None
        return HttpClient(self.origin, timeouts=TIMEOUTS, observer=observer, source_address=address)

    def checked(self, name: str, ok: bool) -> bool:
        """A check of the suite: counted by name, and in `error_rate`."""
        self.worker.check(name, ok)
        self.errors.add(not ok)
        return ok

    def purchase(self, user_id: str, tokens: int, dice: SeededRandom) -> tuple[bytes, str]:
        """A paid checkout as Stripe reports it, and its signature."""
        payload = stripe.event(f"evt_{_word(dice)}", f"cs_{_word(dice)}", user_id, "starter", tokens)
        return payload, stripe.signature(self.secret, payload, time.time())

    @staticmethod
    def deliver(http: HttpClient, payload: bytes, signature: str) -> Response:
        """Send a checkout as Stripe does."""
        headers = {"content-type": "application/json", stripe.HEADER: signature}
        return http.post("/webhooks/stripe", data=payload, headers=headers, name="stripe_webhook")


def _word(dice: SeededRandom) -> str:
    return f"{dice.bits():016x}{dice.bits() & 0xFFFFFFFF:08x}"


def think_s(settings: Mapping[str, Any], dice: SeededRandom) -> float:
    """A think time of the suite: uniform between its bounds; the lower one when they are the wrong way round."""
    low, high = settings["THINK_TIME_MIN"], settings["THINK_TIME_MAX"]
    return dice.uniform(low, high) if high > low else float(low)
