"""Which messages Pika's server accepts: the shape that it checks before it looks at any of them.

What fails here is ignored without a word, also when it carries a messageId. What passes comes out with unknown keys
stripped and the keys of a track in the schema's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pika_locust.sandbox.schema import Schema, absent_or, fields, flag, list_of, number, one_of, text

VERSION = "0.3.0"
LONGEST_MESSAGE = 10 * 1024
"""UTF-16 units of a text frame."""

Message = dict[str, Any]
Track = dict[str, Any]


def _token(value: Any) -> Any:
    return value if value == "" else text(10, 2000)(value)


_PERCENT = absent_or(number(0, 100))
_TRACK = fields(
    {
        "title": text(1, 500),
        "artist": text(1, 500),
        "bpm": absent_or(number(40, 300)),
        "key": absent_or(text(0, 10)),
        "energy": _PERCENT,
        "danceability": _PERCENT,
        "brightness": _PERCENT,
        "acousticness": _PERCENT,
        "groove": _PERCENT,
    }
)
_SESSION = text(8, 64)
_CLIENT = text(8, 256)
_ANY: Schema = {"messageId": absent_or(text(0, LONGEST_MESSAGE))}
_DANCER: Schema = {**_ANY, "clientId": absent_or(_CLIENT)}
_LIKE: Schema = {**_DANCER, "sessionId": absent_or(_SESSION), "payload": fields({"track": _TRACK})}
_IN_SESSION: Schema = {**_ANY, "sessionId": _SESSION}
_OF_POLL: Schema = {**_ANY, "pollId": number()}

MESSAGES: Mapping[str, Schema] = {
    "SUBSCRIBE": {**_DANCER, "sessionId": absent_or(_SESSION), "version": absent_or(one_of(VERSION))},
    "SEND_LIKE": _LIKE,
    "REMOVE_LIKE": _LIKE,
    "SEND_BULK_LIKE": {**_LIKE, "payload": fields({"tracks": list_of(_TRACK)})},
    "SEND_TEMPO_REQUEST": {
        **_DANCER,
        "sessionId": _SESSION,
        "preference": one_of("faster", "slower", "perfect", "clear"),
    },
    "SEND_REACTION": {**_DANCER, "sessionId": _SESSION, "reaction": one_of("thank_you")},
    "VOTE_ON_POLL": {**_OF_POLL, "optionIndex": number(), "clientId": _CLIENT},
    "PING": _ANY,
    "GET_SESSIONS": _ANY,
    "VALIDATE_SESSION": _IN_SESSION,
    "REGISTER_SESSION": {
        **_ANY,
        "sessionId": absent_or(_SESSION),
        "djName": absent_or(text(1, 100, pattern="[^<>\"']*")),
        "token": absent_or(_token),
        "version": absent_or(one_of(VERSION)),
    },
    "BROADCAST_TRACK": {**_IN_SESSION, "track": _TRACK},
    "METADATA_UPDATED": {**_IN_SESSION, "track": _TRACK},
    "TRACK_STOPPED": _IN_SESSION,
    "END_SESSION": _IN_SESSION,
    "START_POLL": {
        **_IN_SESSION,
        "question": text(1, 500),
        "options": list_of(text(1, 100), 2, 10),
        "durationSeconds": absent_or(number(30, 300)),
    },
    "END_POLL": _OF_POLL,
    "CANCEL_POLL": _OF_POLL,
    "SEND_ANNOUNCEMENT": {
        **_IN_SESSION,
        "message": text(1, 200),
        "durationSeconds": absent_or(number(60, 3600)),
        "push": absent_or(flag),
    },
    "CANCEL_ANNOUNCEMENT": _IN_SESSION,
}
"""Every message a client may send, with the check of each of its fields."""
