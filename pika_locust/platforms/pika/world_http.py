"""What Pika's server answers over HTTP: health, sessions, recaps, histories, likes of a client, statistics."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from pika_locust.platforms.pika.world_messages import session_details
from pika_locust.platforms.pika.world_model import Account, Database, SessionRow, new_token
from pika_locust.platforms.pika.world_schema import VERSION, units
from pika_locust.platforms.pika.world_turn import ServerState, iso
from pika_locust.sandbox.rate_limit import FixedWindow
from pika_locust.sandbox.world import Answer, Headers, Request

# Pika's account routes, with the checks in the order of the real server: client, then request limit, then request.

CLIENTS = frozenset({"pika-web", "pika-desktop", "pika-e2e"})
REQUESTS = 5
WINDOW_S = 900.0


def bearer(request: Request) -> str:
    """The token of an `Authorization: Bearer` header, or nothing."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme == "Bearer" else ""


def client_key(request: Request) -> str:
    """Whom the real server counts a request for: all who come directly share one bucket."""
    headers = request.headers
    return headers.get("cf-connecting-ip") or headers.get("x-forwarded-for", "").split(",")[0].strip() or "unknown"


class AuthPages:
    """register, login, me and regenerate-token."""

    def __init__(self, archive: Database) -> None:
        self._archive = archive
        self._limit = FixedWindow(REQUESTS, WINDOW_S)
        self._routes: dict[tuple[str, str], Callable[[Request, Headers], Answer]] = {
            ("POST", "/api/auth/register"): self._register,
            ("POST", "/api/auth/login"): self._login,
            ("POST", "/api/auth/regenerate-token"): self._regenerate,
        }

    def answer(self, request: Request, now: float) -> Answer | None:
        """None when there is no such route."""
        if request.method in ("GET", "HEAD"):
            return self._me(request) if request.path == "/api/auth/me" else None
        if request.headers.get("x-pika-client") not in CLIENTS:
            return _error("Invalid client", 403)
        route = self._routes.get((request.method, request.path))
        if route is None:
            return None
        key = client_key(request)
        allowed = self._limit.take(key, now)
        resets_in = math.ceil(self._limit.resets_in(key, now))
        headers = (
            ("ratelimit-policy", f"{REQUESTS};w={int(WINDOW_S)}"),
            ("ratelimit-limit", str(REQUESTS)),
            ("ratelimit-remaining", str(self._limit.remaining(key, now))),
            ("ratelimit-reset", str(resets_in)),
        )
        if not allowed:
            retry = ("retry-after", str(int(WINDOW_S)))
            return _error("Too many requests, please try again later", 429, (*headers, retry))
        return route(request, headers)

    def _register(self, request: Request, headers: Headers) -> Answer:
        body = request.json_object()
        email, password, name = (_text(body, key) for key in ("email", "password", "displayName"))
        if not (email and password and name):
            return _error("Email, password, and display name are required", 400, headers)
        if not 8 <= units(password) <= 128:
            return _error("Password must be between 8 and 128 characters", 400, headers)
        if self._archive.account_by_email(email) is not None:
            return _error("Email already registered", 409, headers)
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "dj"
        return _welcome(self._archive.add_account(email, password, name, slug), 201, headers)

    def _login(self, request: Request, headers: Headers) -> Answer:
        if request.headers.get("x-requested-with") != "Pika":
            return _error("Invalid request", 403, headers)
        body = request.json_object()
        account = self._archive.account_by_email(_text(body, "email"))
        if account is None or account.password != body.get("password"):
            return _error("Invalid email or password", 401, headers)
        return _welcome(account, 200, headers)

    def _regenerate(self, request: Request, headers: Headers) -> Answer:
        account = self._archive.account_by_token(bearer(request))
        if account is None:
            return _error("Invalid token", 401, headers)
        account.token = new_token()
        return Answer.json({"success": True, "token": account.token}, headers=headers)

    def _me(self, request: Request) -> Answer:
        if not bearer(request):
            return _error("Authorization token required", 401)
        account = self._archive.account_by_token(bearer(request))
        return Answer.json({"user": account.to_json()}) if account is not None else _error("Invalid token", 401)


def _welcome(account: Account, status: int, headers: Headers) -> Answer:
    return Answer.json({"success": True, "user": account.to_json(), "token": account.token}, status, headers)


def _error(text: str, status: int, headers: Headers = ()) -> Answer:
    return Answer.json({"error": text}, status, headers)


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""


