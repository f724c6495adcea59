"""How Pika's server treats what dancers send: joining, likes, tempo votes, poll votes, reactions and questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pika_locust.platforms.pika.world_archive import Track
from pika_locust.platforms.pika.world_memory import Announcement, Session, TempoVote
from pika_locust.platforms.pika.world_turn import QUEUE_LIMIT_BYTES, Handler, MessageContext, iso

BULK_LIKES_TAKEN = 100


def session_summary(session: Session) -> dict[str, Any]:
    """A session as SUBSCRIBE lists it."""
    summary: dict[str, Any] = {"sessionId": session.id, "djName": session.dj_name}
    if session.track is not None:
        summary["currentTrack"] = session.track
    return summary


def session_details(session: Session, now: float) -> dict[str, Any]:
    """A session as GET_SESSIONS and HTTP list it."""
    details: dict[str, Any] = {
        "sessionId": session.id,
        "djName": session.dj_name,
        "startedAt": iso(session.started_at),
        "lastActivityAt": iso(session.active_at),
    }
    if session.track is not None:
        details["currentTrack"] = session.track
    if (announcement := active_announcement(session, now)) is not None:
        details["activeAnnouncement"] = announcement_body(announcement)
    return details


def active_announcement(session: Session, now: float) -> Announcement | None:
    announcement = session.announcement
    if announcement is None or (announcement.ends_at is not None and announcement.ends_at <= now):
        return None
    return announcement


def announcement_body(announcement: Announcement, dj_name: str | None = None) -> dict[str, Any]:
    """The part of an announcement that is the same wherever it is told."""
    body: dict[str, Any] = {"message": announcement.message}
    if dj_name is not None:
        body["djName"] = dj_name
    body["timestamp"] = iso(announcement.made_at)
    if announcement.ends_at is not None:
        body["endsAt"] = iso(announcement.ends_at)
    return body


def _subscribe(turn: MessageContext) -> None:
    memory, session_id = turn.memory, turn.message.get("sessionId")
    client_id = turn.identify()
    if session_id is not None and client_id is not None and turn.socket.listens_to is None:
        turn.socket.listens_to = session_id
        if memory.join(session_id, client_id):
            turn.publish(type="LISTENER_COUNT", sessionId=session_id, count=memory.listener_count(session_id))
    sessions = memory.sessions
    if "dead-session" in turn.live.faults.on:
        turn.live.faults.count("dead-session")
        sessions = {}
    if turn.queued < QUEUE_LIMIT_BYTES:
        turn.send(type="SESSIONS_LIST", sessions=[session_summary(session) for session in sessions.values()])
    if session_id is not None:
        turn.send(type="LISTENER_COUNT", sessionId=session_id, count=memory.listener_count(session_id))
        if session_id in sessions:
            _replay(turn, sessions[session_id])
        else:
            turn.send(type="SESSION_ENDED", sessionId=session_id)
    turn.ack()


def _replay(turn: MessageContext, session: Session) -> None:
    if session.track is not None:
        turn.send(type="NOW_PLAYING", sessionId=session.id, djName=session.dj_name, track=session.track)
    poll = turn.live.archive.polls.get(turn.memory.shown_poll.get(session.id, 0))
    if poll is not None:
        body: dict[str, Any] = {"pollId": poll.id, "question": poll.question, "options": poll.options}
        if poll.ends_at is not None:
            body["endsAt"] = iso(poll.ends_at)
        choice = poll.choices.get(turn.socket.client_id or "")
        body |= {"votes": poll.votes, "totalVotes": sum(poll.votes), "hasVoted": choice is not None}
        if choice is not None:
            body["votedOptionIndex"] = choice
        turn.send(type="POLL_STARTED", **body)
    if (announcement := active_announcement(session, turn.now)) is not None:
        body = announcement_body(announcement, session.dj_name)
        turn.send(type="ANNOUNCEMENT_RECEIVED", sessionId=session.id, **body)


def _like(turn: MessageContext) -> None:
    memory, track = turn.memory, turn.message["payload"]["track"]
    client_id = turn.identify()
    if client_id is None:
        return turn.nack("Client ID required for likes")
    session_id = turn.message.get("sessionId") or next(iter(memory.sessions), None)
    if session_id is None:
        return turn.nack("No active session found")
    if not memory.may_like(client_id, turn.now):
        return turn.nack("Rate limit exceeded (max 10/min)")
    if not memory.first_like(session_id, client_id, track):
        return turn.nack("Already liked this track")
    _keep_like(turn, session_id, client_id, track)
    return turn.ack()


def _bulk_like(turn: MessageContext) -> None:
    client_id, session_id = turn.identify(), turn.message.get("sessionId")
    if client_id is None or session_id is None:
        return turn.nack("Session or Client ID missing")
    for track in turn.message["payload"]["tracks"][:BULK_LIKES_TAKEN]:
        if turn.memory.first_like(session_id, client_id, track):
            _keep_like(turn, session_id, client_id, track)
    return turn.ack()


def _keep_like(turn: MessageContext, session_id: str, client_id: str, track: Track) -> None:
    if turn.queued < QUEUE_LIMIT_BYTES:
        turn.publish(type="LIKE_RECEIVED", payload={"track": track})
    archive = turn.live.archive
    play = archive.likeable(session_id, client_id, track)
    if play is not None:
        archive.add_likes(session_id, client_id, play, turn.now, turn.live.copies("like"))


def _unlike(turn: MessageContext) -> None:
    client_id, session_id = turn.identify(), turn.message.get("sessionId")
    if client_id is None or session_id is None:
        return turn.nack("Session or Client ID missing")
    track = turn.message["payload"]["track"]
    turn.memory.unlike(session_id, client_id, track)
    turn.live.archive.remove_like(session_id, client_id, track)
    return turn.ack()


def _tempo(turn: MessageContext) -> None:
    memory, session_id, preference = turn.memory, turn.message["sessionId"], turn.message["preference"]
    client_id = turn.identify()
    if client_id is None:
        return turn.nack("Client ID required for tempo requests")
    if session_id not in memory.sessions:
        return turn.nack("Session not found")
    if preference != "clear" and (copies := turn.live.copies("tempo")):
        memory.tempo.setdefault(session_id, {})[client_id] = TempoVote(preference, turn.now, copies)
    totals = memory.tempo_totals(session_id, turn.now)
    if turn.queued < QUEUE_LIMIT_BYTES:
        turn.publish(type="TEMPO_FEEDBACK", sessionId=session_id, **totals, total=sum(totals.values()))
    return turn.ack()


def _vote(turn: MessageContext) -> None:
    client_id, option = turn.identify(), turn.message["optionIndex"]
    if client_id is None:
        return turn.nack("Client ID required to vote")
    poll = turn.live.archive.polls.get(turn.message["pollId"])
    if poll is None or not poll.open:
        return turn.nack("Poll not found or already ended")
    if option not in range(len(poll.options)):
        return turn.nack("Invalid option index")
    if client_id not in poll.choices:
        poll.choices[client_id] = int(option)
        poll.votes[int(option)] += turn.live.copies("vote")
        if turn.queued < QUEUE_LIMIT_BYTES:
            turn.publish(
                type="POLL_UPDATE",
                pollId=poll.id,
                votes=poll.votes,
                totalVotes=sum(poll.votes),
                sessionId=poll.session_id,
            )
    return turn.ack()


def _react(turn: MessageContext) -> None:
    if turn.queued < QUEUE_LIMIT_BYTES:
        turn.publish(type="REACTION_RECEIVED", sessionId=turn.message["sessionId"], reaction=turn.message["reaction"])
    turn.ack()


def _ping(turn: MessageContext) -> None:
    turn.send(type="PONG")
    turn.ack()


def _list_sessions(turn: MessageContext) -> None:
    sessions = turn.memory.sessions.values()
    turn.send(type="SESSIONS_LIST", sessions=[session_details(session, turn.now) for session in sessions])


def _validate(turn: MessageContext) -> None:
    session_id = turn.message["sessionId"]
    turn.send(type="SESSION_VALID", sessionId=session_id, isValid=session_id in turn.memory.sessions)
    turn.ack()


DANCER_HANDLERS: Mapping[str, Handler] = {
    "SUBSCRIBE": _subscribe,
    "SEND_LIKE": _like,
    "SEND_BULK_LIKE": _bulk_like,
    "REMOVE_LIKE": _unlike,
    "SEND_TEMPO_REQUEST": _tempo,
    "VOTE_ON_POLL": _vote,
    "SEND_REACTION": _react,
    "PING": _ping,
    "GET_SESSIONS": _list_sessions,
    "VALIDATE_SESSION": _validate,
}
"""The messages of anyone who is in the room."""
