"""What all of the API has in common: two contracts, tokens against forged requests, members and their tokens."""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import jwt

from pika_locust.errors import ConfigurationError
from pika_locust.sandbox.app import App, Call, route
from pika_locust.sandbox.auth import cookie_value
from pika_locust.sandbox.schema import text
from pika_locust.sandbox.world import Answer, Request

PASSWORD = "test_password_123"
"""Every member's, as the suite seeds them; TEST_USER_PASSWORD sets another."""
MEMBERS = "loadtest_user_{user}@wwmaa.com"
"""The addresses of members, as the suite seeds them; TEST_USER_EMAIL sets others."""
ADMIN = "loadtest_admin@wwmaa.com"
"""Who may see who comes to an event; TEST_ADMIN_EMAIL and TEST_ADMIN_PASSWORD name another."""
STAFF = ("admin", "instructor")
"""The roles of those who may see who comes to an event."""
MOST_MISTAKES = 5
"""Wrong passwords until an account is locked."""
LOCKED_S = 900.0
ACCESS_S = 1800
EXEMPT = ("/api/auth/login", "/api/auth/register")
"""What may be posted without a token against forged requests."""
SERVER_ERROR = {
    "detail": "Internal server error",
    "error_id": None,
    "message": "An unexpected error occurred. Our team has been notified.",
}
_REMEMBERED = 5_000
"""Access tokens whose claims are kept, a kilobyte each; at full load that many are made in half a minute."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the sandbox was told of somebody who may log in."""

    password: str
    name: str
    role: str = "member"


