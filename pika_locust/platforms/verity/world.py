"""Verity's server as a pure state machine: what the sandbox serves in its place.

Everything is written from what the real server was seen to do on the wire, apart from the client side in this folder,
so that a misreading of the protocol cannot hide in both. Its defects are faults: tokens that an unmatched leave keeps,
500 for a forged signature and (there only for some of several at once) for an event that is delivered again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from email.utils import formatdate
from math import ceil
from typing import Any

from pika_locust.platforms.verity.world_http import (
    JSON_TYPE,
    TOO_MANY,
    UNAUTHORIZED,
    UnreadableBody,
    a_date,
    a_string,
    an_object,
    bad_request,
    check_body,
    not_found,
    parse_body,
    refusal,
    reply,
)
from pika_locust.platforms.verity.world_model import Ids, TokenStore, User
from pika_locust.platforms.verity.world_payments import Payments
from pika_locust.platforms.verity.world_queue import Entry, MatchWorker, Queue, QueueStatus, WaitingLine, queue_key
from pika_locust.platforms.verity.world_sessions import CHOICE, Sessions
from pika_locust.sandbox.app import Call, route
from pika_locust.sandbox.auth import (
    AccessTokens,
    RefreshError,
    RefreshTokens,
    StripeSignatures,
    cookie_value,
)
from pika_locust.sandbox.faults import Cover, FaultKind, Form
from pika_locust.sandbox.javascript import iso
from pika_locust.sandbox.schema import Schema, optional
from pika_locust.sandbox.socketio import MAIN, Client, SocketIoApp, event_packet
from pika_locust.sandbox.world import Answer, Effects, Reply, Request

ADULT_YEARS = 18
ACCESS_LIVES_S = 900
REFRESH_LIVES_S = 30 * 24 * 3600
COOKIE = "refresh_token"
SIGN_UP = {
    "dateOfBirth": optional(a_date),
    "consents": optional(an_object),
    "privacyNoticeVersion": optional(a_string),
    "tosVersion": optional(a_string),
}
TOO_YOUNG = bad_request("Must be 18 or older")
NO_COOKIE = refusal(401, "Missing refresh token", "Unauthorized")
NO_USER = not_found("User not found")
_NOT_RENEWED = {RefreshError.INVALID: "Invalid or expired refresh token", RefreshError.REUSED: "Refresh token reused"}

JOIN_S = 0.002
"""How long a join takes; a second one of the same user, or a leave, that comes in this time meets its lock."""
JOIN = {"city": optional(a_string), "region": optional(a_string), "preferences": optional(an_object)}
SWALLOWING = {
    "session:start": "swallow-starts",
    "session:end": "swallow-ends",
    "match:mutual": "swallow-outcomes",
    "match:non_mutual": "swallow-outcomes",
}
OUTCOMES = {"match:mutual": "match:non_mutual", "match:non_mutual": "match:mutual"}
MISCOUNTED_BY = 50
MATCH_KEPT_S = 3600.0
"""How long the real server remembers that a user was matched, and takes a leave for one of a matched user."""
NO_CITY = bad_request("City must be a non-empty string when provided")
NO_TOKENS = bad_request("Insufficient token balance")
LOCKED = refusal(409, "Queue operation in progress", "Conflict")
NOT_QUEUED = reply({"status": "not_queued", "refunded": False})


class VerityWorld(SocketIoApp):
    """The world of one Verity server. It reads SESSION_HOLD_SECONDS (45; PIKA_SANDBOX_SESSION_SECONDS wins over it),
    PIKA_SANDBOX_CHOICE_SECONDS (60), PIKA_SANDBOX_STATUS_FANOUT (0: queue:status is not sent), STRIPE_WEBHOOK_SECRET
    and JWT_ACCESS_SECRET (public constants)."""

    name = "verity"
    about = "Verity: a matchmaking queue that costs tokens, video sessions over Socket.IO, Stripe webhooks"
    namespaces = ("/queue", "/video", "/chat")
    throttle_blocks = True
    groups = ("members",)
    per_user = ("balances", "credits", "matches")
    covers = (
        Cover("latency", "latency=400", "queue", "http_req_duration", together="latency+lose-write"),
        Cover("error", "error=0.1", "queue", "http_req_failed"),
        Cover("drop", "drop=0.05", "queue", "http_req_failed"),
        Cover("throttle", "throttle=120/60s", "queue", "http_req_failed"),
        Cover("refuse", "refuse=0.5", "sessions", "error_rate"),
        Cover("max-sockets", "max-sockets=5", "sessions", "error_rate"),
        Cover("close-after", "close-after=2", "sessions", "error_rate"),
        Cover("crash-after", "crash-after=3", "queue", "http_req_failed"),
        Cover("leak", "leak=9000", "queue", "target_memory_mb"),
        Cover("lose-fanout", "lose-fanout=0.3", "sessions", "match_rate"),
        Cover("lose-fanout", "lose-fanout=0.3", "sessions", "fanout_delivery{kind:match}"),
        Cover("lose-fanout", "lose-fanout=0.3", "sessions", "fanout_delivery{kind:outcome}"),
        *(
            Cover(name, f"{name}={rate}", "sessions", subject, together="events")
            for name, rate, subject in (
                ("swallow-ends", 0.2, "fanout_delivery{kind:session_end}"),
                ("swallow-outcomes", 0.5, "fanout_delivery{kind:outcome}"),
                ("wrong-outcomes", 1, "fanout_correct{kind:outcome}"),
                ("double-matches", 0.3, "fanout_duplicates"),
                ("miscount-searching", 1, "fanout_correct{kind:queue_status}"),
            )
        ),
        Cover("swallow-starts", "swallow-starts=0.3", "sessions", "fanout_delivery{kind:session_start}"),
        Cover(
            "swallow-statuses",
            "swallow-statuses=1",
            "sessions",
            "fanout_delivery{kind:queue_status}",
            together="unmatched",
        ),
        Cover("dead-session", "dead-session", "sessions", "session_start_lag"),
        Cover("dead-session", "dead-session", "sessions", "sessions"),
        Cover("end-early", "end-early=1", "sessions", "session_length"),
        Cover("no-match", "no-match", "sessions", "match_time", together="unmatched"),
        Cover("late-match", "late-match=5000", "sessions", "match_time"),
        Cover("kept-token", "kept-token", "queue", "tokens", (("QUEUE_MODE", "shared"),)),
        Cover("ghost", "ghost", "queue", "tokens"),
        Cover("lose-write", "lose-write=0.1", "queue", "tokens", together="latency+lose-write"),
        Cover("lose-write", "lose-write=0.5", "sessions", "fanout_correct{kind:outcome}"),
        Cover("lose-write", "lose-write=0.5", "sessions", "fanout_delivery{kind:outcome}"),
        Cover("lose-write", "lose-write=0.1", "tokens", "webhooks", together="lose-write+redelivery-500"),
        Cover("double", "double=0.1", "tokens", "webhooks", together="double+forged-500"),
        Cover("forget-signature", "forget-signature", "tokens", "forged_refused"),
        Cover("forged-500", "forged-500", "tokens", "forged_refused", together="double+forged-500"),
        Cover("forget-event", "forget-event", "tokens", "webhooks"),
        Cover("redelivery-500", "redelivery-500", "tokens", "redelivery_ignored", together="lose-write+redelivery-500"),
    )
    named = (
        FaultKind("no-match", Form.FLAG, "the matching worker pairs nobody"),
        FaultKind("late-match", Form.MILLISECONDS, "nobody is paired before having waited for MS"),
        FaultKind("end-early", Form.SECONDS, "sessions end S seconds before their time"),
        FaultKind("kept-token", Form.FLAG, "an unmatched leave within an hour of a match keeps the token"),
        FaultKind("ghost", Form.FLAG, "leaving while the worker holds a user loses the token, not the place"),
        FaultKind("swallow-starts", Form.RATE, "session:start is told to nobody"),
        FaultKind("swallow-ends", Form.RATE, "session:end is told to nobody"),
        FaultKind("swallow-outcomes", Form.RATE, "match:mutual and match:non_mutual are told to nobody"),
        FaultKind("swallow-statuses", Form.RATE, "queue:status is told to nobody"),
        FaultKind("double-matches", Form.RATE, "match is told twice"),
        FaultKind("wrong-outcomes", Form.RATE, "match:mutual is told as match:non_mutual, and the other way round"),
        FaultKind("miscount-searching", Form.RATE, f"queue:status tells {MISCOUNTED_BY} too many"),
        FaultKind("forged-500", Form.FLAG, "a webhook with a bad signature is answered 500 instead of 400"),
        FaultKind("redelivery-500", Form.FLAG, "an event that is delivered again is answered 500"),
        FaultKind("forget-event", Form.FLAG, "an event that is delivered again is credited again"),
    )

    def start(self) -> None:
        hold_s = self.setting("SESSION_HOLD_SECONDS", 45.0)
        session_s = self.setting("PIKA_SANDBOX_SESSION_SECONDS", hold_s)
        choice_s = self.setting("PIKA_SANDBOX_CHOICE_SECONDS", 60.0)
        self._tells_status = self.setting("PIKA_SANDBOX_STATUS_FANOUT", True)
        secret = self.setting("STRIPE_WEBHOOK_SECRET", "whsec_test_secret").encode()
        key = self.setting("JWT_ACCESS_SECRET", "verity-sandbox-access").encode()
        self._started_at = self.now
        self._ids, self.tokens = Ids(), TokenStore()
        self.users: dict[str, User] = {}
        claims = {"typ": "access", "role": "USER"}
        self.access = AccessTokens(key, ACCESS_LIVES_S, claims, required={"typ": "access"})
        self._refresh = RefreshTokens(self._ids.secret, REFRESH_LIVES_S)
        self._payments = Payments(self, self.tokens, StripeSignatures(secret))
        self._sessions = Sessions(self, self.tokens, self._ids, session_s, choice_s)
        self.queue = Queue()
        self._status = QueueStatus(self, self.queue, self._tell_size)
        self._worker = MatchWorker(self, self.queue, self._sessions.pair_up, self._line_changed)
        self._listeners = 0
        """How many sockets of users are in /queue."""

    def state(self, now: float) -> dict[str, Any]:
        """What the world holds, for audits.

        `balances`, `credits` and `matches` are by user id: tokens now, tokens bought, matches paid for. For every user
        balance + 1 if queued + matches = credits. `sessions` counts them (see `Sessions`), `webhooks` deliveries by
        what became of them (see `Payments`).
        """
        tokens = self.tokens
        return {
            "users": len(self.users),
            "queued": len(self.queue.entries),
            "lines": len(self.queue.lines),
            "tokens": {
                "credited": sum(tokens.credits.values()),
                "held": sum(tokens.balances.values()),
                "spent": sum(tokens.matches.values()),
            },
            "sessions": self._sessions.to_json(),
            "sessions_live": self._sessions.live,
            "webhooks": self._payments.to_json(),
            "balances": tokens.balances,
            "credits": tokens.credits,
            "matches": tokens.matches,
        }

    # What comes before a route's handler

    def request(self, exchange: int, request: Request, now: float) -> Effects:
        try:
            self._fields = parse_body(request)
        except UnreadableBody as unreadable:
            return [Reply(exchange, unreadable.answer)]
        return super().request(exchange, request, now)

    def read_body(self, request: Request, schema: Schema | None) -> dict[str, Any]:
        return self._fields if schema is None else check_body(self._fields, schema)

    def over_limit(self, call: Call) -> int | None:
        """As the fault `throttle` says; while it is off, the limits that routes have of their own are off, too."""
        if "throttle" not in self.faults.on:
            return None
        wanted, client = call.route, self.client_of(call.request)
        retry_s = self.over_throttle(wanted.kind, call.request, wanted.limit)
        window = self.throttle_window(wanted.kind)
        if retry_s is None and window is not None:
            call.headers = (
                ("x-ratelimit-limit", str(window.limit)),
                ("x-ratelimit-remaining", str(window.remaining(client, self.now))),
                ("x-ratelimit-reset", str(ceil(window.resets_in(client, self.now)))),
            )
        return retry_s

    def upgrade_over_limit(self, request: Request) -> int | None:
        return None

    def authenticate(self, call: Call) -> User | None:
        return self.users.get(self.access.read(call.request.bearer, self.now) or "")

    def unauthorized(self, call: Call) -> Answer:
        return UNAUTHORIZED if self.access.read(call.bearer, self.now) is None else NO_USER

    def too_many(self, call: Call, retry_s: int) -> Answer:
        return reply(TOO_MANY, 429, (("retry-after", str(retry_s)),))

    def refused_body(self, problems: list[str]) -> Answer:
        return bad_request(problems)

    def not_found(self, request: Request) -> Answer:
        if request.method == "OPTIONS":
            return Answer(204)
        query = f"?{request.query}" if request.query else ""
        return not_found(f"Cannot {request.method} {request.path}{query}")

    # Accounts

    @route("GET", "/health")
    def health(self, call: Call) -> Answer:
        up = int(self.now - self._started_at)
        return reply({"status": "ok", "timestamp": iso(self.now), "uptimeSeconds": up})

    @route("POST", "/auth/signup-anonymous", body=SIGN_UP, limit=10)
    def sign_up(self, call: Call) -> Answer:
        """A new user, with the tokens that stand for them."""
        now, given = self.now, call.body
        born: datetime | None = given["dateOfBirth"]
        if born is not None and _age(born.date(), datetime.fromtimestamp(now, UTC).date()) < ADULT_YEARS:
            return TOO_YOUNG
        user = User(self._ids.row(now), now)
        self.users[user.id] = user
        self.tokens.open(user.id)
        consents = given["consents"]
        profile = {
            **user.profile(),
            "dateOfBirth": None if born is None else iso(born.timestamp()),
            "ageVerifiedAt": None if born is None else iso(now),
            "consents": None if consents is None else _as_stored({**consents, "acceptedAt": iso(now)}),
            "privacyNoticeVersion": given["privacyNoticeVersion"],
            "tosVersion": given["tosVersion"],
            "phone": None,
            "email": None,
            "tokenBalance": 0,
        }
        answer = {"user": profile, "accessToken": self.access.mint(user.id, now)}
        return reply(answer, 201, self._cookie(self._refresh.issue(user.id, now)))

    @route("POST", "/auth/refresh", limit=20)
    def renew(self, call: Call) -> Answer:
        """Another access token for a refresh cookie, which is replaced."""
        cookie = cookie_value(call.request.headers.get("cookie", ""), COOKIE)
        if not cookie:
            return NO_COOKIE
        rotated = self._refresh.rotate(cookie, self.now)
        if isinstance(rotated, RefreshError):
            return refusal(401, _NOT_RENEWED[rotated], "Unauthorized")
        user_id, newest = rotated
        return reply({"accessToken": self.access.mint(user_id, self.now)}, headers=self._cookie(newest))

    def _cookie(self, token: str) -> tuple[tuple[str, str], ...]:
        expires = formatdate(self.now + REFRESH_LIVES_S, usegmt=True)
        terms = f"Max-Age={REFRESH_LIVES_S}; Path=/auth/refresh; Expires={expires}; HttpOnly; SameSite=Strict"
        return (("set-cookie", f"{COOKIE}={token}; {terms}"),)

    @route("GET", "/tokens/balance", auth=True)
    def balance(self, call: Call) -> Answer:
        """How many tokens a user has."""
        return reply({"tokenBalance": self.tokens.balances[call.user.id]})

    @route("POST", "/webhooks/stripe")
    def webhook(self, call: Call) -> Answer:
        """Stripe reports a payment."""
        return self._payments.webhook(call.request, call.body)

    # The queue and sessions

    @route("POST", "/queue/join", body=JOIN, auth=True)
    def join(self, call: Call) -> Answer | None:
        """Enters the queue for a token; answered only after `JOIN_S`, with the position of that moment."""
        city, user = call.body["city"], call.user
        if city is not None and not city.strip():
            return NO_CITY
        if user.joining:
            return LOCKED
        entry = self.queue.entries.get(user.id)
        if entry is not None:
            return self._queued("already_queued", entry)
        if not self.tokens.take(user.id):
            return NO_TOKENS
        line = self.queue.line(queue_key(call.body["region"] if city is None else city, call.body["preferences"]))
        self._worker.expect(line)
        entry = self.queue.enter(user, line, self.now)
        self._worker.wake()
        self._line_changed(line)
        user.joining = True
        self.after(JOIN_S, self._joined, call, entry)
        return None

    def _joined(self, call: Call, entry: Entry) -> None:
        call.user.joining = False
        call.answer(self._queued("queued", entry))

    def _queued(self, status: str, entry: Entry) -> Answer:
        gone = self.queue.entries.get(entry.user.id) is not entry
        popped = gone or self._worker.has_popped_alone(entry.line)
        position = None if popped else self.queue.position(entry)
        # written by hand: joining and leaving are most of what a load test asks for
        rank = "null" if position is None else position
        body = f'{{"status":"{status}","queueKey":"{entry.line.key}","position":{rank}}}'
        return Answer(201, body.encode(), JSON_TYPE)

    @route("DELETE", "/queue/leave", auth=True)
    def leave(self, call: Call) -> Answer | None:
        """Leaves the queue. Whom the worker is matching meets its lock; whom it has popped alone is answered when they
        are back, unless the fault `ghost` is on."""
        user = call.user
        if user.joining:
            return LOCKED
        entry = self.queue.entries.get(user.id)
        if entry is not None and self._is_popped(entry) and self.hit("ghost"):
            self.queue.leave_ghost(entry)
            self._line_changed(entry.line)
            return _left("left", "false", entry)
        if entry is not None and entry.locked:
            return LOCKED
        if entry is not None and entry.in_hand:
            self._worker.afterwards(entry, lambda: call.answer(self._leave(user)))
            return None
        return self._leave(user)

    def _is_popped(self, entry: Entry) -> bool:
        return entry.in_hand or self._worker.has_popped_alone(entry.line)

    def _leave(self, user: User) -> Answer:
        entry = self.queue.entries.get(user.id)
        if entry is None:
            return NOT_QUEUED
        self.queue.end(entry)
        self._line_changed(entry.line)
        if self.now - user.matched_at < MATCH_KEPT_S and self.hit("kept-token"):
            return _left("already_matched", "false", entry)
        if not self.hit("lose-write", "refund"):
            self.tokens.give_back(user.id)
        return _left("left", "true", entry)

    @route("POST", "/sessions/{id}/choice", body=CHOICE, auth=True)
    def choose(self, call: Call) -> Answer:
        """What a user says of their partner once the session has ended."""
        return self._sessions.choose(call)

    # Sockets

    def emit_to(self, namespace: str, room: str | None, name: str, *values: Any, without: Client | None = None) -> None:
        """As said, unless a fault of an event of sessions hits it."""
        swallowing = SWALLOWING.get(name)
        if swallowing is not None and self.hit(swallowing, name):
            return
        if name in OUTCOMES and self.hit("wrong-outcomes", name):
            name = OUTCOMES[name]
        for _ in range(2 if name == "match" and self.hit("double-matches") else 1):
            super().emit_to(namespace, room, name, *values, without=without)

    def on_enter(self, client: Client, auth: Any) -> None:
        """Every namespace but the main one wants a user's token: who has none is let in, and then kicked."""
        if client.namespace == MAIN:
            return
        token = auth.get("token") if isinstance(auth, dict) else None
        if not isinstance(token, str) or not token:
            token = client.socket.request.bearer
        user_id = self.access.read(token, self.now)
        client.data = self.users.get(user_id or "")
        if client.data is None:
            client.kick()
            return
        client.join(client.data.id)
        if client.namespace == "/queue":
            self._listeners += 1

    def on_leave(self, client: Client, reason: str) -> None:
        """When any of a user's /queue sockets is gone, the server leaves the queue for them."""
        user: User | None = client.data
        if client.namespace != "/queue" or user is None:
            return
        self._listeners -= 1
        entry = self.queue.entries.get(user.id)
        if entry is not None and entry.in_hand:
            self._worker.afterwards(entry, lambda: self._leave(user))
        else:
            self._leave(user)

    def _line_changed(self, line: WaitingLine) -> None:
        if self._tells_status and self._listeners:
            self._status.changed(line)

    def _tell_size(self, user_ids: Iterable[str], size: int) -> None:
        told = size + MISCOUNTED_BY if self.hit("miscount-searching") else size
        packet = event_packet("/queue", "queue:status", {"usersSearching": told})
        for user_id in user_ids:
            if self.hit("swallow-statuses"):
                continue
            for client in self.clients("/queue", user_id):
                client.socket.send(packet)


def _left(status: str, refunded: str, entry: Entry) -> Answer:
    body = f'{{"status":"{status}","refunded":{refunded},"queueKey":"{entry.line.key}"}}'
    return Answer(200, body.encode(), JSON_TYPE)


def _age(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _as_stored(value: Any) -> Any:
    """JSON as it comes back from a `jsonb` column: keys by length, then by bytes."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: _as_stored(value[key]) for key in keys}
    return [_as_stored(item) for item in value] if isinstance(value, list) else value


PLATFORM = VerityWorld.platform()
"""Verity's offer to the sandbox."""
