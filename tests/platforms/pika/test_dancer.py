"""How a dancer comes, and takes whatever it is sent; in virtual time."""

from __future__ import annotations

import json

import pytest

from pika_locust.platforms.pika.dancer import Dancer
from tests.platforms.pika.evening import RUN_ID, SESSION, Evening, now_playing

# Joining


def test_a_dancer_looks_in_connects_subscribes_and_reads_what_was_played(evening: Evening) -> None:
    user, wire = evening.live_dancer()
    assert wire.sent[0][1] == {
        "type": "SUBSCRIBE",
        "sessionId": SESSION,
        "clientId": user.subscription.client_id,
        "version": "0.3.0",
        "messageId": f"{RUN_ID}.0.1",
    }
    assert evening.lobby_visits == {"look_in": 1, "history": 1, "close": 1}
    assert evening.rate("ws_connection_success") == (1, 0)
    assert evening.rate("ack_success", kind="subscribe") == (1, 0)
    assert evening.rate("checks", check="WebSocket connected") == (1, 0)
    assert evening.count("ws_messages_sent") == 1
    assert evening.count("ws_messages_received") == 2


def test_an_identity_is_one_that_the_servers_http_side_takes(evening: Evening) -> None:
    names = [evening.live_dancer()[0].subscription.client_id for _ in range(3)]
    assert len(set(names)) == 3
    for name in names:
        assert name.startswith("client_")
        assert name.replace("_", "").isalnum()
        assert len(name) <= 256


def test_dancers_wait_for_the_dj_before_they_connect(evening: Evening) -> None:
    evening.start(Dancer)
    evening.clock.run(3.0)
    assert evening.wires == []
    evening.worker.supporters_ready.set()
    evening.clock.run(0.1)
    assert len(evening.wires) == 1


# Garbage


OURS = b'{"type":"NOW_PLAYING","sessionId":"load-test-session",'
GARBAGE = {
    "not JSON": b"hello there",
    "nothing": b"",
    "half a message": b'{"type":"NOW_PLAYING","sessionId":"load-test',
    "an array": b"[1,2,3]",
    "nested beyond all bounds": b'{"type":"NOW_PLAYING","x":' + b"[" * 100_000,
    "no type": b'{"sessionId":"load-test-session"}',
    "a type that is a number": b'{"type":17}',
    "a type that is an object": b'{"type":{"a":[]}}',
    "an unknown type": b'{"type":"DANCE_OFF"}',
    "an ACK without an id": b'{"type":"ACK"}',
    "an ACK cut inside a character": '{"type":"ACK","x":"éééééé"}'.encode(),
    "an ACK for nobody": b'{"type":"ACK","messageId":"nobody"}',
    "a NACK of nothing": b'{"type":"NACK","messageId":[],"error":{}}',
    "a PONG that nobody asked for": b'{"type":"PONG"}',
    "a track that is text": OURS + b'"track":"Sway"}',
    "a track that is nothing": OURS + b'"djName":"DJ"}',
    "a title that is a list": OURS + b'"track":{"title":["a"],"artist":1}}',
    "a track without an artist": OURS + b'"track":{"title":"a"}}',
    "half a surrogate pair": OURS + b'"track":{"title":"\\ud800","artist":"A"}}',
    "a poll whose options are a number": b'{"type":"POLL_STARTED","pollId":1,"options":5}',
    "a poll whose number is a list": b'{"type":"POLL_STARTED","pollId":[1],"options":["a"]}',
    "a poll without options": b'{"type":"POLL_STARTED","pollId":1,"options":[]}',
    "the end of a poll that is a list": b'{"type":"POLL_ENDED","pollId":[1]}',
    "the end of nothing": b'{"type":"SESSION_ENDED"}',
    "a start of nothing": b'{"type":"SESSION_STARTED","sessionId":{}}',
    "an announcement of nothing": b'{"type":"ANNOUNCEMENT_RECEIVED"}',
    "a stamp beyond all bounds": b'{"type":"ANNOUNCEMENT_RECEIVED","message":"LT 000001 0123456789ab 00000000 '
    + b"9" * 5000
    + b'"}',
    "a million bytes": b"x" * 1_000_000,
}


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("payload", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_counted_and_harms_nobody(payload: bytes, evening: Evening) -> None:
    _, wire = evening.live_dancer()
    before = evening.count("ws_messages_received")
    wire.hear(payload)
    evening.clock.run(11.0)
    assert evening.count("ws_messages_received") == before + 1
    assert evening.worker.internal_errors == []
    assert wire.is_open
    wire.answer_all()
    wire.hear(now_playing("Fever"))
    evening.clock.run(2.0)
    assert wire.of("SEND_LIKE")[-1]["payload"]["track"]["title"] == "Fever"


COUNTED = {
    "not JSON": "a message that is not a JSON object",
    "an array": "a message that is not a JSON object",
    "no type": "a message of the unknown type None",
    "an unknown type": "a message of the unknown type DANCE_OFF",
}


@pytest.mark.parametrize("what", COUNTED)
def test_what_nobody_understands_is_an_error(what: str, evening: Evening) -> None:
    _, wire = evening.live_dancer()
    wire.hear(GARBAGE[what])
    assert evening.errors("receive") == [COUNTED[what]]


def test_binary_messages_are_an_error(evening: Evening) -> None:
    user, _ = evening.live_dancer()
    user.on_binary(b"\x00\x01", evening.clock.now_ns)
    assert evening.errors("receive") == ["a binary message, which the protocol does not have"]


@pytest.mark.usefixtures("eager")
def test_a_message_in_another_spelling_is_understood_and_counted_once(evening: Evening) -> None:
    _, wire = evening.dancer()
    message_id = wire.of("SUBSCRIBE")[0]["messageId"]
    wire.hear(f' {{ "status" : "ok", "messageId" : "{message_id}", "type" : "ACK" }}')
    wire.hear(json.dumps(now_playing("Sway"), indent=1, sort_keys=True))
    assert evening.count("ws_messages_received") == 2
    assert evening.rate("ack_success", kind="subscribe") == (1, 0)
    evening.clock.run(2.0)
    assert len(wire.of("SEND_LIKE")) == 1
    assert evening.worker.errors == {}
