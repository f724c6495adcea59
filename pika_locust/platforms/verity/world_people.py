"""Verity's users and their tokens: what the database of the real server holds of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pika_locust.platforms.verity.world_ids import iso

NOTHING: dict[str, Any] = {}


@dataclass(slots=True, eq=False)
class User:
    """An account, and what it is busy with.

    `joining` while a join of theirs is under way; `live` counts their sessions that run; `blocks` are those they do not
    want to meet, by user id.
    """

    id: str
    created_at: float
    details: dict[str, Any] = field(default_factory=lambda: NOTHING)
    joining: bool = False
    live: int = 0
    blocks: dict[str, dict[str, Any]] = field(default_factory=lambda: NOTHING)

    def has_blocked(self, other: User) -> bool:
        return other.id in self.blocks

    def profile(self, **after_times: Any) -> dict[str, Any]:
        """The part of a profile that signing up and looking it up have in common, in their order."""
        at = iso(self.created_at)
        return {
            "id": self.id,
            "createdAt": at,
            "updatedAt": at,
            **after_times,
            "displayName": None,
            "photos": None,
            "bio": None,
            "age": None,
            "gender": None,
            "interests": [],
        }

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
