"""Whom webhooks pay for: the members that the set-up made, or those that a target gives that was dead before."""

from __future__ import annotations

from typing import NamedTuple

from pika_locust.load.dice import SeededRandom
from pika_locust.platforms.verity.account import Account
from pika_locust.platforms.verity.auditor import SampledAudit
from pika_locust.platforms.verity.books import TokenBounds
from pika_locust.runtime.context import WorkerContext


class Payee(NamedTuple):
    """One member and the books of what was paid for it in this process."""

    user_id: str
    tokens: TokenBounds


class SeededMembers:
    """Get it with `worker.shared(SeededMembers)`. What was paid for whom is told when all users have ended: for seeded members
    to the master, which holds their passes; for the others, whose passes only this process has, to the auditor."""

    def __init__(self, worker: WorkerContext) -> None:
        self._facts = worker.facts
        self._auditor = worker.shared(SampledAudit)
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
