"""How Pika's server treats the messages it is sent: by dancers who like and vote, and by DJs who play and ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from pika_locust.platforms.pika.world_model import Announcement, Database, LiveState, Poll, Session, TempoVote
from pika_locust.platforms.pika.world_schema import MESSAGES, Message, Track
from pika_locust.sandbox.app import App, Socket, message
from pika_locust.sandbox.faults import FaultKind, Form
from pika_locust.sandbox.javascript import iso

QUEUE_LIMIT_BYTES = 64 * 1024
"""A socket with this much waiting is not sent the list of sessions, and its messages are not broadcast."""
BULK_LIKES_TAKEN = 100

SWALLOWING = {
    kind: FaultKind(f"swallow-{name}", Form.RATE, f"{kind} is broadcast to nobody")
    for kind, name in (
        ("LIKE_RECEIVED", "likes"),
        ("TEMPO_FEEDBACK", "tempo"),
        ("POLL_UPDATE", "poll-updates"),
        ("POLL_ENDED", "poll-ends"),
        ("REACTION_RECEIVED", "reactions"),
        ("SESSION_ENDED", "session-ends"),
        ("TEMPO_RESET", "tempo-resets"),
    )
}
"""Broadcasts that follow from what users do, each with the fault that swallows it."""
DOUBLING = FaultKind("double-tracks", Form.RATE, "NOW_PLAYING is broadcast twice")
NONSENSE = ("null", "[]", '{"type":5}', '{"type":"NOW_PLAYING","track":' + 100_000 * "[" + 100_000 * "]" + "}")
TALKING_NONSENSE = FaultKind("nonsense", Form.RATE, "broadcasts are followed by what is no message of the protocol")
MISCOUNTED_BY = 50
MISCOUNTING = FaultKind("miscount-listeners", Form.RATE, f"LISTENER_COUNT tells {MISCOUNTED_BY} too many")
_ANSWERS = ('{"type":"ACK"', '{"type":"NACK"')

Handler = Callable[[Any, Socket, Message], None]


@dataclass(slots=True)
class Activity:
    """When every socket last took part in a broadcast, without touching every socket at each broadcast.

    A broadcast reaches all but one, so it is enough to know the latest, whom it left out, and the latest that left out
    somebody else.
    """

    latest_at: float = 0.0
    latest_without: int | None = None
    other_at: float = 0.0

    def published(self, now: float, without: int | None) -> None:
        if without != self.latest_without:
            self.other_at = self.latest_at
            self.latest_without = without
        self.latest_at = now

    def seen_by(self, socket: int) -> float:
        return self.other_at if socket == self.latest_without else self.latest_at


class Refusal(Exception):
    """Ends the handling of a message: its sender is told this text, or nothing when there is none."""


def handles(kind: str, *, confirmed: bool = True) -> Callable[[Handler], Handler]:
    """Marks the handler of one kind of message. It is given what `MESSAGES` accepts, and may end with a `Refusal`.

    Its messages are confirmed when it is through, unless it is not `confirmed`: then it does that itself, or nobody.
    """

    def mark(handler: Handler) -> Handler:
        @wraps(handler)
        def handle(self: MessageHandlers, socket: Socket, message: Message) -> None:
            try:
                handler(self, socket, message)
            except Refusal as refusal:
                if refusal.args:
                    self.answer(socket, message, "NACK", "error", str(refusal))
                return
            if confirmed:
                self.ack(socket, message)

        return message(kind, body=MESSAGES[kind])(handle)

    return mark


class MessageHandlers(App):
    """Pika's state and its rules for messages. `Socket.data` is a `Connection`."""

    max_sessions: int

    def start(self) -> None:
        self.live = LiveState()
        self.database = Database()
        self.activity = Activity()
        self.nonsense_sent = 0

    # How the server speaks

    def publish(self, through: Socket | None, **message: Any) -> None:
        """A message to every socket except the one that it is published through."""
        kind = message["type"]
        if kind in SWALLOWING and self.hit(SWALLOWING[kind].name, kind):
            return
        if kind == "LISTENER_COUNT":
            message = self.miscounted(message)
        self.activity.published(self.now, None if through is None else through.id)
        self.broadcast(message, through, kind)
        if "nonsense" in self.faults.on and self.hit(TALKING_NONSENSE.name, kind):
            self.nonsense_sent += 1
            self.broadcast(NONSENSE[self.nonsense_sent % len(NONSENSE)], through, kind)
        if kind == "NOW_PLAYING" and self.hit(DOUBLING.name, kind):
            self.broadcast(message, through, kind)

    def miscounted(self, message: Message) -> Message:
        """A LISTENER_COUNT, wrong if that fault is on."""
        if not self.hit(MISCOUNTING.name):
            return message
        return {**message, "count": message["count"] + MISCOUNTED_BY}

    def pass_on(self, sender: Socket, **message: Any) -> None:
        """Publishes a message, unless too much waits to be written to its sender."""
        if sender.queued_bytes < QUEUE_LIMIT_BYTES:
            self.publish(sender, **message)

    def ack(self, socket: Socket, message: Message) -> None:
        """Confirms a message that carries a messageId."""
        self.answer(socket, message, "ACK", "status", "ok")

    def answer(self, socket: Socket, message: Message, type_: str, key: str, value: str) -> None:
        """Confirms or refuses a message that carries a messageId; without one there is no answer."""
        message_id = message.get("messageId")
        if message_id:
            socket.send({"type": type_, "messageId": message_id, key: value, "timestamp": iso(self.now)})

    def is_answer(self, data: str | bytes) -> bool:
        return isinstance(data, str) and data.startswith(_ANSWERS)

    def refused_message(self, socket: Socket, kind: str, problems: list[str]) -> None:
        """What does not have the shape it should have is ignored without a word."""

    # What anyone may send

    @handles("SUBSCRIBE")
    def subscribe(self, socket: Socket, message: Message) -> None:
        session_id, client_id, sessions = message.get("sessionId"), identify(socket, message), self.live.sessions
        if session_id is not None and client_id is not None and socket.data.listens_to is None:
            socket.data.listens_to = session_id
            if self.live.join(session_id, client_id):
                self.publish(socket, **self._listener_count(session_id))
        if "dead-session" in self.faults.on:
            self.faults.count("dead-session")
            sessions = {}
        if socket.queued_bytes < QUEUE_LIMIT_BYTES:
            summaries = [_summary(session) for session in sessions.values()]
            socket.send({"type": "SESSIONS_LIST", "sessions": summaries})
        if session_id is not None:
            socket.send(self.miscounted(self._listener_count(session_id)))
            if session_id in sessions:
                self._catch_up(socket, sessions[session_id])
            else:
                socket.send({"type": "SESSION_ENDED", "sessionId": session_id})

    def _listener_count(self, session_id: str) -> Message:
        return {"type": "LISTENER_COUNT", "sessionId": session_id, "count": self.live.listener_count(session_id)}

    def _catch_up(self, socket: Socket, session: Session) -> None:
        """Tells a late joiner what is on: the track, the poll, the announcement."""
        if session.track is not None:
            socket.send(_now_playing(session))
        poll = self.database.polls.get(self.live.shown_poll.get(session.id, 0))
        if poll is not None:
            choice = poll.choices.get(socket.data.client_id or "")
            votes = {"votes": poll.votes, "totalVotes": sum(poll.votes), "hasVoted": choice is not None}
            chosen = {"votedOptionIndex": choice} if choice is not None else {}
            socket.send({"type": "POLL_STARTED", **_question(poll), **votes, **chosen})
        if (announcement := session.announcement_at(self.now)) is not None:
            body = _announcement(announcement, session.dj_name)
            socket.send({"type": "ANNOUNCEMENT_RECEIVED", "sessionId": session.id, **body})

    @handles("SEND_LIKE")
    def like(self, socket: Socket, message: Message) -> None:
        client_id = _identified(socket, message, "Client ID required for likes")
        track = message["payload"]["track"]
        session_id = message.get("sessionId") or next(iter(self.live.sessions), None)
        if session_id is None:
            raise Refusal("No active session found")
        if not self.live.may_like(client_id, self.now):
            raise Refusal("Rate limit exceeded (max 10/min)")
        if not self.live.first_like(session_id, client_id, track):
            raise Refusal("Already liked this track")
        self._keep_like(socket, session_id, client_id, track)

    @handles("SEND_BULK_LIKE")
    def bulk_like(self, socket: Socket, message: Message) -> None:
        client_id, session_id = identify(socket, message), message.get("sessionId")
        if client_id is None or session_id is None:
            raise Refusal("Session or Client ID missing")
        for track in message["payload"]["tracks"][:BULK_LIKES_TAKEN]:
            if self.live.first_like(session_id, client_id, track):
                self._keep_like(socket, session_id, client_id, track)

    def _keep_like(self, socket: Socket, session_id: str, client_id: str, track: Track) -> None:
        self.pass_on(socket, type="LIKE_RECEIVED", payload={"track": track})
        play = self.database.likeable(session_id, client_id, track)
        if play is not None:
            play.likes[client_id] = self.copies("like")

    @handles("REMOVE_LIKE")
    def remove_like(self, socket: Socket, message: Message) -> None:
        client_id, session_id = identify(socket, message), message.get("sessionId")
        if client_id is None or session_id is None:
            raise Refusal("Session or Client ID missing")
        self.live.unlike(session_id, client_id, message["payload"]["track"])
        self.database.remove_like(session_id, client_id, message["payload"]["track"])

    @handles("SEND_TEMPO_REQUEST")
    def vote_on_tempo(self, socket: Socket, message: Message) -> None:
        client_id = _identified(socket, message, "Client ID required for tempo requests")
        session_id, preference = message["sessionId"], message["preference"]
        if session_id not in self.live.sessions:
            raise Refusal("Session not found")
        if preference != "clear" and (copies := self.copies("tempo")):
            self.live.tempo.setdefault(session_id, {})[client_id] = TempoVote(preference, self.now, copies)
        totals = self.live.tempo_totals(session_id, self.now)
        self.pass_on(socket, type="TEMPO_FEEDBACK", sessionId=session_id, **totals, total=sum(totals.values()))

    @handles("VOTE_ON_POLL")
    def vote_on_poll(self, socket: Socket, message: Message) -> None:
        client_id, option = _identified(socket, message, "Client ID required to vote"), message["optionIndex"]
        poll = self.database.polls.get(message["pollId"])
        if poll is None or not poll.open:
            raise Refusal("Poll not found or already ended")
        if option not in range(len(poll.options)):
            raise Refusal("Invalid option index")
        if client_id not in poll.choices:
            poll.choices[client_id] = option
            poll.votes[option] += self.copies("vote")
            update = {"pollId": poll.id, "votes": poll.votes, "totalVotes": sum(poll.votes)}
            self.pass_on(socket, type="POLL_UPDATE", **update, sessionId=poll.session_id)

    @handles("SEND_REACTION")
    def react(self, socket: Socket, message: Message) -> None:
        reaction = {"sessionId": message["sessionId"], "reaction": message["reaction"]}
        self.pass_on(socket, type="REACTION_RECEIVED", **reaction)

    @handles("PING")
    def ping(self, socket: Socket, message: Message) -> None:
        socket.send({"type": "PONG"})

    @handles("GET_SESSIONS", confirmed=False)
    def list_sessions(self, socket: Socket, message: Message) -> None:
        sessions = [_details(session, self.now) for session in self.live.sessions.values()]
        socket.send({"type": "SESSIONS_LIST", "sessions": sessions})

    @handles("VALIDATE_SESSION")
    def validate_session(self, socket: Socket, message: Message) -> None:
        is_valid = message["sessionId"] in self.live.sessions
        socket.send({"type": "SESSION_VALID", "sessionId": message["sessionId"], "isValid": is_valid})

    # What DJs send: sessions and tracks

    @handles("REGISTER_SESSION", confirmed=False)
    def register_session(self, socket: Socket, message: Message) -> None:
        session_id = message.get("sessionId") or f"session_{int(self.now * 1000)}"
        if session_id not in self.live.sessions and len(self.live.sessions) >= self.max_sessions:
            socket.close(1013, "Server busy (max sessions reached)")
            return
        dj_name = message.get("djName", "DJ")
        self.live.sessions[session_id] = Session(session_id, dj_name, self.now, self.now)
        self.database.open_session(session_id, dj_name, self.now)
        socket.data.dj_of, socket.data.was_dj = session_id, True
        registered = {"sessionId": session_id, "authenticated": False, "djName": dj_name}
        socket.send({"type": "SESSION_REGISTERED", **registered})
        self.ack(socket, message)
        self.publish(socket, type="SESSION_STARTED", sessionId=session_id, djName=dj_name, startTime=iso(self.now))

    def _owned(self, socket: Socket, message: Message, *refusal: str) -> Session:
        """The session a DJ's message is about; `refusal` is what is told to those whose session it is not."""
        session = self.live.sessions.get(message["sessionId"])
        if session is None:
            raise Refusal("Session not found")
        if socket.data.dj_of != session.id:
            raise Refusal(*refusal)
        return session

    @handles("BROADCAST_TRACK")
    def broadcast_track(self, socket: Socket, message: Message) -> None:
        session, track, nonce = self._owned(socket, message), message["track"], message.get("messageId")
        if not self.live.may_play(session.id, self.now):
            raise Refusal("Rate limit exceeded (wait 5s)")
        if nonce and not self.live.fresh_nonce(nonce, self.now):
            return
        if session.track is not None and not _same_song(session.track, track):
            self._bank_tempo(session)
            self.publish(socket, type="TEMPO_RESET", sessionId=session.id)
        session.track, session.active_at = track, self.now
        self.database.add_play(session.id, track, self.now)
        self.publish(socket, **_now_playing(session))

    @handles("METADATA_UPDATED")
    def update_metadata(self, socket: Socket, message: Message) -> None:
        session, track = self._owned(socket, message), message["track"]
        if session.track is not None:
            if not _same_song(session.track, track):
                raise Refusal
            session.track, session.active_at = track, self.now
            self.publish(socket, type="METADATA_UPDATED", sessionId=session.id, track=track)

    @handles("TRACK_STOPPED")
    def stop_track(self, socket: Socket, message: Message) -> None:
        session = self._owned(socket, message, "Unauthorized track stop")
        session.track, session.active_at = None, self.now
        self._bank_tempo(session)
        self.publish(socket, type="TRACK_STOPPED", sessionId=session.id)

    @handles("END_SESSION")
    def end(self, socket: Socket, message: Message) -> None:
        session = self._owned(socket, message, "Unauthorized end session")
        self.end_session(session)
        socket.data.dj_of = None
        self.publish(socket, type="SESSION_ENDED", sessionId=session.id)

    def end_session(self, session: Session) -> None:
        """What every end of a session does: tempo votes are banked, the row is closed, the memory is cleared."""
        self._bank_tempo(session)
        self.database.sessions[session.id].ended_at = self.now
        self.live.end_session(session.id)

    def abandon_session(self, session: Session) -> None:
        """The owner is gone: the session ends, and the poll on show is lost without an end."""
        self.end_session(session)
        poll = self.database.polls.get(self.live.shown_poll.pop(session.id, 0))
        if poll is not None:
            poll.open = False

    def _bank_tempo(self, session: Session) -> None:
        totals = self.live.tempo_totals(session.id, self.now)
        self.live.tempo.pop(session.id, None)
        play = self.database.sessions[session.id].play_of(session.track) if session.track is not None else None
        if play is None:
            self.live.tempo_dropped += sum(totals.values())
        elif any(totals.values()):
            play.tempo = {"slower": totals["slower"], "perfect": totals["perfect"], "faster": totals["faster"]}

    # What DJs send: polls and announcements

    @handles("START_POLL", confirmed=False)
    def start_poll(self, socket: Socket, message: Message) -> None:
        session = self._owned(socket, message, "Unauthorized poll attempt")
        poll = self.database.add_poll(session.id, message["question"], message["options"], socket.id)
        self.live.shown_poll[session.id] = poll.id
        if "durationSeconds" in message:
            poll.ends_at = self.now + message["durationSeconds"]
            self.after(message["durationSeconds"], self._time_is_up, poll)
        self.ack(socket, message)
        self.publish(socket, type="POLL_STARTED", sessionId=session.id, **_question(poll))

    def _time_is_up(self, poll: Poll) -> None:
        """The end is published through the socket that started the poll, and not at all when that is gone."""
        if poll.open:
            self._close_poll(poll, "ended")
            if (starter := self.sockets.get(poll.starter)) is not None:
                self.publish(starter, **_poll_ended(poll))

    @handles("END_POLL")
    def end_poll(self, socket: Socket, message: Message) -> None:
        poll = self._owned_poll(socket, message, "Unauthorized end poll")
        self._close_poll(poll, "ended")
        self.publish(socket, **_poll_ended(poll))

    @handles("CANCEL_POLL")
    def cancel_poll(self, socket: Socket, message: Message) -> None:
        poll = self._owned_poll(socket, message, "Unauthorized cancel poll")
        self._close_poll(poll, "cancelled")
        nothing = {"results": [0] * len(poll.options), "totalVotes": 0, "winnerIndex": -1}
        self.publish(socket, type="POLL_ENDED", pollId=poll.id, **nothing)

    def _owned_poll(self, socket: Socket, message: Message, refusal: str) -> Poll:
        poll = self.database.polls.get(message["pollId"])
        if poll is None or not poll.open:
            raise Refusal("Poll not found")
        if socket.data.dj_of != poll.session_id:
            raise Refusal(refusal)
        return poll

    def _close_poll(self, poll: Poll, status: str) -> None:
        # the real server forgets which poll is on show whenever any poll of the session ends, also a replaced one
        self.live.shown_poll.pop(poll.session_id, None)
        poll.open, poll.status = False, status

    @handles("SEND_ANNOUNCEMENT")
    def announce(self, socket: Socket, message: Message) -> None:
        session = self._owned(socket, message, "Unauthorized announcement")
        lives_s = message.get("durationSeconds")
        ends_at = self.now + lives_s if lives_s is not None else None
        session.announcement = Announcement(message["message"], self.now, ends_at)
        body = _announcement(session.announcement, session.dj_name)
        self.publish(socket, type="ANNOUNCEMENT_RECEIVED", sessionId=session.id, **body)

    @handles("CANCEL_ANNOUNCEMENT")
    def cancel_announcement(self, socket: Socket, message: Message) -> None:
        session = self._owned(socket, message, "Unauthorized cancel announcement")
        session.announcement = None
        self.publish(socket, type="ANNOUNCEMENT_CANCELLED", sessionId=session.id)


