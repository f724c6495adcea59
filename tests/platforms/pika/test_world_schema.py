from __future__ import annotations

import json
from typing import Any

import pytest

from pika_locust.platforms.pika.world_schema import MESSAGES
from pika_locust.sandbox.schema import Refused, read_json
from tests.platforms.pika.world_driver import PikaDriver

S, C = "session-1", "client_1"
TRACK = {"title": "T", "artist": "A"}

VALID: dict[str, dict[str, Any]] = {
    "SUBSCRIBE": {"sessionId": S, "clientId": C, "version": "0.3.0"},
    "SEND_LIKE": {"sessionId": S, "clientId": C, "payload": {"track": TRACK}},
    "REMOVE_LIKE": {"sessionId": S, "clientId": C, "payload": {"track": TRACK}},
    "SEND_BULK_LIKE": {"sessionId": S, "clientId": C, "payload": {"tracks": [TRACK]}},
    "SEND_TEMPO_REQUEST": {"sessionId": S, "preference": "faster"},
    "SEND_REACTION": {"sessionId": S, "reaction": "thank_you"},
    "VOTE_ON_POLL": {"pollId": 1, "optionIndex": 0, "clientId": C},
    "PING": {},
    "GET_SESSIONS": {},
    "VALIDATE_SESSION": {"sessionId": S},
    "REGISTER_SESSION": {"sessionId": S, "djName": "DJ", "token": ""},
    "BROADCAST_TRACK": {"sessionId": S, "track": TRACK},
    "METADATA_UPDATED": {"sessionId": S, "track": TRACK},
    "TRACK_STOPPED": {"sessionId": S},
    "END_SESSION": {"sessionId": S},
    "START_POLL": {"sessionId": S, "question": "?", "options": ["a", "b"]},
    "END_POLL": {"pollId": 1},
    "CANCEL_POLL": {"pollId": 1},
    "SEND_ANNOUNCEMENT": {"sessionId": S, "message": "hi"},
    "CANCEL_ANNOUNCEMENT": {"sessionId": S},
}


def accepted(type_: str, **fields: Any) -> dict[str, Any] | None:
    """What is left of a message, or None when it is refused; a field that is `...` is not in it."""
    message = {"type": type_, **VALID[type_], **fields}
    try:
        return read_json(
            json.dumps({key: value for key, value in message.items() if value is not ...}), MESSAGES[type_]
        )
    except Refused:
        return None


def test_there_is_an_example_of_every_message() -> None:
    assert VALID.keys() == MESSAGES.keys()


@pytest.mark.parametrize("type_", sorted(VALID))
def test_a_valid_message_is_accepted_without_its_unknown_keys(type_: str) -> None:
    assert accepted(type_, messageId="m", extra=1, serverTime=2) == {"messageId": "m", **VALID[type_]}


@pytest.mark.parametrize("type_", sorted(VALID))
def test_a_message_id_is_a_text(type_: str) -> None:
    assert accepted(type_, messageId=7) is None
    assert accepted(type_, messageId=None) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "null", "42", "[]", '"PING"', "{}", '{"type":7}', '{"type":"NOPE"}', '{"type":"PING"', "NaN"),
        *("[" * 9000, '{"type":"PING","messageId":7}', '{"type":"END_POLL","messageId":"m","pollId":NaN}'),
    ],
)
def test_what_is_no_message_of_its_shape_is_ignored(text: str) -> None:
    driver = PikaDriver()
    socket = driver.open()
    assert driver.send(socket, text) == []
    assert driver.sockets == [socket]


def bounds(type_: str, key: str, *cases: tuple[Any, bool]) -> list[Any]:
    return [pytest.param(type_, key, value, ok, id=f"{type_} {key} {str(value)[:20]!r}") for value, ok in cases]


