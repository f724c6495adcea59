"""Pika's server as a pure state machine: what the sandbox serves in its place.

Everything is written from what the real server was seen to do on the wire, apart from the client side in this folder,
so that a misreading of the protocol cannot hide in both. Its defects are kept: one topic for all sessions, takeovers,
silent refusals, notices that never reach the oldest socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pika_locust.errors import ConfigurationError
from pika_locust.platforms.pika.world_http import NOT_FOUND, answer, client_key
from pika_locust.platforms.pika.world_messages import DANCER_HANDLERS, DJ_HANDLERS, dj_left, end_due_polls, end_session
from pika_locust.platforms.pika.world_model import Session, SessionRow, Socket
from pika_locust.platforms.pika.world_schema import accept, units
from pika_locust.platforms.pika.world_turn import MessageContext, ServerState, iso, published
from pika_locust.sandbox.faults import Cover, FaultSwitches
from pika_locust.sandbox.rate_limit import FixedWindow
from pika_locust.sandbox.world import Answer, Close, Effect, Effects, Ping, Platform, Reply, Request

# What Pika's world holds, told for audits: the numbers that must equal what was acknowledged.


def state_of(live: ServerState, now: float) -> dict[str, Any]:
    """Totals over all sessions, then all polls, then each session, live or ended.

    `likes_held` counts kept likes; `likes_orphaned` those of tracks that were never played, which the real server
    acknowledges and drops. `tempo_held` counts tempo votes that a recap shows or will show if the session ends now;
    `tempo_dropped` those that expired or had no track to belong to. `poll_votes_held` counts votes of all polls,
    cancelled ones included.
    """
    sessions = {row.id: _session(live, row, now) for row in live.archive.sessions.values()}
    return {
        "likes_held": sum(session["likes"] for session in sessions.values()),
        "likes_orphaned": live.archive.orphaned_likes,
        "tempo_held": sum(sum(session["tempo"].values()) for session in sessions.values()),
        "tempo_dropped": live.memory.tempo_dropped,
        "poll_votes_held": sum(poll["totalVotes"] for session in sessions.values() for poll in session["polls"]),
        "tracks_held": sum(len(session["tracks"]) for session in sessions.values()),
        "sessions_live": len(live.memory.sessions),
        "polls": [poll for session in sessions.values() for poll in session["polls"]],
        "sessions": sessions,
        "memory": live.memory.to_json(),
    }


def _session(live: ServerState, row: SessionRow, now: float) -> dict[str, Any]:
    session = live.memory.sessions.get(row.id)
    tempo = {"faster": 0, "slower": 0, "perfect": 0}
    if session is not None and session.track is not None:
        tempo = live.memory.tempo_totals(row.id, now)
    for play in row.plays:
        for preference, votes in (play.tempo or {}).items():
            tempo[preference] += votes
    return {
        "live": session is not None,
        "dj_name": row.dj_name,
        "started_at": iso(row.started_at),
        "ended_at": iso(row.ended_at) if row.ended_at is not None else None,
        "listeners": live.memory.listener_count(row.id),
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


HEARTBEAT_S = 2.0
CLEANUP_S = 300.0
SWEEP_S = 4.0
IDLE_PING_SWEEPS = 26
IDLE_CUT_SWEEPS = 30
LONGEST_TEXT = 10 * 1024
MAX_SESSIONS = 1000
WS_WINDOW_S = 60.0
HOUR_S = 3600.0

HANDLERS = {**DANCER_HANDLERS, **DJ_HANDLERS}
TOO_MANY = Answer.text("Rate limit exceeded", 429)


class PikaWorld:
    """The world of one Pika server. `settings` may carry what the real server is configured with:

    `PIKA_SANDBOX_MAX_SESSIONS` (1000) and `PIKA_SANDBOX_WS_RATE_LIMIT` (upgrade attempts per minute and client key;
    no limit unless given, because behind one address a load test is one client).
    """

    def __init__(self, faults: FaultSwitches, settings: Mapping[str, str], now: float) -> None:
        self._faults = faults
        self._max_sessions = _whole(settings, "PIKA_SANDBOX_MAX_SESSIONS") or MAX_SESSIONS
        self._ws_rate_limit = _whole(settings, "PIKA_SANDBOX_WS_RATE_LIMIT")
        faults.watch(self._retune)
        self._throttle: FixedWindow | None = None
        self.reset(now)

    def reset(self, now: float) -> None:
        self._live = ServerState(self._faults, self._max_sessions)
        self._memory = self._live.memory
        self._attempts = FixedWindow(self._ws_rate_limit, WS_WINDOW_S) if self._ws_rate_limit else None
        self._started_at = now
        self._next_beat = now + HEARTBEAT_S
        self._next_cleanup = now + CLEANUP_S
        self._retune()

    @property
    def due(self) -> float:
        poll_ends = self._live.poll_ends
        return min(self._next_beat, poll_ends[0][0]) if poll_ends else self._next_beat

    def request(self, exchange: int, request: Request, now: float) -> Effects:
        if request.path == "/ws":
            return [Reply(exchange, NOT_FOUND if self._may_connect(request, now) else TOO_MANY)]
        return [Reply(exchange, answer(self._live, request, now))]

    def abandoned(self, exchange: int, now: float) -> Effects:
        return ()

    def upgrade(self, request: Request, now: float) -> Answer | None:
        if request.path != "/ws":
            return NOT_FOUND
        return None if self._may_connect(request, now) else TOO_MANY

    def opened(self, socket: int, request: Request, now: float) -> Effects:
        self._memory.sockets[socket] = Socket(socket, now, now)
        if self._attempts is not None:
            # the real server forgets all attempts of a client whenever one of them succeeds
            self._attempts.forget(client_key(request))
        return ()

    def received(self, socket: int, data: str | bytes, now: float, queued: int) -> Effects:
        member = self._memory.sockets[socket]
        member.active_at, member.pinged = now, False
        if isinstance(data, bytes):
            return ()
        if units(data) > LONGEST_TEXT:
            return [Close(socket, 1009, "Message too large")]
        message = accept(data)
        if message is None:
            return ()
        turn = MessageContext(self._live, member, message, now, queued)
        HANDLERS[message["type"]](turn)
        return turn.effects

    def ponged(self, socket: int, now: float) -> Effects:
        member = self._memory.sockets[socket]
        member.active_at, member.pinged = now, False
        return ()

    def closed(self, socket: int, now: float) -> Effects:
        member = self._memory.sockets.pop(socket, None)
        if member is None:
            return ()
        if member.listens_to is not None and member.client_id is not None:
            self._memory.leave(member.listens_to, member.client_id, now)
        session = self._memory.sessions.get(member.dj_of or "")
        if session is None:
            return ()
        dj_left(self._live, session, now)
        return [published(self._live, now, None, {"type": "SESSION_ENDED", "sessionId": session.id})]

    def tick(self, now: float) -> Effects:
        effects = end_due_polls(self._live, now)
        if now >= self._next_beat:
            self._next_beat += HEARTBEAT_S * (1 + (now - self._next_beat) // HEARTBEAT_S)
            effects += self._beat(now)
            effects += self._watch_idle(now)
        if now >= self._next_cleanup:
            self._next_cleanup = now + CLEANUP_S
            effects += self._clean_up(now)
        return effects

    def shutdown(self, now: float) -> Effects:
        for session in list(self._memory.sessions.values()):
            end_session(self._live, session, now)
        notice = {"type": "SERVER_SHUTDOWN", "message": "Server is shutting down for maintenance"}
        return [published(self._live, now, self._memory.oldest_socket(), notice)]

    def group(self, socket: int) -> str:
        member = self._memory.sockets.get(socket)
        return "djs" if member is not None and member.was_dj else "dancers"

    def state(self, now: float) -> dict[str, Any]:
        return state_of(self._live, now)

    def _beat(self, now: float) -> list[Effect]:
        """Tells a session's listener count when it changed since it was last told here; repeats do not matter."""
        memory, oldest = self._memory, self._memory.oldest_socket()
        memory.forget_listeners(now)
        if oldest is None:
            return []
        effects: list[Effect] = []
        for session_id in memory.sessions:
            count = memory.listener_count(session_id)
            if memory.counts_told.get(session_id) != count:
                memory.counts_told[session_id] = count
                notice = {"type": "LISTENER_COUNT", "sessionId": session_id, "count": count}
                effects.append(published(self._live, now, oldest, notice))
        return effects

    def _watch_idle(self, now: float) -> list[Effect]:
        """Pings sockets idle for 104 s and cuts those idle for 120 s, counted in sweeps as the real server does."""
        effects: list[Effect] = []
        for member in self._memory.sockets.values():
            active_at = max(member.active_at, self._live.activity.seen_by(member.id))
            if active_at > member.active_at:
                member.active_at, member.pinged = active_at, False
            idle = self._sweep(now) - self._sweep(active_at)
            if idle >= IDLE_CUT_SWEEPS:
                effects.append(Close(member.id, None))
            elif idle >= IDLE_PING_SWEEPS and not member.pinged:
                member.pinged = True
                effects.append(Ping(member.id))
        return effects

    def _sweep(self, at: float) -> int:
        return int((at - self._started_at) / SWEEP_S + 1e-6)

    def _clean_up(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        self._memory.forget_quotas(now)
        for session in list(self._memory.sessions.values()):
            if (reason := _expired(session, now)) is not None:
                dj_left(self._live, session, now)
                notice = {"type": "SESSION_EXPIRED", "sessionId": session.id, "reason": reason}
                effects.append(published(self._live, now, self._memory.oldest_socket(), notice))
        return effects

    def _may_connect(self, request: Request, now: float) -> bool:
        key = client_key(request)
        if self._throttle is not None and not self._throttle.take(key, now):
            self._faults.count("throttle")
            return False
        return self._attempts is None or self._attempts.take(key, now)

    def _retune(self) -> None:
        throttle = self._faults.on.get("throttle")
        self._throttle = FixedWindow(int(throttle.value), float(throttle.window_s)) if throttle is not None else None


def _expired(session: Session, now: float) -> str | None:
    age, idle = now - session.started_at, now - session.active_at
    if age > 24 * HOUR_S:
        return "Session exceeded maximum duration"
    return "Session inactive" if idle > 4 * HOUR_S and age > 8 * HOUR_S else None


def _whole(settings: Mapping[str, str], name: str) -> int:
    text = settings.get(name, "").strip()
    if text and not (text.isascii() and text.isdigit()):
        raise ConfigurationError(f"{name} is {text!r}, but must be a whole number")
    return int(text or 0)


PLATFORM = Platform(
    name="pika",
    about="Pika!: DJs, dancers, likes, tempo votes and polls over one WebSocket topic",
    create=PikaWorld,
    covers=(
        Cover("latency", "latency=800", "dancers", "ws_message_latency"),
        Cover("error", "error=0.5", "dancers", "http_req_failed"),
        Cover("drop", "drop=0.2", "dancers", "ack_success"),
        Cover("lose-write", "lose-write=0.1", "dancers", "likes"),
        Cover("lose-write", "lose-write=0.1", "dancers", "tempo votes"),
        Cover("lose-write", "lose-write=0.1", "dancers", "poll votes"),
        Cover("lose-fanout", "lose-fanout=0.1", "dancers", "fanout_delivery"),
        Cover("double", "double=0.2", "dancers", "likes"),
        Cover("double", "double=0.2", "dancers", "tempo votes"),
        Cover("double", "double=0.2", "dancers", "poll votes"),
        Cover("throttle", "throttle=5/60s", "dancers", "ws_connection_success"),
        Cover("refuse", "refuse=0.5", "dancers", "ws_connection_success"),
        Cover("close-after", "close-after=2", "dancers", "ws_connection_kept"),
        Cover("dead-session", "dead-session", "dancers", "ws_session_live"),
        Cover("leak", "leak=6000", "dancers", "target_memory_mb"),
        Cover("crash-after", "crash-after=3", "dancers", "ws_connection_kept"),
    ),
    groups=("dancers", "djs"),
)
"""Pika's offer to the sandbox."""
