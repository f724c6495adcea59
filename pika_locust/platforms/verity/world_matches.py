"""Mutual matches: the partner's reveal, its acknowledgement, and the chat that opens with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pika_locust.platforms.verity.world_bodies import bad_request, not_found, problems, refusal, reply
from pika_locust.platforms.verity.world_calls import Call
from pika_locust.platforms.verity.world_hub import Outbox
from pika_locust.platforms.verity.world_ids import Ids, iso
from pika_locust.platforms.verity.world_people import User
from pika_locust.sandbox.world import Answer

LONGEST_TEXT = 1000
NO_MATCH = not_found("Match not found")
NOT_IN_IT = refusal(403, "Not a match participant", "Forbidden")
NOT_ACKNOWLEDGED = reply(
    {"code": "REVEAL_ACK_REQUIRED", "message": "Profile reveal acknowledgement required before chat"}, 403
)


@dataclass(slots=True, eq=False)
class Match:
    """Two users who chose each other; `acknowledged` says when each has seen the other's profile."""

    id: str
    users: tuple[User, User]
    acknowledged: dict[str, float] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)

    def partner(self, user: User) -> User:
        first, second = self.users
        return second if user is first else first

    def acknowledgement(self, user: User) -> dict[str, Any]:
        at = self.acknowledged.get(user.id)
        return {"revealAcknowledged": at is not None, "revealAcknowledgedAt": iso(at) if at is not None else None}


def _sendable(value: Any) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    if not value:
        return "must be longer than or equal to 1 characters"
    return None if len(value) <= LONGEST_TEXT else f"must be shorter than or equal to {LONGEST_TEXT} characters"


CHECKS = {"text": _sendable}


class Matches:
    """The routes below /matches."""

    def __init__(self, hub: Outbox, ids: Ids) -> None:
        self._hub = hub
        self._ids = ids
        self._matches: dict[str, Match] = {}
        self._of: dict[str, list[Match]] = {}

    def add(self, users: tuple[User, User], now: float) -> str:
        """Keeps a new match; returns its id."""
        match = Match(self._ids.row(now), users)
        self._matches[match.id] = match
        for user in users:
            self._of.setdefault(user.id, []).append(match)
        return match.id

    def listed(self, call: Call) -> Answer:
        """GET /matches."""
        user = call.user
        return reply(
            [
                {
                    "matchId": match.id,
                    "partnerRevealVersion": 1,
                    **match.acknowledgement(user),
                    "partnerReveal": match.partner(user).reveal() if user.id in match.acknowledged else None,
                }
                for match in self._of.get(user.id, ())
            ]
        )

    def reveal(self, call: Call) -> Answer:
        """GET /matches/:id/reveal."""
        match = self._find(call)
        return match if isinstance(match, Answer) else reply(_revealed(match, call.user))

    def acknowledge(self, call: Call) -> Answer:
        """POST /matches/:id/reveal-ack."""
        match = self._find(call)
        if isinstance(match, Answer):
            return match
        match.acknowledged.setdefault(call.user.id, call.now)
        return reply(_revealed(match, call.user), 201)

    def read(self, call: Call) -> Answer:
        """GET /matches/:id/messages."""
        match = self._find(call)
        if isinstance(match, Answer):
            return match
        return reply(match.messages) if call.user.id in match.acknowledged else NOT_ACKNOWLEDGED

    def write(self, call: Call) -> Answer:
        """POST /matches/:id/messages. The partner is told only once they have acknowledged the reveal."""
        if wrong := problems(call.body, CHECKS, needed=("text",)):
            return bad_request(wrong)
        match = self._find(call)
        if isinstance(match, Answer):
            return match
        user, partner = call.user, match.partner(call.user)
        if user.id not in match.acknowledged:
            return NOT_ACKNOWLEDGED
        key = {"id": self._ids.row(call.now)}
        at = {"createdAt": iso(call.now)}
        said = {"matchId": match.id, "senderId": user.id, "text": call.body["text"]}
        match.messages.append({**key, **at, **said})
        if partner.id in match.acknowledged:
            self._hub.emit("/chat", partner, "message:new", {**key, **said, **at})
        return reply({**key, **at, **said}, 201)

    def _find(self, call: Call) -> Match | Answer:
        match = self._matches.get(call.id)
        if match is None:
            return NO_MATCH
        return match if call.user in match.users else NOT_IN_IT


def _revealed(match: Match, user: User) -> dict[str, Any]:
    partner = match.partner(user).reveal()
    return {
        "matchId": match.id,
        "partnerRevealVersion": 1,
        "partnerReveal": partner,
        **match.acknowledgement(user),
    }
