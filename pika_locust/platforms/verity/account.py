"""One virtual member: an anonymous account, its tokens, and what its balance must be."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pika_locust.kit import stripe
from pika_locust.kit.sampled_audit import SAMPLE_SIZE, SampledAudit
from pika_locust.load.rng import SeededRandom
from pika_locust.platforms.verity.audits import ExpectedBalance, look_up_balances
from pika_locust.platforms.verity.messages import DONE, Credentials, balance_in, member_in
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.http_meter import HttpMeter
from pika_locust.wire.http import HttpClient, Origin, Response, SourceAddresses, Timeouts

# What the target must hold of users' tokens, going by its own answers.


@dataclass(slots=True)
class TokenBounds:
    """What the target must hold for one user: between `least` and `most`."""

    least: int = 0
    most: int = 0

    def credited(self, tokens: int) -> None:
        """So many more, for certain; fewer when it is negative."""
        self.least += tokens
        self.most += tokens

    def maybe(self, change: int) -> None:
        """Something that may have happened or not: its answer has not come, and perhaps never will."""
        self.least += min(0, change)
        self.most += max(0, change)

    def known(self, change: int, happened: bool) -> None:
        """What `maybe` left open is settled."""
        self.least -= min(0, change)
        self.most -= max(0, change)
        if happened:
            self.credited(change)


# What all actors of one process have in common: the address, how they connect, the bound metrics, the books.

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


def balance_audit(worker: WorkerContext, wanted: int = SAMPLE_SIZE) -> SampledAudit[ExpectedBalance]:
    """What looks the balances of users up who have ended; get it with `worker.shared(balance_audit)`."""
    context = worker.shared(VerityContext)

    def look_up(owed: Sequence[ExpectedBalance]) -> Mapping[str, Any]:
        # Where each user has an address of its own, each has a connection of its own.
        keep = context.addresses is None
        return look_up_balances(owed, lambda number: context.client(number, metered=False), keep=keep)

    return SampledAudit(worker, look_up, wanted)


def _word(dice: SeededRandom) -> str:
    return f"{dice.bits():016x}{dice.bits() & 0xFFFFFFFF:08x}"


def think_s(settings: Mapping[str, Any], dice: SeededRandom) -> float:
    """A think time of the suite: uniform between its bounds; the lower one when they are the wrong way round."""
    low, high = settings["THINK_TIME_MIN"], settings["THINK_TIME_MAX"]
    return dice.uniform(low, high) if high > low else float(low)


REFRESH_AGAIN_S = 10.0
"""Between attempts to renew a pass."""


class Account:
    """Signs up, buys tokens by signed webhooks, and remembers what it is owed. Used by one user's greenlet."""

    def __init__(self, number: int, dice: SeededRandom, lobby: VerityContext) -> None:
        self._number = number
        self._dice = dice
        self._lobby = lobby
        self.http: HttpClient = lobby.client(number)
        self.tokens = TokenBounds()
        self.user_id = ""
        self.entry = Credentials()

    @property
    def exists(self) -> bool:
        """Whether signing up has worked."""
        return self.user_id != ""

    def sign_up(self) -> bool:
        """Make an account. False when the target did not give one."""
        response = self.http.post("/auth/signup-anonymous", json={}, name="auth_signup")
        ok = self._lobby.checked("signup ok", response.status in DONE)
        member = member_in(response)
        if member is None:
            if ok:
                self._lobby.worker.error("auth_signup", "answered without accessToken and user.id")
            return False
        self.user_id = member.user_id
        self._use(member.entry)
        return True

    def refresh_if_old(self) -> None:
        """Get a new access token before the old one expires, as the app does."""
        if not self.entry.is_old:
            return
        entry = self.entry.renewed(self.http)
        self._lobby.checked("token refresh ok", entry is not None)
        if entry is not None:
            self._use(entry)
        else:
            self.entry = replace(self.entry, fresh_until_s=time.monotonic() + REFRESH_AGAIN_S)

    def _use(self, entry: Credentials) -> None:
        self.entry = entry
        self.http.set_headers(entry.headers)

    def buy(self, tokens: int) -> bool:
        """Have the payment provider report a paid checkout. False when it was not acknowledged."""
        payload, signature = self._lobby.purchase(self.user_id, tokens, self._dice)
        self.tokens.maybe(tokens)
        response = self._lobby.deliver(self.http, payload, signature)
        ok = self._lobby.checked("stripe webhook ok", response.status == 200)
        if response.error is None:
            self.tokens.known(tokens, ok)
        return ok

    def balance(self) -> int | None:
        """What the target says the balance is; None when it does not say."""
        response = self.http.get("/tokens/balance", name="tokens_balance")
        return balance_in(response) if self._lobby.checked("tokens balance ok", response.status == 200) else None

    def books(self) -> ExpectedBalance:
        """How the account stands, for whoever looks its balance up later."""
        return ExpectedBalance(self.user_id, self._number, self.entry, self.tokens.least, self.tokens.most)

    def close(self) -> None:
        """Give the connection back."""
        self.http.close()


# Whom webhooks pay for: the members that the set-up made, or those that a target gives that was dead before.


class Payee(NamedTuple):
    """One member and the books of what was paid for it in this process."""

    user_id: str
    tokens: TokenBounds


class SeededMembers:
    """Get it with `worker.shared(SeededMembers)`. What was paid for whom is told when all users have ended: for
    seeded members to the master, which holds their passes; for the
    others, whose passes only this process has, to the auditor."""

    def __init__(self, worker: WorkerContext) -> None:
        self._facts = worker.facts
        self._auditor = worker.shared(balance_audit)
        self._seeded = [Payee(user_id, TokenBounds()) for user_id in worker.begin.given.get("users", ())]
        self._late: list[Account] = []
        # What is asked for later comes earlier at the end: before the auditor looks anything up.
        worker.on_end(self._hand_in)

    def pick(self, dice: SeededRandom) -> Payee | None:
        """A member at random; None when there are none."""
        if self._seeded:
            return dice.choice(self._seeded)
        if self._late:
            account = dice.choice(self._late)
            return Payee(account.user_id, account.tokens)
        return None

    def welcome(self, account: Account) -> None:
        """Somebody has signed up after all."""
        self._late.append(account)

    def _hand_in(self) -> None:
        for number, (_, tokens) in enumerate(self._seeded):
            self._facts[f"credited {number}"] = tokens.least
            self._facts[f"maybe {number}"] = tokens.most - tokens.least
        for account in self._late:
            self._auditor.take(account.books())
