"""What Pika's server writes to its database: the sessions, plays, likes, polls and accounts that outlive a session."""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

Track = dict[str, Any]


@dataclass(slots=True)
class Account:
    """A DJ's account; the token is what REGISTER_SESSION and the Bearer header carry."""

    id: int
    email: str
    password: str
    display_name: str
    slug: str
    token: str

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "email": self.email, "displayName": self.display_name, "slug": self.slug}


@dataclass(slots=True)
class Like:
    """One kept like."""

    id: int
    session_id: str
    client_id: str
    play: Play
    liked_at: float


@dataclass(slots=True)
class Play:
    """One playing of a track, with what dancers said about it; `likes` are listed by client."""

    id: int
    track: Track
    played_at: float
    tempo: dict[str, int] | None = None
    likes: dict[str, list[Like]] = field(default_factory=dict)

    @property
    def like_count(self) -> int:
        return sum(map(len, self.likes.values()))


@dataclass(slots=True)
class Poll:
    """A poll with its votes. `votes` counts what is kept; `choices` remembers what each client chose first.

    `open` says whether it may be voted on. That is lost with the memory of its session, while the row stays "active".
    """

    id: int
    session_id: str
    question: str
    options: list[str]
    started_at: float
    starter: int
    ends_at: float | None = None
    current_track: Track | None = None
    votes: list[int] = field(default_factory=list)
    choices: dict[str, int] = field(default_factory=dict)
    ended_at: float | None = None
    status: str = "active"
    open: bool = True

    @property
    def winner(self) -> int:
        """Index of the option with the most votes, the first of them in a tie."""
        return max(range(len(self.votes)), key=self.votes.__getitem__)


@dataclass(slots=True)
class SessionRow:
    """A session as the recap tells it."""

    id: str
    dj_name: str
    started_at: float
    account: Account | None = None
    ended_at: float | None = None
    plays: list[Play] = field(default_factory=list)
    polls: list[Poll] = field(default_factory=list)

    @property
    def likes(self) -> int:
        return sum(play.like_count for play in self.plays)

    def play_of(self, track: Track) -> Play | None:
        """The latest playing of exactly this title and artist."""
        wanted = (track["title"], track["artist"])
        return next((p for p in reversed(self.plays) if (p.track["title"], p.track["artist"]) == wanted), None)


class Database:
    """The tables, with serial numbers as PostgreSQL gives them."""

    def __init__(self) -> None:
        self.sessions: dict[str, SessionRow] = {}
        self.polls: dict[int, Poll] = {}
        self.accounts: list[Account] = []
        self.likes_by_client: defaultdict[str, list[Like]] = defaultdict(list)
        self.orphaned_likes = 0
        self._play_ids, self._like_ids, self._poll_ids = count(1), count(1), count(1)

    def open_session(self, session_id: str, dj_name: str, account: Account | None, now: float) -> SessionRow:
        """Inserts the session, or takes the row of that id up again."""
        row = self.sessions.get(session_id)
        if row is None:
            row = self.sessions[session_id] = SessionRow(session_id, dj_name, now, account)
        row.dj_name, row.account, row.ended_at = dj_name, account, None
        return row

    def add_play(self, session_id: str, track: Track, now: float) -> None:
        self.sessions[session_id].plays.append(Play(next(self._play_ids), dict(track), now))

    def likeable(self, session_id: str, client_id: str, track: Track) -> Play | None:
        """The play that a like of this track would be kept for, or None when it would not be kept.

        The match of title and artist is exact, although duplicates are recognised by a looser one: a like of a track
        or session that never was is an orphan and dropped, and counted here. A second like of a client for the same
        play is not kept either.
        """
        play = self._play(session_id, track)
        if play is None:
            self.orphaned_likes += 1
            return None
        return None if client_id in play.likes else play

    def add_likes(self, session_id: str, client_id: str, play: Play, now: float, copies: int = 1) -> None:
        """Keeps the like; `copies` other than 1 are what faults make of it."""
        likes = [Like(next(self._like_ids), session_id, client_id, play, now) for _ in range(copies)]
        play.likes[client_id] = likes
        self.likes_by_client[client_id].extend(likes)

    def remove_like(self, session_id: str, client_id: str, track: Track) -> None:
        play = self._play(session_id, track)
        if play is not None and client_id in play.likes:
            del play.likes[client_id]
            others = [like for like in self.likes_by_client[client_id] if like.play is not play]
            self.likes_by_client[client_id] = others

    def _play(self, session_id: str, track: Track) -> Play | None:
        row = self.sessions.get(session_id)
        return row.play_of(track) if row is not None else None

    def add_poll(self, session_id: str, question: str, options: list[str], starter: int, now: float) -> Poll:
        poll = Poll(next(self._poll_ids), session_id, question, options, now, starter, votes=[0] * len(options))
        self.polls[poll.id] = poll
        self.sessions[session_id].polls.append(poll)
        return poll

    def account_by_token(self, token: str) -> Account | None:
        return next((account for account in self.accounts if account.token == token), None) if token else None

    def account_by_email(self, email: str) -> Account | None:
        return next((account for account in self.accounts if account.email == email), None)

    def add_account(self, email: str, password: str, display_name: str, slug: str) -> Account:
        taken = {account.slug for account in self.accounts}
        free = next(name for name in chain((slug,), (f"{slug}-{n}" for n in count(2))) if name not in taken)
        account = Account(len(self.accounts) + 1, email, password, display_name, free, new_token())
        self.accounts.append(account)
        return account


def new_token() -> str:
    """A DJ token in the form of the real server's."""
    return f"pk_dj_{secrets.token_hex(16)}"