CACHE_S = 300.0
HISTORY_LENGTH = 50
RECENT_LENGTH = 5
CLIENT_ID = re.compile(r"client_[A-Za-z0-9_-]+")
TRACK_DETAILS = ("bpm", "key", "energy", "danceability", "brightness", "acousticness", "groove")
NOT_FOUND = Answer.text("404 Not Found", 404)

Page = Callable[[ServerState, Request, float, str], Answer]


class Pages:
    """Finds the page for a request; some pages are cached for minutes, as on the real server."""

    def __init__(self, live: ServerState) -> None:
        self._live = live
        self._auth = AuthPages(live.archive)
        self._cache: dict[str, tuple[float, Answer]] = {}

    def answer(self, request: Request, now: float) -> Answer:
        if request.path.startswith("/api/auth/"):
            return self._auth.answer(request, now) or NOT_FOUND
        method = "GET" if request.method == "HEAD" else request.method
        for page_method, pattern, page, cached in _PAGES:
            match = pattern.fullmatch(request.path)
            if match is not None and page_method == method:
                argument = unquote(match[1]) if match.groups() else ""
                return self._cached(page, request, now) if cached else page(self._live, request, now, argument)
        return NOT_FOUND

    def _cached(self, page: Page, request: Request, now: float) -> Answer:
        made_at, answer = self._cache.get(request.path, (0.0, NOT_FOUND))
        if now - made_at >= CACHE_S:
            answer = page(self._live, request, now, "")
            self._cache[request.path] = (now, answer)
        return answer


def _root(live: ServerState, request: Request, now: float, _: str) -> Answer:
    return Answer.json({"name": "Pika! Cloud", "version": VERSION, "message": "Welcome to Pika! Cloud API"})


def _health(live: ServerState, request: Request, now: float, _: str) -> Answer:
    health = {"status": "ok", "version": VERSION, "timestamp": iso(now)}
    return Answer.json({**health, "activeSessions": len(live.memory.sessions), "database": "connected"})


def _sessions(live: ServerState, request: Request, now: float, _: str) -> Answer:
    return Answer.json([session_details(session, now) for session in live.memory.sessions.values()])


def _active(live: ServerState, request: Request, now: float, _: str) -> Answer:
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


def _recent(live: ServerState, request: Request, now: float, _: str) -> Answer:
    ended = [(row.ended_at, row) for row in live.archive.sessions.values() if row.ended_at is not None]
    ended.sort(key=lambda pair: pair[0], reverse=True)
    return Answer.json(
        [
            {"id": row.id, "djName": row.dj_name, "startedAt": iso(row.started_at), "endedAt": iso(ended_at)}
            for ended_at, row in ended[:RECENT_LENGTH]
        ]
    )


def _history(live: ServerState, request: Request, now: float, session_id: str) -> Answer:
    row = live.archive.sessions.get(session_id)
    plays = row.plays[-HISTORY_LENGTH:] if row is not None else []
    return Answer.json(
        [
            {"id": p.id, "artist": p.track["artist"], "title": p.track["title"], "playedAt": iso(p.played_at)}
            for p in reversed(plays)
        ]
    )


