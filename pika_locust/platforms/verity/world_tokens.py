"""Who somebody is: access tokens (JSON Web Tokens, HS256) and the cookies that renew them."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from dataclasses import dataclass
from typing import Any

from pika_locust.platforms.verity.world_model import Ids

ACCESS_LIVES_S = 900
REFRESH_LIVES_S = 30 * 24 * 3600
REMEMBERED = 50_000
COOKIE = "refresh_token"
_HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"  # {"alg":"HS256","typ":"JWT"}


class AccessTokens:
    """Mints and verifies. A token that was verified once is remembered until it expires."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._known: dict[str, tuple[str, int]] = {}

    def mint(self, user_id: str, now: float, lives_s: int = ACCESS_LIVES_S) -> str:
        """A token for a user, as the real server writes it."""
        issued = int(now)
        claims = f'{{"sub":"{user_id}","typ":"access","role":"USER","iat":{issued},"exp":{issued + lives_s}}}'
        signed = f"{_HEADER}.{_encode(claims.encode())}"
        return f"{signed}.{self._signature(signed)}"

    def read(self, token: str, now: float) -> str | None:
        """Whose token it is; None when it is not valid now."""
        known = self._known.get(token)
        if known is None:
            known = self._verified(token)
            if known is None:
                return None
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[token] = known
        user_id, expires = known
        return user_id if int(now) < expires else None

    def _verified(self, token: str) -> tuple[str, int] | None:
        signed, _, signature = token.rpartition(".")
        header, _, claims = signed.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            return None
        try:
            algorithm = json.loads(_decode(header)).get("alg")
            fields: dict[str, Any] = json.loads(_decode(claims))
            if algorithm != "HS256" or fields["typ"] != "access":
                return None
            return str(fields["sub"]), int(fields["exp"])
        except (NoBase64, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _signature(self, signed: str) -> str:
        return _encode(hmac.digest(self._secret, signed.encode(), "sha256"))


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(slots=True, eq=False)
class _Family:
    """The cookies that descend from one sign-up; only the newest may be used, and using another revokes all."""

    user_id: str
    newest: str
    expires_at: float
    revoked: bool = False


class RefreshTokens:
    """Issues and rotates refresh cookies."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._families: dict[str, _Family] = {}

    def issue(self, user_id: str, now: float) -> str:
        """The first cookie of a new family."""
        token = self._ids.secret()
        self._families[token] = _Family(user_id, token, now + REFRESH_LIVES_S)
        return token

    def rotate(self, token: str, now: float) -> tuple[str, str] | str:
        """(user id, next cookie), or why not."""
        family = self._families.get(token)
        if family is None or now >= family.expires_at:
            return "Invalid or expired refresh token"
        if family.revoked or token != family.newest:
            family.revoked = True
            return "Refresh token reused"
        family.newest = self._ids.secret()
        family.expires_at = now + REFRESH_LIVES_S
        self._families[family.newest] = family
        return family.user_id, family.newest


def cookie_value(header: str) -> str | None:
    """The refresh token in a `Cookie` header."""
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
    return None
