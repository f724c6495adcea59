"""Verity's server as a pure state machine: what the sandbox serves in its place.

Everything is written from what the real server was seen to do on the wire, apart from the client side in this folder,
so that a misreading of the protocol cannot hide in both. Its defects are faults: tokens that an unmatched leave keeps,
500 for a forged signature and (there only for some of several at once) for an event that is delivered again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pika_locust.platforms.verity.world_accounts import Accounts, Payments, access_tokens, not_found, reply
from pika_locust.platforms.verity.world_calls import Call, ReplySender
from pika_locust.platforms.verity.world_model import Ids, TokenStore, iso, rules_from
from pika_locust.platforms.verity.world_queue import MatchWorker, Queue, QueueRoutes, QueueStatus
from pika_locust.platforms.verity.world_routes import Route, Routes
from pika_locust.platforms.verity.world_sessions import Sessions
from pika_locust.sandbox.auth import StripeSignatures, bearer_token
from pika_locust.sandbox.faults import Cover, FaultKind, FaultSwitches, Form
from pika_locust.sandbox.rate_limit import Throttle
from pika_locust.sandbox.socketio import DEFAULT, LARGEST_PACKET_BYTES, NO_TRANSPORT, Outbox, SocketIoServer
from pika_locust.sandbox.timers import Timers
from pika_locust.sandbox.world import Answer, Close, Effects, Platform, Request

SOCKET_PATH = "/socket.io/"
NAMESPACES = ("/queue", "/video", "/chat")


class VerityWorld:
    """The world of one Verity server; `settings` are the environment that `world_rules.rules_from` reads.

    Raises `ConfigurationError` for settings that cannot be read.
    """

    def __init__(self, faults: FaultSwitches, settings: Mapping[str, str], now: float) -> None:
        self._faults = faults
        self._rules = rules_from(settings)
        self._throttle = Throttle(faults)
        self._signatures = StripeSignatures(self._rules.webhook_secret)
        self.reset(now)

    def reset(self, now: float) -> None:
        faults, rules = self._faults, self._rules
        self._started_at = now
        self._hub, self._timers, ids = Outbox(faults), Timers(), Ids()
        self._purse, self._access = TokenStore(), access_tokens(rules.jwt_secret)
        self._accounts = Accounts(self._purse, ids, self._access)
        self._payments = Payments(faults, self._purse, self._signatures)
        self._sessions = Sessions(self._hub, self._timers, self._purse, ids, faults, rules)
        self._queue = Queue()
        announcer = QueueStatus(self._hub, self._queue, self._timers, rules.status_fanout)
        worker = MatchWorker(self._queue, self._timers, faults, now, self._sessions.pair_up, announcer.tell)
        desk = ReplySender(self._hub, faults)
        self._visits = QueueRoutes(desk, self._queue, worker, announcer, self._purse, self._timers, faults)
        self._sockets = SocketIoServer(
            self._hub, self._timers, new_sid=ids.socket, namespaces=NAMESPACES, admit=self._admit, left=self._left
        )
        self._throttle.reset()
        self._routes = Routes(self._table(), self._hub, desk, self._throttle, self._access, self._accounts.users)

    @property
    def due(self) -> float:
        return self._timers.due

    def request(self, exchange: int, request: Request, now: float) -> Effects:
        if request.path == SOCKET_PATH:
            self._hub.reply(exchange, NO_TRANSPORT)  # polling is not offered
        else:
            self._routes.handle(exchange, request, now)
        return self._hub.take()

    def abandoned(self, exchange: int, now: float) -> Effects:
        return ()

    def upgrade(self, request: Request, now: float) -> Answer | None:
        if request.path != SOCKET_PATH:
            return not_found(f"Cannot GET {request.path}")
        return self._sockets.handshake(request)

    def opened(self, socket: int, request: Request, now: float) -> Effects:
        self._sockets.opened(socket, request, now)
        return self._hub.take()

    def received(self, socket: int, data: str | bytes, now: float, queued: int) -> Effects:
        if len(data) > LARGEST_PACKET_BYTES:
            return [Close(socket, 1009, "")]
        self._sockets.received(socket, data, now)
        return self._hub.take()

    def ponged(self, socket: int, now: float) -> Effects:
        return ()

    def closed(self, socket: int, now: float) -> Effects:
        self._sockets.closed(socket, now)
        return self._hub.take()

    def tick(self, now: float) -> Effects:
        self._timers.run(now)
        return self._hub.take()

    def shutdown(self, now: float) -> Effects:
        return ()

    def group(self, socket: int) -> str:
        return "members"

    def state(self, now: float) -> dict[str, Any]:
        """What the world holds, for audits.

        `balances`, `credits` and `matches` are by user id: tokens now, tokens bought, matches paid for. For every user
        balance + 1 if queued + matches = credits. `sessions` counts them (see `Sessions`), `webhooks` deliveries by
        what became of them (see `Payments`).
        """
        counts = self._payments.counts
        kinds = ("received", "credited", "duplicates", "refused", "ignored", "failed")
        return {
            "users": len(self._accounts.users),
            "queued": len(self._queue.visits),
            "lines": len(self._queue.lines),
            "tokens": {
                "credited": sum(self._purse.credits.values()),
                "held": sum(self._purse.balances.values()),
                "spent": sum(self._purse.matches.values()),
            },
            "sessions": self._sessions.to_json(),
            "sessions_live": self._sessions.live,
            "webhooks": {kind: counts[kind] for kind in kinds},
            "balances": self._purse.balances,
            "credits": self._purse.credits,
            "matches": self._purse.matches,
        }

    def _admit(self, namespace: str, auth: Any, handshake: Request, now: float) -> str | None:
        """Every namespace but the default one wants a user's token; each user has a room of their own there."""
        if namespace == DEFAULT:
            return ""
        token = auth.get("token") if isinstance(auth, dict) else None
        if not isinstance(token, str) or not token:
            token = bearer_token(handshake.headers.get("authorization", ""))
        user_id = self._access.read(token, now)
        return user_id if user_id in self._accounts.users else None

    def _left(self, namespace: str, user_id: str, now: float) -> None:
        if namespace == "/queue":
            self._visits.disconnected(self._accounts.users[user_id], now)

    def _table(self) -> tuple[Route, ...]:
        accounts, visits = self._accounts, self._visits
        return (
            Route("GET", "/health", self._health, guarded=False),
            Route("POST", "/auth/signup-anonymous", accounts.sign_up, guarded=False, limit=10),
            Route("POST", "/auth/refresh", accounts.renew, guarded=False, limit=20),
            Route("GET", "/tokens/balance", accounts.balance),
            Route("POST", "/webhooks/stripe", self._webhook, guarded=False),
            Route("POST", "/queue/join", visits.join),
            Route("DELETE", "/queue/leave", visits.leave),
            Route("POST", "/sessions/*/choice", self._sessions.choose),
        )

    def _webhook(self, call: Call) -> Answer:
        return self._payments.webhook(call.request, call.body, call.now)

    def _health(self, call: Call) -> Answer:
        up = int(call.now - self._started_at)
        return reply({"status": "ok", "timestamp": iso(call.now), "uptimeSeconds": up})