def _recap(live: ServerState, request: Request, now: float, session_id: str) -> Answer:
    row = live.archive.sessions.get(session_id)
    if row is None:
        return Answer.json({"error": "Session not found"}, 404)
    recap: dict[str, Any] = {
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
    account = live.archive.account_by_token(bearer(request))
    if account is not None and account is row.account:
        recap |= _recap_polls(row)
    return Answer.json(recap)


def _recap_polls(row: SessionRow) -> dict[str, Any]:
    polls = [
        {
            "id": poll.id,
            "question": poll.question,
            "options": poll.options,
            "votes": poll.votes,
            "totalVotes": sum(poll.votes),
            "winnerIndex": poll.winner,
            "winner": poll.options[poll.winner],
            "startedAt": iso(poll.started_at),
            "endedAt": iso(poll.ended_at) if poll.ended_at is not None else None,
            "currentTrack": poll.current_track,
        }
        for poll in row.polls
    ]
    votes = sum(sum(poll.votes) for poll in row.polls)
    return {"polls": polls, "totalPolls": len(polls), "totalPollVotes": votes}


def _client_likes(live: ServerState, request: Request, now: float, client_id: str) -> Answer:
    if not CLIENT_ID.fullmatch(client_id):
        return Answer.json({"error": "Invalid client ID format"}, 400)
    likes = [
        {
            "id": like.id,
            "sessionId": like.session_id,
            "artist": like.play.track["artist"],
            "title": like.play.track["title"],
            "likedAt": iso(like.liked_at),
            "djName": live.archive.sessions[like.session_id].dj_name,
            "sessionDate": iso(live.archive.sessions[like.session_id].started_at),
        }
        for like in reversed(live.archive.likes_by_client.get(client_id, ()))
    ]
    return Answer.json({"clientId": client_id, "totalLikes": len(likes), "likes": likes})


def _top_tracks(live: ServerState, request: Request, now: float, _: str) -> Answer:
    likes: Counter[tuple[str, str]] = Counter()
    for row in live.archive.sessions.values():
        for play in row.plays:
            likes[play.track["artist"], play.track["title"]] += play.like_count
    return Answer.json([{"artist": a, "title": t, "likeCount": n} for (a, t), n in likes.most_common(10) if n])


def _global(live: ServerState, request: Request, now: float, _: str) -> Answer:
    rows = live.archive.sessions.values()
    totals = {"totalTracks": sum(len(row.plays) for row in rows), "totalLikes": sum(row.likes for row in rows)}
    return Answer.json({"totalSessions": len(rows), **totals})


def _dj(live: ServerState, request: Request, now: float, slug: str) -> Answer:
    account = next((a for a in live.archive.accounts if a.slug == slug), None)
    if account is None:
        return Answer.json({"error": "DJ not found"}, 404)
    sessions = [row for row in live.archive.sessions.values() if row.account is account]
    totals = {"totalSessions": len(sessions), "totalTracks": sum(len(row.plays) for row in sessions)}
    return Answer.json({"slug": account.slug, "displayName": account.display_name, **totals})


def _sync_fingerprints(live: ServerState, request: Request, now: float, session_id: str) -> Answer:
    tracks = request.json_object().get("tracks")
    row = live.archive.sessions.get(session_id)
    asked = tracks if isinstance(tracks, list) else []
    known = {(p.track["artist"], p.track["title"]) for p in row.plays} if row is not None else set()
    synced = sum(isinstance(t, dict) and (t.get("artist"), t.get("title")) in known for t in asked)
    return Answer.json({"synced": synced, "total": len(asked), "sessionId": session_id})


def _push_subscribe(live: ServerState, request: Request, now: float, _: str) -> Answer:
    body, issues = request.json_object(), []
    for key, wanted, kind in (("endpoint", "string", str), ("keys", "object", dict)):
        if not isinstance(body.get(key), kind):
            message = f"Invalid input: expected {wanted}, received {'undefined' if key not in body else 'other'}"
            issues.append({"expected": wanted, "code": "invalid_type", "path": [key], "message": message})
    if issues:
        error = {"name": "ZodError", "message": json.dumps(issues, indent=2)}
        return Answer.json({"success": False, "error": error}, 400)
    return Answer.json({"success": True})


def _push_send(live: ServerState, request: Request, now: float, _: str) -> Answer:
    return Answer.json({"error": "Unauthorized"}, 401)


def _debug(live: ServerState, request: Request, now: float, _: str) -> Answer:
    return Answer.json({"error": "Not available in production"}, 403)


_PAGES: tuple[tuple[str, re.Pattern[str], Page, bool], ...] = tuple(
    (method, re.compile(pattern), page, cached)
    for method, pattern, page, cached in (
        ("GET", r"/", _root, False),
        ("GET", r"/health", _health, False),
        ("GET", r"/sessions|/api/sessions|/api/session", _sessions, False),
        ("GET", r"/api/sessions/active", _active, False),
        ("GET", r"/api/sessions/recent", _recent, True),
        ("GET", r"/api/sessions?/([^/]+)/history", _history, False),
        ("GET", r"/api/sessions?/([^/]+)/recap", _recap, False),
        ("GET", r"/api/client/([^/]+)/likes", _client_likes, False),
        ("GET", r"/api/stats/top-tracks", _top_tracks, True),
        ("GET", r"/api/stats/global", _global, True),
        ("GET", r"/api/dj/([^/]+)", _dj, False),
        ("POST", r"/api/sessions?/([^/]+)/sync-fingerprints", _sync_fingerprints, False),
        ("POST", r"/api/push/subscribe", _push_subscribe, False),
        ("POST", r"/api/push/send", _push_send, False),
        ("GET", r"/debug/sessions", _debug, False),
    )
)
