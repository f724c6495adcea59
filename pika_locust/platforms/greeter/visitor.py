"""A visitor of a website, whose widget shows an agent: it joins, looks at pages, and sometimes clicks."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pika_locust.kit import on
from pika_locust.kit.meters import named
from pika_locust.kit.socketio_connection import Reply
from pika_locust.platforms.greeter.connection import GreeterActor, now_ms
from pika_locust.platforms.greeter.scenarios import WIDGET_METRICS

ASSIGNED, UNAVAILABLE, REASSIGNED, PAUSED = "agent:assigned", "agent:unavailable", "agent:reassigned", "org:paused"
JOIN_WITHIN_S = 10.0
SITE = "https://example.com"
PAGES = (
    *("/", "/pricing", "/features", "/about", "/contact", "/blog", "/demo", "/signup"),
    *("/products/widget", "/solutions/enterprise"),
)
REFERRERS = (
    *(f"https://{site}.com" for site in ("google", "bing", "twitter", "linkedin", "facebook")),
    *("", "direct"),
)
TRIGGER_DELAY_S = 3.0
"""From the answer until the widget pops up, where the server does not say otherwise."""
INTERACTING = 0.3
"""How many visitors click."""


class JoiningActor(GreeterActor):
    """A user that can join as a visitor, and knows its agent."""

    abstract = True

    agent_id: str = ""
    """Who was assigned last; empty: nobody."""
    _joined = False

    def join(self, page: str, referrer: str) -> Reply:
        """Join as a new visitor. Only the first answer counts; later ones are changes of the agent."""
        self.agent_id, self._joined = "", False
        visit = {
            "visitorId": str(UUID(int=self.dice.bits() << 64 | self.dice.bits(), version=4)),
            "orgId": self.worker.settings["ORG_ID"],
            "pageUrl": f"{SITE}{page}",
            "referrer": referrer,
        }
        reply = self.ask(
            "visitor:join",
            visit,
            first_of=(ASSIGNED, UNAVAILABLE),
            refused_by=(PAUSED, "error"),
            within_s=JOIN_WITHIN_S,
            trend="widget_join_time",
            rate="join_success_rate",
        )
        self._joined = reply.ok
        return reply

    @on(ASSIGNED, fields={"agent": dict})
    def on_assigned(self, data: Any, at_ns: int) -> None:
        self._changed(str(data["agent"].get("id", "")))

    @on(UNAVAILABLE)
    def on_unavailable(self, data: Any, at_ns: int) -> None:
        self._changed("")

    @on(REASSIGNED, fields={"newAgent": dict})
    def on_reassigned(self, data: Any, at_ns: int) -> None:
        self._changed(str(data["newAgent"].get("id", "")))

    def _changed(self, agent_id: str) -> None:
        if self._joined:
            self.meters.agent_changes.add()
        self.agent_id = agent_id


class Visitor(JoiningActor):
    """One iteration is one visit of a website."""

    meters: Any = named(WIDGET_METRICS)

    def act(self) -> None:
        if not self.connect():
            return
        reply = self.join(self.dice.choice(PAGES), self.dice.choice(REFERRERS))
        if reply.ok:
            found = reply.name == ASSIGNED
            (self.meters.agent_assigned_count if found else self.meters.agent_unavailable_count).add()
            # Those whom somebody adds in the web page bring no further agents.
            if self.worker.users_peak <= self.worker.begin.users_peak:
                self.meters.agent_found.add(found)
            self._browse(reply)
        elif reply.name == PAUSED:
            self.meters.org_paused_count.add()
        lost = not self.is_connected
        self.disconnect()
        if lost or not reply.ok:
            self.pause(self.backoff.delay_s(1, self.dice))

    def _browse(self, reply: Reply) -> None:
        settings = self.worker.settings
        left_s = self.dice.uniform(settings["SESSION_MIN"], settings["SESSION_MAX"])
        delay_s = self._trigger_delay_s(reply)
        if not self._wait(min(delay_s, left_s)) or delay_s >= left_s:
            return
        left_s -= delay_s
        # The widget pops up: with the agent, or to say what the visitor misses.
        if self.agent_id:
            self.emit("widget:pageview", {"agentId": self.agent_id})
        else:
            self.emit("widget:missed_opportunity", {"triggerDelaySeconds": delay_s, "poolId": reply.get("poolId")})
        if self.dice.chance(INTERACTING):
            until_s = self.dice.uniform(0.0, left_s)
            if not self._wait(until_s):
                return
            left_s -= until_s
            click = {"interactionType": "click", "timestamp": now_ms()}
            if self.emit("visitor:interaction", click):
                self.meters.interactions_sent.add()
        self.stay(left_s)

    def _wait(self, seconds: float) -> bool:
        """Stay for so long; whether there is anything left to do after that."""
        return self.stay(seconds) and not self.released.is_set()

    @staticmethod
    def _trigger_delay_s(reply: Reply) -> float:
        widget = reply.get("widgetSettings")
        delay = widget.get("trigger_delay") if isinstance(widget, dict) else None
        return float(delay) if isinstance(delay, int | float) and 0 <= delay < 3600 else TRIGGER_DELAY_S
