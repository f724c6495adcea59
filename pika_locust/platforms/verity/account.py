"""One virtual member: an anonymous account, its tokens, and what its balance must be."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pika_locust.platforms.verity.lobby import Lobby
from pika_locust.wire.http import HttpClient, Response

if TYPE_CHECKING:
    # The set-up is part of the scenario, which whoever only looks at it must be able to load without Locust.
    from pika_locust.runtime.actor import Actor

JOINED = (200, 201)
REFRESH_AFTER_S = 12 * 60.0
"""Access tokens live for 15 minutes."""
REFRESH_AGAIN_S = 10.0
"""Between attempts to renew one."""


@dataclass(slots=True)
class Tokens:
    """What the target must hold for one user, going by its own answers: between `least` and `most`."""

    least: int = 0
    most: int = 0

    def credited(self, tokens: int) -> None:
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


class Account:
    """Signs up, buys tokens by signed webhooks, and remembers what it is owed. Used by one user's greenlet."""

    def __init__(self, actor: Actor, lobby: Lobby) -> None:
        self._actor = actor
        self._lobby = lobby
        self.http: HttpClient = lobby.client(actor.number)
        self.tokens = Tokens()
        self.user_id = ""
        self.access_token = ""
        self._refresh_cookie = ""
        self._fresh_until_s = 0.0

    @property
    def exists(self) -> bool:
        """Whether signing up has worked."""
        return bool(self.user_id)

    def sign_up(self) -> bool:
        """Make an account. False when the target did not give one."""
        response = self.http.post("/auth/signup-anonymous", json={}, name="auth_signup")
        ok = self._lobby.checked("signup ok", response.status in JOINED)
        body = body_of(response)
        try:
            user_id, token = str(body["user"]["id"]), str(body["accessToken"])
        except (KeyError, TypeError):
            if ok:
                self._actor.share.error("auth_signup", "answered without accessToken and user.id")
            return False
        self.user_id = user_id
        self._use(token, response)
        return True

    def refresh_if_old(self) -> None:
        """Get a new access token before the old one expires, as the app does."""
        if time.monotonic() < self._fresh_until_s or not self._refresh_cookie:
            return
        headers = {"cookie": f"refresh_token={self._refresh_cookie}"}
        response = self.http.post("/auth/refresh", json={}, headers=headers, name="auth_refresh")
        token = str(body_of(response).get("accessToken") or "")
        if self._lobby.checked("token refresh ok", response.status == 200 and token != ""):
            self._use(token, response)
        else:
            self._fresh_until_s = time.monotonic() + REFRESH_AGAIN_S

    def _use(self, token: str, response: Response) -> None:
        self.access_token = token
        self.http.set_headers({"authorization": f"Bearer {token}"})
        self._fresh_until_s = time.monotonic() + REFRESH_AFTER_S
        for line in response.headers.get_all("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if name == "refresh_token":
                self._refresh_cookie = value

    def buy(self, tokens: int) -> bool:
        """Have the payment provider report a paid checkout. False when it was not acknowledged."""
        payload, signature = self._lobby.purchase(self.user_id, tokens, self._actor.dice)
        self.tokens.maybe(tokens)
        response = self.http.post(
            "/webhooks/stripe",
            data=payload,
            headers={"content-type": "application/json", "stripe-signature": signature},
            name="stripe_webhook",
        )
        ok = self._lobby.checked("stripe webhook ok", response.status == 200)
        if response.error is None:
            self.tokens.known(tokens, ok)
        return ok

    def balance(self) -> int | None:
        """What the target says the balance is; None when it does not say."""
        response = self.http.get("/tokens/balance", name="tokens_balance")
        if not self._lobby.checked("tokens balance ok", response.status == 200):
            return None
        return balance_in(response)

    def close(self) -> None:
        """Give the connection back."""
        self.http.close()


def body_of(response: Response) -> dict[str, Any]:
    """The JSON object of an answer; an empty one when it is none, which is the target's mistake and never ours."""
    try:
        value = response.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def balance_in(response: Response) -> int | None:
    """The balance that an answer tells; None when it tells none."""
    value = body_of(response).get("tokenBalance")
    return value if type(value) is int else None
