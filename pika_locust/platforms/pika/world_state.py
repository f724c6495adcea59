"""What Pika's world holds, told for audits: the numbers that must equal what was acknowledged."""

from __future__ import annotations

from typing import Any

from pika_locust.platforms.pika.world_archive import SessionRow
from pika_locust.platforms.pika.world_turn import ServerState, iso


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
