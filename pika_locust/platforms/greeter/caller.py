"""A visitor who calls: it joins, asks its agent for a call, talks, and hangs up."""

from __future__ import annotations

from typing import Any

from pika_locust.kit import on
from pika_locust.kit.meters import named
from pika_locust.kit.socketio_connection import Reply
from pika_locust.platforms.greeter.connection import now_ms
from pika_locust.platforms.greeter.scenarios import CALL_METRICS
from pika_locust.platforms.greeter.visitor import ASSIGNED, UNAVAILABLE, JoiningActor
from pika_locust.runtime.arrivals import OpenActor

BEFORE_CALLING_S = (1.0, 3.0)
SIGNAL_WITHIN_S = 5.0
SNAPSHOT_EVERY_S = 2.0
OFFER = {"type": "offer", "sdp": "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"}
CANDIDATE = {"candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdpMid": "0"}
REJECTED, RANG_OUT = "agent_away", "rna_timeout"
"""Why a visitor has no agent any more, when that is the answer to its call."""


def is_no_answer(name: str, data: Any) -> bool:
    """Whether this is about the agent that the widget shows, and the call goes on ringing, or waiting in a queue."""
    return name == UNAVAILABLE and not (isinstance(data, dict) and data.get("reason") in (REJECTED, RANG_OUT))


def has(data: Any, field: str, value: str) -> bool:
    """Whether what came is an object with this value in a field."""
    return isinstance(data, dict) and data.get(field) == value


def is_answer_of(agent_id: str, data: Any) -> bool:
    """Whether a WebRTC signal is the agent's answer: not one's own offer that came back, nor what another one says."""
    return has(data, "targetId", agent_id) and has(data.get("signal"), "type", "answer")


class Caller(JoiningActor, OpenActor):
    """One iteration is one visit with one call; it begins whenever one is due."""

    meters: Any = named(CALL_METRICS)
    ledgers = ("calls",)

    def begin(self) -> None:
        super().begin()
        self._ended: set[str] = set()
        """Calls that the server has ended on this connection, by their ids."""

    def act(self) -> None:
        if not self.connect():
            return
        joined = self.join("/load-test", "https://google.com")
        wanted = self.worker.settings["AGENT_ID"] or self.agent_id
        if joined.ok:
            self.meters.call_agent_found.add(joined.name == ASSIGNED)
        if joined.ok and wanted and not self.pause(self.dice.uniform(*BEFORE_CALLING_S)) and self.is_connected:
            self._call(wanted)
        self.disconnect()

    def _call(self, agent_id: str) -> None:
        settings, call = self.worker.settings, self.new_id()
        wanted = {"requestId": call, "agentId": agent_id, "visitorName": f"Load Test User {self.number}"}
        self._ended.clear()
        self.meters.calls_requested.add()
        if self.dice.chance(settings["CALL_ABANDON"]):
            self._leave_ringing(call, wanted)
            return
        reply = self.ask(
            "call:request",
            wanted,
            first_of=("call:accepted",),
            refused_by=(UNAVAILABLE, "error"),
            unless=is_no_answer,
            within_s=settings["CALL_ANSWER_WITHIN"],
            ledger="calls",
            item=call,
            trend="call_accept_time",
            rate="call_success_rate",
        )
        self._count(reply)
        if reply.ok:
            self._talk(str(reply.get("callId", "")), str(reply.get("agentId", "")))

    def _leave_ringing(self, call: str, wanted: dict[str, str]) -> None:
        calls = self.worker.ledgers["calls"]
        calls.sent(call)
        self.emit("call:request", wanted)
        self.pause(self.dice.uniform(0.0, self.worker.settings["AGENT_DELAY"] / 2))
        # What becomes of it nobody hears.
        calls.uncertain(call)
        self.meters.calls_abandoned.add()

    def _count(self, reply: Reply) -> None:
        """What became of a call that was asked for: exactly one of these."""
        meters, reason = self.meters, reply.get("reason") if reply.name == UNAVAILABLE else ""
        if reply.name:
            meters.call_request_time.add(reply.latency_us)
        meters.call_rejected_rate.add(reason == REJECTED)
        meters.call_rang_out_rate.add(reason == RANG_OUT)
        if reply.ok:
            meters.calls_accepted.add()
        elif reason:
            (meters.calls_rejected if reason == REJECTED else meters.calls_rang_out).add()
        elif reply.name:
            meters.calls_failed.tagged(code=str(reply.get("code", "error"))).add()
        else:
            meters.calls_timed_out.add()

    def reason(self, reply: Reply) -> str:
        return {REJECTED: "rejected", RANG_OUT: "rang out"}.get(reply.get("reason", ""), super().reason(reply))

    def _talk(self, call_id: str, agent_id: str) -> None:
        settings = self.worker.settings
        if settings["AGENTS"] != 0:
            offer = {"targetId": agent_id, "signal": OFFER}
            self.ask(
                "webrtc:signal",
                offer,
                first_of=("webrtc:signal",),
                unless=lambda name, data: not is_answer_of(agent_id, data),
                within_s=SIGNAL_WITHIN_S,
                trend="signal_time",
                rate="signal_success",
            )
            self.emit("webrtc:signal", {"targetId": agent_id, "signal": CANDIDATE})
        left_s = self.dice.uniform(settings["TALK_TIME_MIN"], settings["TALK_TIME_MAX"])
        # Who hangs up at once has shown its page, too.
        while call_id not in self._ended and self.is_connected:
            self.emit("cobrowse:snapshot", {"html": "<p>load test</p>", "timestamp": now_ms()})
            step_s = min(left_s, SNAPSHOT_EVERY_S)
            self.wait_for(lambda: call_id in self._ended, step_s)
            left_s -= step_s
            if left_s <= 0:
                break
        # Agents of ours leave it to the visitor to hang up.
        self.meters.call_kept.add(self.is_connected and call_id not in self._ended)
        if call_id not in self._ended:
            over = self.ask(
                "call:end",
                {"callId": call_id, "reason": "visitor_ended"},
                first_of=("call:ended",),
                unless=lambda name, data: not has(data, "callId", call_id),
                within_s=SIGNAL_WITHIN_S,
                trend="call_end_time",
            )
            self.meters.call_end_success.add(over.ok)

    @on("call:ended", fields={"callId": str})
    def on_ended(self, data: Any, at_ns: int) -> None:
        self._ended.add(data["callId"])
