"""What Verity's database holds (users, tokens, ids), and the settings that its world reads from the environment."""

from __future__ import annotations

import random
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import Any

from pika_locust.errors import ConfigurationError
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


PUBLIC_WEBHOOK_SECRET = "whsec_test_secret"
PUBLIC_JWT_SECRET = "verity-sandbox-access"
_SECONDS = re.compile(r"\d+(?:\.\d+)?")
_SWITCH = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Rules:
    """What the world is configured with. Times in seconds; `status_fanout` says whether queue:status is sent at all."""

    session_s: float = 45.0
    choice_s: float = 60.0
    status_fanout: bool = True
    webhook_secret: bytes = PUBLIC_WEBHOOK_SECRET.encode()
    jwt_secret: bytes = PUBLIC_JWT_SECRET.encode()


def rules_from(environment: Mapping[str, str]) -> Rules:
    """Reads the rules; raises `ConfigurationError` that lists every value that cannot be read.

    `SESSION_HOLD_SECONDS` (45; `VERITY_SESSION_HOLD_SECONDS` wins over it, and `PIKA_SANDBOX_SESSION_SECONDS` over
    both), `PIKA_SANDBOX_CHOICE_SECONDS` (60), `PIKA_SANDBOX_STATUS_FANOUT` (1), `STRIPE_WEBHOOK_SECRET` (likewise with
    `VERITY_` before it) and `JWT_ACCESS_SECRET` (public constants).
    """
    problems: list[str] = []

    def given(*names: str) -> tuple[str, str]:
        found = ((name, environment.get(name, "").strip()) for name in names)
        return next(((name, text) for name, text in found if text), (names[-1], ""))

    def seconds(default: float, *names: str) -> float:
        name, text = given(*names)
        if text and not _SECONDS.fullmatch(text):
            problems.append(f"{name} is {text!r}, but must be seconds, such as 45")
            return default
        return float(text) if text else default

    def switch(name: str) -> bool:
        _, text = given(name)
        if text and text.lower() not in _SWITCH:
            problems.append(f"{name} is {text!r}, but must be 1 or 0")
        return _SWITCH.get(text.lower(), True)

    rules = Rules(
        session_s=seconds(45.0, "PIKA_SANDBOX_SESSION_SECONDS", "VERITY_SESSION_HOLD_SECONDS", "SESSION_HOLD_SECONDS"),
        choice_s=seconds(60.0, "PIKA_SANDBOX_CHOICE_SECONDS"),
        status_fanout=switch("PIKA_SANDBOX_STATUS_FANOUT"),
        webhook_secret=_secret(given("VERITY_STRIPE_WEBHOOK_SECRET", "STRIPE_WEBHOOK_SECRET"), PUBLIC_WEBHOOK_SECRET),
        jwt_secret=_secret(given("JWT_ACCESS_SECRET"), PUBLIC_JWT_SECRET),
    )
    if problems:
        raise ConfigurationError(problems)
    return rules


def _secret(given: tuple[str, str], default: str) -> bytes:
    return (given[1] or default).encode()
