"""Ghost Greeter's server as a pure state machine: what the sandbox serves in its place.

Written from what the real server, without a database, was seen to do on the wire. One of its defects is a fault here:
a call whose visitor leaves while it rings goes on ringing, and comes about without a visitor (`ghost-call`). What it
does by a database alone (tokens of agents, several organisations, reconnecting to a call) is not served.
"""

from __future__ import annotations

import resource
from typing import Any

from pika_locust.platforms.greeter.world_calls import CallHandlers
from pika_locust.platforms.greeter.world_model import AWAY, IDLE, OFFLINE, WIDGET, Agent, Visitor
from pika_locust.sandbox.app import Call, route
from pika_locust.sandbox.faults import Cover, FaultKind, Form
from pika_locust.sandbox.javascript import iso
from pika_locust.sandbox.socketio import Client, event
from pika_locust.sandbox.world import Answer, Request

GRACE_S = 10.0
"""In which an agent whose connection was lost keeps its place."""
SILENT_S, LOOK_S = 120.0, 60.0
"""An idle agent that was silent for so long is away; looked at so often."""
KICK_S = 0.2
"""From joining until the fault `kick` puts a visitor out."""
_JSON = (("content-type", "application/json; charset=utf-8"),)
UNKNOWN_AGENT = {"success": False, "status": OFFLINE, "error": "Agent not found"}


