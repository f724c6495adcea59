"""A user of the matchmaking queue: joins, thinks, leaves, thinks; over HTTP only, as the suite's own users do."""

from __future__ import annotations

from typing import Any

from pika_locust.kit.meters import named
from pika_locust.platforms.verity.account import MemberActor
from pika_locust.platforms.verity.answers import DONE
from pika_locust.platforms.verity.scenarios import PAUSE_S, QUEUE_METRICS


class QueueUser(MemberActor):
    """One virtual member in the queue; an iteration is one visit."""

    meters: Any = named(QUEUE_METRICS)

    _cut = False
    """Whether there is no time left for another request."""

    def begin(self) -> None:
        super().begin()
        settings = self.worker.settings
        self._shared = settings["QUEUE_MODE"] == "shared"
        self._renews = settings["CONTRACT"] == "server"
        # Where users meet, each match costs a token, and the suite's users have no way to get another.
        self._buys_again = settings["SEED_TOKENS"] and settings["CONTRACT"] == "server"
        self._visits = 0
        self._queued = self._certain = False
        # Whether the target may hold a place, and a token, of ours; and whether it has said so.

    def act(self) -> None:
        if not self._ready():
            self.pause(PAUSE_S)
            return
        if self.released.is_set():
            return
        joined = self._join()
        self.think()
        if joined:
            self._leave()
        self.think()

    def _ready(self) -> bool:
        """An account with tokens; made by the first visit, and by a later one if that failed."""
        if not self.account.exists:
            return self.open_with_tokens()
        if self._renews:
            self.refresh_if_old()
        if self._buys_again and self.short_of_tokens:
            # A token that the target has lost is that one's error, and must not be one for each join that is to come.
            self.stock_up(self.worker.settings["TOKENS_PER_USER"])
        elif self._buys_again and self._shared and self.account.tokens.least < 1:
            self.buy(self.worker.settings["TOKENS_PER_USER"])
        return True

    def _preferences(self) -> dict[str, str]:
        if self._shared:
            return {"mode": "shared"}
        return self.queue_alone(self._visits)

    def _join(self) -> bool:
        self._visits += 1
        visited, self._queued, self._certain = self._queued, True, False
        response = self.join_queue(self._preferences())
        ok = response.status in DONE
        if response.refused or response.unsent:
            self._queued = visited
            return False
        self._certain = ok
        if visited and response.json_object().get("status") != "already_queued":
            self._lose_track()
        return ok

    def _leave(self) -> None:
        certain, self._certain = self._certain, False
        response = self.leave_queue()
        if response.status != 200:
            return
        self._queued = False
        # Sent twice, the first one may have done what the second finds done.
        certain = certain and not response.retried
        answer = response.json_object()
        if not self._shared or answer.get("refunded") is True or answer.get("status") == "already_matched":
            # Where nobody meets anybody, and wherever the target itself took us out of the queue, the token is owed.
            return
        if certain and answer.get("status") == "not_queued":
            # Gone from the queue without having left it: the worker has matched us, and a match costs one token.
            self.account.tokens.add(-1)
        else:
            self._lose_track()

    def _lose_track(self) -> None:
        """A visit has ended, and nobody has said how. Where users meet, it may have cost its token."""
        if self._shared:
            self.account.tokens.maybe(-1)

    def cut(self) -> None:
        self._cut = True
        super().cut()

    def settle(self) -> None:
        """Leave nothing open at the very end, and have the balance looked up: credits less matches."""
        if self._queued and not self._cut:
            self._leave()
        if self._queued:
            self.account.tokens.maybe(-1)
        super().settle()
