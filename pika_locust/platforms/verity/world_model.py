"""What Verity's database holds: users, tokens, ids."""

from __future__ import annotations

import random
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import Any

from pika_locust.sandbox.javascript import Cuids, iso


class Ids:
    """Makes ids; two of them never make the same ones, and one never repeats itself."""

    def __init__(self) -> None:
        self._dice = random.Random()
        self._cuids = Cuids()

    def row(self, now: float) -> str:
        """A key of the database."""
        return self._cuids.new(now)

    def secret(self) -> str:
        """What a refresh cookie holds."""
        return self._dice.randbytes(32).hex()

    def media_token(self) -> str:
        """What the video provider's client library would be given; nothing checks it here."""
        return "007IAA" + b64encode(self._dice.randbytes(126)).decode()

    def media_uid(self) -> int:
        """A participant's number in a video channel."""
        return self._dice.randrange(1, 1 << 32)


def anonymous(session_id: str, user_id: str) -> str:
    """The name under which the partner of one session sees a user."""
    return "anon_" + sha256(f"{session_id}:{user_id}".encode()).hexdigest()[:12]


@dataclass(slots=True, eq=False)
class User:
    """An account, and what it is busy with.

    `joining` while a join of theirs is under way; `live` counts their sessions that run; `matched_at` is when they were
    matched last.
    """

    id: str
    created_at: float
    joining: bool = False
    live: int = 0
    matched_at: float = -inf

    def profile(self) -> dict[str, Any]:
        """What is known of a fresh user, as the answer to signing up begins."""
        at = iso(self.created_at)
        nothing = dict.fromkeys(("displayName", "photos", "bio", "age", "gender"))
        return {"id": self.id, "createdAt": at, "updatedAt": at, "role": "USER", **nothing, "interests": []}

    def reveal(self) -> dict[str, Any]:
        """What a partner of a mutual match gets to see."""
        return {"id": self.id, "displayName": None, "primaryPhotoUrl": None, "age": None, "bio": None}


class TokenStore:
    """Everybody's tokens, by user id: `balances` now, `credits` ever bought, `matches` ever paid for.

    For every user: balance + tokens in the queue + matches = credits, unless a fault is on.
    """

    def __init__(self) -> None:
        self.balances: dict[str, int] = {}
        self.credits: dict[str, int] = {}
        self.matches: dict[str, int] = {}

    def open(self, user_id: str) -> None:
        self.balances[user_id] = self.credits[user_id] = self.matches[user_id] = 0

    def buy(self, user_id: str, tokens: int) -> None:
        self.balances[user_id] += tokens
        self.credits[user_id] += tokens

    def take(self, user_id: str) -> bool:
        """One token out; False when there is none."""
        if self.balances[user_id] < 1:
            return False
        self.balances[user_id] -= 1
        return True

    def give_back(self, user_id: str) -> None:
        self.balances[user_id] += 1

    def matched(self, user_id: str) -> None:
        """The token that was taken when they joined is spent."""
        self.matches[user_id] += 1
