"""What a dancer makes of tracks and polls, in virtual time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pika_locust.wire.websocket import Close
from tests.platforms.pika.harness import SESSION, Harness, now_playing, poll_started

# Likes


@pytest.mark.usefixtures("eager")
def test_a_track_is_liked_once_however_often_it_is_announced(harness: Harness) -> None:
    user, socket = harness.live_dancer()
    socket.answer_all()
    for _ in range(3):
        socket.hear(now_playing("Sway"))
        harness.time.run(3.0)
    socket.hear(now_playing("Fever"))
    harness.time.run(3.0)
    socket.hear(now_playing("Sway"))
    harness.time.run(3.0)
    liked = [like["payload"]["track"]["title"] for like in socket.of("SEND_LIKE")]
    assert liked == ["Sway", "Fever"]
    assert {(like["sessionId"], like["clientId"]) for like in socket.of("SEND_LIKE")} == {(SESSION, user.client_id)}
    assert harness.worker.ledger_of("likes") == {"sent": 2, "acked": 2}


@pytest.mark.usefixtures("eager")
def test_never_more_than_ten_likes_a_minute(harness: Harness) -> None:
    _, socket = harness.live_dancer()
    socket.answer_all()
    for number in range(60):
        socket.hear(now_playing(f"Song {number}"))
        harness.time.run(4.0)
    at_s = socket.times("SEND_LIKE")
    for first_s in at_s:
        assert sum(first_s <= other_s < first_s + 60.0 for other_s in at_s) <= 10
    assert 38 <= len(at_s) <= 40


def test_about_half_of_the_tracks_are_liked_within_two_seconds(harness: Harness) -> None:
    sockets = [harness.live_dancer()[1] for _ in range(400)]
    began_s = harness.time.elapsed_s
    for socket in sockets:
        socket.answer_all()
        socket.hear(now_playing("Sway"))
    harness.time.run(12.0)
    likes = [at_s - began_s for socket in sockets for at_s, message in socket.sent if message["type"] == "SEND_LIKE"]
    tempos = [
        at_s - began_s for socket in sockets for at_s, message in socket.sent if message["type"] == "SEND_TEMPO_REQUEST"
    ]
    assert 0.4 < len(likes) / 400 < 0.6
    assert max(likes) < 2.0
    assert 0.9 < sum(likes) / len(likes) < 1.1
    assert 0.5 < len(tempos) / 400 < 0.7
    assert max(tempos) < 10.0
    assert 4.5 < sum(tempos) / len(tempos) < 5.5
    wanted = Counter(message["preference"] for socket in sockets for message in socket.of("SEND_TEMPO_REQUEST"))
    assert set(wanted) == {"slower", "perfect", "faster"}
    assert min(wanted.values()) > 50


# Tempo


@pytest.mark.usefixtures("eager")
def test_a_tempo_request_is_dropped_when_the_track_changes(harness: Harness) -> None:
    """Votes come within 10 s of a track; where tracks are 3 s apart, only those within 3 s are cast."""
    sockets = [harness.live_dancer()[1] for _ in range(100)]
    for socket in sockets:
        socket.answer_all()
    for number in range(5):
        for socket in sockets:
            socket.hear(now_playing(f"Song {number}"))
        harness.time.run(3.0)
    harness.time.run(8.0)
    for socket in sockets:
        assert 1 <= len(socket.of("SEND_TEMPO_REQUEST")) <= 5
    cast = sum(len(socket.of("SEND_TEMPO_REQUEST")) for socket in sockets)
    assert 100 + 0.2 * 400 < cast < 100 + 0.4 * 400
    assert harness.worker.ledger_of("tempo votes") == {"sent": cast, "acked": cast}


@pytest.mark.usefixtures("eager")
def test_a_vote_that_crosses_a_track_change_is_uncertain(harness: Harness) -> None:
    _, socket = harness.live_dancer()
    socket.hear(now_playing("Sway"))
    harness.time.run(10.0)
    crossing = socket.of("SEND_TEMPO_REQUEST")[0]
    socket.hear(now_playing("Fever"))
    socket.ack(crossing)
    assert harness.worker.ledger_of("tempo votes") == {"sent": 1, "uncertain": 1}
    socket.answer_all()
    harness.time.run(10.0)
    assert harness.worker.ledger_of("tempo votes") == {"sent": 2, "acked": 1, "uncertain": 1}
    expected = harness.worker.ledgers["tempo votes"].expect()
    assert (expected.acknowledged, expected.unanswered) == (1, 1)


@pytest.mark.usefixtures("eager")
def test_the_same_track_again_gets_no_second_vote(harness: Harness) -> None:
    """The server keeps one vote for each dancer and song, and shows the song again to whoever comes back."""
    _, socket = harness.live_dancer()
    socket.answer_all()
    for _ in range(3):
        socket.hear(now_playing("Sway"))
        harness.time.run(12.0)
    assert len(socket.of("SEND_TEMPO_REQUEST")) == 1
    assert harness.worker.ledger_of("tempo votes") == {"sent": 1, "acked": 1}


REFUSALS = {
    "a refusal": (
        lambda socket, harness: socket.hear(
            {"type": "NACK", "messageId": socket.of("SEND_TEMPO_REQUEST")[0]["messageId"], "error": "Session not found"}
        )
    ),
    "silence": lambda socket, harness: harness.time.run(6.0),
    "a lost connection": lambda socket, harness: socket.drop(Close(1006, error="cut")),
}


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("refuse", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_vote_that_is_not_acknowledged_may_be_held_or_not(refuse: Any, harness: Harness) -> None:
    _, socket = harness.live_dancer()
    socket.hear(now_playing("Sway"))
    harness.time.run(10.0)
    refuse(socket, harness)
    assert harness.worker.ledger_of("tempo votes") == {"sent": 1, "uncertain": 1}


# Polls


@pytest.mark.usefixtures("eager")
def test_a_poll_is_voted_on_once_however_often_it_is_shown(harness: Harness) -> None:
    user, socket = harness.live_dancer()
    socket.answer_all()
    for _ in range(3):
        socket.hear(poll_started(41))
        harness.time.run(6.0)
    socket.hear(poll_started(41, None, votes=[1, 0], totalVotes=1, hasVoted=False))
    harness.time.run(6.0)
    socket.hear(poll_started(42))
    harness.time.run(6.0)
    votes = socket.of("VOTE_ON_POLL")
    assert [vote["pollId"] for vote in votes] == [41, 42]
    assert {vote["clientId"] for vote in votes} == {user.client_id}
    assert all(vote["optionIndex"] in (0, 1) for vote in votes)
    assert harness.worker.ledger_of("poll votes") == {"sent": 2, "acked": 2}


@pytest.mark.usefixtures("eager")
def test_who_has_voted_by_the_servers_account_votes_no_more(harness: Harness) -> None:
    _, socket = harness.live_dancer()
    socket.hear(poll_started(41, None, votes=[1, 0], totalVotes=1, hasVoted=True, votedOptionIndex=0))
    harness.time.run(6.0)
    assert socket.of("VOTE_ON_POLL") == []


@pytest.mark.usefixtures("eager")
def test_a_poll_that_ends_while_a_dancer_thinks_gets_no_vote(harness: Harness) -> None:
    _, socket = harness.live_dancer()
    socket.hear(poll_started(41))
    socket.hear({"type": "POLL_ENDED", "pollId": 41, "results": [0, 0], "totalVotes": 0, "winnerIndex": -1})
    harness.time.run(6.0)
    assert socket.of("VOTE_ON_POLL") == []


def test_four_fifths_vote_within_five_seconds(harness: Harness) -> None:
    sockets = [harness.live_dancer()[1] for _ in range(400)]
    began_s = harness.time.elapsed_s
    for socket in sockets:
        socket.hear(poll_started(41))
    harness.time.run(5.0)
    votes = [at_s - began_s for socket in sockets for at_s in socket.times("VOTE_ON_POLL")]
    assert 0.74 < len(votes) / 400 < 0.86
    assert 2.2 < sum(votes) / len(votes) < 2.8
