"""Video sessions: they begin with a match, run for a fixed time, and end in a choice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pika_locust.platforms.verity.world_http import bad_request, not_found, one_of, refusal, reply
from pika_locust.platforms.verity.world_model import Ids, TokenStore, User, anonymous
from pika_locust.sandbox.app import Call
from pika_locust.sandbox.javascript import iso
from pika_locust.sandbox.socketio import SocketIoApp
from pika_locust.sandbox.world import Answer

SETUP_S = 0.004
"""From the match to the start of its session."""
MEDIA_TOKEN_LIVES_S = 60.0
SUSPECTS_NAMED = 20

CHOICE = {"choice": one_of("MATCH", "PASS")}
NO_SESSION = not_found("Session not found")
NOT_ENDED = bad_request("Session has not ended")
NOT_IN_IT = refusal(403, "Not a session participant", "Forbidden")
NON_MUTUAL = {"status": "resolved", "outcome": "non_mutual"}


@dataclass(slots=True, eq=False)
class Session:
    """Two users and what they decided. `deadline` is set by the end, `outcome` by the choices or the deadline."""

    id: str
    users: tuple[User, User]
    choices: dict[str, str] = field(default_factory=dict)
    deadline: float | None = None
    outcome: str | None = None
    match_id: str | None = None

    def partner(self, user: User) -> User:
        first, second = self.users
        return second if user is first else first


class Sessions:
    """All sessions ever, and their counts: `created`, `started`, `ended`, `mutual`, `non_mutual`.

    `in_two_live` names users who have been in two live sessions at once (the first of them).
    """

    def __init__(self, app: SocketIoApp, tokens: TokenStore, ids: Ids, session_s: float, choice_s: float) -> None:
        self._app = app
        self._tokens = tokens
        self._ids = ids
        self._session_s = session_s
        self._choice_s = choice_s
        self._sessions: dict[str, Session] = {}
        self._counts: Counter[str] = Counter()
        self._in_two_live: dict[str, None] = {}

    @property
    def live(self) -> int:
        return self._counts["started"] - self._counts["ended"]

    def pair_up(self, first: User, second: User, queue_key: str) -> None:
        """Two users are matched: their tokens are spent, both are told, and their session begins."""
        now = self._app.now
        session = Session(self._ids.row(now), (first, second))
        for user in session.users:
            self._tokens.matched(user.id)
            user.matched_at = now
        for user in session.users:
            told = {
                "sessionId": session.id,
                "partnerAnonymousId": anonymous(session.id, session.partner(user).id),
                "queueKey": queue_key,
                "matchedAt": iso(now),
            }
            self._app.emit_to("/queue", user.id, "match", told)
        if self._app.hit("dead-session"):
            return
        self._sessions[session.id] = session
        self._counts["created"] += 1
        self._app.after(SETUP_S, self._start, session)

    def choose(self, call: Call) -> Answer:
        """POST /sessions/:id/choice."""
        session, user = self._sessions.get(call.params["id"]), call.user
        if session is None:
            return NO_SESSION
        if user not in session.users:
            return NOT_IN_IT
        if session.deadline is None:
            return NOT_ENDED
        if session.outcome is None:
            if user.id in session.choices or not self._app.hit("lose-write", "choice"):
                session.choices.setdefault(user.id, call.body["choice"])
            self._resolve(session)
        return reply(self._outcome(session, user), 201)

    def to_json(self) -> dict[str, Any]:
        counts = {name: self._counts[name] for name in ("created", "started", "ended", "mutual", "non_mutual")}
        overlaps = {
            "users_in_two_live": len(self._in_two_live),
            "in_two_live": list(self._in_two_live)[:SUSPECTS_NAMED],
        }
        return {**counts, "live": self.live, **overlaps}

    def _start(self, session: Session) -> None:
        now, lasts_s = self._app.now, self._session_s
        self._counts["started"] += 1
        for user in session.users:
            user.live += 1
            if user.live > 1:
                self._in_two_live[user.id] = None
            told = {
                "sessionId": session.id,
                "channelName": f"session_{session.id}",
                "startAt": iso(now),
                "endAt": iso(now + lasts_s),
                "expiresAt": iso(now + MEDIA_TOKEN_LIVES_S),
                "durationSeconds": int(lasts_s) if lasts_s.is_integer() else lasts_s,
                "rtc": {"token": self._ids.media_token(), "uid": self._ids.media_uid()},
                "rtm": {"token": self._ids.media_token(), "userId": user.id},
            }
            self._app.emit_to("/video", user.id, "session:start", told)
        early_s = min(lasts_s, self._app.faults.amount("end-early"))
        self._app.faults.count("end-early")
        self._app.at(now + lasts_s - early_s, self._end, session)

    def _end(self, session: Session) -> None:
        now = self._app.now
        self._counts["ended"] += 1
        session.deadline = now + self._choice_s
        for user in session.users:
            user.live -= 1
            told = {"sessionId": session.id, "reason": "timeout", "endedAt": iso(now)}
            self._app.emit_to("/video", user.id, "session:end", told)
        self._app.at(session.deadline, self._expire, session)

    def _expire(self, session: Session) -> None:
        if session.outcome is None:
            self._part(session)

    def _resolve(self, session: Session) -> None:
        choices = list(session.choices.values())
        if "PASS" in choices:
            self._part(session)
        elif len(choices) == len(session.users):
            session.outcome = "mutual"
            self._counts["mutual"] += 1
            session.match_id = self._ids.row(self._app.now)
            for user in session.users:
                told = {"sessionId": session.id, **self._revealed(session, user)}
                self._app.emit_to("/video", user.id, "match:mutual", told)

    def _part(self, session: Session) -> None:
        session.outcome = "non_mutual"
        self._counts["non_mutual"] += 1
        for user in session.users:
            self._app.emit_to("/video", user.id, "match:non_mutual", {"sessionId": session.id, "outcome": "pass"})

    def _outcome(self, session: Session, user: User) -> dict[str, Any]:
        if session.outcome is None and session.deadline is not None:
            return {"status": "pending", "deadline": iso(session.deadline)}
        if session.outcome == "mutual":
            return {"status": "resolved", "outcome": "mutual", **self._revealed(session, user)}
        return NON_MUTUAL

    def _revealed(self, session: Session, user: User) -> dict[str, Any]:
        reveal = session.partner(user).reveal()
        return {"matchId": session.match_id, "partnerRevealVersion": 1, "partnerReveal": reveal}
