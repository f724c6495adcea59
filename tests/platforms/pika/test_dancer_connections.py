"""How a dancer comes, goes, is cut off, comes back, and takes whatever it is sent; in virtual time."""

from __future__ import annotations

import itertools
import json

import pytest

from pika_locust.platforms.pika import dancer as module
from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.runtime.machine import boot_id
from pika_locust.wire.websocket import Close
from tests.platforms.pika.evening import RUN_ID, SESSION, Evening, now_playing, poll_started, refused_dial

# The end of the night


@pytest.mark.usefixtures("idle")
def test_who_leaves_before_the_end_says_no_thanks(evening: Evening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "THANKS_CHANCE", 1.0)
    user, wire = evening.live_dancer()
    user.release()
    evening.clock.run(0.1)
    assert wire.kinds() == ["SUBSCRIBE"]
    assert wire.closed == Close(1000, by_us=True)
    assert evening.rate("ws_connection_kept") == (1, 0)
    assert evening.rate("ws_session_live") == (1, 0)
    assert not evening.share.actors("primary")


def test_at_the_end_four_fifths_thank_within_two_seconds_and_all_leave(evening: Evening) -> None:
    wires = [evening.live_dancer()[1] for _ in range(400)]
    for wire in wires:
        wire.answer_all()
    began_s = evening.clock.now_s
    evening.drain("primary")
    evening.clock.run(2.2)
    thanks = [at_s - began_s for wire in wires for at_s in wire.times("SEND_REACTION")]
    assert 0.74 < len(thanks) / 400 < 0.86
    assert max(len(wire.of("SEND_REACTION")) for wire in wires) == 1
    assert max(thanks) < 2.0
    assert not evening.share.actors("primary")
    assert evening.rate("ack_success", kind="thank_you") == (len(thanks), 0)
    assert evening.rate("ws_connection_kept") == (400, 0)
    assert evening.rate("ws_session_live") == (400, 0)


@pytest.mark.usefixtures("eager")
def test_whoever_is_asked_to_leave_again_and_again_says_thanks_once(evening: Evening) -> None:
    user, wire = evening.live_dancer()
    evening.drain("primary")
    for _ in range(20):
        evening.clock.run(0.2)
        user.release()
    evening.clock.run(6.0)
    assert len(wire.of("SEND_REACTION")) == 1
    assert not evening.share.actors("primary")


@pytest.mark.usefixtures("eager")
def test_who_leaves_does_nothing_new_and_waits_for_what_is_unanswered(evening: Evening) -> None:
    user, wire = evening.live_dancer()
    wire.hear(now_playing("Sway"))
    evening.clock.run(2.0)
    (like,) = wire.of("SEND_LIKE")
    user.release()
    wire.hear(now_playing("Fever"))
    wire.hear(poll_started(41))
    evening.clock.run(2.0)
    assert wire.is_open
    wire.ack(like)
    evening.clock.run(0.1)
    assert not wire.is_open
    assert set(wire.kinds()) <= {"SUBSCRIBE", "SEND_LIKE", "SEND_TEMPO_REQUEST"}
    assert len(wire.of("SEND_LIKE")) == 1


def test_a_session_that_ends_while_its_dancers_leave_keeps_nobody(evening: Evening) -> None:
    wires = [evening.live_dancer()[1] for _ in range(20)]
    evening.drain("primary")
    for wire in wires:
        wire.hear({"type": "SESSION_ENDED", "sessionId": SESSION})
    evening.clock.run(6.0)
    assert not evening.share.actors("primary")
    assert all(wire.closed == Close(1000, by_us=True) for wire in wires)


def test_who_is_released_while_it_still_connects_leaves_at_once(evening: Evening) -> None:
    user, wire = evening.dancer()
    user.release()
    evening.clock.run(0.5)
    assert wire.is_open
    evening.welcome(wire)
    evening.clock.run(0.1)
    assert not wire.is_open
    assert evening.rate("ws_session_live") == (1, 0)


def test_who_is_killed_drops_its_connection(evening: Evening) -> None:
    user, wire = evening.live_dancer()
    user.on_stop()
    assert wire.closed is not None
    assert wire.closed.error == "the user was killed"
    assert evening.rate("ws_connection_kept") == (0, 1)


# Connections that fail or are lost


