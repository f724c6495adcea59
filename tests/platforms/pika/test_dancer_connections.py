"""How a dancer goes, is cut off, and comes back; in virtual time."""

from __future__ import annotations

import itertools

import pytest

from pika_locust.platforms.pika import dancer
from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.wire.websocket import Close
from tests.platforms.pika.harness import SESSION, Harness, now_playing, poll_started, refuse

# Leaving


@pytest.mark.usefixtures("idle")
def test_who_leaves_before_the_end_says_no_thanks(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dancer, "THANKS_CHANCE", 1.0)
    user, socket = harness.live_dancer()
    user.release()
    harness.time.run(0.1)
    assert socket.kinds() == ["SUBSCRIBE"]
    assert socket.closed == Close(1000, by_us=True)
    assert harness.worker.rate_of("ws_connection_kept") == (1, 0)
    assert harness.worker.rate_of("ws_session_live") == (1, 0)
    assert not harness.worker.actors("primary")


def test_at_the_end_four_fifths_thank_within_two_seconds_and_all_leave(harness: Harness) -> None:
    sockets = [harness.live_dancer()[1] for _ in range(400)]
    for socket in sockets:
        socket.answer_all()
    began_s = harness.time.elapsed_s
    harness.drain("primary")
    harness.time.run(2.2)
    thanks = [at_s - began_s for socket in sockets for at_s in socket.times("SEND_REACTION")]
    assert 0.74 < len(thanks) / 400 < 0.86
    assert max(len(socket.of("SEND_REACTION")) for socket in sockets) == 1
    assert max(thanks) < 2.0
    assert not harness.worker.actors("primary")
    assert harness.worker.rate_of("ack_success", kind="thank_you") == (len(thanks), 0)
    assert harness.worker.rate_of("ws_connection_kept") == (400, 0)
    assert harness.worker.rate_of("ws_session_live") == (400, 0)


@pytest.mark.usefixtures("eager")
def test_whoever_is_asked_to_leave_again_and_again_says_thanks_once(harness: Harness) -> None:
    user, socket = harness.live_dancer()
    harness.drain("primary")
    for _ in range(20):
        harness.time.run(0.2)
        user.release()
    harness.time.run(6.0)
    assert len(socket.of("SEND_REACTION")) == 1
    assert not harness.worker.actors("primary")


@pytest.mark.usefixtures("eager")
def test_who_leaves_does_nothing_new_and_waits_for_what_is_unanswered(harness: Harness) -> None:
    user, socket = harness.live_dancer()
    socket.hear(now_playing("Sway"))
    harness.time.run(2.0)
    (like,) = socket.of("SEND_LIKE")
    user.release()
    socket.hear(now_playing("Fever"))
    socket.hear(poll_started(41))
    harness.time.run(2.0)
    assert socket.is_open
    socket.ack(like)
    harness.time.run(0.1)
    assert not socket.is_open
    assert set(socket.kinds()) <= {"SUBSCRIBE", "SEND_LIKE", "SEND_TEMPO_REQUEST"}
    assert len(socket.of("SEND_LIKE")) == 1


def test_a_session_that_ends_while_its_dancers_leave_keeps_nobody(harness: Harness) -> None:
    sockets = [harness.live_dancer()[1] for _ in range(20)]
    harness.drain("primary")
    for socket in sockets:
        socket.hear({"type": "SESSION_ENDED", "sessionId": SESSION})
    harness.time.run(6.0)
    assert not harness.worker.actors("primary")
    assert all(socket.closed == Close(1000, by_us=True) for socket in sockets)


def test_who_is_released_while_it_still_connects_leaves_at_once(harness: Harness) -> None:
    user, socket = harness.dancer()
    user.release()
    harness.time.run(0.5)
    assert socket.is_open
    harness.welcome(socket)
    harness.time.run(0.1)
    assert not socket.is_open
    assert harness.worker.rate_of("ws_session_live") == (1, 0)


def test_who_is_killed_drops_its_connection(harness: Harness) -> None:
    user, socket = harness.live_dancer()
    user.on_stop()
    assert socket.closed is not None
    assert socket.closed.error == "the user was killed"
    assert harness.worker.rate_of("ws_connection_kept") == (0, 1)


# Connections that fail or are lost


def test_attempts_are_a_second_apart_at_least_and_grow_to_ten(harness: Harness) -> None:
    harness.connect = refuse
    harness.worker.supporters_ready.set()
    for _ in range(50):
        harness.start(Dancer)
    harness.time.run(0.1)
    assert len(harness.dials_s) == 50
    harness.time.run(119.9)
    attempts = harness.worker.rate_of("ws_connection_success")
    assert attempts == (0, len(harness.dials_s))
    assert attempts[1] < 50 * 25
    assert harness.worker.rate_of("checks", check="WebSocket connected") == attempts
    assert harness.worker.count_of("ws_connection_errors") == attempts[1]
    assert harness.worker.errors_of("connect") == ["connection refused"]


