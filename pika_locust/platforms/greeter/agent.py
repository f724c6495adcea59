"""An agent of our own, without whom no call could come about: it logs in, takes visitors, and answers calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pika_locust.kit import on
from pika_locust.kit.meters import named
from pika_locust.platforms.greeter.connection import GreeterActor, now_ms
from pika_locust.platforms.greeter.scenarios import AGENT_METRICS
from pika_locust.runtime.context import WorkerContext

HEARTBEAT_S = 25.0
"""An idle agent that says nothing for 120 s is away."""
BACK_AFTER_S = (0.5, 2.0)
"""How long it takes an agent to notice that it was marked away."""
NOBODY_AFTER_S = 5.0
"""A visitor's browser makes its offer as soon as the call is accepted."""
ANSWER = {"type": "answer", "sdp": "v=0\r\n"}
IGNORED_BEFORE = "visitors whose call rang out"
MOST_IGNORED = 10_000
_MEDIA = ("avatarUrl", "waveVideoUrl", "introVideoUrl", "connectVideoUrl", "loopVideoUrl")


class IgnoredVisitors:
    """Visitors whose call an agent of ours has let ring, in any process; get it with `worker.shared(IgnoredVisitors)`.

    A call rings for 15 s, then elsewhere. Who is let ring twice, and is rejected once or twice as well, waits in vain:
    that would be ours, and not the server's fault.
    """

    def __init__(self, worker: WorkerContext) -> None:
        self._worker = worker
        self._latest: dict[str, None] = {}
        worker.listen(IGNORED_BEFORE, self._on_news)

    def __contains__(self, visitor_id: str) -> bool:
        return visitor_id in self._latest

    def add(self, visitor_id: str) -> None:
        """Tell all agents, long before it rings at another one."""
        self._worker.tell_all(IGNORED_BEFORE, {"visitor": visitor_id})

    def _on_news(self, data: Mapping[str, Any]) -> None:
        self._latest[data["visitor"]] = None
        if len(self._latest) > MOST_IGNORED:
            del self._latest[next(iter(self._latest))]


class Agent(GreeterActor):
    """One iteration is one connection, which lasts for as long as the test does."""

    role = "supporter"
    meters: Any = named(AGENT_METRICS)
    connect_rate = None
    connect_counters = (None, None)
    connect_check = "agent connected"
    upgrade_trend = open_trend = connect_trend = None

    _call_id = ""
    """Of the call that goes on, or that it has just taken."""
    _caller = ""
    """The visitor whose offer came in this call, by its id."""
    _is_shown = False
    """Whether it has shown its page since then."""
    _is_away = False

    def begin(self) -> None:
        super().begin()
        self.agent_id = f"agent-{self.worker.begin.run_id}-{self.worker.global_number(self.number)}"
        self._ignored = self.worker.shared(IgnoredVisitors)

    def act(self) -> None:
        if not self.connect():
            return
        ready = self._log_in() and self._come_back()
        if ready:
            self.worker.tell_ready(self.agent_id)
            self._work()
        self.disconnect()
        if not ready:
            self.back_off()

    def back_off(self) -> None:
        # Visitors do not wait for it any longer: that there is no agent is theirs to find out.
        self.worker.tell_ready(self.agent_id)
        super().back_off()

    def _log_in(self) -> bool:
        profile = {"displayName": f"Agent {self.number}", **dict.fromkeys(_MEDIA)}
        who = {"agentId": self.agent_id, "token": self.worker.settings["AGENT_TOKEN"], "profile": profile}
        return self.ask("agent:login", who, first_of=("login:success",), refused_by=("error",)).ok

    def _come_back(self) -> bool:
        self._is_away = False
        reply = self.ask("agent:back")
        return bool(reply.ok and reply.get("success"))

    def _work(self) -> None:
        self._beat()
        while self.is_connected and not self.released.is_set():
            self.wait_for(lambda: self._is_away or self.released.is_set(), 3600.0)
            if self._is_away and not self.pause(self.dice.uniform(*BACK_AFTER_S)):
                self._come_back()

    def _beat(self) -> None:
        self.emit("heartbeat", {"timestamp": now_ms()})
        self.timers.start("heartbeat", HEARTBEAT_S, self._beat)

    def closed(self, kept: bool) -> None:
        self._call_id = self._caller = ""
        self.meters.agents_kept.add(kept)

    # Calls, in the event loop

    @on("call:incoming", fields={"request": dict})
    def on_ring(self, data: Any, at_ns: int) -> None:
        request_id, visitor_id = (str(data["request"].get(name, "")) for name in ("requestId", "visitorId"))
        self.meters.agent_calls_rung.add()
        settings = self.worker.settings
        accept, reject, chosen = settings["AGENT_ACCEPT"], settings["AGENT_REJECT"], self.dice.uniform(0.0, 1.0)
        if visitor_id in self._ignored:
            chosen *= accept + reject
        if chosen < accept + reject:
            delay_s = settings["AGENT_DELAY"] * self.dice.uniform(0.5, 1.5)
            self.timers.start(request_id, delay_s, self._decide, request_id, chosen < accept)
        else:
            self._ignored.add(visitor_id)
            self.meters.agent_calls_ignored.add()
            self.meters.agent_reject_rate.add(False)
        self.meters.agent_ignore_rate.add(chosen >= accept + reject)

    def _decide(self, request_id: str, takes: bool) -> None:
        # Whoever talks already has no time for another one, whatever it would have said.
        taken = takes and not self._call_id
        if taken:
            self._call_id = request_id
            self.emit("call:accept", {"requestId": request_id})
            self.meters.agent_calls_accepted.add()
        else:
            self.emit("call:reject", {"requestId": request_id})
            self.meters.agent_calls_rejected.add()
        self.meters.agent_reject_rate.add(not taken)

    @on("call:cancelled", fields={"requestId": str})
    def on_cancelled(self, data: Any, at_ns: int) -> None:
        self.timers.cancel(data["requestId"])

    @on("call:started", fields={"call": dict})
    def on_started(self, data: Any, at_ns: int) -> None:
        self.timers.start("offer", NOBODY_AFTER_S, self._leave_ghost, str(data["call"].get("callId", "")))

    def _leave_ghost(self, call_id: str) -> None:
        self.meters.agent_ghost_calls.add()
        self.emit("call:end", {"callId": call_id})

    @on("call:ended")
    def on_ended(self, data: Any, at_ns: int) -> None:
        self.timers.cancel("offer")
        if self._caller:
            self.meters.cobrowse_relayed.add(self._is_shown)
        self._call_id = self._caller = ""

    @on("error")
    def on_error(self, data: Any, at_ns: int) -> None:
        super().on_error(data, at_ns)
        # The call that it wanted to take was not there any more.
        self._call_id = ""

    @on("agent:marked_away")
    def on_marked_away(self, data: Any, at_ns: int) -> None:
        self._is_away = True

    @on("webrtc:signal", fields={"targetId": str, "signal": dict})
    def on_signal(self, data: Any, at_ns: int) -> None:
        self.timers.cancel("offer")
        if data["signal"].get("type") == "offer":
            self._caller, self._is_shown = data["targetId"], False
            self.emit("webrtc:signal", {"targetId": data["targetId"], "signal": ANSWER})

    @on("cobrowse:snapshot", fields={"visitorId": str})
    def on_snapshot(self, data: Any, at_ns: int) -> None:
        self._is_shown |= data["visitorId"] == self._caller
