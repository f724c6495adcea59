"""What the app asks over HTTP around joining: which sessions are live, and what was played before."""

from __future__ import annotations

from urllib.parse import quote

from pika_locust.platforms.pika.room import PikaContext
from pika_locust.wire.http import HttpClient, Timeouts

_TIMEOUTS = Timeouts(total_s=10.0)


class Lobby:
    """The two requests of one arrival, on one connection; close it afterwards, or it stays open for the night."""

    def __init__(self, room: PikaContext) -> None:
        self._room = room
        self._http = HttpClient(room.http_origin, timeouts=_TIMEOUTS, observer=room.http_meter)

    def look_in(self) -> None:
        """The landing page's request."""
        self._http.get("/api/sessions/active", name="sessions_active")

    def read_history(self) -> None:
        """What the app shows as already played."""
        session_id = quote(self._room.session_id, safe="")
        self._http.get(f"/api/session/{session_id}/history", name="session_history")

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()
