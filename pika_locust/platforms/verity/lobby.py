"""What all actors of one process have in common: the address, how they connect, the bound metrics, the books."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from pika_locust.load.dice import Dice
from pika_locust.runtime.http_meter import HttpMeter
from pika_locust.runtime.share import Share
from pika_locust.wire import stripe
from pika_locust.wire.http import HttpClient, Origin, SourceAddresses, Timeouts

SANDBOX_SECRET = "whsec_test_secret"
"""Public: what the sandbox's webhook takes when nobody gave it another."""
TIMEOUTS = Timeouts(connect_s=10.0, read_s=30.0, total_s=60.0)
KEY_USERS_PER_S = 40.0
"""The real worker matches at most ten pairs each 500 ms in one key."""
KEY_SHARE = 0.6
AUDITED_USERS = 1000
"""Users whose balance is looked up at the end, in the whole test, when there are more."""


class Lobby:
    """Get it with `share.shared(Lobby)`."""

    def __init__(self, share: Share) -> None:
        settings = share.settings
        self.share = share
        self.origin = Origin(share.begin.target)
        self.meter = share.shared(HttpMeter)
        self.errors = share.metrics.rate("error_rate")
        self.secret: str = settings["STRIPE_WEBHOOK_SECRET"] or SANDBOX_SECRET
        addresses = settings["SOURCE_ADDRESSES"]
        self._addresses = SourceAddresses(addresses) if addresses else None
        self.queue_keys = _queue_keys(settings, share.begin.users_peak)
        self._audited = 0
        share.facts["users_audited"] = share.facts["tokens_expected"] = share.facts["tokens_held"] = 0

    def client(self, number: int, *, metered: bool = True) -> HttpClient:
        """A connection of a user's own; with a pool of source addresses, from an address of its own. What goes over one
        that is not metered stays out of the HTTP metrics."""
        address = None
        if self._addresses is not None:
            address = self._addresses[self.share.global_number(number)]
        observer = self.meter if metered else None
        return HttpClient(self.origin, timeouts=TIMEOUTS, observer=observer, source_address=address)

    def checked(self, name: str, ok: bool) -> bool:
        """A check of the suite: counted by name, and in `error_rate`."""
        self.share.check(name, ok)
        self.errors.add(not ok)
        return ok

    def purchase(self, user_id: str, tokens: int, dice: Dice) -> tuple[bytes, str]:
        """A paid checkout as Stripe reports it, and its signature."""
        payload = stripe.event(f"evt_{_word(dice)}", f"cs_{_word(dice)}", user_id, "starter", tokens)
        return payload, stripe.signature(self.secret, payload, time.time())

    def wants_audit(self) -> bool:
        """Whether one more user's balance is to be looked up: a thousand in all say enough about ten thousand."""
        if self._audited >= -(-AUDITED_USERS // max(1, self.share.begin.workers)):
            return False
        self._audited += 1
        return True

    def audited(self, user_id: str, least: int, most: int, held: int) -> None:
        """Book what a user's balance was, against what it had to be."""
        facts: dict[str, Any] = self.share.facts
        facts["users_audited"] += 1
        facts["tokens_expected"] += least
        facts["tokens_unanswered"] = facts.get("tokens_unanswered", 0) + most - least
        facts["tokens_held"] += held
        if not least <= held <= most:
            facts["balances_wrong"] = facts.get("balances_wrong", 0) + 1
            owed = str(least) if least == most else f"{least} to {most}"
            facts.setdefault("balances_wrong_first", f"user {user_id} holds {held}, owed {owed}")


def _queue_keys(settings: Mapping[str, Any], users: int) -> int:
    """How many queue keys the users are spread over: enough to stay below 60 % of what the worker can match in one."""
    if settings.get("QUEUE_KEYS"):
        return int(settings["QUEUE_KEYS"])
    visit_s = float(settings.get("SESSION_HOLD_SECONDS", 0.0)) + 1.0
    return max(1, math.ceil(users / visit_s / (KEY_SHARE * KEY_USERS_PER_S)))


def _word(dice: Dice) -> str:
    return f"{dice.bits():016x}{dice.bits() & 0xFFFFFFFF:08x}"


def think_s(settings: Mapping[str, Any], dice: Dice) -> float:
    """A think time of the suite: uniform between its bounds; the lower one when they are the wrong way round."""
    low, high = settings["THINK_TIME_MIN"], settings["THINK_TIME_MAX"]
    return dice.uniform(low, high) if high > low else float(low)
