"""How Pika's server treats what dancers send: joining, likes, tempo votes, poll votes, reactions and questions."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

from pika_locust.platforms.pika.world_model import Announcement, Poll, Session, TempoVote, Track
from pika_locust.platforms.pika.world_turn import (
    QUEUE_LIMIT_BYTES,
    Handler,
    MessageContext,
    ServerState,
    iso,
    published,
)
from pika_locust.sandbox.world import Close, Effect

BULK_LIKES_TAKEN = 100


def session_summary(session: Session) -> dict[str, Any]:
    """A session as SUBSCRIBE lists it."""
    summary: dict[str, Any] = {"sessionId": session.id, "djName": session.dj_name}
    if session.track is not None:
        summary["currentTrack"] = session.track
    return summary


def session_details(session: Session, now: float) -> dict[str, Any]:
    """A session as GET_SESSIONS lists it."""
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
        archive.add_likes(client_id, play, turn.live.copies("like"))


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


# How Pika's server treats what DJs send: sessions, tracks, polls and announcements.


def end_session(live: ServerState, session: Session, now: float) -> None:
    """What every end of a session does: tempo votes are banked, the row is closed, the memory is cleared."""
    _bank_tempo(live, session, now)
    live.archive.sessions[session.id].ended_at = now
    live.memory.end_session(session.id)


def dj_left(live: ServerState, session: Session, now: float) -> None:
    """The owner's socket is gone: the session ends, and the poll on show is lost without an end."""
    end_session(live, session, now)
    poll = live.archive.polls.get(live.memory.shown_poll.pop(session.id, 0))
    if poll is not None:
        poll.open = False


def end_due_polls(live: ServerState, now: float) -> list[Effect]:
    """Ends polls whose time is over. The end is published through the socket that started the poll, if still open."""
    effects: list[Effect] = []
    while live.poll_ends and live.poll_ends[0][0] <= now:
        poll = live.archive.polls[heapq.heappop(live.poll_ends)[1]]
        if poll.open:
            _close_poll(live, poll, now)
            if poll.starter in live.memory.sockets:
                effects.append(published(live, now, poll.starter, _poll_ended(poll)))
    return effects


def _bank_tempo(live: ServerState, session: Session, now: float) -> None:
    totals = live.memory.tempo_totals(session.id, now)
    live.memory.tempo.pop(session.id, None)
    play = live.archive.sessions[session.id].play_of(session.track) if session.track is not None else None
    if play is None:
        live.memory.tempo_dropped += sum(totals.values())
    elif any(totals.values()):
        play.tempo = {"slower": totals["slower"], "perfect": totals["perfect"], "faster": totals["faster"]}


def _register(turn: MessageContext) -> None:
    live, memory, message = turn.live, turn.memory, turn.message
    session_id = message.get("sessionId") or f"session_{int(turn.now * 1000)}"
    if session_id not in memory.sessions and len(memory.sessions) >= live.max_sessions:
        turn.effects.append(Close(turn.socket.id, 1013, "Server busy (max sessions reached)"))
        return
    dj_name = message.get("djName", "DJ")
    memory.sessions[session_id] = Session(session_id, dj_name, turn.now, turn.now)
    live.archive.open_session(session_id, dj_name, turn.now)
    turn.socket.dj_of, turn.socket.was_dj = session_id, True
    turn.send(type="SESSION_REGISTERED", sessionId=session_id, authenticated=False, djName=dj_name)
    turn.ack()
    turn.publish(type="SESSION_STARTED", sessionId=session_id, djName=dj_name, startTime=iso(turn.now))


def _owned(turn: MessageContext, attempt: str) -> Session | None:
    """The session a DJ's message is about; a refusal has been sent when there is none."""
    session = turn.memory.sessions.get(turn.message["sessionId"])
    if session is None:
        turn.nack("Session not found")
    elif turn.socket.dj_of != session.id:
        turn.nack(f"Unauthorized {attempt}")
        return None
    return session


def _same_song(one: Track, other: Track) -> bool:
    return (one["title"], one["artist"]) == (other["title"], other["artist"])


def _track(turn: MessageContext) -> None:
    memory, message, track = turn.memory, turn.message, turn.message["track"]
    session = memory.sessions.get(message["sessionId"])
    if session is None:
        return turn.nack("Session not found")
    if turn.socket.dj_of != session.id:
        return None
    if not memory.may_play(session.id, turn.now):
        return turn.nack("Rate limit exceeded (wait 5s)")
    nonce = message.get("messageId")
    if nonce and not memory.fresh_nonce(nonce, turn.now):
        return turn.ack()
    if session.track is not None and not _same_song(session.track, track):
        _bank_tempo(turn.live, session, turn.now)
        turn.publish(type="TEMPO_RESET", sessionId=session.id)
    session.track, session.active_at = track, turn.now
    turn.live.archive.add_play(session.id, track, turn.now)
    turn.publish(type="NOW_PLAYING", sessionId=session.id, djName=session.dj_name, track=track)
    return turn.ack()