class Accounts(App):
    """Log in, see who one is, refresh. In the contract of the real server, every POST needs a token of its own, as a
    cookie and as a header; in the one that the suite assumes, none does."""

    def start(self) -> None:
        self.is_suite = self.setting("CONTRACT", "suite") == "suite"
        protects = self.setting("CSRF_PROTECTION_ENABLED", "true").lower() not in ("0", "false")
        self._protects = protects and not self.is_suite
        self._jwt_secret = self.setting("JWT_SECRET", "sandbox: a secret that everybody may know")
        self._admin = self.setting("TEST_ADMIN_EMAIL", ADMIN), self.setting("TEST_ADMIN_PASSWORD", PASSWORD)
        self._password = self.setting("TEST_USER_PASSWORD", PASSWORD)
        before, numbered, behind = self.setting("TEST_USER_EMAIL", MEMBERS).partition("{user}")
        number = r"(\d{1,6})" if numbered else "(0?)"
        self._member = re.compile(re.escape(before) + number + re.escape(behind))
        self._members = self.setting("MEMBERS", 1000)
        path = self.setting("MEMBERS_FILE", "")
        self.accounts = _listed_accounts(path, self._password) if path else {}
        self._mistakes: Counter[str] = Counter()
        self._locked_until: dict[str, float] = {}
        # By number, and not by token: a server that is logged in to all the time must not grow by what it has signed.
        self._refresh: dict[int, str] = {}
        self._used: set[int] = set()
        self._known: dict[str, dict[str, Any]] = {}
        self._made = 0

    # Forged requests

    def on_call(self, call: Call) -> Answer | None:
        """A POST whose token is not both in its cookie and in its header is refused; all else gets the cookie."""
        if call.request.method == "HEAD" and not self.is_suite:
            return Answer(405, b"", (("content-type", "application/json"), ("allow", "GET")))
        if not self._protects or call.route.exempt:
            return None
        forged = self._forged(call.request)
        if forged is None and call.request.path != "/api/auth/login":
            call.headers = self._cookie(_csrf_cookie(call.request) or self._new_token())
        return forged

    def _forged(self, request: Request) -> Answer | None:
        if not self._protects or request.method != "POST" or request.path in EXEMPT:
            return None
        cookie = _csrf_cookie(request)
        if not cookie:
            return _refusal("csrf_token_missing", "CSRF token missing from cookie")
        if (request.headers.get("x-csrf-token") or request.json_object().get("csrf_token")) != cookie:
            return _refusal("csrf_token_invalid", "CSRF token validation failed")
        return None

    def _new_token(self) -> str:
        self._made += 1
        return f"{uuid5(NAMESPACE_URL, f'csrf {self._made}').hex}{self._made:011d}"

    def _cookie(self, token: str) -> tuple[tuple[str, str], ...]:
        return (("set-cookie", f"csrf_token={token}; HttpOnly; Max-Age=31536000; Path=/; SameSite=strict"),)

    @route("GET", "/api/security/csrf-token")
    def csrf_token(self, call: Call) -> Any:
        if not call.headers:
            call.headers = self._cookie(self._new_token())
        token = call.headers[0][1].partition("=")[2].partition(";")[0]
        return {
            "csrf_token": token,
            "message": "Include this token in X-CSRF-Token header for POST/PUT/DELETE requests",
        }

    # Members

    @route("POST", "/api/auth/login", body={"email": text(3, pattern=r"[^@\s]+@[^@\s]+"), "password": text(1)})
    def login(self, call: Call) -> Answer:
        email = call.body["email"]
        if self._mistakes[email] >= MOST_MISTAKES and self.now < self._locked_until[email]:
            minutes = int((self._locked_until[email] - self.now) / 60)
            words = f"Account locked due to multiple failed login attempts. Try again in {minutes} minutes."
            return Answer.json({"detail": words}, 400)
        if call.body["password"] != self._password_of(email):
            self._mistakes[email] += 1
            self._locked_until[email] = self.now + LOCKED_S
            return Answer.json({"detail": "Invalid email or password"}, 400)
        del self._mistakes[email]
        if not self.is_suite:
            call.headers = self._cookie(self._new_token())
        first, _, last = self._name_of(email).partition(" ")
        who = {"id": user_id(email), "email": email, "role": self._role_of(email)}
        user = {**who, "first_name": first, "last_name": last, "is_verified": True}
        tokens = self._tokens(email)
        return Answer.json({"message": "Login successful", **tokens, "token_type": "bearer", "user": user})

    @route("POST", "/api/auth/refresh", body={"refresh_token": text(1)})
    def refresh(self, call: Call) -> Answer:
        """Each token is good once; the use of an old one is refused, and the newer ones stay good."""
        number = self._verified(call.body["refresh_token"]).get("token_id")
        if number in self._used and not self.hit("forget-refresh"):
            return _unauthorized("Refresh token has been revoked. Please log in again.")
        if number not in self._refresh:
            return _unauthorized("Invalid refresh token")
        self._used.add(number)
        email = self._refresh[number]
        return Answer.json({**self._tokens(email), "token_type": "bearer"})

    @route("GET", "/api/auth/me", auth=True)
    def me(self, call: Call) -> Any:
        email = call.user["email"]
        if self._password_of(email) is None or call.user["sub"] != user_id(email):
            return Answer.json(SERVER_ERROR, 500)
        who = {"id": call.user["sub"], "name": self._name_of(email), "email": email, "role": self._role_of(email)}
        return {**who, "belt_rank": None, "dojo": None, "country": "USA", "locale": "en-US"}

    def _password_of(self, email: str) -> str | None:
        """What somebody logs in with; None for whom there is no account."""
        if email == self._admin[0]:
            return self._admin[1]
        if email in self.accounts:
            return self.accounts[email].password
        number = self._member.fullmatch(email)
        return self._password if number is not None and int(number[1] or 0) < self._members else None

    def _name_of(self, email: str) -> str:
        if email in self.accounts:
            return self.accounts[email].name
        number = self._member.fullmatch(email)
        return "Load Admin" if number is None else f"Load{int(number[1] or 0)} Tester"

    def _role_of(self, email: str) -> str:
        if email == self._admin[0]:
            return "admin"
        return self.accounts[email].role if email in self.accounts else "member"

    def _tokens(self, email: str) -> dict[str, str]:
        self._made += 1
        who, iat = user_id(email), int(self.now)
        # As shipped, the name of the claim is not the one that is looked for.
        subject = {} if "as-shipped" in self.faults.on else {"sub": who}
        claims = {
            **subject,
            "user_id": who,
            "role": self._role_of(email),
            "exp": iat + ACCESS_S,
            "iat": iat,
            "type": "access",
        }
        refresh = {"user_id": who, "token_id": self._made, "iat": iat, "type": "refresh"}
        self._refresh[self._made] = sys.intern(email)
        return {
            "access_token": jwt.encode({**claims, "email": email}, self._jwt_secret, "HS256"),
            "refresh_token": jwt.encode(refresh, self._jwt_secret, "HS256"),
        }

    def authenticate(self, call: Call) -> Any:
        """The claims of a token that is good."""
        claims = self._claims(call.bearer)
        good = "sub" in claims and claims.get("type") == "access" and "email" in claims
        return claims if good and claims["exp"] > self.now else None

    def _claims(self, token: str) -> dict[str, Any]:
        claims = self._known.get(token)
        if claims is None:
            claims = self._verified(token)
            if "exp" not in claims:
                return {}
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[token] = claims
        return claims

    def _verified(self, token: str) -> dict[str, Any]:
        """What a token of this server says, whatever its age; nothing of one that is not."""
        options: Any = {"verify_exp": False, "verify_iat": False}
        try:
            return jwt.decode(token, self._jwt_secret, ["HS256"], options=options)
        except jwt.InvalidTokenError:
            return {}

    def unauthorized(self, call: Call) -> Answer:
        if not call.bearer:
            return Answer.json({"detail": "Not authenticated"}, 403)
        claims = self._claims(call.bearer)
        if not claims:
            return _unauthorized("Could not validate credentials")
        return _unauthorized("Token has expired" if claims["exp"] <= self.now else "Invalid token payload")

    # In the server's words

    def not_found(self, request: Request) -> Answer:
        answer = self._forged(request) or Answer.json({"detail": "Not Found"}, 404)
        if self._in_hand is None and self._protects and request.method == "GET" and request.path != "/metrics":
            # Where there is no route, either: the token comes with all that is looked for.
            return replace(answer, headers=(*answer.headers, *self._cookie(_csrf_cookie(request) or self._new_token())))
        return answer

    def too_many(self, call: Call, retry_s: int) -> Answer:
        """As the real server means to say it."""
        told = {"error": "rate_limit_exceeded", "message": "Too many requests.", "retry_after": retry_s}
        return Answer.json(told, 429, (("retry-after", str(retry_s)),))

    def refused_body(self, problems: list[str]) -> Answer:
        if problems == ["the body is not JSON"]:
            return Answer.json(
                {"detail": [{"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error"}]}, 422
            )
        details = [
            {"type": "value_error", "loc": ["body", problem.split(" ")[0]], "msg": problem} for problem in problems
        ]
        return Answer.json({"detail": details}, 422)


def _csrf_cookie(request: Request) -> str | None:
    return cookie_value(request.headers.get("cookie", ""), "csrf_token")


def _refusal(kind: str, words: str) -> Answer:
    return Answer.json({"detail": words, "error_type": kind, "status_code": 403}, 403)


def _unauthorized(words: str) -> Answer:
    return Answer.json({"detail": words}, 401)


def _listed_accounts(path: str, password: str) -> dict[str, Account]:
    """Everybody in the file of members. Raises ConfigurationError."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        return {row["email"]: Account(row.get("password") or password, "Load Tester") for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise ConfigurationError(f"MEMBERS_FILE={path}: {error}") from None


def user_id(email: str) -> str:
    """The id of a member, which follows from the address."""
    return str(uuid5(NAMESPACE_URL, email))
