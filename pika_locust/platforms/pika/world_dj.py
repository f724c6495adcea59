"""How Pika's server treats what DJs send: sessions, tracks, polls and announcements."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from pika_locust.platforms.pika.world_archive import Poll, Track
from pika_locust.platforms.pika.world_dancer import announcement_body
from pika_locust.platforms.pika.world_memory import Announcement, Session
from pika_locust.platforms.pika.world_turn import Handler, MessageContext, ServerState, iso, published
from pika_locust.sandbox.world import Close, Effect


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
    account = live.archive.account_by_token(message.get("token", ""))
    dj_name = account.display_name if account is not None else message.get("djName", "DJ")
    memory.sessions[session_id] = Session(session_id, dj_name, turn.now, turn.now)
    live.archive.open_session(session_id, dj_name, account, turn.now)
    turn.socket.dj_of, turn.socket.was_dj = session_id, True
    turn.send(type="SESSION_REGISTERED", sessionId=session_id, authenticated=account is not None, djName=dj_name)
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