def _metadata(turn: MessageContext) -> None:
    session, track = turn.memory.sessions.get(turn.message["sessionId"]), turn.message["track"]
    if session is None:
        return turn.nack("Session not found")
    if turn.socket.dj_of != session.id:
        return None
    if session.track is not None:
        if not _same_song(session.track, track):
            return None
        session.track, session.active_at = track, turn.now
        turn.publish(type="METADATA_UPDATED", sessionId=session.id, track=track)
    return turn.ack()


def _stop_track(turn: MessageContext) -> None:
    session = _owned(turn, "track stop")
    if session is not None:
        session.track, session.active_at = None, turn.now
        _bank_tempo(turn.live, session, turn.now)
        turn.publish(type="TRACK_STOPPED", sessionId=session.id)
        turn.ack()


def _end(turn: MessageContext) -> None:
    session = _owned(turn, "end session")
    if session is not None:
        end_session(turn.live, session, turn.now)
        turn.socket.dj_of = None
        turn.publish(type="SESSION_ENDED", sessionId=session.id)
        turn.ack()


def _start_poll(turn: MessageContext) -> None:
    session, message, live = _owned(turn, "poll attempt"), turn.message, turn.live
    if session is None:
        return
    poll = live.archive.add_poll(session.id, message["question"], message["options"], turn.socket.id, turn.now)
    poll.current_track = session.track
    turn.memory.shown_poll[session.id] = poll.id
    started = {"sessionId": session.id, "pollId": poll.id, "question": poll.question, "options": poll.options}
    if "durationSeconds" in message:
        poll.ends_at = turn.now + message["durationSeconds"]
        started["endsAt"] = iso(poll.ends_at)
        heapq.heappush(live.poll_ends, (poll.ends_at, poll.id))
    turn.ack()
    turn.publish(type="POLL_STARTED", **started)


def _owned_poll(turn: MessageContext, attempt: str) -> Poll | None:
    poll = turn.live.archive.polls.get(turn.message["pollId"])
    if poll is None or not poll.open:
        turn.nack("Poll not found")
    elif turn.socket.dj_of != poll.session_id:
        turn.nack(f"Unauthorized {attempt}")
        return None
    else:
        return poll
    return None


def _end_poll(turn: MessageContext) -> None:
    poll = _owned_poll(turn, "end poll")
    if poll is not None:
        _close_poll(turn.live, poll, turn.now)
        turn.publish(**_poll_ended(poll))
        turn.ack()


def _cancel_poll(turn: MessageContext) -> None:
    poll = _owned_poll(turn, "cancel poll")
    if poll is not None:
        _close_poll(turn.live, poll, turn.now, "cancelled")
        nothing = [0] * len(poll.options)
        turn.publish(type="POLL_ENDED", pollId=poll.id, results=nothing, totalVotes=0, winnerIndex=-1)
        turn.ack()


def _close_poll(live: ServerState, poll: Poll, now: float, status: str = "ended") -> None:
    # the real server forgets which poll is on show whenever any poll of the session ends, also a replaced one
    live.memory.shown_poll.pop(poll.session_id, None)
    poll.open, poll.status, poll.ended_at = False, status, now


def _poll_ended(poll: Poll) -> dict[str, object]:
    return {
        "type": "POLL_ENDED",
        "pollId": poll.id,
        "results": poll.votes,
        "totalVotes": sum(poll.votes),
        "winnerIndex": poll.winner,
    }


def _announce(turn: MessageContext) -> None:
    session = _owned(turn, "announcement")
    if session is not None:
        lives_s = turn.message.get("durationSeconds")
        ends_at = turn.now + lives_s if lives_s is not None else None
        session.announcement = Announcement(turn.message["message"], turn.now, ends_at)
        body = announcement_body(session.announcement, session.dj_name)
        turn.publish(type="ANNOUNCEMENT_RECEIVED", sessionId=session.id, **body)
        turn.ack()


def _cancel_announcement(turn: MessageContext) -> None:
    session = _owned(turn, "cancel announcement")
    if session is not None:
        session.announcement = None
        turn.publish(type="ANNOUNCEMENT_CANCELLED", sessionId=session.id)
        turn.ack()


DJ_HANDLERS: Mapping[str, Handler] = {
    "REGISTER_SESSION": _register,
    "BROADCAST_TRACK": _track,
    "METADATA_UPDATED": _metadata,
    "TRACK_STOPPED": _stop_track,
    "END_SESSION": _end,
    "START_POLL": _start_poll,
    "END_POLL": _end_poll,
    "CANCEL_POLL": _cancel_poll,
    "SEND_ANNOUNCEMENT": _announce,
    "CANCEL_ANNOUNCEMENT": _cancel_announcement,
}
"""The messages of the one who plays."""
