from __future__ import annotations

import json

import pytest

from pika_locust.kit.json_messages import JsonMessages
from tests.platforms.pika.transcripts import received

SPELLING = JsonMessages()


def test_another_protocol_spells_its_messages_in_its_own_way() -> None:
    spelling = JsonMessages(kind="op", id="ref", error="why", ack="ok", nack="no")
    payload = spelling.respelt({"at": 1, "ref": "r1", "op": "ok"})
    assert payload == b'{"op":"ok","ref":"r1","at":1}'
    assert (spelling.kind_of(payload), spelling.ack_id(payload)) == (b"ok", "r1")


def test_every_recorded_message_shows_its_type_without_being_parsed() -> None:
    frames = received()
    assert len(frames) > 400
    for flow, text in frames:
        assert SPELLING.kind_of(text.encode()).decode() == json.loads(text)["type"], flow


def test_every_recorded_ack_shows_its_id_without_being_parsed() -> None:
    acks = [text for _, text in received() if text.startswith('{"type":"ACK"')]
    assert len(acks) > 100
    for text in acks:
        assert SPELLING.ack_id(text.encode()) == json.loads(text)["messageId"]


ODD = {
    "nothing": b"",
    "no quote": b"{",
    "another beginning": b'{"sessionId":"x"}',
    "text": b"hello there, this is no JSON",
    "cut inside a character": '{"type":"ACK","x":"éééééé"}'.encode(),
}


@pytest.mark.parametrize("payload", ODD.values(), ids=ODD.keys())
def test_odd_messages_have_no_type_that_anybody_knows(payload: bytes) -> None:
    assert SPELLING.kind_of(payload) not in (b"ACK", b"NACK") or payload.startswith(b'{"type":"ACK"')
    assert isinstance(SPELLING.ack_id(payload), str)


NOT_OBJECTS = {
    "empty": b"",
    "an array": b"[1,2]",
    "a number": b"17",
    "null": b"null",
    "cut short": b'{"type":"ACK"',
    "nested beyond all bounds": b"[" * 100_000,
    "a number beyond all bounds": b"1" * 10_000,
    "an object that is nested beyond all bounds": b'{"type":' + 100_000 * b"[" + 100_000 * b"]" + b"}",
    "an object that is nested as deep as can just be read": b'{"type":' + 500 * b"[" + 500 * b"]" + b"}",
    "objects in objects": 150 * b'{"a":' + b"1" + 150 * b"}",
}


def test_what_is_wide_or_full_of_brackets_is_not_deep() -> None:
    wide = b'{"type":"A","list":[' + b",".join(500 * [b"[1]"]) + b'],"text":"' + 500 * b"[" + b'"}'
    message = SPELLING.parse(wide)
    assert message is not None
    assert (len(message["list"]), len(message["text"])) == (500, 500)
    assert SPELLING.parse(b'{"type":' + 99 * b"[" + 99 * b"]" + b"}") is not None
    assert SPELLING.parse(b'{"type":' + 100 * b"[" + 100 * b"]" + b"}") is None


@pytest.mark.parametrize("payload", NOT_OBJECTS.values(), ids=NOT_OBJECTS.keys())
def test_what_is_not_a_json_object_is_none(payload: bytes) -> None:
    assert SPELLING.parse(payload) is None


def test_a_message_in_another_spelling_is_put_into_the_servers() -> None:
    odd = SPELLING.parse(b'{ "status": "ok", "messageId": "m1", "type": "ACK", "timestamp": "t" }')
    assert odd is not None
    respelt = SPELLING.respelt(odd)
    assert respelt == b'{"type":"ACK","messageId":"m1","status":"ok","timestamp":"t"}'
    assert (SPELLING.kind_of(respelt), SPELLING.ack_id(respelt)) == (b"ACK", "m1")