PLATFORM = Platform(
    name="verity",
    about="Verity: a matchmaking queue that costs tokens, video sessions over Socket.IO, Stripe webhooks",
    create=VerityWorld,
    covers=(
        Cover("latency", "latency=400", "queue", "http_req_duration"),
        Cover("error", "error=0.1", "queue", "http_req_failed"),
        Cover("drop", "drop=0.05", "queue", "http_req_failed"),
        Cover("throttle", "throttle=120/60s", "queue", "http_req_failed"),
        Cover("refuse", "refuse=0.5", "sessions", "error_rate"),
        Cover("close-after", "close-after=2", "sessions", "error_rate"),
        Cover("crash-after", "crash-after=3", "queue", "http_req_failed"),
        Cover("leak", "leak=9000", "queue", "target_memory_mb"),
        Cover("lose-fanout", "lose-fanout=0.3", "sessions", "match_rate"),
        Cover("dead-session", "dead-session", "sessions", "session_start_lag"),
        Cover("dead-session", "dead-session", "sessions", "sessions"),
        Cover("end-early", "end-early=1", "sessions", "session_length"),
        Cover("no-match", "no-match", "sessions", "match_time"),
        Cover("late-match", "late-match=5000", "sessions", "match_time"),
        Cover("kept-token", "kept-token", "queue", "tokens"),
        Cover("lose-write", "lose-write=0.1", "queue", "tokens"),
        Cover("lose-write", "lose-write=0.1", "tokens", "webhooks"),
        Cover("double", "double=0.1", "tokens", "webhooks"),
        Cover("forget-signature", "forget-signature", "tokens", "forged_refused"),
        Cover("forged-500", "forged-500", "tokens", "forged_refused"),
        Cover("forget-event", "forget-event", "tokens", "webhooks"),
        Cover("redelivery-500", "redelivery-500", "tokens", "redelivery_ignored"),
    ),
    groups=("members",),
    named=(
        FaultKind("no-match", Form.FLAG, "the matching worker pairs nobody"),
        FaultKind("late-match", Form.MILLISECONDS, "nobody is paired before having waited for MS"),
        FaultKind("end-early", Form.SECONDS, "sessions end S seconds before their time"),
        FaultKind("kept-token", Form.FLAG, "an unmatched leave keeps the token"),
        FaultKind("forged-500", Form.FLAG, "a webhook with a bad signature is answered 500 instead of 400"),
        FaultKind("redelivery-500", Form.FLAG, "an event that is delivered again is answered 500"),
        FaultKind("forget-event", Form.FLAG, "an event that is delivered again is credited again"),
    ),
    per_user=("balances", "credits", "matches"),
)
"""Verity's offer to the sandbox."""
