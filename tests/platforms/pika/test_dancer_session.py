"""Sessions that are there, are not, end and begin again; and what counts as a delivery, in virtual time."""

from __future__ import annotations

import pytest

from pika_locust.runtime.machine import boot_id
from pika_locust.wire.websocket import Close
from tests.platforms.pika.harness import RUN_ID, SESSION, Harness, now_playing, poll_started


@pytest.mark.usefixtures("eager")
def test_messages_of_other_sessions_are_counted_and_not_acted_on(harness: Harness) -> None:
    _, socket = harness.live_dancer()
    received = harness.worker.count_of("ws_messages_received")
    socket.hear(now_playing("Sway", session="another-session"))
    socket.hear(poll_started(41, "another-session"))
    socket.hear({"type": "SESSION_ENDED", "sessionId": "another-session"})
    socket.hear({"type": "SESSION_STARTED", "sessionId": "another-session", "djName": "DJ", "startTime": "t"})
    harness.time.run(9.0)
    assert socket.kinds() == ["SUBSCRIBE"]
    assert harness.worker.count_of("ws_messages_received") == received + 4
    assert harness.worker.rate_of("ws_session_live") == (0, 0)
    socket.hear(now_playing("Sway"))
    harness.time.run(2.0)
    assert len(socket.of("SEND_LIKE")) == 1


def test_a_session_that_is_not_there_is_a_failure_and_no_dancer_dances(harness: Harness) -> None:
    _, socket = harness.dancer()
    socket.hear({"type": "SESSIONS_LIST", "sessions": []})
    socket.hear({"type": "LISTENER_COUNT", "sessionId": SESSION, "count": 0})
    socket.hear({"type": "SESSION_ENDED", "sessionId": SESSION})
    socket.ack()
    harness.time.run(9.0)
    assert harness.worker.rate_of("ws_session_live") == (0, 1)
    assert harness.worker.rate_of("ws_connection_success") == (1, 0)
    assert socket.kinds() == ["SUBSCRIBE"]
    harness.drain("primary")
    harness.time.run(3.0)
    assert socket.closed == Close(1000, by_us=True)
    assert harness.worker.rate_of("ws_session_live") == (0, 1)
    assert harness.worker.errors_of("session") == ["the session is not live"]


@pytest.mark.usefixtures("eager")
def test_a_session_that_ends_and_starts_again_is_joined_again_on_the_same_connection(harness: Harness) -> None:
    user, socket = harness.live_dancer()
    socket.hear(now_playing("Sway"))
    socket.hear({"type": "SESSION_ENDED", "sessionId": SESSION})
    harness.time.run(9.0)
    assert socket.kinds() == ["SUBSCRIBE"]
    socket.hear({"type": "SESSION_STARTED", "sessionId": SESSION, "djName": "DJ", "startTime": "t"})
    assert socket.kinds() == ["SUBSCRIBE", "SUBSCRIBE"]
    assert socket.of("SUBSCRIBE")[1]["clientId"] == user.client_id
    harness.welcome(socket)
    socket.answer_all()
    socket.hear(now_playing("Fever"))
    harness.time.run(3.0)
    assert [like["payload"]["track"]["title"] for like in socket.of("SEND_LIKE")] == ["Fever"]
    harness.drain("primary")
    harness.time.run(3.0)
    assert harness.worker.rate_of("ws_session_live") == (1, 1)
    assert harness.worker.rate_of("ws_connection_kept") == (1, 0)


def test_an_expired_session_has_ended(harness: Harness) -> None:
    _, socket = harness.live_dancer()
    socket.hear({"type": "SESSION_EXPIRED", "sessionId": SESSION, "reason": "Session inactive"})
    assert harness.worker.rate_of("ws_session_live") == (0, 1)


