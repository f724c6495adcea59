"""What Pika's server answers over HTTP to those who dance, audit or probe: health, live sessions, history, recap."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from pika_locust.platforms.pika.world_schema import VERSION
from pika_locust.platforms.pika.world_turn import ServerState, iso
from pika_locust.sandbox.world import Answer, Request

HISTORY_LENGTH = 50
TRACK_DETAILS = ("bpm", "key", "energy", "danceability", "brightness", "acousticness", "groove")
NOT_FOUND = Answer.text("404 Not Found", 404)

Page = Callable[[ServerState, float, str], Answer]
"""Told the time, and the session's id where the path has one."""


def client_key(request: Request) -> str:
    """Whom the real server counts a request for: all who come directly share one bucket."""
    headers = request.headers
    return headers.get("cf-connecting-ip") or headers.get("x-forwarded-for", "").split(",")[0].strip() or "unknown"


def answer(live: ServerState, request: Request, now: float) -> Answer:
    """The page that a request asks for; 404 for all that no dancer, audit or probe asks for."""
    if request.method in ("GET", "HEAD"):
        for pattern, page in _PAGES:
            match = pattern.fullmatch(request.path)
            if match is not None:
                return page(live, now, unquote(match[1]) if match.groups() else "")
    return NOT_FOUND


def _health(live: ServerState, now: float, _: str) -> Answer:
    health = {"status": "ok", "version": VERSION, "timestamp": iso(now)}
    return Answer.json({**health, "activeSessions": len(live.memory.sessions), "database": "connected"})


def _active(live: ServerState, now: float, _: str) -> Answer:
    sessions = []
    for session in live.memory.sessions.values():
        listeners, track = live.memory.listener_count(session.id), session.track
        sessions.append(
            {
                "sessionId": session.id,
                "djName": session.dj_name,
                "startedAt": iso(session.started_at),
                "currentTrack": {k: track[k] for k in ("title", "artist", "bpm") if k in track} if track else None,
                "listenerCount": listeners,
                "momentum": listeners / 20 if 0 < listeners < 20 else min(listeners, 1),
            }
        )
    if not sessions:
        return Answer.json({"live": False, "sessions": []})
    return Answer.json({"live": True, "count": len(sessions), "sessions": sessions})


def _history(live: ServerState, now: float, session_id: str) -> Answer:
    row = live.archive.sessions.get(session_id)
    plays = row.plays[-HISTORY_LENGTH:] if row is not None else []
    return Answer.json(
        [
            {"id": p.id, "artist": p.track["artist"], "title": p.track["title"], "playedAt": iso(p.played_at)}
            for p in reversed(plays)
        ]
    )


def _recap(live: ServerState, now: float, session_id: str) -> Answer:
    row = live.archive.sessions.get(session_id)
    if row is None:
        return Answer.json({"error": "Session not found"}, 404)
    return Answer.json(
        {
            "sessionId": row.id,
            "djName": row.dj_name,
            "startedAt": iso(row.started_at),
            "endedAt": iso(row.ended_at if row.ended_at is not None else now),
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
    )


_PAGES: tuple[tuple[re.Pattern[str], Page], ...] = (
    (re.compile(r"/health"), _health),
    (re.compile(r"/api/sessions/active"), _active),
    (re.compile(r"/api/session/([^/]+)/history"), _history),
    (re.compile(r"/api/session/([^/]+)/recap"), _recap),
)
