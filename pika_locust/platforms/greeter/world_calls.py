"""Ghost Greeter's calls: who rings whom, what becomes of it, and what is passed on between the two of a call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from pika_locust.platforms.greeter.world_model import AWAY, IN_CALL, SEATED, Agent, Call, Ids, Ring, Visitor
from pika_locust.sandbox.socketio import Client
from pika_locust.sandbox.timers import Timer

QUEUE_S = 1.0
"""From the end of a call until the next one that waits for the same agent rings."""
LONGEST_S = 7200.0
RING_GRACE_S = 0.1
MISSED = {
    "reason": "ring_no_answer",
    "message": "You've been marked as Away because you didn't answer an incoming call.",
}


class Server(Protocol):
    """What calls need of their world."""

    agents: dict[str, Agent]
    visitors: dict[str, Visitor]
    ids: Ids
    ring_s: float

    @property
    def now_ms(self) -> int: ...

    def after(self, seconds: float, act: Callable[..., object], *arguments: Any) -> Timer: ...

    def hit(self, fault: str, kind: str = "") -> bool: ...

    def best_agent(self, without: Agent | None = None) -> Agent | None: ...

    def move(self, visitor: Visitor, previous: Agent, reason: str, reason_without: str) -> None: ...

    def tell_unavailable(self, visitor: Visitor, agent: Agent | None = None, reason: str = "") -> None: ...


def _field(said: Any, name: str) -> str:
    """A field of what a client said; empty when there is none that is a text."""
    value = said.get(name) if isinstance(said, dict) else None
    return value if isinstance(value, str) else ""


class Calls:
    """All calls of a world: those that wait or ring, and those that run."""

    def __init__(self, world: Server) -> None:
        self._world = world
        self.waiting: dict[str, Ring] = {}
        """By id, the oldest first."""
        self.running: dict[str, Call] = {}
        self.ever: Counter[str] = Counter(dict.fromkeys(("requested", "accepted", "rejected", "missed", "ended"), 0))
        """How many there were, and what became of them."""

    # Asking

    def ask(self, client: Client, said: Any) -> None:
        """A visitor wants to talk, to a certain agent if that is free."""
        world, visitor = self._world, client.data
        if not isinstance(visitor, Visitor) or world.visitors.get(visitor.id) is not visitor:
            client.emit("error", {"code": "VISITOR_NOT_FOUND", "message": "Visitor session not found"})
            return
        if visitor.call is not None:
            self._end(visitor.call, "visitor_ended")
        self.ever["requested"] += 1
        if world.hit("ignore-call", "call:request"):
            return
        wanted = world.agents.get(_field(said, "agentId"))
        agent = wanted if wanted is not None and wanted.status in SEATED else world.best_agent()
        if agent is not None:
            self._ring(visitor, agent)
        elif wanted is not None:
            self._enqueue(visitor, wanted)
        else:
            client.emit("error", {"code": "AGENT_NOT_FOUND", "message": "Agent not found"})

    def _enqueue(self, visitor: Visitor, agent: Agent) -> Ring:
        world = self._world
        ring = Ring(world.ids.new("call", world.now_ms), visitor, agent, world.now_ms)
        self.waiting[ring.id] = ring
        return ring

    def _ring(self, visitor: Visitor, agent: Agent) -> None:
        ring = self._enqueue(visitor, agent)
        ring.rings = True
        agent.tell("call:incoming", ring.to_json())
        ring.timer = self._world.after(self._world.ring_s + RING_GRACE_S, self._missed, ring)

    def ring_next(self, agent: Agent) -> None:
        """The oldest call that waits for this agent rings, for as long as it takes."""
        if agent.status not in SEATED:
            return
        for ring in self.waiting.values():
            if ring.agent is agent and not ring.rings:
                ring.rings = True
                agent.tell("call:incoming", ring.to_json())
                return

    # Answers

    def accept(self, client: Client, said: Any) -> None:
        """An agent takes a call; whom else it was assigned to goes to others."""
        world, ring = self._world, self._named(said)
        if ring is None:
            client.emit("error", {"code": "CALL_NOT_FOUND", "message": "Call request not found or expired"})
            return
        self._drop(ring)
        visitor, agent = ring.visitor, ring.agent
        limit = world.after(LONGEST_S, self._too_long, visitor)
        call = Call(world.ids.new("active", world.now_ms), visitor, agent, world.now_ms, limit)
        self.running[call.id] = visitor.call = agent.call = call
        self.ever["accepted"] += 1
        agent.status = IN_CALL
        visitor.tell("call:accepted", {"callId": call.id, "agentId": agent.id, "reconnectToken": ""})
        for other in agent.give_up(keep=visitor):
            world.move(other, agent, "agent_busy", "agent_offline")
        agent.tell("call:started", call.to_json())

    def reject(self, said: Any) -> None:
        """An agent does not take a call: it rings elsewhere, or the visitor has no agent any more."""
        ring = self._named(said)
        if ring is not None:
            self.ever["rejected"] += 1
            self._pass_on(ring, "agent_away")

    def _missed(self, ring: Ring) -> None:
        agent = ring.agent
        self.ever["missed"] += 1
        agent.status = AWAY
        agent.tell("call:cancelled", {"requestId": ring.id})
        agent.tell("agent:marked_away", MISSED)
        self._pass_on(ring, "rna_timeout")

    def _pass_on(self, ring: Ring, reason: str) -> None:
        world, visitor = self._world, ring.visitor
        self._drop(ring)
        if world.visitors.get(visitor.id) is not visitor:
            return
        agent = world.best_agent(ring.agent)
        if agent is not None:
            self._ring(visitor, agent)
        else:
            visitor.agent = None
            world.tell_unavailable(visitor, ring.agent, reason)

    def cancel(self, said: Any) -> None:
        """A call is not wanted any more; its visitor is told nothing."""
        ring = self._named(said)
        if ring is not None:
            self._drop(ring)
            ring.agent.tell("call:cancelled", {"requestId": ring.id})

    def _named(self, said: Any) -> Ring | None:
        return self.waiting.get(_field(said, "requestId"))

    def _drop(self, ring: Ring) -> None:
        ring.silence()
        del self.waiting[ring.id]

    # The end

    def end_by(self, client: Client, said: Any) -> None:
        """Somebody ends a call by its id; anybody may."""
        call = self.running.get(_field(said, "callId"))
        if call is not None:
            self._end(call, "agent_ended" if client.data is call.agent else "visitor_ended")

    def _too_long(self, visitor: Visitor) -> None:
        if visitor.call is not None:
            self._end(visitor.call, "max_duration")

    def _end(self, call: Call, reason: str) -> None:
        del self.running[call.id]
        call.limit.cancel()
        self.ever["ended"] += 1
        visitor, agent = call.visitor, call.agent
        visitor.call = agent.call = None
        agent.settle()
        said = {"callId": call.id, "reason": reason}
        visitor.tell("call:ended", said)
        agent.tell("call:ended", said)
        self._world.after(QUEUE_S, self.ring_next, agent)

    def visitor_left(self, visitor: Visitor) -> None:
        """Its call is over, and what rings for it is withdrawn, unless `ghost-call` lets it ring on."""
        if visitor.call is not None:
            self._end(visitor.call, "visitor_ended")
        for ring in [one for one in self.waiting.values() if one.visitor is visitor]:
            if not self._world.hit("ghost-call"):
                self._drop(ring)
                ring.agent.tell("call:cancelled", {"requestId": ring.id})

    def agent_left(self, agent: Agent) -> None:
        """Its call is over at once; what rings at it rings on until somebody misses it."""
        if agent.call is not None:
            self._end(agent.call, "agent_ended")

    # Passed on

    def relay_signal(self, client: Client, said: Any) -> None:
        """What two browsers tell each other to find a way; not only in calls."""
        sender, wanted = client.data, _field(said, "targetId")
        peer = self._world.agents.get(wanted) or self._world.visitors.get(wanted)
        if sender is not None and peer is not None:
            peer.tell("webrtc:signal", {"targetId": sender.id, "signal": said.get("signal")})

    def relay_view(self, client: Client, event: str, said: Any) -> None:
        """What a visitor in a call sees and does, for its agent."""
        visitor = client.data
        if isinstance(visitor, Visitor) and visitor.call is not None and isinstance(said, dict):
            visitor.call.agent.tell(event, {**said, "visitorId": visitor.id})
