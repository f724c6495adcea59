"""Who is calling: JSON Web Tokens by PyJWT, refresh tokens that rotate, and Stripe's webhook signatures.

What a library owns is left to it: these classes add the world's own clock to it, and nothing else.
"""

from __future__ import annotations

import enum
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

REMEMBERED = 50_000
STRIPE_TOLERANCE_S = 300
_ALGORITHM = "HS256"
# the world's clock decides what has expired, and not the machine's
_OPTIONS: Any = {"require": ["sub", "exp"], "verify_exp": False, "verify_iat": False, "verify_nbf": False}


class AccessTokens:
    """Mints and verifies access tokens (HS256). One that was verified once is remembered until it expires.

    Arguments:
        secret: what signs them.
        lives_s: how many seconds a token is valid.
        claims: what each carries besides `sub`, `iat` and `exp`; in this order.
        required: the claims, by name and value, without which a token is nobody's.
    """

    def __init__(
        self, secret: bytes, lives_s: int, claims: Mapping[str, str] = {}, required: Mapping[str, str] = {}
    ) -> None:
        # a test environment may well have a short secret: that is not ours to complain about
        warnings.filterwarnings("ignore", message="The HMAC key is")
        self._secret = secret
        self._lives_s = lives_s
        self._claims = claims
        self._required = required
        self._known: dict[str, tuple[str, float]] = {}

    def mint(self, user_id: str, now: float) -> str:
        """A token for a user."""
        times = {"iat": int(now), "exp": int(now) + self._lives_s}
        return jwt.encode({"sub": user_id, **self._claims, **times}, self._secret, _ALGORITHM)

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

    def _verified(self, token: str) -> tuple[str, float] | None:
        try:
            claims = jwt.decode(token, self._secret, [_ALGORITHM], options=_OPTIONS)
            if any(claims.get(name) != value for name, value in self._required.items()):
                return None
            return str(claims["sub"]), float(claims["exp"])
        except (jwt.InvalidTokenError, ValueError, TypeError):
            return None


class RefreshError(enum.Enum):
    """Why a refresh token is refused."""

    INVALID = "unknown or expired"
    REUSED = "used before, or of a family in which one was"


@dataclass(slots=True, eq=False)
class _Family:
    """The tokens that descend from one sign-up; only the newest may be used, and using another revokes all."""

    user_id: str
    newest: str
    expires_at: float
    revoked: bool = False


class RefreshTokens:
    """Issues and rotates refresh tokens.

    Arguments:
        new_token: makes an unguessable text.
        lives_s: how many seconds a token may be used.
    """

    def __init__(self, new_token: Callable[[], str], lives_s: float) -> None:
        self._new_token = new_token
        self._lives_s = lives_s
        self._families: dict[str, _Family] = {}

    def issue(self, user_id: str, now: float) -> str:
        """The first token of a new family."""
        token = self._new_token()
        self._families[token] = _Family(user_id, token, now + self._lives_s)
        return token

    def rotate(self, token: str, now: float) -> tuple[str, str] | RefreshError:
        """(user id, next token), or why not."""
        family = self._families.get(token)
        if family is None or now >= family.expires_at:
            return RefreshError.INVALID
        if family.revoked or token != family.newest:
            family.revoked = True
            return RefreshError.REUSED
        family.newest = self._new_token()
        family.expires_at = now + self._lives_s
        self._families[family.newest] = family
        return family.user_id, family.newest


class StripeSignatures:
    """Verifies `stripe-signature` headers by Stripe's own library.

    Loading that takes 0.2 s. It is done here, and so only in the process of a sandbox whose world takes webhooks.
    """

    def __init__(self, secret: bytes) -> None:
        from stripe import SignatureVerificationError, WebhookSignature

        self._secret = secret.decode()
        self._verify = WebhookSignature.verify_header
        # the last two: a body that is not UTF-8, and a signature that is not ASCII
        self._refusals = (SignatureVerificationError, UnicodeError, TypeError)

    def accepts(self, payload: bytes, header: str, now: float) -> bool:
        """Whether a header signs a body, and is at most five minutes old.

        Arguments:
            payload: the body as it came.
            header: the whole `stripe-signature` header.
            now: seconds since the epoch.
        """
        try:
            # the library would take the machine's clock for the age
            self._verify(payload.decode(), header, self._secret, None)
        except self._refusals:
            return False
        stamp = next(int(item.split("=")[1]) for item in header.split(",") if item.split("=")[0] == "t")
        return int(now) - stamp <= STRIPE_TOLERANCE_S


def cookie_value(header: str, wanted: str) -> str | None:
    """The value of a cookie in a `Cookie` header; None when it holds none of that name."""
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == wanted:
            return value
    return None
