"""Accounts: anonymous sign-up, renewal of access, the profile, the balance, and blocking somebody."""

from __future__ import annotations

from datetime import UTC, date, datetime
from email.utils import formatdate
from typing import Any

from pika_locust.platforms.verity.world_bodies import (
    an_object,
    bad_request,
    not_found,
    one_of,
    problems,
    refusal,
    reply,
    text,
)
from pika_locust.platforms.verity.world_calls import Call
from pika_locust.platforms.verity.world_ids import Ids, iso
from pika_locust.platforms.verity.world_people import NOTHING, TokenStore, User
from pika_locust.platforms.verity.world_tokens import (
    COOKIE,
    REFRESH_LIVES_S,
    AccessTokens,
    RefreshTokens,
    cookie_value,
)
from pika_locust.sandbox.world import Answer

ADULT = 18
TOO_YOUNG = bad_request("Must be 18 or older")
NO_COOKIE = refusal(401, "Missing refresh token", "Unauthorized")
NO_USER = not_found("User not found")


def _date(value: Any) -> str | None:
    return None if _parsed(value) is not None else "must be a valid ISO 8601 date string"


def _parsed(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


SIGNUP_CHECKS = {"dateOfBirth": _date, "consents": an_object, "privacyNoticeVersion": text, "tosVersion": text}
PURCHASE_CHECKS = {"packId": one_of("starter", "plus", "pro")}
BLOCK_CHECKS = {"blockedUserId": text}


class Accounts:
    """The routes that need no more than users, tokens and the purse."""

    def __init__(self, purse: TokenStore, ids: Ids, access: AccessTokens) -> None:
        self._purse = purse
        self._ids = ids
        self._access = access
        self._refresh = RefreshTokens(ids)
        self.users: dict[str, User] = {}

    def sign_up(self, call: Call) -> Answer:
        """POST /auth/signup-anonymous."""
        if wrong := problems(call.body, SIGNUP_CHECKS):
            return bad_request(wrong)
        body, now = call.body if isinstance(call.body, dict) else NOTHING, call.now
        born = _parsed(body.get("dateOfBirth"))
        if born is not None and _age(born.date(), datetime.fromtimestamp(now, UTC).date()) < ADULT:
            return TOO_YOUNG
        user = User(self._ids.row(now), now)
        self.users[user.id] = user
        self._purse.open(user.id)
        consents = body.get("consents")
        profile = {
            **user.profile(role="USER"),
            "dateOfBirth": iso(born.timestamp()) if born is not None else None,
            "ageVerifiedAt": iso(now) if born is not None else None,
            "consents": _as_stored({**consents, "acceptedAt": iso(now)}) if consents is not None else None,
            "privacyNoticeVersion": body.get("privacyNoticeVersion"),
            "tosVersion": body.get("tosVersion"),
            **_contact(0),
        }
        answer = reply({"user": profile, "accessToken": self._access.mint(user.id, now)}, 201)
        return _with_cookie(answer, self._refresh.issue(user.id, now), now)

    def renew(self, call: Call) -> Answer:
        """POST /auth/refresh."""
        cookie = cookie_value(call.request.headers.get("cookie", ""))
        if not cookie:
            return NO_COOKIE
        rotated = self._refresh.rotate(cookie, call.now)
        if isinstance(rotated, str):
            return refusal(401, rotated, "Unauthorized")
        user_id, newest = rotated
        return _with_cookie(reply({"accessToken": self._access.mint(user_id, call.now)}), newest, call.now)

    def me(self, call: Call) -> Answer:
        """GET /users/me."""
        return reply({**call.user.profile(), **_contact(self._purse.balances[call.user.id])})

    def balance(self, call: Call) -> Answer:
        """GET /tokens/balance."""
        return reply({"tokenBalance": self._purse.balances[call.user.id]})

    def purchase(self, call: Call) -> Answer:
        """POST /tokens/purchase. There is no Stripe behind the sandbox, and so no price of any pack."""
        if wrong := problems(call.body, PURCHASE_CHECKS, needed=("packId",)):
            return bad_request(wrong)
        return bad_request(f"Missing Stripe price ID for {call.body['packId']}")

    def block(self, call: Call) -> Answer:
        """POST /moderation/blocks."""
        if wrong := problems(call.body, BLOCK_CHECKS, needed=("blockedUserId",)):
            return bad_request(wrong)
        user, other = call.user, call.body["blockedUserId"]
        if other not in self.users:
            return NO_USER
        if user.blocks is NOTHING:
            user.blocks = {}
        row = user.blocks.get(other)
        if row is None:
            parties = {"blockerId": user.id, "blockedId": other}
            times = {"createdAt": iso(call.now), "updatedAt": iso(call.now), "liftedAt": None}
            row = user.blocks[other] = {"id": self._ids.row(call.now), **parties, **times}
        return reply({"status": "blocked", "block": row}, 201)


def _contact(balance: int) -> dict[str, Any]:
    return {"phone": None, "email": None, "tokenBalance": balance}


def _age(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _as_stored(value: Any) -> Any:
    """JSON as it comes back from a `jsonb` column: keys by length, then by bytes."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: _as_stored(value[key]) for key in keys}
    return [_as_stored(item) for item in value] if isinstance(value, list) else value


def _with_cookie(answer: Answer, token: str, now: float) -> Answer:
    expires = formatdate(now + REFRESH_LIVES_S, usegmt=True)
    cookie = f"{COOKIE}={token}; Max-Age={REFRESH_LIVES_S}; Path=/auth/refresh; Expires={expires}; "
    cookie += "HttpOnly; SameSite=Strict"
    return Answer(answer.status, answer.body, (*answer.headers, ("set-cookie", cookie)))
