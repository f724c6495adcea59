"""What Verity's world is configured with: the real server's environment names, and a few of the sandbox's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pika_locust.errors import ConfigurationError

PUBLIC_WEBHOOK_SECRET = "whsec_test_secret"
PUBLIC_JWT_SECRET = "verity-sandbox-access"
_SECONDS = re.compile(r"\d+(?:\.\d+)?")
_SWITCH = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Rules:
    """Times in seconds; `status_fanout` says whether queue:status is sent at all."""

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
