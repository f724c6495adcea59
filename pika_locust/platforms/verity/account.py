"""Verity's accounts: what their tokens must be, the requests that make and keep them, and who is paid for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gevent

from pika_locust.clock import monotonic
from pika_locust.kit import WebhookActor, rate, stripe
from pika_locust.kit.http_actor import HttpContext
from pika_locust.kit.sampled_audit import SAMPLE_SIZE, SampledAudit
from pika_locust.load.rng import SeededRandom
from pika_locust.platforms.verity.answers import DONE, Credentials, balance_in, sign_up_in
from pika_locust.platforms.verity.audits import ExpectedBalance, look_up_balances
from pika_locust.platforms.verity.token_bounds import Bounds
from pika_locust.runtime.context import WorkerContext
from pika_locust.wire.http import Response, Timeouts

TIMEOUTS = Timeouts(connect_s=10.0, read_s=30.0, total_s=60.0)
REFRESH_AGAIN_S = 10.0
"""Between attempts to renew credentials."""
LOCKED = 409
"""The answer to leaving the queue while the target's worker has hold of the user."""
LOCKED_AGAIN_S = 0.1
"""Between attempts to leave that meet the lock."""
LOCKED_TRIES = 30
"""The real server's lock expires after three seconds: one that stays is a failure."""


@dataclass(slots=True)
class Account:
    """An anonymous account; without a `user_id` until signing up has worked."""

    number: int = 0
    """The number, in its process, of the user whose account it is."""
    user_id: str = ""
    credentials: Credentials = field(default_factory=Credentials)
    tokens: Bounds = field(default_factory=Bounds)

    @property
    def exists(self) -> bool:
        """Whether signing up has worked."""
        return self.user_id != ""

    @property
    def expected(self) -> ExpectedBalance:
        """How the account stands, for whoever looks its balance up later."""
        return ExpectedBalance(self.user_id, self.number, self.credentials, self.tokens.least, self.tokens.most)


class VerityActor(WebhookActor):
    """What all of Verity's users do: sign up, and report paid checkouts as Stripe does. A check that fails is an error
    of the suite, too."""

    abstract = True

    meters: Any = {"error_rate": rate("checked calls that failed their check")}
    timeouts = TIMEOUTS

    def checked(self, name: str, ok: bool) -> bool:
        self.worker.check(name, ok)
        self.meters.error_rate.add(not ok)
        return ok

    def sign_up(self, account: Account) -> bool:
        """Have the target make the account. False when it did not."""
        response = self.call("POST", "/auth/signup-anonymous", {}, name="auth_signup", check="signup ok", ok=DONE)
        signed_up = sign_up_in(response)
        if signed_up is None:
            if response.status in DONE:
                self.worker.error("auth_signup", f"{response.outcome} without accessToken and user.id", response.says)
            return False
        account.user_id, account.credentials = signed_up
        return True

    def purchase(self, user_id: str, tokens: int) -> tuple[bytes, str]:
        """A paid checkout as Stripe reports it, and its signature."""
        payload = stripe.event(f"evt_{self._word()}", f"cs_{self._word()}", user_id, "starter", tokens)
        return payload, self.sign(payload)

    def _word(self) -> str:
        # A target remembers the events of earlier runs: with the same seed they would be delivered again, for nothing.
        return f"{self.worker.begin.run_id}{self.dice.bits():016x}"

    def pay_for(self, account: Account, payload: bytes, signature: str, tokens: int) -> Response:
        """Deliver a checkout of so many tokens for an account."""
        # Until it is answered it may be credited or not; that stays so when it never is, or when we are cut off, and
        # when a 5xx says that something failed, or took too long, behind which it may have been credited all the same.
        account.tokens.maybe(tokens)
        response = self.deliver(self.http, payload, signature)
        ok = self.checked("stripe webhook ok", response.status == 200)
        if not ok and not response.failed:
            self.worker.error("stripe_webhook", response.outcome, response.says)
        if ok or response.refused or response.unsent:
            account.tokens.known(tokens, ok)
        return response


