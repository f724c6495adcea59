"""Sessions that are there, are not, end and begin again; and what counts as a delivery, in virtual time."""

from __future__ import annotations

import pytest

from pika_locust.runtime.machine import boot_id
from pika_locust.wire.websocket import Close
from tests.platforms.pika.evening import RUN_ID, SESSION, Evening, now_playing, poll_started


@pytest.mark.usefixtures("eager")
def test_messages_of_other_sessions_are_counted_and_not_acted_on(evening: Evening) -> None:
    _, wire = evening.live_dancer()
    received = evening.count("ws_messages_received")
    wire.hear(now_playing("Sway", session="another-room"))
    wire.hear(poll_started(41, "another-room"))
    wire.hear({"type": "SESSION_ENDED", "sessionId": "another-room"})
    wire.hear({"type": "SESSION_STARTED", "sessionId": "another-room", "djName": "DJ", "startTime": "t"})
    evening.clock.run(9.0)
    assert wire.kinds() == ["SUBSCRIBE"]
    assert evening.count("ws_messages_received") == received + 4
    assert evening.rate("ws_session_live") == (0, 0)
    wire.hear(now_playing("Sway"))
    evening.clock.run(2.0)
    assert len(wire.of("SEND_LIKE")) == 1


def test_a_session_that_is_not_there_is_a_failure_and_no_dancer_dances(evening: Evening) -> None:
    _, wire = evening.dancer()
    wire.hear({"type": "SESSIONS_LIST", "sessions": []})
    wire.hear({"type": "LISTENER_COUNT", "sessionId": SESSION, "count": 0})
    wire.hear({"type": "SESSION_ENDED", "sessionId": SESSION})
    wire.ack()
    evening.clock.run(9.0)
    assert evening.rate("ws_session_live") == (0, 1)
    assert evening.rate("ws_connection_success") == (1, 0)
    assert wire.kinds() == ["SUBSCRIBE"]
    evening.drain("primary")
    evening.clock.run(3.0)
    assert wire.closed == Close(1000, by_us=True)
    assert evening.rate("ws_session_live") == (0, 1)
    assert evening.errors("session") == ["the session is not live"]


@pytest.mark.usefixtures("eager")
def test_a_session_that_ends_and_starts_again_is_joined_again_on_the_same_connection(evening: Evening) -> None:
    user, wire = evening.live_dancer()
    wire.hear(now_playing("Sway"))
    wire.hear({"type": "SESSION_ENDED", "sessionId": SESSION})
    evening.clock.run(9.0)
    assert wire.kinds() == ["SUBSCRIBE"]
    wire.hear({"type": "SESSION_STARTED", "sessionId": SESSION, "djName": "DJ", "startTime": "t"})
    assert wire.kinds() == ["SUBSCRIBE", "SUBSCRIBE"]
    assert wire.of("SUBSCRIBE")[1]["clientId"] == user.subscription.client_id
    evening.welcome(wire)
    wire.answer_all()
    wire.hear(now_playing("Fever"))
    evening.clock.run(3.0)
    assert [like["payload"]["track"]["title"] for like in wire.of("SEND_LIKE")] == ["Fever"]
    evening.drain("primary")
    evening.clock.run(3.0)
    assert evening.rate("ws_session_live") == (1, 1)
    assert evening.rate("ws_connection_kept") == (1, 0)


def test_an_expired_session_has_ended(evening: Evening) -> None:
    _, wire = evening.live_dancer()
    wire.hear({"type": "SESSION_EXPIRED", "sessionId": SESSION, "reason": "Session inactive"})
    assert evening.rate("ws_session_live") == (0, 1)


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
        latency = evening.worker.metrics.trend("fanout_latency").tagged(kind=kind).read()
        assert (latency.count, latency.maximum) == (1, 30_000)  # type: ignore[union-attr]


@pytest.mark.usefixtures("idle")
def test_broadcasts_of_another_run_are_no_deliveries(evening: Evening) -> None:
    _, wire = evening.live_dancer()
    wire.hear(now_playing(stamped(evening, 1, run_id="ba9876543210")))
    wire.hear(now_playing("Take Five"))
    assert evening.samples("fanout_latency") == 0
