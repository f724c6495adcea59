"""How a dancer comes, and takes whatever it is sent; in virtual time."""

from __future__ import annotations

import json

import pytest

from pika_locust.platforms.pika.dancer import Dancer
from tests.platforms.pika.harness import RUN_ID, SESSION, Harness, now_playing

# Joining


def test_a_dancer_looks_in_connects_subscribes_and_reads_what_was_played(harness: Harness) -> None:
    user, socket = harness.live_dancer()
    assert socket.sent[0][1] == {
        "type": "SUBSCRIBE",
        "sessionId": SESSION,
        "clientId": user.client_id,
        "version": "0.3.0",
        "messageId": f"{RUN_ID}.0.1",
    }
    assert harness.pages == {"sessions_active": 1, "session_history": 1, "close": 1}
    assert harness.worker.rate_of("ws_connection_success") == (1, 0)
    assert harness.worker.rate_of("ack_success", kind="subscribe") == (1, 0)
    assert harness.worker.rate_of("checks", check="WebSocket connected") == (1, 0)
    assert harness.worker.count_of("ws_messages_sent") == 1
    assert harness.worker.count_of("ws_messages_received") == 2


def test_an_identity_is_one_that_the_servers_http_side_takes(harness: Harness) -> None:
    names = [harness.live_dancer()[0].client_id for _ in range(3)]
    assert len(set(names)) == 3
    for name in names:
        assert name.startswith("client_")
        assert name.replace("_", "").isalnum()
        assert len(name) <= 256


def test_dancers_wait_for_the_dj_before_they_connect(harness: Harness) -> None:
    harness.start(Dancer)
    harness.time.run(3.0)
    assert harness.sockets == []
    harness.worker.supporters_ready.set()
    harness.time.run(0.1)
    assert len(harness.sockets) == 1


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
def test_garbage_is_counted_and_harms_nobody(payload: bytes, harness: Harness) -> None:
    _, socket = harness.live_dancer()
    before = harness.worker.count_of("ws_messages_received")
    socket.hear(payload)
    harness.time.run(11.0)
    assert harness.worker.count_of("ws_messages_received") == before + 1
    assert harness.worker.internal_errors == []
    assert socket.is_open
    socket.answer_all()
    socket.hear(now_playing("Fever"))
    harness.time.run(2.0)
    assert socket.of("SEND_LIKE")[-1]["payload"]["track"]["title"] == "Fever"


COUNTED = {
    "not JSON": "a message that is not a JSON object",
    "an array": "a message that is not a JSON object",
    "no type": "a message whose type is no text",
    "an unknown type": "a message of the unknown type DANCE_OFF",
}


@pytest.mark.parametrize("what", COUNTED)
def test_what_nobody_understands_is_an_error(what: str, harness: Harness) -> None:
    _, socket = harness.live_dancer()
    socket.hear(GARBAGE[what])
    assert harness.worker.errors_of("receive") == [COUNTED[what]]


def test_binary_messages_are_an_error(harness: Harness) -> None:
    user, _ = harness.live_dancer()
    user.on_binary(b"\x00\x01", harness.time.now_ns)
    assert harness.worker.errors_of("receive") == ["a binary message, which the protocol does not have"]


@pytest.mark.usefixtures("eager")
def test_a_message_in_another_spelling_is_understood_and_counted_once(harness: Harness) -> None:
    _, socket = harness.dancer()
    message_id = socket.of("SUBSCRIBE")[0]["messageId"]
    socket.hear(f' {{ "status" : "ok", "messageId" : "{message_id}", "type" : "ACK" }}')
    socket.hear(json.dumps(now_playing("Sway"), indent=1, sort_keys=True))
    assert harness.worker.count_of("ws_messages_received") == 2
    assert harness.worker.rate_of("ack_success", kind="subscribe") == (1, 0)
    harness.time.run(2.0)
    assert len(socket.of("SEND_LIKE")) == 1
    assert harness.worker.errors == {}
