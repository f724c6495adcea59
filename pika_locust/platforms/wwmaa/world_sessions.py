"""WWMAA's training sessions as the suite assumes them: joining, tokens for video, and a chat on a WebSocket."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from pika_locust.platforms.wwmaa.world_accounts import Accounts
from pika_locust.sandbox.app import Call, Socket, message, route
from pika_locust.sandbox.schema import optional, text
from pika_locust.sandbox.world import Answer, Request

_PATH = "/ws/sessions/"


class Sessions(Accounts):
    """Everybody may join, and hears what is said in the same session, the speaker included."""

    def start(self) -> None:
        super().start()
        self._joined: dict[str, str] = {}
        self._here: dict[str, dict[int, Socket]] = {}

    def sessions_state(self) -> dict[str, Any]:
        """How many listen to each session."""
        return {"sessions": {name: len(sockets) for name, sockets in self._here.items()}}

    @route("POST", "/api/rtc/sessions/{id}/join", body={"user_id": text(1), "participant_name": text(1)})
    def join(self, call: Call) -> Any:
        self._made += 1
        token = f"ws-{self._made}"
        self._joined[token] = call.params["id"]
        return {"access_token": f"rtc-{self._made}", "ws_token": token, "session_id": call.params["id"]}

    @route("POST", "/api/rtc/sessions/{id}/video-token", body={"access_token": text(1)})
    def video_token(self, call: Call) -> Answer:
        if not call.bearer.startswith("rtc-"):
            return self.unauthorized(call)
        return Answer.json({"video_token": f"video-{call.bearer}"})

    @route("GET", "/api/rtc/sessions/{id}/video-health")
    def video_health(self, call: Call) -> Any:
        """A claim of the server's: no video flows here."""
        return {"status": "failed" if self.hit("video-down") else "connected"}

    @route("POST", "/api/rtc/sessions/{id}/leave", body={"user_id": optional(text())})
    def leave_session(self, call: Call) -> Any:
        return {"success": True}

    def accept(self, request: Request) -> Answer | None:
        token = parse_qs(request.query).get("token", [""])[0]
        known = self._joined.get(token)
        if known is None or request.path != f"{_PATH}{known}":
            return Answer.json({"detail": "Forbidden"}, 403)
        return None

    def on_open(self, socket: Socket) -> None:
        socket.data = socket.request.path.removeprefix(_PATH)
        here = self._here.setdefault(socket.data, {})
        here[socket.id] = socket
        socket.send({"type": "welcome", "session_id": socket.data})
        self.emit(here.values(), {"type": "participant_joined"}, socket, kind="participant_joined")

    def on_close(self, socket: Socket) -> None:
        self._here.get(socket.data, {}).pop(socket.id, None)

    @message("chat", body={"content": text(1, 2000), "user_id": text(1), "sent_at": text(1)})
    def chat(self, socket: Socket, said: dict[str, Any]) -> None:
        here = self._here[socket.data].values()
        for _ in range(2 if self.hit("double", "chat") else 1):
            self.emit(here, {"type": "chat", **said}, kind="chat")

    @message("ping")
    def pings(self, socket: Socket, said: dict[str, Any]) -> None:
        socket.send({"type": "pong"})

    @message("leave")
    def leaves(self, socket: Socket, said: dict[str, Any]) -> None:
        self._here[socket.data].pop(socket.id, None)
