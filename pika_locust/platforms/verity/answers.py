"""What the target's answers say of accounts and balances. Whatever they lack is the target's mistake, never ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pika_locust.clock import monotonic
from pika_locust.wire.http import HttpClient, Response, Timeouts

DONE = (200, 201)
"""What the suites take for success where something is made."""
REFRESH_AFTER_S = 12 * 60.0
"""Access tokens live for 15 minutes."""
COOKIE = "refresh_token"


def balance_in(response: Response) -> int | None:
    """The balance that an answer tells; None when it tells none."""
    value = response.json_object().get("tokenBalance")
    return value if response.status == 200 and type(value) is int else None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What lets a user in: an access token, good until `fresh_until_s` by the monotonic clock, and what renews it."""

    access_token: str = ""
    refresh_cookie: str = ""
    fresh_until_s: float = 0.0

    @property
    def is_old(self) -> bool:
        """Whether it should be renewed before it is used again."""
        return self.refresh_cookie != "" and monotonic() >= self.fresh_until_s

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request of the user."""
        return {"authorization": f"Bearer {self.access_token}"}

    def renewed(self, http: HttpClient, timeouts: Timeouts | None = None) -> Credentials | None:
        """Another one, got as the app gets it; None when the target gives none."""
        headers = {"cookie": f"{COOKIE}={self.refresh_cookie}"}
        response = http.post("/auth/refresh", json={}, headers=headers, timeouts=timeouts, name="auth_refresh")
        token = str(response.json_object().get("accessToken") or "")
        return _credentials(token, response, self.refresh_cookie) if response.status == 200 and token else None


class SignUp(NamedTuple):
    """An account that was made."""

    user_id: str
    credentials: Credentials


def sign_up_in(response: Response) -> SignUp | None:
    """Who has signed up by an answer; None when it does not say, or is none."""
    body = response.json_object()
    try:
        user_id, token = str(body["user"]["id"]), str(body["accessToken"])
    except (KeyError, TypeError):
        return None
    return SignUp(user_id, _credentials(token, response))


def _credentials(token: str, response: Response, cookie: str = "") -> Credentials:
    for line in response.headers.get_all("set-cookie"):
        name, _, value = line.partition(";")[0].partition("=")
        if name == COOKIE:
            cookie = value
    return Credentials(token, cookie, monotonic() + REFRESH_AFTER_S)
