"""Pika's account routes, with the checks in the order of the real server: client, then request limit, then request."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from pika_locust.platforms.pika.world_archive import Account, Database, new_token
from pika_locust.platforms.pika.world_schema import units
from pika_locust.sandbox.limits import FixedWindow
from pika_locust.sandbox.world import Answer, Headers, Request

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
