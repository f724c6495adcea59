"""How a dancer goes, is cut off, and comes back; in virtual time."""

from __future__ import annotations

import itertools

import pytest

from pika_locust.platforms.pika import dancer as habits
from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.wire.websocket import Close
from tests.platforms.pika.evening import SESSION, Evening, now_playing, poll_started, refused_dial

# The end of the night


@pytest.mark.usefixtures("idle")
def test_who_leaves_before_the_end_says_no_thanks(evening: Evening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(habits, "THANKS_CHANCE", 1.0)
    user, wire = evening.live_dancer()
    user.release()
    evening.clock.run(0.1)
    assert wire.kinds() == ["SUBSCRIBE"]
    assert wire.closed == Close(1000, by_us=True)
    assert evening.rate("ws_connection_kept") == (1, 0)
    assert evening.rate("ws_session_live") == (1, 0)
    assert not evening.worker.actors("primary")


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
    assert not evening.worker.actors("primary")
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
    assert not evening.worker.actors("primary")


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
    assert not evening.worker.actors("primary")
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
    evening.worker.supporters_ready.set()
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
    evening.worker.supporters_ready.set()
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
    evening.worker.supporters_ready.set()
    evening.start(Dancer)
    evening.clock.run(20.0)
    dials = len(evening.dials_s)
    evening.drain("primary")
    evening.clock.run(20.0)
    assert len(evening.dials_s) == dials
    assert not evening.worker.actors("primary")


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
    assert evening.wires[1].of("SUBSCRIBE")[0]["clientId"] == user.subscription.client_id


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
    assert bulk["clientId"] == back.of("SUBSCRIBE")[0]["clientId"] == user.subscription.client_id
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