def identify(socket: Socket, message: Message) -> str | None:
    """The client's identity: the first one named on this connection, whatever the message says."""
    if socket.data.client_id is None:
        socket.data.client_id = message.get("clientId")
    client_id: str | None = socket.data.client_id
    return client_id


def _identified(socket: Socket, message: Message, error: str) -> str:
    client_id = identify(socket, message)
    if client_id is None:
        raise Refusal(error)
    return client_id


def _same_song(one: Track, other: Track) -> bool:
    return (one["title"], one["artist"]) == (other["title"], other["artist"])


def _summary(session: Session) -> Message:
    """A session as SUBSCRIBE lists it."""
    track = {"currentTrack": session.track} if session.track is not None else {}
    return {"sessionId": session.id, "djName": session.dj_name, **track}


def _details(session: Session, now: float) -> Message:
    """A session as GET_SESSIONS lists it."""
    details: Message = {
        "sessionId": session.id,
        "djName": session.dj_name,
        "startedAt": iso(session.started_at),
        "lastActivityAt": iso(session.active_at),
    }
    if session.track is not None:
        details["currentTrack"] = session.track
    if (announcement := session.announcement_at(now)) is not None:
        details["activeAnnouncement"] = _announcement(announcement)
    return details


def _now_playing(session: Session) -> Message:
    return {"type": "NOW_PLAYING", "sessionId": session.id, "djName": session.dj_name, "track": session.track}


def _announcement(announcement: Announcement, dj_name: str | None = None) -> Message:
    """The part of an announcement that is the same wherever it is told."""
    name = {"djName": dj_name} if dj_name is not None else {}
    end = {"endsAt": iso(announcement.ends_at)} if announcement.ends_at is not None else {}
    return {"message": announcement.message, **name, "timestamp": iso(announcement.made_at), **end}


def _question(poll: Poll) -> Message:
    end = {"endsAt": iso(poll.ends_at)} if poll.ends_at is not None else {}
    return {"pollId": poll.id, "question": poll.question, "options": poll.options, **end}


def _poll_ended(poll: Poll) -> Message:
    totals = {"results": poll.votes, "totalVotes": sum(poll.votes), "winnerIndex": poll.winner}
    return {"type": "POLL_ENDED", "pollId": poll.id, **totals}
