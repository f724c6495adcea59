"""Somebody in a training session: joins, gets a token for video, chats, and counts what it hears of all others.

No video flows: what is asked for is the token, and what the server says of video's health.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pika_locust import clock
from pika_locust.kit import WebSocketActor, on
from pika_locust.kit.broadcast import TOPIC, BroadcastDelivery, BroadcastMetrics, announcement
from pika_locust.kit.http_actor import HttpContext
from pika_locust.kit.meters import named
from pika_locust.kit.targets import websocket_url
from pika_locust.platforms.wwmaa.scenarios import RTC_METRICS
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.machine import boot_id
from pika_locust.wire.http import Response

PHRASES = ("Good morning", "Great form", "Could you show that again?", "Osu!", "Which stance is that?", "Thank you")
HEALTHY = ("connected", "healthy")
HEALTH_EVERY = 10
"""Messages from one look at video's health to the next."""
USERS_MESSAGES = 1_000_000
"""More messages than anybody sends: numbers of messages are unique."""
_MARK = re.compile(r"\[(\d{1,15})/(\d{1,15}) ([^ \]]{1,64}) (\d{1,20})\]$")


@dataclass(frozen=True, slots=True)
class Said:
    """What a message carries in its text, so that whoever hears it knows which one it is."""

    number: int
    boot: str
    sent_ns: int

    def text(self, phrase: str, sequence: int) -> str:
        """The phrase with the mark behind it."""
        return f"{phrase} [{self.number - sequence}/{sequence} {self.boot} {self.sent_ns}]"


class Chat:
    """What the participants of a process know of all messages; `worker.shared(Chat)`."""

    def __init__(self, worker: WorkerContext) -> None:
        metrics = worker.metrics
        where = BroadcastMetrics(
            latency={"chat": metrics.trend("chat_message_latency")},
            any_latency=metrics.trend("ws_message_latency"),
            delivered={"chat": metrics.rate("message_delivery_success")},
            duplicates={"chat": metrics.counter("message_duplicates")},
        )
        self.delivery = BroadcastDelivery(worker, where, "chat_message_latency", "ws_message_latency")


class Participant(WebSocketActor):
    """One iteration is one stay in the session."""

    meters: Any = named(RTC_METRICS)
    confirmed_by_upgrade = False
    ignored = ("participant_joined", "participant_left")
    ping = b'{"type":"ping"}'
    pong = "pong"
    ping_every_s = 60.0
    pong_within_s = 120.0

    def begin(self) -> None:
        super().begin()
        self._chat = self.worker.shared(Chat)
        self._http = self.worker.shared(HttpContext).client(self.number)
        self._session: str = self.worker.settings["TEST_SESSION_ID"]
        self._me = f"user_{self.worker.begin.run_id}_{self.worker.global_number(self.number)}"
        self._sequence = 0
        self._token = ""
        self._heard: dict[str, int] = {}

    def act(self) -> None:
        if self._join() and self.connect():
            self._stay()
            self.disconnect()
        self._call("POST", "leave", {"user_id": self._me})
        self.pause(1.0)

    def _join(self) -> bool:
        body = {"user_id": self._me, "participant_name": f"Test User {self.number}"}
        response = self._call("POST", "join", body)
        answer = response.json_object()
        access, token = answer.get("access_token"), answer.get("ws_token")
        if not self.checked("received access token", isinstance(access, str) and isinstance(token, str)):
            return False
        self.meters.session_join_latency.add(response.duration_us)
        self._token = str(token)
        self._http.set_headers({"authorization": f"Bearer {access}"})
        video = self._call("POST", "video-token", {"access_token": access}).json_object()
        self.meters.video_health_check_success.add(bool(video.get("video_token")))
        return True

    def _call(self, method: str, what: str, body: Any = None) -> Response:
        path = f"/api/rtc/sessions/{quote(self._session)}/{what}"
        response = self._http.request(method, path, json=body, name=what)
        self.checked(f"{what} ok", response.error is None and response.status == 200)
        return response

    def url(self) -> str:
        base = self.worker.settings["WS_URL"] or websocket_url(self.worker.begin.target)
        return f"{base.rstrip('/')}/sessions/{quote(self._session)}?token={quote(self._token)}"

    def _stay(self) -> None:
        settings = self.worker.settings
        until_s = clock.monotonic() + settings["SESSION_LENGTH"]
        # Nobody speaks before the greeting: who is there is known by it.
        self.wait_for(lambda: self.confirmed or self.released.is_set(), settings["SESSION_LENGTH"])
        while self.is_open and not self.released.is_set() and clock.monotonic() < until_s:
            if self._sequence % HEALTH_EVERY == 0:
                health = self._call("GET", "video-health").json_object().get("status")
                self.meters.video_health_check_success.add(health in HEALTHY)
            if self.confirmed:
                self._say()
            self.pause(settings["CHAT_EVERY"] * self.dice.uniform(0.8, 1.2))

    def _say(self) -> None:
        sequence, self._sequence = self._sequence, self._sequence + 1
        number = self.worker.global_number(self.number) * USERS_MESSAGES + sequence
        said = Said(number, boot_id(), clock.monotonic_ns())
        text = said.text(self.dice.choice(PHRASES), sequence)
        sent_at = datetime.fromtimestamp(clock.time(), UTC).isoformat()
        if self.send_json({"type": "chat", "content": text, "user_id": self._me, "sent_at": sent_at}):
            self.worker.tell_all(TOPIC, announcement("chat", said))

    # In the event loop

    @on("welcome", fields={"session_id": str})
    def on_welcome(self, message: dict[str, Any], at_ns: int) -> None:
        if self.checked("welcome is of our session", message["session_id"] == self._session):
            self.confirm()
            self._chat.delivery.joined(self.number)

    @on("chat", fields={"content": str})
    def on_chat(self, message: dict[str, Any], at_ns: int) -> None:
        mark = _MARK.search(message["content"])
        if mark is None:
            # Somebody else's, who is not of this run.
            return
        sender, sequence = mark[1], int(mark[2])
        self._chat.delivery.received("chat", Said(int(sender) + sequence, mark[3], int(mark[4])), self.number, at_ns)
        before = self._heard.get(sender, -1)
        self._heard[sender] = max(before, sequence)
        if sequence != before:
            self.meters.chat_in_order.add(sequence > before)

    @on("error", fields={"error": str})
    def on_error(self, message: dict[str, Any], at_ns: int) -> None:
        self.worker.error("chat", message["error"])
        self.checked("chat without errors", False)

    def leaving(self) -> None:
        self._chat.delivery.left(self.number)
        self.send_json({"type": "leave"})

    def closed(self, kept: bool) -> None:
        self._chat.delivery.left(self.number)
        self.meters.ws_connection_drops.add(not kept)

    def on_stop(self) -> None:
        super().on_stop()
        if hasattr(self, "_http"):
            self._http.close()
