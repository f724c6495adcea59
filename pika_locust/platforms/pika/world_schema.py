"""Which client messages Pika's server accepts: the shape it checks before it looks at any of them.

What fails here is ignored without a word on the real server, also when it carries a messageId. What passes comes out
with unknown keys stripped, the keys of a track in the schema's order, and whole numbers as integers. Lengths are in
UTF-16 units, as JavaScript counts them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

VERSION = "0.3.0"

Check = Callable[[Any], Any]
"""Returns the accepted value; raises `ValueError` when there is something wrong with it."""

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a message."""

    check: Check
    required: bool = True


def accept(text: str) -> Message | None:
    """The message in a text frame, or None for what the server silently ignores."""
    try:
        message = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not isinstance(kind := message.get("type"), str):
        return None
    fields = MESSAGES.get(kind)
    if fields is None:
        return None
    try:
        return {"type": kind, **_fields(fields, message)}
    except ValueError:
        return None


def units(text: str) -> int:
    """Length of a text in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _fields(fields: Mapping[str, Field], message: Mapping[str, Any]) -> Message:
    accepted = {}
    for name, field in fields.items():
        if name in message:
            accepted[name] = field.check(message[name])
        elif field.required:
            raise ValueError(f"{name} is missing")
    return accepted


def _optional(check: Check) -> Field:
    return Field(check, required=False)


def _text(shortest: int = 0, longest: int | None = None, without: str = "") -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("not a string")
        length = units(value)
        if length < shortest or (longest is not None and length > longest) or any(sign in value for sign in without):
            raise ValueError("not an acceptable string")
        return value

    return check


def _number(lowest: float = -math.inf, highest: float = math.inf) -> Check:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
            raise ValueError("not an acceptable number")
        if isinstance(value, float):
            if math.isinf(value):
                raise ValueError("not a finite number")
            return int(value) if value.is_integer() else value
        return value

    return check


def _one_of(*values: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in values:
            raise ValueError("not one of the known values")
        return value

    return check


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("not a boolean")
    return value


def _list(check: Check, shortest: int = 0, longest: int | None = None) -> Check:
    def check_all(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) < shortest or (longest is not None and len(value) > longest):
            raise ValueError("not an acceptable list")
        return [check(item) for item in value]

    return check_all


def _object(fields: Mapping[str, Field]) -> Check:
    def check(value: Any) -> Message:
        if not isinstance(value, dict):
            raise ValueError("not an object")
        return _fields(fields, value)

    return check


def _token(value: Any) -> str:
    return value if value == "" else str(_text(10, 2000)(value))


_PERCENT = _optional(_number(0, 100))
_TRACK = _object(
    {
        "title": Field(_text(1, 500)),
        "artist": Field(_text(1, 500)),
        "bpm": _optional(_number(40, 300)),
        "key": _optional(_text(0, 10)),
        "energy": _PERCENT,
        "danceability": _PERCENT,
        "brightness": _PERCENT,
        "acousticness": _PERCENT,
        "groove": _PERCENT,
    }
)
_LIKED = Field(_object({"track": Field(_TRACK)}))
_LIKED_ALL = Field(_object({"tracks": Field(_list(_TRACK))}))
_SESSION = _text(8, 64)
_CLIENT = _text(8, 256)
_ANY: dict[str, Field] = {"messageId": _optional(_text())}
_DANCER: dict[str, Field] = {**_ANY, "clientId": _optional(_CLIENT)}

MESSAGES: Mapping[str, Mapping[str, Field]] = {
    "SUBSCRIBE": {**_DANCER, "sessionId": _optional(_SESSION), "version": _optional(_one_of(VERSION))},
    "SEND_LIKE": {**_DANCER, "sessionId": _optional(_SESSION), "payload": _LIKED},
    "REMOVE_LIKE": {**_DANCER, "sessionId": _optional(_SESSION), "payload": _LIKED},
    "SEND_BULK_LIKE": {**_DANCER, "sessionId": _optional(_SESSION), "payload": _LIKED_ALL},
    "SEND_TEMPO_REQUEST": {
        **_DANCER,
        "sessionId": Field(_SESSION),
        "preference": Field(_one_of("faster", "slower", "perfect", "clear")),
    },
    "SEND_REACTION": {**_DANCER, "sessionId": Field(_SESSION), "reaction": Field(_one_of("thank_you"))},
    "VOTE_ON_POLL": {**_ANY, "pollId": Field(_number()), "optionIndex": Field(_number()), "clientId": Field(_CLIENT)},
    "PING": _ANY,
    "GET_SESSIONS": _ANY,
    "VALIDATE_SESSION": {**_ANY, "sessionId": Field(_SESSION)},
    "REGISTER_SESSION": {
        **_ANY,
        "sessionId": _optional(_SESSION),
        "djName": _optional(_text(1, 100, without="<>\"'")),
        "token": _optional(_token),
        "version": _optional(_one_of(VERSION)),
    },
    "BROADCAST_TRACK": {**_ANY, "sessionId": Field(_SESSION), "track": Field(_TRACK)},
    "METADATA_UPDATED": {**_ANY, "sessionId": Field(_SESSION), "track": Field(_TRACK)},
    "TRACK_STOPPED": {**_ANY, "sessionId": Field(_SESSION)},
    "END_SESSION": {**_ANY, "sessionId": Field(_SESSION)},
    "START_POLL": {
        **_ANY,
        "sessionId": Field(_SESSION),
        "question": Field(_text(1, 500)),
        "options": Field(_list(_text(1, 100), 2, 10)),
        "durationSeconds": _optional(_number(30, 300)),
    },
    "END_POLL": {**_ANY, "pollId": Field(_number())},
    "CANCEL_POLL": {**_ANY, "pollId": Field(_number())},
    "SEND_ANNOUNCEMENT": {
        **_ANY,
        "sessionId": Field(_SESSION),
        "message": Field(_text(1, 200)),
        "durationSeconds": _optional(_number(60, 3600)),
        "push": _optional(_truth),
    },
    "CANCEL_ANNOUNCEMENT": {**_ANY, "sessionId": Field(_SESSION)},
}
"""Every message a client may send, with the check of each of its fields."""
