"""Accounts: anonymous sign-up, renewal of access, the balance, and the webhook that credits it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

from pika_locust.platforms.verity.world_calls import Call
from pika_locust.platforms.verity.world_model import NOTHING, Ids, TokenStore, User, iso
from pika_locust.sandbox.auth import AccessTokens, RefreshError, RefreshTokens, StripeSignatures, cookie_value
from pika_locust.sandbox.faults import FaultSwitches
from pika_locust.sandbox.world import Answer, Headers, Request, to_json

# Bodies of requests: how they are parsed, and how they are refused, in the words of the real server's parsers.

JSON_TYPE: Headers = (("content-type", "application/json; charset=utf-8"),)
LARGEST_BODY = 100 * 1024
_FORM = "application/x-www-form-urlencoded"

Check = Callable[[Any], str | None]
"""Says what is wrong with a value that was given; what follows the name of its property."""


class BadBody(Exception):
    """The body cannot be read; `answer` says so, before any limit or guard."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def reply(value: Any, status: int = 200) -> Answer:
    """A JSON answer."""
    return Answer(status, to_json(value).encode("utf-8", "replace"), JSON_TYPE)


def refusal(status: int, message: str | list[str], error: str) -> Answer:
    """An answer of the real server's exceptions; `error` is the reason of the status."""
    return reply({"message": message, "error": error, "statusCode": status}, status)


UNAUTHORIZED = reply({"message": "Unauthorized", "statusCode": 401}, 401)
BROKEN = reply({"statusCode": 500, "message": "Internal server error"}, 500)


def bad_request(message: str | list[str]) -> Answer:
    return refusal(400, message, "Bad Request")


def not_found(message: str) -> Answer:
    return refusal(404, message, "Not Found")


def read_body(request: Request) -> Any:
    """The body by its content type: parsed JSON, the fields of a form, else an empty object.

    Raises `BadBody`.
    """
    if not request.body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and kind != _FORM:
        return {}
    if len(request.body) > LARGEST_BODY:
        raise BadBody(refusal(413, "request entity too large", "Payload Too Large"))
    text = request.body.decode("utf-8", "replace")
    if kind == _FORM:
        return dict(parse_qsl(text, keep_blank_values=True))
    return _parse(text)


def _parse(text: str) -> Any:
    if not text.strip():
        return {}
    if text.lstrip()[0] not in "{[":
        # only objects and arrays are taken
        raise BadBody(bad_request(_unexpected(text, len(text) - len(text.lstrip()))))
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadBody(bad_request(_in_other_words(error))) from error
    except (ValueError, RecursionError) as error:
        raise BadBody(bad_request("Unexpected token in JSON")) from error


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _in_other_words(error: json.JSONDecodeError) -> str:
    """What V8 says about the same mistake."""
    text, at = error.doc, error.pos
    match error.msg:
        case "Expecting ':' delimiter":
            return f"Expected ':' after property name in JSON at position {at}"
        case "Expecting ',' delimiter" if text.lstrip().startswith("["):
            return f"Expected ',' or ']' after array element in JSON at position {at}"
        case "Expecting ',' delimiter":
            return f"Expected ',' or '}}' after property value in JSON at position {at}"
        case "Extra data":
            return f"Unexpected non-whitespace character after JSON at position {at}"
        case message if message.startswith("Unterminated string"):
            return f"Unterminated string in JSON at position {len(text)}"
        case message if message.startswith("Expecting property name") and at < len(text):
            wanted = "double-quoted property name" if "," in text[:at] else "property name or '}'"
            return f"Expected {wanted} in JSON at position {at}"
    return _unexpected(text, at)


def _unexpected(text: str, at: int) -> str:
    if at >= len(text):
        return "Unexpected end of JSON input"
    return f"Unexpected token '{text[at]}', \"{text}\" is not valid JSON"


def problems(body: Any, checks: Mapping[str, Check], needed: tuple[str, ...] = ()) -> list[str]:
    """What the validation pipe has against a body: unknown properties first, then those of a wrong kind.

    A property that is null or missing is not checked, unless it is `needed`.
    """
    fields = body if isinstance(body, dict) else {}
    found = [f"property {name} should not exist" for name in fields if name not in checks]
    for name, check in checks.items():
        value = fields.get(name)
        if (value is not None or name in needed) and (wrong := check(value)) is not None:
            found.append(f"{name} {wrong}")
    return found


