"""What a dancer makes of the night, in virtual time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pika_locust.wire.websocket import Close
from tests.platforms.pika.evening import SESSION, Evening, now_playing, poll_started

# Likes


@pytest.mark.usefixtures("eager")
def test_a_track_is_liked_once_however_often_it_is_announced(evening: Evening) -> None:
    user, wire = evening.live_dancer()
    wire.answer_all()
    for _ in range(3):
        wire.hear(now_playing("Sway"))
        evening.clock.run(3.0)
    wire.hear(now_playing("Fever"))
    evening.clock.run(3.0)
    wire.hear(now_playing("Sway"))
    evening.clock.run(3.0)
    liked = [like["payload"]["track"]["title"] for like in wire.of("SEND_LIKE")]
    assert liked == ["Sway", "Fever"]
    assert {(like["sessionId"], like["clientId"]) for like in wire.of("SEND_LIKE")} == {
        (SESSION, user.subscription.client_id)
    }
    assert evening.booked("likes") == {"sent": 2, "acked": 2}


@pytest.mark.usefixtures("eager")
def test_never_more_than_ten_likes_a_minute(evening: Evening) -> None:
    _, wire = evening.live_dancer()
    wire.answer_all()
    for number in range(60):
        wire.hear(now_playing(f"Song {number}"))
        evening.clock.run(4.0)
    at_s = wire.times("SEND_LIKE")
    for first_s in at_s:
        assert sum(first_s <= other_s < first_s + 60.0 for other_s in at_s) <= 10
    assert 38 <= len(at_s) <= 40


def test_about_half_of_the_tracks_are_liked_within_two_seconds(evening: Evening) -> None:
    wires = [evening.live_dancer()[1] for _ in range(400)]
    began_s = evening.clock.now_s
    for wire in wires:
        wire.answer_all()
        wire.hear(now_playing("Sway"))
    evening.clock.run(12.0)
    likes = [at_s - began_s for wire in wires for at_s, message in wire.sent if message["type"] == "SEND_LIKE"]
    tempos = [
        at_s - began_s for wire in wires for at_s, message in wire.sent if message["type"] == "SEND_TEMPO_REQUEST"
    ]
    assert 0.4 < len(likes) / 400 < 0.6
    assert max(likes) < 2.0
    assert 0.9 < sum(likes) / len(likes) < 1.1
    assert 0.5 < len(tempos) / 400 < 0.7
    assert max(tempos) < 10.0
    assert 4.5 < sum(tempos) / len(tempos) < 5.5
    wanted = Counter(message["preference"] for wire in wires for message in wire.of("SEND_TEMPO_REQUEST"))
    assert set(wanted) == {"slower", "perfect", "faster"}
    assert min(wanted.values()) > 50


# Tempo


@pytest.mark.usefixtures("eager")
def test_a_tempo_request_is_dropped_when_the_track_changes(evening: Evening) -> None:
    """Votes come within 10 s of a track; where tracks are 3 s apart, only those within 3 s are cast."""
    wires = [evening.live_dancer()[1] for _ in range(100)]
    for wire in wires:
        wire.answer_all()
    for number in range(5):
        for wire in wires:
            wire.hear(now_playing(f"Song {number}"))
        evening.clock.run(3.0)
    evening.clock.run(8.0)
    for wire in wires:
        assert 1 <= len(wire.of("SEND_TEMPO_REQUEST")) <= 5
    cast = sum(len(wire.of("SEND_TEMPO_REQUEST")) for wire in wires)
    assert 100 + 0.2 * 400 < cast < 100 + 0.4 * 400
    assert evening.booked("tempo votes") == {"sent": cast, "acked": cast}


@pytest.mark.usefixtures("eager")
def test_a_vote_that_crosses_a_track_change_is_uncertain(evening: Evening) -> None:
    _, wire = evening.live_dancer()
    wire.hear(now_playing("Sway"))
    evening.clock.run(10.0)
    crossing = wire.of("SEND_TEMPO_REQUEST")[0]
    wire.hear(now_playing("Fever"))
    wire.ack(crossing)
    assert evening.booked("tempo votes") == {"sent": 1, "uncertain": 1}
    wire.answer_all()
    evening.clock.run(10.0)
    assert evening.booked("tempo votes") == {"sent": 2, "acked": 1, "uncertain": 1}
    expected = evening.worker.ledgers["tempo votes"].expect()
    assert (expected.acknowledged, expected.unanswered) == (1, 1)


@pytest.mark.usefixtures("eager")
def test_the_same_track_again_gets_no_second_vote(evening: Evening) -> None:
    """The server keeps one vote for each dancer and song, and shows the song again to whoever comes back."""
    _, wire = evening.live_dancer()
    wire.answer_all()
    for _ in range(3):
        wire.hear(now_playing("Sway"))
        evening.clock.run(12.0)
    assert len(wire.of("SEND_TEMPO_REQUEST")) == 1
    assert evening.booked("tempo votes") == {"sent": 1, "acked": 1}


REFUSALS = {
    "a refusal": (
        lambda wire, evening: wire.hear(
            {"type": "NACK", "messageId": wire.of("SEND_TEMPO_REQUEST")[0]["messageId"], "error": "Session not found"}
        )
    ),
    "silence": lambda wire, evening: evening.clock.run(6.0),
    "a lost connection": lambda wire, evening: wire.drop(Close(1006, error="cut")),
}


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("refuse", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_vote_that_is_not_acknowledged_may_be_held_or_not(refuse: Any, evening: Evening) -> None:
    _, wire = evening.live_dancer()
    wire.hear(now_playing("Sway"))
    evening.clock.run(10.0)
    refuse(wire, evening)
    assert evening.booked("tempo votes") == {"sent": 1, "uncertain": 1}


# Polls


@pytest.mark.usefixtures("eager")
def test_a_poll_is_voted_on_once_however_often_it_is_shown(evening: Evening) -> None:
    user, wire = evening.live_dancer()
    wire.answer_all()
    for _ in range(3):
        wire.hear(poll_started(41))
        evening.clock.run(6.0)
    wire.hear(poll_started(41, None, votes=[1, 0], totalVotes=1, hasVoted=False))
    evening.clock.run(6.0)
    wire.hear(poll_started(42))
    evening.clock.run(6.0)
    votes = wire.of("VOTE_ON_POLL")
    assert [vote["pollId"] for vote in votes] == [41, 42]
    assert {vote["clientId"] for vote in votes} == {user.subscription.client_id}
    assert all(vote["optionIndex"] in (0, 1) for vote in votes)
    assert evening.booked("poll votes") == {"sent": 2, "acked": 2}


@pytest.mark.usefixtures("eager")
def test_who_has_voted_by_the_servers_account_votes_no_more(evening: Evening) -> None:
    _, wire = evening.live_dancer()
    wire.hear(poll_started(41, None, votes=[1, 0], totalVotes=1, hasVoted=True, votedOptionIndex=0))
    evening.clock.run(6.0)
    assert wire.of("VOTE_ON_POLL") == []


@pytest.mark.usefixtures("eager")
def test_a_poll_that_ends_while_a_dancer_thinks_gets_no_vote(evening: Evening) -> None:
    _, wire = evening.live_dancer()
    wire.hear(poll_started(41))
    wire.hear({"type": "POLL_ENDED", "pollId": 41, "results": [0, 0], "totalVotes": 0, "winnerIndex": -1})
    evening.clock.run(6.0)
    assert wire.of("VOTE_ON_POLL") == []


def test_four_fifths_vote_within_five_seconds(evening: Evening) -> None:
    wires = [evening.live_dancer()[1] for _ in range(400)]
    began_s = evening.clock.now_s
    for wire in wires:
        wire.hear(poll_started(41))
    evening.clock.run(5.0)
    votes = [at_s - began_s for wire in wires for at_s in wire.times("VOTE_ON_POLL")]
    assert 0.74 < len(votes) / 400 < 0.86
    assert 2.2 < sum(votes) / len(votes) < 2.8
