"""What Ghost Greeter's server knows: visitors, agents, calls that ring and calls that run; and which agent is next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from pika_locust.sandbox.socketio import Client
from pika_locust.sandbox.timers import Timer

CAPACITY = 25
"""Visitors that an agent is assigned to at most."""
AWAY, IDLE, IN_SIMULATION, IN_CALL, OFFLINE = "away", "idle", "in_simulation", "in_call", "offline"
SEATED = (IDLE, IN_SIMULATION)
"""Agents who take visitors and calls."""
WIDGET = {
    "size": "medium",
    "position": "bottom-right",
    "devices": "all",
    "trigger_delay": 3,
    "auto_hide_delay": None,
    "show_minimize_button": False,
    "theme": "dark",
    "cobrowse_enabled": True,
}
"""What the server tells every widget of how it is to look, and of when it is to pop up (seconds)."""
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(slots=True, eq=False)
class Visitor:
    """Somebody on a website, by its latest connection."""

    id: str
    org_id: str
    page_url: str
    client: Client
    connected_ms: int
    agent: Agent | None = None
    """Who shows up in the widget."""
    call: Call | None = None

    def tell(self, event: str, data: Mapping[str, Any]) -> None:
        """Send it an event, if it is still there."""
        self.client.emit(event, data)


@dataclass(slots=True, eq=False)
class Agent:
    """Somebody who answers, until a while after its connection was lost."""

    id: str
    profile: Mapping[str, Any]
    client: Client | None
    connected_ms: int
    seen_at: float
    """When it last did something, in the world's seconds."""
    status: str = AWAY
    status_before: str = AWAY
    """The one it gets back when it returns in time."""
    visitors: list[Visitor] = field(default_factory=list)
    """Whom it is assigned to. A visitor that it is assigned to again is in here twice."""
    call: Call | None = None
    grace: Timer | None = None

    @property
    def name(self) -> Any:
        return self.profile.get("displayName")

    @property
    def load(self) -> int:
        return len(self.visitors)

    def tell(self, event: str, data: Mapping[str, Any]) -> None:
        """Send it an event, if it is there."""
        if self.client is not None:
            self.client.emit(event, data)

    def settle(self) -> None:
        """After a call, or when a visitor has left: the status that follows from whom it has."""
        if self.status in (IDLE, IN_SIMULATION, IN_CALL) and self.call is None:
            self.status = IN_SIMULATION if self.visitors else IDLE

    def give_up(self, keep: Visitor | None = None) -> list[Visitor]:
        """Let go of its visitors, but one; gives those whom it was assigned to until now, once each."""
        let_go = [one for one in dict.fromkeys(self.visitors) if one is not keep and one.agent is self]
        self.visitors = [one for one in self.visitors if one is keep]
        return let_go

    def card(self) -> dict[str, Any]:
        """What visitors see of it."""
        media = ("avatarUrl", "waveVideoUrl", "introVideoUrl", "connectVideoUrl", "loopVideoUrl")
        return {"id": self.id, "displayName": self.name, **{key: _media(self.profile, key) for key in media}}

    def to_json(self, created: str) -> dict[str, Any]:
        """What it is told of itself when it logs in."""
        card = self.card()
        profile = {
            "id": self.id,
            "userId": self.id,
            **{key: card[key] for key in card if key != "id"},
            "status": self.status,
            "maxSimultaneousSimulations": CAPACITY,
            "createdAt": created,
            "updatedAt": created,
        }
        return {
            "agentId": self.id,
            "socketId": self.client.id if self.client is not None else None,
            "profile": profile,
            "currentSimulations": [visitor.id for visitor in self.visitors],
            "currentCallVisitorId": self.call.visitor.id if self.call is not None else None,
            "connectedAt": self.connected_ms,
            "lastActivityAt": self.connected_ms,
        }


def _media(profile: Mapping[str, Any], key: str) -> Any:
    """The two videos that a widget always plays are never null."""
    value = profile.get(key)
    return value or "" if key in ("introVideoUrl", "loopVideoUrl") else value


@dataclass(slots=True, eq=False)
class Ring:
    """A call that was asked for and not answered yet; without `rings` it waits until its agent is free."""

    id: str
    visitor: Visitor
    agent: Agent
    requested_ms: int
    rings: bool = False
    timer: Timer | None = None

    def silence(self) -> None:
        """Nobody waits for an answer any more."""
        if self.timer is not None:
            self.timer.cancel()

    def to_json(self) -> dict[str, Any]:
        """What its agent is told."""
        visitor = self.visitor
        return {
            "request": {
                "requestId": self.id,
                "visitorId": visitor.id,
                "agentId": self.agent.id,
                "orgId": visitor.org_id,
                "pageUrl": visitor.page_url,
                "requestedAt": self.requested_ms,
            },
            "visitor": {
                "visitorId": visitor.id,
                "pageUrl": visitor.page_url,
                "connectedAt": visitor.connected_ms,
                "location": None,
            },
        }


@dataclass(slots=True, eq=False)
class Call:
    """A call that runs."""

    id: str
    visitor: Visitor
    agent: Agent
    started_ms: int
    limit: Timer

    def to_json(self) -> dict[str, Any]:
        """What its agent is told."""
        visitor = self.visitor
        call = {"callId": self.id, "visitorId": visitor.id, "agentId": self.agent.id, "startedAt": self.started_ms}
        return {
            "call": {**call, "endedAt": None, "callLogId": None},
            "visitor": {"visitorId": visitor.id, "pageUrl": visitor.page_url},
        }


class Ids:
    """Ids as the server makes them: what it is, when, and seven letters."""

    def __init__(self) -> None:
        self._random = Random()

    def new(self, kind: str, now_ms: int) -> str:
        """Such as `call_1795230677741_ieyczmd`."""
        return f"{kind}_{now_ms}_{''.join(self._random.choices(_BASE36, k=7))}"


class Rota:
    """Whose turn it is: an idle agent in turn, else the one with the fewest visitors."""

    def __init__(self) -> None:
        self._turns = 0

    def best(self, agents: Iterable[Agent], without: Agent | None = None) -> Agent | None:
        """The agent for the next visitor or call; None when nobody has a place left."""
        free = list(self._free(agents, without))
        unused = [agent for agent in free if not agent.visitors]
        if unused:
            turn, self._turns = self._turns, self._turns + 1
            return unused[turn % len(unused)]
        return min(free, key=lambda agent: agent.load, default=None)

    def _free(self, agents: Iterable[Agent], without: Agent | None) -> Iterator[Agent]:
        return (a for a in agents if a is not without and a.status in SEATED and a.load < CAPACITY)