def test_attempts_are_a_second_apart_at_least_and_grow_to_ten(evening: Evening) -> None:
    evening.connect = refused_dial
    evening.share.supporters_ready.set()
    for _ in range(50):
        evening.start(Dancer)
    evening.clock.run(0.1)
    assert len(evening.dials_s) == 50
    evening.clock.run(119.9)
    attempts = evening.rate("ws_connection_success")
    assert attempts == (0, len(evening.dials_s))
    assert attempts[1] < 50 * 25
    assert evening.rate("checks", check="WebSocket connected") == attempts
    assert evening.count("ws_connection_errors") == attempts[1]
    assert evening.errors("connect") == ["connection refused"]


def test_one_dancers_pauses(evening: Evening) -> None:
    evening.connect = refused_dial
    evening.share.supporters_ready.set()
    evening.start(Dancer)
    evening.clock.run(200.0)
    pauses_s = [later - earlier for earlier, later in itertools.pairwise(evening.dials_s)]
    assert 1.0 <= pauses_s[0] < 2.0
    for number, pause_s in enumerate(pauses_s):
        assert min(10.0, 1.3**number) <= pause_s + 1e-9
        assert pause_s <= min(10.0, 2 * 1.3**number) + 1e-9
    assert pauses_s[-1] == pytest.approx(10.0)


def test_a_dancer_who_is_released_while_it_waits_to_try_again_goes_home(evening: Evening) -> None:
    evening.connect = refused_dial
    evening.share.supporters_ready.set()
    evening.start(Dancer)
    evening.clock.run(20.0)
    dials = len(evening.dials_s)
    evening.drain("primary")
    evening.clock.run(20.0)
    assert len(evening.dials_s) == dials
    assert not evening.share.actors("primary")


def test_a_server_that_says_nothing_is_a_failed_connection(evening: Evening) -> None:
    _, wire = evening.dancer()
    evening.clock.run(5.5)
    assert wire.closed is not None
    assert wire.closed.error == "SUBSCRIBE was not answered"
    assert evening.rate("ws_connection_success") == (0, 1)
    assert evening.rate("ack_success", kind="subscribe") == (0, 1)
    assert evening.rate("ws_connection_kept") == (0, 1)
    evening.clock.run(60.0)
    assert evening.rate("ws_connection_success")[0] == 0
    assert 5 <= len(evening.dials_s) <= 12


def test_pauses_begin_anew_after_an_answer(evening: Evening) -> None:
    """A server that comes back and falls again is not punished for its past, but a second is kept all the same."""
    _, wire = evening.live_dancer()
    for _ in range(6):
        lost_s = evening.clock.now_s
        wire.drop(Close(1006, error="cut"))
        evening.clock.run(2.0)
        assert 1.0 <= evening.dials_s[-1] - lost_s < 2.0
        wire = evening.wires[-1]
        evening.welcome(wire)
    assert evening.count("ws_reconnects") == 6
    assert evening.rate("ws_connection_success") == (7, 0)
    assert evening.rate("ws_connection_kept") == (0, 6)
    assert evening.errors("connection") == ["cut"]


CLOSED = {
    "by the server, with a code": (Close(1001, "going away"), "closed by the server: 1001 going away"),
    "by the server, full": (Close(1013, "Server busy"), "closed by the server: 1013 Server busy"),
    "without a close frame": (Close(1006, error="the server ended the connection"), "the server ended the connection"),
    "by us, because of garbage in the frames": (
        Close(1002, "", True, "the server sent rubbish"),
        "the server sent rubbish",
    ),
}


@pytest.mark.parametrize(("close", "text"), CLOSED.values(), ids=CLOSED.keys())
def test_a_connection_that_ends_unasked_is_an_error_and_replaced(close: Close, text: str, evening: Evening) -> None:
    user, wire = evening.live_dancer()
    wire.drop(close)
    evening.clock.run(2.0)
    assert evening.errors("connection") == [text]
    assert evening.rate("ws_connection_kept") == (0, 1)
    assert evening.count("ws_connection_errors") == 1
    assert len(evening.wires) == 2
    assert evening.wires[1].of("SUBSCRIBE")[0]["clientId"] == user.client_id