def text(value: Any) -> str | None:
    return None if isinstance(value, str) else "must be a string"


def an_object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "must be an object"


def one_of(*legal: str) -> Check:
    """A check that only the legal values pass."""
    complaint = f"must be one of the following values: {', '.join(legal)}"
    return lambda value: None if value in legal else complaint


ADULT = 18
TOO_YOUNG = bad_request("Must be 18 or older")
NO_COOKIE = refusal(401, "Missing refresh token", "Unauthorized")
NO_USER = not_found("User not found")
ACCESS_LIVES_S = 900
REFRESH_LIVES_S = 30 * 24 * 3600
COOKIE = "refresh_token"
_REFUSED = {RefreshError.INVALID: "Invalid or expired refresh token", RefreshError.REUSED: "Refresh token reused"}


def access_tokens(secret: bytes) -> AccessTokens:
    """Access tokens as the real server writes and reads them."""
    return AccessTokens(secret, ACCESS_LIVES_S, claims={"typ": "access", "role": "USER"}, required={"typ": "access"})


def _date(value: Any) -> str | None:
    return None if _parsed(value) is not None else "must be a valid ISO 8601 date string"


def _parsed(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


SIGNUP_CHECKS = {"dateOfBirth": _date, "consents": an_object, "privacyNoticeVersion": text, "tosVersion": text}


class Accounts:
    """The routes that need no more than users, tokens and the purse."""

    def __init__(self, purse: TokenStore, ids: Ids, access: AccessTokens) -> None:
        self._purse = purse
        self._ids = ids
        self._access = access
        self._refresh = RefreshTokens(ids.secret, REFRESH_LIVES_S)
        self.users: dict[str, User] = {}

    def sign_up(self, call: Call) -> Answer:
        """POST /auth/signup-anonymous."""
        if wrong := problems(call.body, SIGNUP_CHECKS):
            return bad_request(wrong)
        body, now = call.body if isinstance(call.body, dict) else NOTHING, call.now
        born = _parsed(body.get("dateOfBirth"))
        if born is not None and _age(born.date(), datetime.fromtimestamp(now, UTC).date()) < ADULT:
            return TOO_YOUNG
        user = User(self._ids.row(now), now)
        self.users[user.id] = user
        self._purse.open(user.id)
        consents = body.get("consents")
        profile = {
            **user.profile(role="USER"),
            "dateOfBirth": iso(born.timestamp()) if born is not None else None,
            "ageVerifiedAt": iso(now) if born is not None else None,
            "consents": _as_stored({**consents, "acceptedAt": iso(now)}) if consents is not None else None,
            "privacyNoticeVersion": body.get("privacyNoticeVersion"),
            "tosVersion": body.get("tosVersion"),
            "phone": None,
            "email": None,
            "tokenBalance": 0,
        }
        answer = reply({"user": profile, "accessToken": self._access.mint(user.id, now)}, 201)
        return _with_cookie(answer, self._refresh.issue(user.id, now), now)

    def renew(self, call: Call) -> Answer:
        """POST /auth/refresh."""
        cookie = cookie_value(call.request.headers.get("cookie", ""), COOKIE)
        if not cookie:
            return NO_COOKIE
        rotated = self._refresh.rotate(cookie, call.now)
        if isinstance(rotated, RefreshError):
            return refusal(401, _REFUSED[rotated], "Unauthorized")
        user_id, newest = rotated
        return _with_cookie(reply({"accessToken": self._access.mint(user_id, call.now)}), newest, call.now)

    def balance(self, call: Call) -> Answer:
        """GET /tokens/balance."""
        return reply({"tokenBalance": self._purse.balances[call.user.id]})


def _age(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _as_stored(value: Any) -> Any:
    """JSON as it comes back from a `jsonb` column: keys by length, then by bytes."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: _as_stored(value[key]) for key in keys}
    return [_as_stored(item) for item in value] if isinstance(value, list) else value


def _with_cookie(answer: Answer, token: str, now: float) -> Answer:
    expires = formatdate(now + REFRESH_LIVES_S, usegmt=True)
    cookie = f"{COOKIE}={token}; Max-Age={REFRESH_LIVES_S}; Path=/auth/refresh; Expires={expires}; "
    cookie += "HttpOnly; SameSite=Strict"
    return Answer(answer.status, answer.body, (*answer.headers, ("set-cookie", cookie)))


# The webhook through which Stripe reports paid checkouts: each is credited once.

LARGEST_INT = 2**31 - 1
RECEIVED = reply({"received": True})
NO_SIGNATURE = bad_request("Missing Stripe signature")
BAD_SIGNATURE = bad_request("Invalid Stripe signature")
_WHOLE = re.compile(r"\s*([+-]?[0-9]{1,400})")


@dataclass(frozen=True, slots=True)
class Purchase:
    """A paid checkout as an event reports it."""

    event_id: str
    checkout_id: str
    user_id: str
    tokens: int


class Payments:
    """Credits, and the counts of webhooks by what became of them:

    `received` all, `credited` bookings of tokens, `duplicates` events or checkouts seen before, `refused` for their
    signature, `ignored` because there was nothing to do, `failed` with 500 (unknown users, impossible amounts).
    """

    def __init__(self, faults: FaultSwitches, purse: TokenStore, signatures: StripeSignatures) -> None:
        self._faults = faults
        self._purse = purse
        self._signatures = signatures
        self._events: set[str] = set()
        self._checkouts: set[str] = set()
        self.counts: Counter[str] = Counter()

    def webhook(self, request: Request, event: Any, now: float) -> Answer:
        """Answers a delivery; `event` is its parsed body."""
        self.counts["received"] += 1
        header = request.headers.get("stripe-signature", "")
        if not header:
            self.counts["refused"] += 1
            return NO_SIGNATURE
        # only bodies that were parsed as JSON keep their raw bytes, which are what is signed
        is_json = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
        if "forget-signature" in self._faults.on:
            self._faults.count("forget-signature")
        elif not (is_json and self._signatures.accepts(request.body, header, now)):
            self.counts["refused"] += 1
            if "forged-500" in self._faults.on:
                self._faults.count("forged-500")
                return BROKEN
            return BAD_SIGNATURE
        purchase = purchase_of(event)
        if purchase is None:
            self.counts["ignored"] += 1
            return RECEIVED
        return self._book(purchase)

    def _book(self, purchase: Purchase) -> Answer:
        faults, user_id = self._faults, purchase.user_id
        seen = purchase.event_id in self._events
        if seen:
            self.counts["duplicates"] += 1
            if "redelivery-500" in faults.on:
                faults.count("redelivery-500")
                return BROKEN
            if "forget-event" not in faults.on:
                return RECEIVED
            faults.count("forget-event")
        balance = self._purse.balances.get(user_id)
        if balance is None or balance + purchase.tokens > LARGEST_INT:
            self.counts["failed"] += 1
            return BROKEN
        if purchase.checkout_id in self._checkouts and not seen:
            # the row is unique on the checkout, too: the real server's insert fails
            self.counts["duplicates"] += 1
            return BROKEN
        self._events.add(purchase.event_id)
        self._checkouts.add(purchase.checkout_id)
        copies = 0 if faults.hits("lose-write", "credit") else 2 if faults.hits("double", "credit") else 1
        for _ in range(copies):
            self._purse.buy(user_id, purchase.tokens)
            self.counts["credited"] += 1
        return RECEIVED


def purchase_of(event: Any) -> Purchase | None:
    """The purchase that an event reports; None when there is nothing to credit."""
    fields = _object(event)
    checkout = _object(_object(fields.get("data")).get("object"))
    about = _object(checkout.get("metadata"))
    user_id, tokens = about.get("userId"), about.get("tokens")
    if fields.get("type") != "checkout.session.completed" or checkout.get("payment_status") != "paid":
        return None
    if not (user_id and about.get("packId") and tokens):
        return None
    number = javascript_int(str(tokens))
    if number is None or number <= 0:
        return None
    return Purchase(str(fields.get("id")), str(checkout.get("id")), str(user_id), number)


def javascript_int(text: str) -> int | None:
    """What `parseInt(text, 10)` makes of a text: the number it begins with; None for NaN."""
    match = _WHOLE.match(text)
    return int(match[1]) if match is not None else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