class MemberActor(VerityActor):
    """A user with an account of its own, whose balance is looked up when all users have ended."""

    abstract = True

    expected = {"queue_leave": (LOCKED,)}
    short_of_tokens = False
    """Whether the last join was refused as one without a token is."""

    def begin(self) -> None:
        super().begin()
        self._own_seed = f"{self.worker.begin.run_id}-{self.worker.global_number(self.number)}"
        self._region = self.worker.settings["QUEUE_REGION"].lower()
        self.account = Account(self.number)
        self.audit = self.worker.shared(balance_audit)

    def open_account(self) -> bool:
        """Sign up, and use the account from now on. False when the target did not make one."""
        if not self.sign_up(self.account):
            return False
        self.http.set_headers(self.account.credentials.headers)
        return True

    def open_with_tokens(self) -> bool:
        """`open_account`, with the tokens that settings give each user at first."""
        if not self.open_account():
            return False
        settings = self.worker.settings
        if settings["SEED_TOKENS"]:
            self.buy(settings["TOKENS_PER_USER"])
        return True

    def refresh_if_old(self) -> None:
        """Get a new access token before the old one expires, as the app does."""
        account = self.account
        if not account.credentials.is_old:
            return
        renewed = account.credentials.renewed(self.http)
        self.checked("token refresh ok", renewed is not None)
        if renewed is not None:
            account.credentials = renewed
            self.http.set_headers(renewed.headers)
        else:
            account.credentials = replace(account.credentials, fresh_until_s=monotonic() + REFRESH_AGAIN_S)

    def buy(self, tokens: int) -> bool:
        """Have the payment provider report a paid checkout. False when it was not acknowledged."""
        payload, signature = self.purchase(self.account.user_id, tokens)
        return self.pay_for(self.account, payload, signature, tokens).status == 200

    def balance(self) -> int | None:
        """What the target says the balance is; None when it does not say."""
        response = self.call("GET", "/tokens/balance", name="tokens_balance", check="tokens balance ok", ok=(200,))
        balance = balance_in(response)
        if balance is None and response.status == 200:
            self.worker.error("tokens_balance", f"{response.outcome} without tokenBalance", response.says)
        return balance

    def stock_up(self, tokens: int, enough: int = 1) -> None:
        """Look at the balance, and buy so many tokens where it says that there are not `enough`."""
        balance = self.balance()
        if balance is not None and balance < enough:
            self.buy(tokens)

    def queue_alone(self, visit: int) -> dict[str, str]:
        """Preferences that no other visit has, of this run or of another one with the same seed."""
        return {"seed": f"{self._own_seed}-{visit}-{self.dice.below(1_000_000_000)}"}

    def join_queue(self, preferences: Mapping[str, Any]) -> Response:
        """Ask for a place in the queue of those who prefer the same."""
        response = self.call(
            "POST",
            "/queue/join",
            {"region": self._region, "preferences": preferences},
            name="queue_join",
            check="queue join ok",
            ok=DONE,
            trend="queue_join_latency",
        )
        self.short_of_tokens = response.status == 400
        return response

    def leave_queue(self) -> Response:
        """Give the place in the queue back; once more, and again, while the target's worker has hold of it."""
        for _ in range(LOCKED_TRIES):
            response = self.call("DELETE", "/queue/leave", name="queue_leave", check="queue leave ok", ok=(200,))
            if response.status != LOCKED:
                return response
            gevent.sleep(LOCKED_AGAIN_S)
        self.checked("queue leave ok", False)
        self.worker.error("queue_leave", f"still answered {LOCKED} after {LOCKED_TRIES * LOCKED_AGAIN_S:g} s")
        return response

    def settle(self) -> None:
        """The user has ended and has an account: what it must hold is told."""
        self.audit.take(self.account.expected)

    def on_stop(self) -> None:
        try:
            if hasattr(self, "account") and self.account.exists:
                self.settle()
        finally:
            super().on_stop()


def balance_audit(worker: WorkerContext, wanted: int = SAMPLE_SIZE) -> SampledAudit[ExpectedBalance]:
    """What looks the balances of users up who have ended; get it with `worker.shared(balance_audit)`."""
    context = worker.shared(HttpContext)

    def look_up(owed: Sequence[ExpectedBalance]) -> Mapping[str, Any]:
        # Where each user has an address of its own, each has a connection of its own.
        keep = not context.addresses.has_pool
        return look_up_balances(owed, lambda number: context.client(number, TIMEOUTS, metered=False), keep=keep)

    return SampledAudit(worker, look_up, wanted)


class SeededMembers:
    """Whom webhooks pay for: the accounts that the set-up made, or those that a target gives that was dead before. Get
    it with `worker.shared(SeededMembers)`.

    What was paid for whom is told when all users have ended: for seeded accounts to the master, which holds their
    credentials; for the others, whose credentials only this process has, to the audit.
    """

    def __init__(self, worker: WorkerContext) -> None:
        self._facts = worker.facts
        self._audit = worker.shared(balance_audit)
        self._seeded = [Account(user_id=user_id) for user_id in worker.begin.given.get("users", ())]
        self._late: list[Account] = []
        # What is asked for later comes earlier at the end: before the audit looks anything up.
        worker.on_end(self._hand_in)

    def pick(self, dice: SeededRandom) -> Account | None:
        """One at random; None when there are none."""
        accounts = self._seeded or self._late
        return dice.choice(accounts) if accounts else None

    def add(self, account: Account) -> None:
        """Somebody has signed up after all."""
        self._late.append(account)

    def _hand_in(self) -> None:
        for number, account in enumerate(self._seeded):
            self._facts[f"credited {number}"] = account.tokens.least
            self._facts[f"maybe {number}"] = account.tokens.most - account.tokens.least
        for account in self._late:
            self._audit.take(account.expected)
