"""One virtual member: an anonymous account, its tokens, and what its balance must be."""

from __future__ import annotations

import time
from dataclasses import replace

from pika_locust.load.dice import SeededRandom
from pika_locust.platforms.verity.answers import DONE, Credentials, balance_in, member_in
from pika_locust.platforms.verity.books import ExpectedBalance, TokenBounds
from pika_locust.platforms.verity.lobby import VerityContext
from pika_locust.wire.http import HttpClient

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