@pytest.mark.parametrize(
    ("type_", "key", "value", "ok"),
    [
        *bounds("SUBSCRIBE", "sessionId", ("x" * 7, False), ("x" * 8, True), ("x" * 64, True), ("x" * 65, False)),
        *bounds("SUBSCRIBE", "sessionId", (..., True), (None, False), (12345678, False)),
        *bounds("SUBSCRIBE", "clientId", ("x" * 7, False), ("x" * 8, True), ("x" * 256, True), ("x" * 257, False)),
        *bounds("SUBSCRIBE", "version", ("0.2.9", False), ("0.3.0", True), (..., True)),
        *bounds("SEND_LIKE", "sessionId", (..., True)),
        *bounds("SEND_LIKE", "payload", (..., False), ({}, False), ({"track": {"title": "T"}}, False)),
        *bounds("SEND_BULK_LIKE", "payload", ({"tracks": []}, True), ({"tracks": [{}]}, False), ({"tracks": 1}, False)),
        *bounds("SEND_TEMPO_REQUEST", "sessionId", (..., False)),
        *bounds("SEND_TEMPO_REQUEST", "preference", ("slower", True), ("perfect", True), ("clear", True)),
        *bounds("SEND_TEMPO_REQUEST", "preference", ("much faster", False), (..., False), (["faster"], False)),
        *bounds("SEND_REACTION", "reaction", ("fire", False), (..., False)),
        *bounds("VOTE_ON_POLL", "pollId", ("1", False), (True, False), (1.5, True), (..., False)),
        *bounds("VOTE_ON_POLL", "clientId", (..., False), ("short", False)),
        *bounds("REGISTER_SESSION", "sessionId", (..., True), ("short", False)),
        *bounds("REGISTER_SESSION", "djName", ("", False), ("x" * 100, True), ("x" * 101, False), ("D<J", False)),
        *bounds("REGISTER_SESSION", "djName", ("D>J", False), ('D"J', False), ("D'J", False), (..., True)),
        *bounds("REGISTER_SESSION", "token", ("x" * 9, False), ("x" * 10, True), ("x" * 2001, False), (..., True)),
        *bounds("BROADCAST_TRACK", "track", (..., False), ({**TRACK, "title": "x" * 501}, False)),
        *bounds("BROADCAST_TRACK", "track", ({**TRACK, "title": ""}, False), ({**TRACK, "title": "x" * 500}, True)),
        *bounds("BROADCAST_TRACK", "track", ({**TRACK, "bpm": 39}, False), ({**TRACK, "bpm": 300.0}, True)),
        *bounds("BROADCAST_TRACK", "track", ({**TRACK, "key": "x" * 11}, False), ({**TRACK, "energy": 101}, False)),
        *bounds("START_POLL", "options", (["a"], False), (["a"] * 10, True), (["a"] * 11, False), (["a", ""], False)),
        *bounds("START_POLL", "options", (["a", "x" * 101], False), ("ab", False)),
        *bounds("START_POLL", "question", ("", False), ("x" * 501, False)),
        *bounds("START_POLL", "durationSeconds", (29, False), (30, True), (300, True), (301, False), ("30", False)),
        *bounds("SEND_ANNOUNCEMENT", "message", ("", False), ("x" * 200, True), ("x" * 201, False)),
        *bounds("SEND_ANNOUNCEMENT", "durationSeconds", (59, False), (60, True), (3601, False)),
        *bounds("SEND_ANNOUNCEMENT", "push", (True, True), ("yes", False)),
    ],
)
def test_bounds_are_those_of_the_real_server(type_: str, key: str, value: Any, ok: bool) -> None:
    assert (accepted(type_, **{key: value}) is not None) is ok


def test_a_track_keeps_its_known_keys_in_the_schemas_order_and_whole_numbers_whole() -> None:
    track = {"serverTime": 1, "energy": 62.0, "bpm": 120.5, "artist": "A", "title": "T"}
    message = accepted("BROADCAST_TRACK", track=track)
    assert message is not None
    assert json.dumps(message["track"]) == '{"title": "T", "artist": "A", "bpm": 120.5, "energy": 62}'


@pytest.mark.parametrize("number", ["1e999", "-1e999"])
def test_numbers_that_are_not_finite_are_refused(number: str) -> None:
    with pytest.raises(Refused, match="finite"):
        read_json(f'{{"pollId":{number}}}', MESSAGES["END_POLL"])