@pytest.mark.usefixtures("eager")
def test_likes_made_offline_are_sent_in_bulk_under_the_same_identity(evening: Evening) -> None:
    user, wire = evening.live_dancer()
    wire.hear(now_playing("Sway"))
    wire.drop(Close(1006, error="cut"))
    evening.clock.run(2.0)
    back = evening.wires[1]
    assert back.kinds() == ["SUBSCRIBE"]
    evening.welcome(back)
    assert back.kinds() == ["SUBSCRIBE", "SEND_BULK_LIKE"]
    bulk = back.of("SEND_BULK_LIKE")[0]
    assert bulk["clientId"] == back.of("SUBSCRIBE")[0]["clientId"] == user.client_id
    assert bulk["payload"] == {"tracks": [{"title": "Sway", "artist": "Kenny Dorham"}]}
    back.ack()
    assert evening.booked("likes") == {"sent": 1, "acked": 1}
    back.hear(now_playing("Sway"))
    evening.clock.run(9.0)
    assert back.of("SEND_LIKE") == []


@pytest.mark.usefixtures("eager")
def test_votes_are_not_made_up_for_when_the_connection_was_lost_before_them(evening: Evening) -> None:
    _, wire = evening.live_dancer()
    wire.hear(now_playing("Sway"))
    wire.hear(poll_started(41))
    wire.drop(Close(1006, error="cut"))
    evening.clock.run(2.0)
    evening.welcome(evening.wires[1])
    evening.clock.run(9.0)
    assert set(evening.wires[1].kinds()) == {"SUBSCRIBE", "SEND_BULK_LIKE"}


@pytest.mark.usefixtures("idle")
def test_a_missing_pong_leads_to_a_new_connection(evening: Evening) -> None:
    _, wire = evening.live_dancer()
    evening.clock.run(39.0)
    assert wire.kinds() == ["SUBSCRIBE", "PING", "PING", "PING"]
    assert wire.is_open
    evening.clock.run(14.0)
    assert wire.closed is not None
    assert wire.closed.error == "no PONG for 30 s"
    assert len(evening.wires) == 2
    assert evening.rate("ws_connection_kept") == (0, 1)


@pytest.mark.usefixtures("idle")
def test_pongs_keep_a_connection_and_are_timed(evening: Evening) -> None:
    _, wire = evening.live_dancer()
    for _ in range(12):
        evening.clock.run(10.0)
        evening.clock.run(0.05)
        wire.hear({"type": "PONG"})
    assert wire.is_open
    assert len(evening.wires) == 1
    latency = evening.share.metrics.trend("ping_latency").read()
    assert latency.count == 12  # type: ignore[union-attr]
    assert latency.minimum >= 50_000  # type: ignore[union-attr]


# What counts as a delivery


def stamped(evening: Evening, number: int, run_id: str = RUN_ID) -> str:
    return f"LT {number:06d} {run_id} {boot_id()} {evening.clock.now_ns}"


@pytest.mark.usefixtures("idle")
def test_replays_to_a_late_joiner_are_no_deliveries(evening: Evening) -> None:
    _, wire = evening.dancer()
    wire.hear({"type": "SESSIONS_LIST", "sessions": []})
    wire.hear(now_playing(stamped(evening, 1)))
    wire.hear(poll_started(41, None, question=f"What next? {stamped(evening, 1)}"))
    wire.ack(wire.of("SUBSCRIBE")[0])
    assert evening.samples("fanout_latency") == 0
    evening.clock.run(1.0)
    stamp = stamped(evening, 2)
    evening.clock.run(0.03)
    wire.hear(now_playing(stamp))
    wire.hear(poll_started(42, question=f"What next? {stamp}"))
    wire.hear({"type": "ANNOUNCEMENT_RECEIVED", "sessionId": SESSION, "message": f"Hi! {stamp}", "djName": "DJ"})
    for kind in ("track", "poll", "announcement"):
        latency = evening.share.metrics.trend("fanout_latency").tagged(kind=kind).read()
        assert (latency.count, latency.maximum) == (1, 30_000)  # type: ignore[union-attr]


@pytest.mark.usefixtures("idle")
def test_broadcasts_of_another_run_are_no_deliveries(evening: Evening) -> None:
    _, wire = evening.live_dancer()
    wire.hear(now_playing(stamped(evening, 1, run_id="ba9876543210")))
    wire.hear(now_playing("Take Five"))
    assert evening.samples("fanout_latency") == 0


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
    assert evening.share.faults == []
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
    assert evening.share.errors == {}
