"""What Pika's server knows: in its database what outlives a session, in memory what is live."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from pika_locust.platforms.pika.world_schema import Track

STICKY_S = 300.0
"""How long a client still counts as a listener after its last socket closed."""
TEMPO_VOTE_LIVES_S = 300.0
LIKES_PER_MINUTE = 10
LIKE_WINDOW_S = 60.0
TRACK_GAP_S = 5.0
NONCE_LIVES_S = 300.0
NONCES_KEPT = 10_000


@dataclass(slots=True)
class Play:
    """One playing of a track, with what dancers said about it; `likes` counts what is kept of each client's like."""

    id: int
    track: Track
    played_at: float
    tempo: dict[str, int] | None = None
    likes: dict[str, int] = field(default_factory=dict)

    @property
    def like_count(self) -> int:
        return sum(self.likes.values())


@dataclass(slots=True)
class Poll:
    """A poll with its votes. `votes` counts what is kept; `choices` remembers what each client chose first.

    `open` says whether it may be voted on. That is lost with the memory of its session, while the row stays "active".
    """

    id: int
    session_id: str
    question: str
    options: list[str]
    starter: int
    ends_at: float | None = None
    votes: list[int] = field(default_factory=list)
    choices: dict[str, int] = field(default_factory=dict)
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
    """The sessions, plays, likes and polls that outlive a session, with serial numbers as PostgreSQL gives them."""

    def __init__(self) -> None:
        self.sessions: dict[str, SessionRow] = {}
        self.polls: dict[int, Poll] = {}
        self.orphaned_likes = 0
        self._play_ids, self._poll_ids = count(1), count(1)

    def open_session(self, session_id: str, dj_name: str, now: float) -> SessionRow:
        """Inserts the session, or takes the row of that id up again."""
        row = self.sessions.get(session_id)
        if row is None:
            row = self.sessions[session_id] = SessionRow(session_id, dj_name, now)
        row.dj_name, row.ended_at = dj_name, None
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

    def remove_like(self, session_id: str, client_id: str, track: Track) -> None:
        play = self._play(session_id, track)
        if play is not None:
            play.likes.pop(client_id, None)

    def _play(self, session_id: str, track: Track) -> Play | None:
        row = self.sessions.get(session_id)
        return row.play_of(track) if row is not None else None

    def add_poll(self, session_id: str, question: str, options: list[str], starter: int) -> Poll:
        poll = Poll(next(self._poll_ids), session_id, question, options, starter, votes=[0] * len(options))
        self.polls[poll.id] = poll
        self.sessions[session_id].polls.append(poll)
        return poll


@dataclass(slots=True)
class Connection:
    """What is known of one open socket. The first clientId that it names is its identity for good."""

    active_at: float
    client_id: str | None = None
    listens_to: str | None = None
    dj_of: str | None = None
    was_dj: bool = False
    pinged: bool = False


@dataclass(slots=True)
class Announcement:
    message: str
    made_at: float
    ends_at: float | None


@dataclass(slots=True)
class Session:
    """A live session. A takeover makes a fresh one under the same id."""

    id: str
    dj_name: str
    started_at: float
    active_at: float
    track: Track | None = None
    announcement: Announcement | None = None

    def announcement_at(self, now: float) -> Announcement | None:
        """The announcement, unless its time is over."""
        announcement = self.announcement
        if announcement is None or (announcement.ends_at is not None and announcement.ends_at <= now):
            return None
        return announcement


@dataclass(slots=True)
class TempoVote:
    """The latest preference of one client; `weight` is 1, or what a fault makes of it."""

    preference: str
    cast_at: float
    weight: int = 1


@dataclass(slots=True)
class Listener:
    """A clientId counted for a session: with how many open sockets, or since when without."""

    sockets: int = 0
    left_at: float = 0.0


def like_key(session_id: str, client_id: str, track: Track) -> tuple[str, str, str]:
    """What makes a like a duplicate: case and spacing of artist and title do not matter."""
    return session_id, client_id, "::".join(" ".join(track[part].lower().split()) for part in ("artist", "title"))


