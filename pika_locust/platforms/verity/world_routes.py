"""Verity's routes, and the stations of a request in their order: body, route, limit, guard, handler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pika_locust.platforms.verity.world_accounts import NO_USER, UNAUTHORIZED, BadBody, not_found, read_body, reply
from pika_locust.platforms.verity.world_calls import Call, ReplySender
from pika_locust.platforms.verity.world_model import User
from pika_locust.sandbox.auth import AccessTokens, bearer_token
from pika_locust.sandbox.rate_limit import Refused, Throttle
from pika_locust.sandbox.socketio import Outbox
from pika_locust.sandbox.world import Answer, Headers, Request

TOO_MANY = reply({"statusCode": 429, "message": "ThrottlerException: Too Many Requests"}, 429)
CHANGING = "*"

Handler = Callable[[Call], Answer | None]
"""None: the answer comes later, through the desk."""


@dataclass(frozen=True, slots=True)
class Route:
    """`path` has `*` where an id stands; `limit` is the route's own one per minute and address."""

    method: str
    path: str
    handler: Handler
    guarded: bool = True
    limit: int | None = None

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


class Routes:
    """Answers plain HTTP requests by its table of routes; `users` is looked into for those who call."""

    def __init__(
        self,
        table: tuple[Route, ...],
        hub: Outbox,
        desk: ReplySender,
        throttle: Throttle,
        access: AccessTokens,
        users: dict[str, User],
    ) -> None:
        self._routes = {(route.method, route.path): (route, route.name) for route in table}
        self._hub = hub
        self._desk = desk
        self._throttle = throttle
        self._access = access
        self._users = users

    def handle(self, exchange: int, request: Request, now: float) -> None:
        """Takes one request; its answer goes to the desk, now or later."""
        try:
            body = read_body(request) if request.body else {}
        except BadBody as bad:
            self._hub.reply(exchange, bad.answer)
            return
        method = "GET" if request.method == "HEAD" else request.method
        found, variable = self._routes.get((method, request.path)), ""
        if found is None:
            pattern, variable = _with_id(request.path)
            found = self._routes.get((method, pattern))
        if found is None:
            self._hub.reply(exchange, _nowhere(request))
            return
        route, name = found
        headers = self._throttle.pass_through(name, route.limit, request.peer, now)
        call = Call(exchange, name, request, body, now, variable)
        if isinstance(headers, Refused):
            self._desk.reply(call, _later(headers))
            return
        call.headers = headers
        answer = self._guarded(route, call) if route.guarded else route.handler(call)
        if answer is not None:
            self._desk.reply(call, answer)

    def _guarded(self, route: Route, call: Call) -> Answer | None:
        user_id = self._access.read(bearer_token(call.request.headers.get("authorization", "")), call.now)
        if user_id is None:
            return UNAUTHORIZED
        call.someone = self._users.get(user_id)
        return route.handler(call) if call.someone is not None else NO_USER


def _with_id(path: str) -> tuple[str, str]:
    """A path of two or three parts, with a star for the second: `/sessions/*/choice` and the id."""
    parts = path.split("/")
    if len(parts) != 4:
        return "", ""
    return f"/{parts[1]}/{CHANGING}/{parts[3]}", parts[2]


def _later(refused: Refused) -> Answer:
    headers: Headers = (("retry-after", str(refused.retry_s)),)
    return Answer(429, TOO_MANY.body, (*TOO_MANY.headers, *headers))


def _nowhere(request: Request) -> Answer:
    if request.method == "OPTIONS":
        return Answer(204)
    query = f"?{request.query}" if request.query else ""
    return not_found(f"Cannot {request.method} {request.path}{query}")