def test_a_server_that_says_nothing_is_a_failed_connection(harness: Harness) -> None:
    _, socket = harness.dancer()
    harness.time.run(5.5)
    assert socket.closed is not None
    assert socket.closed.error == "SUBSCRIBE was not answered"
    assert harness.worker.rate_of("ws_connection_success") == (0, 1)
    assert harness.worker.rate_of("ack_success", kind="subscribe") == (0, 1)
    assert harness.worker.rate_of("ws_connection_kept") == (0, 1)
    harness.time.run(60.0)
    assert harness.worker.rate_of("ws_connection_success")[0] == 0
    assert 5 <= len(harness.dials_s) <= 12


# What the protocol does not have

DEEP = 100_000 * "[" + 100_000 * "]"
NO_MESSAGES = {
    "null": "null",
    "an array": "[]",
    "no type": "{}",
    "a type that is a number": '{"type":5}',
    "a type that is deep": f'{{"type":{500 * "["}{500 * "]"}}}',
    "a type that nobody knows": '{"type":"NOW_PLAYIN"}',
    "deep": DEEP,
    "a deep track": f'{{"type":"NOW_PLAYING","sessionId":"{SESSION}","track":{DEEP}}}',
    "a deep poll": f'{{"type":"POLL_STARTED","options":{DEEP}}}',
    "a deep end of a poll": f'{{"type":"POLL_ENDED","pollId":{DEEP}}}',
    "a deep refusal": f'{{"type":"NACK","messageId":"m","error":{DEEP}}}',
    "half a message": '{"type":"NOW_PLAYING","sess',
}


@pytest.mark.parametrize("text", NO_MESSAGES.values(), ids=NO_MESSAGES.keys())
def test_what_is_no_message_is_counted_among_all_that_came(text: str, harness: Harness) -> None:
    _, socket = harness.live_dancer()
    right = harness.worker.count_of("ws_messages_received")
    socket.hear(text)
    socket.hear(now_playing("Sway"))
    assert harness.worker.rate_of("protocol_errors") == (1, right + 1)
    assert len(harness.worker.errors_of("receive")) == 1
    assert harness.worker.internal_errors == []


def test_a_binary_message_is_none_of_the_protocol(harness: Harness) -> None:
    user, _ = harness.live_dancer()
    user.on_binary(b"x", 1)
    assert harness.worker.rate_of("protocol_errors")[0] == 1


# What counts as a delivery


def stamped(harness: Harness, number: int, run_id: str = RUN_ID) -> str:
    return f"LT {number:06d} {run_id} {boot_id()} {harness.time.now_ns}"


@pytest.mark.usefixtures("idle")
def test_replays_to_a_late_joiner_are_no_deliveries(harness: Harness) -> None:
    _, socket = harness.dancer()
    socket.hear({"type": "SESSIONS_LIST", "sessions": []})
    socket.hear(now_playing(stamped(harness, 1)))
    socket.hear(poll_started(41, None, question=f"What next? {stamped(harness, 1)}"))
    socket.ack(socket.of("SUBSCRIBE")[0])
    assert harness.worker.trend_of("fanout_latency").count == 0
    harness.time.run(1.0)
    stamp = stamped(harness, 2)
    harness.time.run(0.03)
    socket.hear(now_playing(stamp))
    socket.hear(poll_started(42, question=f"What next? {stamp}"))
    socket.hear({"type": "ANNOUNCEMENT_RECEIVED", "sessionId": SESSION, "message": f"Hi! {stamp}", "djName": "DJ"})
    for kind in ("track", "poll", "announcement"):
        latency = harness.worker.trend_of("fanout_latency", kind=kind)
        assert (latency.count, latency.maximum) == (1, 30_000)  # type: ignore[union-attr]


@pytest.mark.usefixtures("idle")
def test_broadcasts_of_another_run_are_no_deliveries(harness: Harness) -> None:
    _, socket = harness.live_dancer()
    socket.hear(now_playing(stamped(harness, 1, run_id="ba9876543210")))
    socket.hear(now_playing("Take Five"))
    assert harness.worker.trend_of("fanout_latency").count == 0