@dataclass(slots=True)
class LiveState:
    """Live sessions, their listeners, likes and tempo votes; `shown_poll` is the id of a session's current poll."""

    sessions: dict[str, Session] = field(default_factory=dict)
    listeners: dict[str, dict[str, Listener]] = field(default_factory=dict)
    tempo: dict[str, dict[str, TempoVote]] = field(default_factory=dict)
    liked: dict[str, set[tuple[str, str, str]]] = field(default_factory=dict)
    shown_poll: dict[str, int] = field(default_factory=dict)
    like_times: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    track_times: dict[str, float] = field(default_factory=dict)
    nonces: dict[str, float] = field(default_factory=dict)
    counts_told: dict[str, int] = field(default_factory=dict)
    tempo_dropped: int = 0

    def listener_count(self, session_id: str) -> int:
        return len(self.listeners.get(session_id, ()))

    def join(self, session_id: str, client_id: str) -> bool:
        """Counts one more socket of a listener; True when the client is new to the session."""
        clients = self.listeners.setdefault(session_id, {})
        new = client_id not in clients
        clients.setdefault(client_id, Listener()).sockets += 1
        return new

    def leave(self, session_id: str, client_id: str, now: float) -> None:
        """Counts one socket less; the listener stays counted for a while."""
        listener = self.listeners.get(session_id, {}).get(client_id)
        if listener is not None:
            listener.sockets -= 1
            listener.left_at = now

    def forget_listeners(self, now: float) -> None:
        """Drops listeners whose time is over."""
        for clients in self.listeners.values():
            for client_id in [c for c, gone in clients.items() if not gone.sockets and now - gone.left_at >= STICKY_S]:
                del clients[client_id]

    def may_like(self, client_id: str, now: float) -> bool:
        """Takes one like out of a client's sliding quota; False when there is none left, which costs nothing."""
        times = self.like_times[client_id]
        while times and now - times[0] >= LIKE_WINDOW_S:
            times.popleft()
        if len(times) >= LIKES_PER_MINUTE:
            return False
        times.append(now)
        return True

    def forget_quotas(self, now: float) -> None:
        """Drops the quotas of clients that have not liked anything for a window."""
        for client_id in [c for c, times in self.like_times.items() if not times or now - times[-1] >= LIKE_WINDOW_S]:
            del self.like_times[client_id]

    def first_like(self, session_id: str, client_id: str, track: Track) -> bool:
        """Remembers a like; False when this client already likes this track of the session."""
        known, key = self.liked.setdefault(session_id, set()), like_key(session_id, client_id, track)
        if key in known:
            return False
        known.add(key)
        return True

    def unlike(self, session_id: str, client_id: str, track: Track) -> None:
        self.liked.get(session_id, set()).discard(like_key(session_id, client_id, track))

    def may_play(self, session_id: str, now: float) -> bool:
        """Whether the gap between two tracks of a session is kept; a refused try does not prolong it."""
        if now - self.track_times.get(session_id, -TRACK_GAP_S) < TRACK_GAP_S:
            return False
        self.track_times[session_id] = now
        return True

    def fresh_nonce(self, nonce: str, now: float) -> bool:
        """Remembers the messageId of a track; False for one seen within the last minutes."""
        fresh = now - self.nonces.get(nonce, -NONCE_LIVES_S) >= NONCE_LIVES_S
        if fresh:
            self.nonces.pop(nonce, None)
            self.nonces[nonce] = now
            if len(self.nonces) > NONCES_KEPT:
                del self.nonces[next(iter(self.nonces))]
        return fresh

    def tempo_totals(self, session_id: str, now: float) -> dict[str, int]:
        """Votes that have not expired, by preference."""
        totals = {"faster": 0, "slower": 0, "perfect": 0}
        for vote in self._live_votes(session_id, now):
            totals[vote.preference] += vote.weight
        return totals

    def _live_votes(self, session_id: str, now: float) -> Iterator[TempoVote]:
        votes = self.tempo.get(session_id, {})
        for client_id in [c for c, vote in votes.items() if now - vote.cast_at >= TEMPO_VOTE_LIVES_S]:
            self.tempo_dropped += votes.pop(client_id).weight
        return iter(votes.values())

    def end_session(self, session_id: str) -> None:
        """Forgets a session and what hangs on it; its polls are the caller's business."""
        self.sessions.pop(session_id, None)
        self.listeners.pop(session_id, None)
        self.tempo.pop(session_id, None)
        self.liked.pop(session_id, None)
        self.track_times.pop(session_id, None)
        self.counts_told.pop(session_id, None)

    def sizes(self) -> dict[str, int]:
        """How much is kept, to see that nothing grows for ever."""
        return {
            "sessions": len(self.sessions),
            "listeners": sum(map(len, self.listeners.values())),
            "likes_remembered": sum(map(len, self.liked.values())),
            "clients_with_quota": len(self.like_times),
            "nonces": len(self.nonces),
        }
