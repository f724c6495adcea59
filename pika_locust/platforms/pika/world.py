"""Pika's server as a pure state machine: what the sandbox serves in its place.

Everything is written from what the real server was seen to do on the wire, apart from the client side in this folder,
so that a misreading of the protocol cannot hide in both. Its defects are kept: one topic for all sessions, takeovers,
silent refusals, notices that never reach the oldest socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from pika_locust.platforms.pika.world_messages import (
    DOUBLING,
    MISCOUNTING,
    SWALLOWING,
    TALKING_NONSENSE,
    MessageHandlers,
)
from pika_locust.platforms.pika.world_model import Connection, Session, SessionRow
from pika_locust.platforms.pika.world_schema import LONGEST_MESSAGE, VERSION
from pika_locust.sandbox.app import Call, Socket, route
from pika_locust.sandbox.faults import Cover
from pika_locust.sandbox.javascript import iso
from pika_locust.sandbox.rate_limit import FixedWindow
from pika_locust.sandbox.schema import utf16_units
from pika_locust.sandbox.world import Answer, Request

HEARTBEAT_S = 2.0
CLEANUP_S = 300.0
SWEEP_S = 4.0
IDLE_PING_SWEEPS = 26
IDLE_CUT_SWEEPS = 30
MAX_SESSIONS = 1000
WS_WINDOW_S = 60.0
HOUR_S = 3600.0
HISTORY_LENGTH = 50
TRACK_DETAILS = ("bpm", "key", "energy", "danceability", "brightness", "acousticness", "groove")

NOT_FOUND = Answer.text("404 Not Found", 404)
TOO_MANY = Answer.text("Rate limit exceeded", 429)


class PikaWorld(MessageHandlers):
    """The world of one Pika server. `settings` may carry what the real server is configured with:

    `PIKA_SANDBOX_MAX_SESSIONS` (1000) and `PIKA_SANDBOX_WS_RATE_LIMIT` (upgrade attempts per minute and client key;
    no limit unless given, because behind one address a load test is one client).
    """

    name = "pika"
    about = "Pika!: DJs, dancers, likes, tempo votes and polls over one WebSocket topic"
    covers = (
        Cover("latency", "latency=800", "dancers", "ws_message_latency"),
        Cover("error", "error=0.5", "dancers", "http_req_failed", together="error+throttle"),
        Cover("drop", "drop=0.2", "dancers", "ack_success"),
        Cover("lose-write", "lose-write=0.1", "dancers", "likes"),
        Cover("lose-write", "lose-write=0.1", "dancers", "tempo votes"),
        Cover("lose-write", "lose-write=0.1", "dancers", "poll votes"),
        Cover("lose-fanout", "lose-fanout=0.1", "dancers", "fanout_delivery"),
        Cover("double", "double=0.2", "dancers", "likes"),
        Cover("double", "double=0.2", "dancers", "tempo votes"),
        Cover("double", "double=0.2", "dancers", "poll votes"),
        Cover("throttle", "throttle=5/60s", "dancers", "ws_connection_success", together="error+throttle"),
        Cover("refuse", "refuse=0.5", "dancers", "ws_connection_success"),
        Cover("max-sockets", "max-sockets=20", "dancers", "ws_connection_success", together="leak+max-sockets"),
        Cover("close-after", "close-after=2", "dancers", "ws_connection_kept"),
        Cover("dead-session", "dead-session", "dancers", "ws_session_live"),
        Cover("leak", "leak=6000", "dancers", "target_memory_mb", together="leak+max-sockets"),
        Cover("crash-after", "crash-after=3", "dancers", "ws_connection_kept"),
        *(
            Cover(name, f"{name}=1", "dancers", f"{metric}{{kind:{kind}}}" if kind else metric, together="broadcasts")
            for name, metric, kind in (
                ("swallow-likes", "fanout_delivery", "like"),
                ("swallow-tempo", "fanout_delivery", "tempo"),
                ("swallow-poll-ends", "fanout_delivery", "poll_end"),
                ("swallow-reactions", "fanout_delivery", "thanks"),
                ("swallow-session-ends", "fanout_delivery", "session_end"),
                ("swallow-tempo-resets", "fanout_delivery", "tempo_reset"),
                ("double-tracks", "fanout_duplicates", ""),
                ("miscount-listeners", "fanout_correct", "listeners"),
            )
        ),
        Cover("nonsense", "nonsense=0.02", "dancers", "protocol_errors", together="broadcasts"),
        # Not all of them, or our DJ would not know which poll to end.
        Cover(
            "swallow-poll-updates",
            "swallow-poll-updates=0.5",
            "dancers",
            "fanout_delivery{kind:vote}",
            together="broadcasts",
        ),
    )
    named = (*SWALLOWING.values(), DOUBLING, MISCOUNTING, TALKING_NONSENSE)
    groups = ("dancers", "djs")

    def start(self) -> None:
        super().start()
        self.max_sessions = self.setting("PIKA_SANDBOX_MAX_SESSIONS", MAX_SESSIONS)
        limit = self.setting("PIKA_SANDBOX_WS_RATE_LIMIT", 0)
        self._attempts = FixedWindow(limit, WS_WINDOW_S) if limit else None
        self._started_at = self.now
        self.every(HEARTBEAT_S, self._beat)
        self.every(CLEANUP_S, self._clean_up)

    # Connections

    def client_of(self, request: Request) -> str:
        """Whom the real server counts a request for: all who come directly share one bucket."""
        headers = request.headers
        return headers.get("cf-connecting-ip") or headers.get("x-forwarded-for", "").split(",")[0].strip() or "unknown"

    def upgrade_over_limit(self, request: Request) -> int | None:
        if request.path != self.socket_path:
            return None
        retry_s, client = super().upgrade_over_limit(request), self.client_of(request)
        if retry_s is None and self._attempts is not None and not self._attempts.take(client, self.now):
            return ceil(self._attempts.resets_in(client, self.now))
        return retry_s

    def not_found(self, request: Request) -> Answer:
        """Asking for the WebSocket's path is an attempt to connect, also without the headers of one."""
        return NOT_FOUND if self.upgrade_over_limit(request) is None else TOO_MANY

    def too_many_sockets(self, request: Request, retry_s: int) -> Answer:
        return TOO_MANY

    def on_open(self, socket: Socket) -> None:
        socket.data = Connection(self.now)
        if self._attempts is not None:
            # the real server forgets all attempts of a client whenever one of them succeeds
            self._attempts.forget(self.client_of(socket.request))

    def on_data(self, socket: Socket, data: str | bytes) -> bool:
        self.on_pong(socket)
        if isinstance(data, str) and utf16_units(data) > LONGEST_MESSAGE:
            socket.close(1009, "Message too large")
            return False
        return isinstance(data, str)

    def on_pong(self, socket: Socket) -> None:
        socket.data.active_at, socket.data.pinged = self.now, False

    def on_close(self, socket: Socket) -> None:
        connection = socket.data
        if connection.listens_to is not None and connection.client_id is not None:
            self.live.leave(connection.listens_to, connection.client_id, self.now)
        session = self.live.sessions.get(connection.dj_of or "")
        if session is not None:
            self.abandon_session(session)
            self.publish(None, type="SESSION_ENDED", sessionId=session.id)

    def on_shutdown(self) -> None:
        for session in list(self.live.sessions.values()):
            self.end_session(session)
        notice = "Server is shutting down for maintenance"
        self.publish(self._oldest_socket(), type="SERVER_SHUTDOWN", message=notice)

    def group(self, socket: int) -> str:
        connection = self.sockets.get(socket)
        return "djs" if connection is not None and connection.data.was_dj else "dancers"

    # What happens by time

    def _oldest_socket(self) -> Socket | None:
        """The socket opened first among the open ones: what the server says of itself is published through it."""
        return next(iter(self.sockets.values()), None)

    def _beat(self) -> None:
        """Tells a session's listener count when it changed since it was last told here; repeats do not matter."""
        self.live.forget_listeners(self.now)
        oldest = self._oldest_socket()
        if oldest is not None:
            for session_id in self.live.sessions:
                count = self.live.listener_count(session_id)
                if self.live.counts_told.get(session_id) != count:
                    self.live.counts_told[session_id] = count
                    self.publish(oldest, type="LISTENER_COUNT", sessionId=session_id, count=count)
        self._watch_idle()

    def _watch_idle(self) -> None:
        """Pings sockets idle for 104 s and cuts those idle for 120 s, counted in sweeps as the real server does."""
        sweep = self._sweep(self.now)
        for socket in self.sockets.values():
            connection, took_part_at = socket.data, self.activity.seen_by(socket.id)
            if took_part_at > connection.active_at:
                connection.active_at, connection.pinged = took_part_at, False
            idle = sweep - self._sweep(connection.active_at)
            if idle >= IDLE_CUT_SWEEPS:
                socket.close(None)
            elif idle >= IDLE_PING_SWEEPS and not connection.pinged:
                connection.pinged = True
                socket.ping()

    def _sweep(self, at: float) -> int:
        return int((at - self._started_at) / SWEEP_S + 1e-6)

    def _clean_up(self) -> None:
        self.live.forget_quotas(self.now)
        for session in list(self.live.sessions.values()):
            if (reason := _expired(session, self.now)) is not None:
                self.abandon_session(session)
                self.publish(self._oldest_socket(), type="SESSION_EXPIRED", sessionId=session.id, reason=reason)

    # Pages: those that a dancer, an audit or a probe asks for. No fault of messages or connections touches them.

    def health(self, call: Call) -> Any:
        health = {"status": "ok", "version": VERSION, "timestamp": iso(self.now)}
        return {**health, "activeSessions": len(self.live.sessions), "database": "connected"}

    @route("GET", "/api/sessions/active", exempt=True)
    def active(self, call: Call) -> Any:
        sessions = [self._active(session) for session in self.live.sessions.values()]
        return {"live": True, "count": len(sessions), "sessions": sessions} if sessions else _NOTHING_LIVE

    def _active(self, session: Session) -> dict[str, Any]:
        listeners, track = self.live.listener_count(session.id), session.track
        return {
            "sessionId": session.id,
            "djName": session.dj_name,
            "startedAt": iso(session.started_at),
            "currentTrack": {k: track[k] for k in ("title", "artist", "bpm") if k in track} if track else None,
            "listenerCount": listeners,
            "momentum": listeners / 20 if 0 < listeners < 20 else min(listeners, 1),
        }

    @route("GET", "/api/session/{id}/history", exempt=True)
    def history(self, call: Call) -> Any:
        row = self.database.sessions.get(call.params["id"])
        plays = row.plays[-HISTORY_LENGTH:] if row is not None else []
        return [
            {"id": p.id, "artist": p.track["artist"], "title": p.track["title"], "playedAt": iso(p.played_at)}
            for p in reversed(plays)
        ]

    @route("GET", "/api/session/{id}/recap", exempt=True)
    def recap(self, call: Call) -> Any:
        row = self.database.sessions.get(call.params["id"])
        if row is None:
            return Answer.json({"error": "Session not found"}, 404)
        return {
            "sessionId": row.id,
            "djName": row.dj_name,
            "startedAt": iso(row.started_at),
            "endedAt": iso(row.ended_at if row.ended_at is not None else self.now),
            "trackCount": len(row.plays),
            "totalLikes": row.likes,
            "tracks": [
                {
                    "position": position,
                    "artist": play.track["artist"],
                    "title": play.track["title"],
                    **{detail: play.track.get(detail) for detail in TRACK_DETAILS},
                    "playedAt": iso(play.played_at),
                    "likes": play.like_count,
                    "tempo": play.tempo,
                }
                for position, play in enumerate(row.plays, 1)
            ],
        }

    # What is held, for audits

    def state(self, now: float) -> dict[str, Any]:
        """Totals over all sessions, then all polls, then each session, live or ended.

        `likes_held` counts kept likes; `likes_orphaned` those of tracks that were never played, which the real server
        acknowledges and drops. `tempo_held` counts tempo votes that a recap shows or will show if the session ends
        now; `tempo_dropped` those that expired or had no track to belong to. `poll_votes_held` counts votes of all
        polls, cancelled ones included.
        """
        sessions = {row.id: self._session_state(row, now) for row in self.database.sessions.values()}
        polls = [poll for session in sessions.values() for poll in session["polls"]]
        return {
            "likes_held": sum(session["likes"] for session in sessions.values()),
            "likes_orphaned": self.database.orphaned_likes,
            "tempo_held": sum(sum(session["tempo"].values()) for session in sessions.values()),
            "tempo_dropped": self.live.tempo_dropped,
            "poll_votes_held": sum(poll["totalVotes"] for poll in polls),
            "tracks_held": sum(len(session["tracks"]) for session in sessions.values()),
            "sessions_live": len(self.live.sessions),
            "polls": polls,
            "sessions": sessions,
            "memory": {**self.live.sizes(), "sockets": len(self.sockets)},
        }

    def _session_state(self, row: SessionRow, now: float) -> dict[str, Any]:
        session = self.live.sessions.get(row.id)
        tempo = {"faster": 0, "slower": 0, "perfect": 0}
        if session is not None and session.track is not None:
            tempo = self.live.tempo_totals(row.id, now)
        for play in row.plays:
            for preference, votes in (play.tempo or {}).items():
                tempo[preference] += votes
        return {
            "live": session is not None,
            "dj_name": row.dj_name,
            "started_at": iso(row.started_at),
            "ended_at": iso(row.ended_at) if row.ended_at is not None else None,
            "listeners": self.live.listener_count(row.id),
            "likes": row.likes,
            "tempo": tempo,
            "tracks": [
                {
                    "id": play.id,
                    "title": play.track["title"],
                    "artist": play.track["artist"],
                    "likes": play.like_count,
                    "tempo": play.tempo,
                }
                for play in row.plays
            ],
            "polls": [
                {
                    "id": poll.id,
                    "question": poll.question,
                    "options": poll.options,
                    "votes": poll.votes,
                    "totalVotes": sum(poll.votes),
                    "voters": len(poll.choices),
                    "status": poll.status,
                    "open": poll.open,
                }
                for poll in row.polls
            ],
        }


_NOTHING_LIVE: Mapping[str, Any] = {"live": False, "sessions": []}


def _expired(session: Session, now: float) -> str | None:
    age, idle = now - session.started_at, now - session.active_at
    if age > 24 * HOUR_S:
        return "Session exceeded maximum duration"
    return "Session inactive" if idle > 4 * HOUR_S and age > 8 * HOUR_S else None


PLATFORM = PikaWorld.platform()
"""Pika's offer to the sandbox."""
