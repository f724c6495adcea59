"""Ghost Greeter's calls: which agents visitors are given, who rings whom, and what is passed on between the two."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pika_locust.platforms.greeter.world_model import (
    AWAY,
    IN_CALL,
    SEATED,
    WIDGET,
    Agent,
    Call,
    Ids,
    Ring,
    Rota,
    Visitor,
)
from pika_locust.sandbox.socketio import Client, SocketIoApp, event

RING_S = 15.0
"""How long a call rings."""
QUEUE_S = 1.0
"""From the end of a call until the next one that waits for the same agent rings."""
LONGEST_S = 7200.0
RING_GRACE_S = 0.1
MISSED = {
    "reason": "ring_no_answer",
    "message": "You've been marked as Away because you didn't answer an incoming call.",
}


def _field(said: Any, name: str) -> str:
    """A field of what a client said; empty when there is none that is a text."""
    value = said.get(name) if isinstance(said, dict) else None
    return value if isinstance(value, str) else ""


class CallHandlers(SocketIoApp):
    """Calls: those that wait or ring, and those that run; and the agents that visitors are given."""

    def start(self) -> None:
        self.ring_s = self.setting("RNA_TIMEOUT_SECONDS", RING_S)
        self.agents: dict[str, Agent] = {}
        self.visitors: dict[str, Visitor] = {}
        self.ids, self._rota = Ids(), Rota()
        self.waiting: dict[str, Ring] = {}
        """By id, the oldest first."""
        self.running: dict[str, Call] = {}
        self.calls_ever = Counter(dict.fromkeys(("requested", "accepted", "rejected", "missed", "ended"), 0))
        """How many there were, and what became of them."""

    @property
    def now_ms(self) -> int:
        """The time as JavaScript has it."""
        return int(self.now * 1000)

    # Agents for visitors and calls

    def best_agent(self, without: Agent | None = None) -> Agent | None:
        """The agent for the next visitor or call."""
        return self._rota.best(self.agents.values(), without)

    def assign(self, visitor: Visitor, agent: Agent) -> None:
        """From now on this agent shows up in the visitor's widget."""
        visitor.agent = agent
        agent.visitors.append(visitor)
        agent.settle()

    def tell_unavailable(self, visitor: Visitor, agent: Agent | None = None, reason: str = "") -> None:
        """There is no agent, or not any more; then with the last one's name and the reason."""
        said: dict[str, Any] = {"visitorId": visitor.id, "widgetSettings": WIDGET, "poolId": None}
        if agent is not None:
            said |= {"previousAgentName": agent.name, "reason": reason}
        visitor.tell("agent:unavailable", said)

    def move(self, visitor: Visitor, previous: Agent, reason: str, reason_without: str) -> None:
        """The agent has no time for this visitor any more: another one takes its place, or nobody."""
        visitor.agent = None
        agent = self.best_agent(previous)
        if agent is None:
            named = previous if reason_without else None
            self.tell_unavailable(visitor, named, reason_without)
            return
        self.assign(visitor, agent)
        new = {"previousAgentId": previous.id, "newAgent": agent.card(), "reason": reason}
        visitor.tell("agent:reassigned", new)

    # Asking

    @event("call:request")
    def ask_for_call(self, client: Client, said: Any) -> None:
        """A visitor wants to talk, to a certain agent if that is free."""
        visitor = client.data
        if not isinstance(visitor, Visitor) or self.visitors.get(visitor.id) is not visitor:
            client.emit("error", {"code": "VISITOR_NOT_FOUND", "message": "Visitor session not found"})
            return
        if visitor.call is not None:
            self._end_call(visitor.call, "visitor_ended")
        self.calls_ever["requested"] += 1
        if self.hit("ignore-call", "call:request"):
            return
        wanted = self.agents.get(_field(said, "agentId"))
        agent = wanted if wanted is not None and wanted.status in SEATED else self.best_agent()
        if agent is not None:
            self._ring(visitor, agent)
        elif wanted is not None:
            self._enqueue(visitor, wanted)
        else:
            client.emit("error", {"code": "AGENT_NOT_FOUND", "message": "Agent not found"})

    def _enqueue(self, visitor: Visitor, agent: Agent) -> Ring:
        ring = Ring(self.ids.new("call", self.now_ms), visitor, agent, self.now_ms)
        self.waiting[ring.id] = ring
        return ring

    def _ring(self, visitor: Visitor, agent: Agent) -> None:
        ring = self._enqueue(visitor, agent)
        ring.rings = True
        agent.tell("call:incoming", ring.to_json())
        ring.timer = self.after(self.ring_s + RING_GRACE_S, self._missed, ring)

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

    @event("call:accept")
    def accept_call(self, client: Client, said: Any) -> None:
        """An agent takes a call; whom else it was assigned to goes to others."""
        ring = self._named(said)
        if ring is None:
            client.emit("error", {"code": "CALL_NOT_FOUND", "message": "Call request not found or expired"})
            return
        self._drop(ring)
        visitor, agent = ring.visitor, ring.agent
        limit = self.after(LONGEST_S, self._too_long, visitor)
        call = Call(self.ids.new("active", self.now_ms), visitor, agent, self.now_ms, limit)
        self.running[call.id] = visitor.call = agent.call = call
        self.calls_ever["accepted"] += 1
        agent.status = IN_CALL
        visitor.tell("call:accepted", {"callId": call.id, "agentId": agent.id, "reconnectToken": ""})
        for other in agent.give_up(keep=visitor):
            self.move(other, agent, "agent_busy", "agent_offline")
        agent.tell("call:started", call.to_json())

    @event("call:reject")
    def reject_call(self, client: Client, said: Any) -> None:
        """An agent does not take a call: it rings elsewhere, or the visitor has no agent any more."""
        ring = self._named(said)
        if ring is not None:
            self.calls_ever["rejected"] += 1
            self._pass_on(ring, "agent_away")

    def _missed(self, ring: Ring) -> None:
        agent = ring.agent
        self.calls_ever["missed"] += 1
        agent.status = AWAY
        agent.tell("call:cancelled", {"requestId": ring.id})
        agent.tell("agent:marked_away", MISSED)
        self._pass_on(ring, "rna_timeout")

    def _pass_on(self, ring: Ring, reason: str) -> None:
        visitor = ring.visitor
        self._drop(ring)
        if self.visitors.get(visitor.id) is not visitor:
            return
        agent = self.best_agent(ring.agent)
        if agent is not None:
            self._ring(visitor, agent)
        else:
            visitor.agent = None
            self.tell_unavailable(visitor, ring.agent, reason)

    @event("call:cancel")
    def cancel_call(self, client: Client, said: Any) -> None:
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

    @event("call:end")
    def end_call(self, client: Client, said: Any) -> None:
        """Somebody ends a call by its id; anybody may."""
        call = self.running.get(_field(said, "callId"))
        if call is not None:
            self._end_call(call, "agent_ended" if client.data is call.agent else "visitor_ended")

    def _too_long(self, visitor: Visitor) -> None:
        if visitor.call is not None:
            self._end_call(visitor.call, "max_duration")

    def _end_call(self, call: Call, reason: str) -> None:
        del self.running[call.id]
        call.limit.cancel()
        self.calls_ever["ended"] += 1
        visitor, agent = call.visitor, call.agent
        visitor.call = agent.call = None
        agent.settle()
        said = {"callId": call.id, "reason": reason}
        visitor.tell("call:ended", said)
        agent.tell("call:ended", said)
        self.after(QUEUE_S, self.ring_next, agent)

    def visitor_left(self, visitor: Visitor) -> None:
        """Its call is over, and what rings for it is withdrawn, unless `ghost-call` lets it ring on."""
        if visitor.call is not None:
            self._end_call(visitor.call, "visitor_ended")
        for ring in [one for one in self.waiting.values() if one.visitor is visitor]:
            if not self.hit("ghost-call"):
                self._drop(ring)
                ring.agent.tell("call:cancelled", {"requestId": ring.id})

    def agent_left(self, agent: Agent) -> None:
        """Its call is over at once; what rings at it rings on until somebody misses it."""
        if agent.call is not None:
            self._end_call(agent.call, "agent_ended")

    @event("call:reconnect")
    def reconnect(self, client: Client, said: Any) -> None:
        """Only a server with a database knows calls to come back to."""
        failed = {"callId": "", "reason": "error", "message": "No active call found"}
        client.emit("call:reconnect_failed", failed)

    # Passed on

    @event("webrtc:signal")
    def relay_signal(self, client: Client, said: Any) -> None:
        """What two browsers tell each other to find a way; not only in calls."""
        sender, wanted = client.data, _field(said, "targetId")
        peer = self.agents.get(wanted) or self.visitors.get(wanted)
        if sender is not None and peer is not None:
            peer.tell("webrtc:signal", {"targetId": sender.id, "signal": said.get("signal")})

    @event("cobrowse:snapshot")
    def snapshot(self, client: Client, said: Any) -> None:
        self._relay_view(client, "cobrowse:snapshot", said)

    @event("cobrowse:mouse")
    def mouse(self, client: Client, said: Any) -> None:
        self._relay_view(client, "cobrowse:mouse", said)

    @event("cobrowse:scroll")
    def scroll(self, client: Client, said: Any) -> None:
        self._relay_view(client, "cobrowse:scroll", said)

    @event("cobrowse:selection")
    def selection(self, client: Client, said: Any) -> None:
        self._relay_view(client, "cobrowse:selection", said)

    def _relay_view(self, client: Client, name: str, said: Any) -> None:
        """What a visitor in a call sees and does, for its agent."""
        visitor = client.data
        if isinstance(visitor, Visitor) and visitor.call is not None and isinstance(said, dict):
            visitor.call.agent.tell(name, {**said, "visitorId": visitor.id})