class GreeterWorld(CallHandlers):
    """The world of one server. It reads METRICS_API_KEY and NODE_ENV as the real one does, and RNA_TIMEOUT_SECONDS:
    how long a call rings (15)."""

    name = "greeter"
    about = "Ghost Greeter: visitors are assigned agents, and call them, over Socket.IO"
    groups = ("visitors", "agents")
    covers = (
        Cover("latency", "latency=1500", "widget", "widget_join_time"),
        Cover("slow-join", "slow-join=1500", "widget", "widget_join_time", together="joins"),
        Cover("no-agent", "no-agent", "widget", "agent_assigned_count", together="joins"),
        Cover("no-agent", "no-agent", "widget", "agent_found", together="joins"),
        Cover("drop", "drop=0.3", "widget", "join_success_rate"),
        Cover("kick", "kick", "widget", "ws_connection_kept"),
        Cover("no-agent", "no-agent", "calls", "call_agent_found"),
        Cover("ignore-call", "ignore-call=0.3", "calls", "calls", settings=(("CALL_ANSWER_WITHIN", "3"),)),
        Cover("ghost-call", "ghost-call", "calls", "agent_ghost_calls", settings=(("CALL_ABANDON", "0.5"),)),
        Cover("refuse", "refuse=0.2", "connections", "ws_connection_success_rate"),
        Cover("max-sockets", "max-sockets=20", "connections", "ws_connection_success_rate"),
        Cover("close-after", "close-after=2", "connections", "ws_connection_kept", together="leak+close-after"),
        Cover("crash-after", "crash-after=3", "connections", "ws_connection_success_rate"),
        Cover("leak", "leak=9000", "connections", "target_memory_mb", together="leak+close-after"),
        Cover("throttle", "throttle=5/60s", "connections", "ws_connection_success_rate"),
    )
    named = (
        FaultKind("ignore-call", Form.RATE, "calls that are asked for reach nobody, and get no answer"),
        FaultKind("ghost-call", Form.FLAG, "a call goes on ringing, and comes about, when its visitor has left"),
        FaultKind("no-agent", Form.FLAG, "visitors get no agent, although there are some"),
        FaultKind("slow-join", Form.MILLISECONDS, "visitors hear of their agent MS later"),
        FaultKind("kick", Form.FLAG, "visitors are disconnected right after they have joined"),
    )

    def start(self) -> None:
        super().start()
        self._key = self.setting("METRICS_API_KEY", "")
        self._is_production = self.setting("NODE_ENV", "") == "production"
        self._started_at = self.now
        self._joins = 0
        self.every(LOOK_S, self._look_for_silent)

    def state(self, now: float) -> dict[str, Any]:
        """What the world holds: `connections` and `calls` as on the real metrics page, and what became of all calls."""
        return {**self._figures(), "joins": self._joins, "calls_ever": self.calls_ever}

    def group(self, socket: int) -> str:
        client = next(iter(self._connections[self.sockets[socket]].clients.values()), None)
        return "agents" if client is not None and isinstance(client.data, Agent) else "visitors"

    # Visitors

    @event("visitor:join")
    def join(self, client: Client, said: Any) -> None:
        if not isinstance(said, dict):
            return
        visitor_id = said.get("visitorId") or self.ids.new("visitor", self.now_ms)
        before = self.visitors.get(visitor_id)
        if before is not None and before.call is not None:
            return
        if before is not None:
            self._unassign(before)
        visitor = Visitor(visitor_id, str(said.get("orgId")), str(said.get("pageUrl")), client, self.now_ms)
        self.visitors[visitor_id] = client.data = visitor
        self._joins += 1
        agent = None if self.hit("no-agent") else self.best_agent()
        if agent is not None:
            self.assign(visitor, agent)
            agent.tell("stats:update", {"poolVisitors": agent.load})
        delay = self.faults.on.get("slow-join")
        if delay is not None and self.hit("slow-join"):
            self.after(float(delay.value) / 1000, self._tell_of_agent, visitor)
        else:
            self._tell_of_agent(visitor)
        if self.hit("kick"):
            self.after(KICK_S, client.kick)

    def _tell_of_agent(self, visitor: Visitor) -> None:
        if visitor.agent is not None:
            visitor.tell("agent:assigned", self._assigned(visitor, visitor.agent))
        else:
            self.tell_unavailable(visitor)

    def _unassign(self, visitor: Visitor) -> None:
        agent, visitor.agent = visitor.agent, None
        if agent is not None:
            agent.visitors = [one for one in agent.visitors if one is not visitor]
            agent.settle()
            agent.tell("stats:update", {"poolVisitors": agent.load})

    def _assigned(self, visitor: Visitor, agent: Agent) -> dict[str, Any]:
        return {"agent": agent.card(), "visitorId": visitor.id, "widgetSettings": WIDGET}

    def on_leave(self, client: Client, reason: str) -> None:
        if isinstance(client.data, Visitor) and self.visitors.get(client.data.id) is client.data:
            visitor = client.data
            del self.visitors[visitor.id]
            self.visitor_left(visitor)
            self._unassign(visitor)
        elif isinstance(client.data, Agent) and client.data.client is client:
            self._agent_left(client.data)

    # Agents

    @event("agent:login")
    def log_in(self, client: Client, said: Any) -> None:
        if not isinstance(said, dict):
            return
        agent_id, profile = str(said.get("agentId")), said.get("profile")
        agent = self.agents.get(agent_id)
        if agent is None:
            details = profile if isinstance(profile, dict) else {}
            agent = self.agents[agent_id] = Agent(agent_id, details, client, self.now_ms, self.now)
        else:
            if agent.grace is not None:
                agent.grace.cancel()
                agent.grace = None
                agent.status = agent.status_before
            agent.client, agent.seen_at = client, self.now
        client.data = agent
        created = iso(self.now)
        agent.tell("login:success", {"agentState": agent.to_json(created)})
        agent.tell("stats:update", {"poolVisitors": agent.load})

    @event("agent:back", later=True)
    def come_back(self, client: Client, ack: Any, *said: Any) -> None:
        agent = self._agent_of(client)
        if agent is None:
            ack(UNKNOWN_AGENT)
            return
        agent.status = IDLE
        agent.settle()
        ack({"success": True, "status": IDLE})
        for visitor in [one for one in self.visitors.values() if one.agent is None and one.call is None]:
            if self.hit("no-agent") or self.best_agent() is not agent:
                break
            self.assign(visitor, agent)
            again = {**self._assigned(visitor, agent), "visitorConnectedAt": visitor.connected_ms}
            visitor.tell("agent:assigned", again)
        self.ring_next(agent)

    @event("agent:away", later=True)
    def go_away(self, client: Client, ack: Any, *said: Any) -> None:
        agent = self._agent_of(client)
        if agent is None:
            ack(UNKNOWN_AGENT)
            return
        ack({"success": True, "status": AWAY})
        self._send_away(agent)

    @event("agent:status")
    def set_status(self, client: Client, said: Any) -> None:
        agent = self._agent_of(client)
        if agent is not None and isinstance(said, dict) and said.get("status") in (IDLE, AWAY):
            agent.status = said["status"]
            agent.settle()

    @event("heartbeat")
    def heartbeat(self, client: Client, said: Any) -> None:
        self._agent_of(client)

    def _agent_of(self, client: Client) -> Agent | None:
        agent = client.data if isinstance(client.data, Agent) else None
        if agent is not None:
            agent.seen_at = self.now
        return agent

    def _send_away(self, agent: Agent) -> None:
        agent.status = AWAY
        for visitor in agent.give_up():
            self.move(visitor, agent, "agent_away", "agent_away")

    def _look_for_silent(self) -> None:
        for agent in self.agents.values():
            if agent.status == IDLE and self.now - agent.seen_at > SILENT_S:
                agent.tell("agent:marked_away", {"reason": "idle", "message": "You've been marked as Away."})
                self._send_away(agent)

    def _agent_left(self, agent: Agent) -> None:
        self.agent_left(agent)
        agent.client = None
        agent.status_before, agent.status = agent.status, OFFLINE
        agent.grace = self.after(GRACE_S, self._forget, agent)

    def _forget(self, agent: Agent) -> None:
        del self.agents[agent.id]
        for visitor in agent.give_up():
            self.move(visitor, agent, "agent_offline", "")

    # Pages

    @route("GET", "/health", exempt=True)
    def health(self, call: Call) -> Answer:
        """Without a database the real server is always degraded, which is 200 all the same."""
        rss_mb = _memory()["rss"] // 1_000_000
        details = {"rss": f"{rss_mb}MB", "rssLimit": "512MB", "percent": f"{rss_mb / 5.12:.1f}%"}
        checks = {
            "memory": {"status": "healthy", "details": details, "latency": 0},
            "supabase": {"status": "degraded", "error": "Supabase not configured", "latency": 0},
        }
        return self._page(
            {"status": "degraded", "timestamp": self.now_ms, "version": "1.0.0", "uptime": self._uptime()}
            | {"checks": checks, "mode": "in-memory"}
        )

    @route("GET", "/metrics", exempt=True)
    def metrics(self, call: Call) -> Answer:
        key = call.query.get("key") or call.request.headers.get("x-metrics-api-key", "")
        if self._key and key != self._key and call.request.headers.get("x-internal-request") != "true":
            if not self._is_production:
                return self._page({"error": "Unauthorized"}, 401)
            return (
                self._page({"error": "Invalid API key"}, 403) if key else self._page({"error": "API key required"}, 401)
            )
        page = {"timestamp": self.now_ms, "mode": "in-memory", **self._figures()}
        pools = {"total": 0, "activeAgentsByPool": {}}
        return self._page({**page, "pools": pools, "memory": _memory(), "uptime": self._uptime()})

    def not_found(self, request: Request) -> Answer:
        html = (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n<body>\n'
            f"<pre>Cannot {request.method} {request.path}</pre>\n</body>\n</html>\n"
        )
        return Answer(404, html.encode(), (("content-type", "text/html; charset=utf-8"),))

    def _page(self, value: Any, status: int = 200) -> Answer:
        return Answer(status, Answer.json(value).body, _JSON)

    def _figures(self) -> dict[str, Any]:
        online = sum(agent.client is not None for agent in self.agents.values())
        return {
            "connections": {
                "agents": len(self.agents),
                "onlineAgents": online,
                "visitors": len(self.visitors),
                "sockets": len(self.clients("/")),
            },
            "calls": {
                "active": len(self.running),
                "simulations": self._simulations(),
                "pending": len(self.waiting),
            },
        }

    def _simulations(self) -> int:
        return sum(agent.load for agent in self.agents.values() if agent.client is not None)

    def _uptime(self) -> int:
        return int(self.now - self._started_at)


def _memory() -> dict[str, int]:
    # In kilobytes on Linux, and at its highest: the sandbox has no heap that it could tell apart.
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"heapUsed": rss, "heapTotal": rss, "rss": rss, "external": 0}


PLATFORM = GreeterWorld.platform()