def test_one_dancers_pauses(harness: Harness) -> None:
    harness.connect = refuse
    harness.worker.supporters_ready.set()
    harness.start(Dancer)
    harness.time.run(200.0)
    pauses_s = [later - earlier for earlier, later in itertools.pairwise(harness.dials_s)]
    assert 1.0 <= pauses_s[0] < 2.0
    for number, pause_s in enumerate(pauses_s):
        assert min(10.0, 1.3**number) <= pause_s + 1e-9
        assert pause_s <= min(10.0, 2 * 1.3**number) + 1e-9
    assert pauses_s[-1] == pytest.approx(10.0)


def test_a_dancer_who_is_released_while_it_waits_to_try_again_leaves(harness: Harness) -> None:
    harness.connect = refuse
    harness.worker.supporters_ready.set()
    harness.start(Dancer)
    harness.time.run(20.0)
    dials = len(harness.dials_s)
    harness.drain("primary")
    harness.time.run(20.0)
    assert len(harness.dials_s) == dials
    assert not harness.worker.actors("primary")


def test_pauses_begin_anew_after_an_answer(harness: Harness) -> None:
    """A server that comes back and falls again is not punished for its past, but a second is kept all the same."""
    _, socket = harness.live_dancer()
    for _ in range(6):
        lost_s = harness.time.elapsed_s
        socket.drop(Close(1006, error="cut"))
        harness.time.run(2.0)
        assert 1.0 <= harness.dials_s[-1] - lost_s < 2.0
        socket = harness.sockets[-1]
        harness.welcome(socket)
    assert harness.worker.count_of("ws_reconnects") == 6
    assert harness.worker.rate_of("ws_connection_success") == (7, 0)
    assert harness.worker.rate_of("ws_connection_kept") == (0, 6)
    assert harness.worker.errors_of("connection") == ["cut"]


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
def test_a_connection_that_ends_unasked_is_an_error_and_replaced(close: Close, text: str, harness: Harness) -> None:
    user, socket = harness.live_dancer()
    socket.drop(close)
    harness.time.run(2.0)
    assert harness.worker.errors_of("connection") == [text]
    assert harness.worker.rate_of("ws_connection_kept") == (0, 1)
    assert harness.worker.count_of("ws_connection_errors") == 1
    assert len(harness.sockets) == 2
    assert harness.sockets[1].of("SUBSCRIBE")[0]["clientId"] == user.client_id


@pytest.mark.usefixtures("eager")
def test_likes_made_offline_are_sent_in_bulk_under_the_same_identity(harness: Harness) -> None:
    user, socket = harness.live_dancer()
    socket.hear(now_playing("Sway"))
    socket.drop(Close(1006, error="cut"))
    harness.time.run(2.0)
    back = harness.sockets[1]
    assert back.kinds() == ["SUBSCRIBE"]
    harness.welcome(back)
    assert back.kinds() == ["SUBSCRIBE", "SEND_BULK_LIKE"]
    bulk = back.of("SEND_BULK_LIKE")[0]
    assert bulk["clientId"] == back.of("SUBSCRIBE")[0]["clientId"] == user.client_id
    assert bulk["payload"] == {"tracks": [{"title": "Sway", "artist": "Kenny Dorham"}]}
    back.ack()
    assert harness.worker.ledger_of("likes") == {"sent": 1, "acked": 1}
    back.hear(now_playing("Sway"))
    harness.time.run(9.0)
    assert back.of("SEND_LIKE") == []


@pytest.mark.usefixtures("eager")
def test_votes_are_not_made_up_for_when_the_connection_was_lost_before_them(harness: Harness) -> None:
    _, socket = harness.live_dancer()
    socket.hear(now_playing("Sway"))
    socket.hear(poll_started(41))
    socket.drop(Close(1006, error="cut"))
    harness.time.run(2.0)
    harness.welcome(harness.sockets[1])
    harness.time.run(9.0)
    assert set(harness.sockets[1].kinds()) == {"SUBSCRIBE", "SEND_BULK_LIKE"}


# Heartbeat


@pytest.mark.usefixtures("idle")
def test_a_missing_pong_leads_to_a_new_connection(harness: Harness) -> None:
    _, socket = harness.live_dancer()
    harness.time.run(39.0)
    assert socket.kinds() == ["SUBSCRIBE", "PING", "PING", "PING"]
    assert socket.is_open
    harness.time.run(14.0)
    assert socket.closed is not None
    assert socket.closed.error == "no PONG for 30 s"
    assert len(harness.sockets) == 2
    assert harness.worker.rate_of("ws_connection_kept") == (0, 1)


@pytest.mark.usefixtures("idle")
def test_pongs_keep_a_connection_and_are_timed(harness: Harness) -> None:
    _, socket = harness.live_dancer()
    for _ in range(12):
        harness.time.run(10.0)
        harness.time.run(0.05)
        socket.hear({"type": "PONG"})
    assert socket.is_open
    assert len(harness.sockets) == 1
    latency = harness.worker.trend_of("ping_latency")
    assert latency.count == 12
    assert latency.minimum >= 50_000
