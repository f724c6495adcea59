from __future__ import annotations

from typing import Any

import pytest

from tests.platforms.pika.world_room import OTHER, SESSION, TRACK, Room, types


@pytest.fixture
def room() -> Room:
    return Room()


def test_the_first_client_id_of_a_connection_is_its_identity_for_good(room: Room) -> None:
    dj, one = room.dj(), room.dancer("client_one")
    room.say(dj, "START_POLL", sessionId=SESSION, question="?", options=["a", "b"])
    assert types(room.like(one)) == ["ACK"]
    assert types(room.like(one, clientId="client_two")) == ["NACK Already liked this track"]
    room.say(one, "VOTE_ON_POLL", pollId=1, optionIndex=0, clientId="client_two")
    room.say(one, "VOTE_ON_POLL", pollId=1, optionIndex=0, clientId="client_three")
    assert room.state()["poll_votes_held"] == 1


def test_a_late_joiner_is_told_everything_in_order(room: Room) -> None:
    dj, one = room.dj(), room.dancer()
    room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    room.say(dj, "START_POLL", sessionId=SESSION, question="?", options=["a", "b"], durationSeconds=30)
    room.say(dj, "SEND_ANNOUNCEMENT", sessionId=SESSION, message="hi", durationSeconds=60)
    room.say(one, "VOTE_ON_POLL", pollId=1, optionIndex=1, clientId="client_one")
    late = room.open()
    heard = room.say(late, "SUBSCRIBE", sessionId=SESSION, clientId="client_late", messageId="s")
    assert types(heard) == [
        "SESSIONS_LIST",
        "LISTENER_COUNT",
        "NOW_PLAYING",
        "POLL_STARTED",
        "ANNOUNCEMENT_RECEIVED",
        "ACK",
    ]
    assert heard[3] == {
        "type": "POLL_STARTED",
        "pollId": 1,
        "question": "?",
        "options": ["a", "b"],
        "endsAt": "2026-11-21T03:00:30.000Z",
        "votes": [0, 1],
        "totalVotes": 1,
        "hasVoted": False,
    }
    room.wait(61)
    again = room.say(room.open(), "SUBSCRIBE", sessionId=SESSION, clientId="client_last")
    assert types(again) == ["SESSIONS_LIST", "LISTENER_COUNT", "NOW_PLAYING"]


def test_a_socket_with_too_much_waiting_gets_no_list_and_its_messages_are_not_broadcast(room: Room) -> None:
    room.dj()
    one, two = room.dancer("client_one"), room.dancer("client_two")
    full = 64 * 1024
    assert types(room.say(one, "SUBSCRIBE", queued=full - 1, sessionId=SESSION))[0] == "SESSIONS_LIST"
    assert types(room.say(one, "SUBSCRIBE", queued=full, sessionId=SESSION))[0] == "LISTENER_COUNT"
    room.take(two)
    assert types(room.like(one, queued=full)) == ["ACK"]
    assert types(
        room.say(one, "SEND_TEMPO_REQUEST", queued=full, sessionId=SESSION, preference="slower", messageId="t")
    ) == ["ACK"]
    assert room.take(two) == []


def test_the_quota_of_likes_is_ten_in_a_sliding_minute(room: Room) -> None:
    room.dj()
    one = room.dancer()

    def likes(*names: str) -> list[str]:
        return [types(room.like(one, {"title": name, "artist": "A"}))[0] for name in names]

    assert likes(*"abcde") == ["ACK"] * 5
    room.wait(30)
    assert likes(*"fghij") == ["ACK"] * 5
    assert likes("k") == ["NACK Rate limit exceeded (max 10/min)"]
    room.wait(30)
    assert likes(*"klmno") == ["ACK"] * 5
    assert likes("p") == ["NACK Rate limit exceeded (max 10/min)"]
    assert types(room.like(room.dancer("client_two"))) == ["ACK"]


def test_duplicates_eat_the_quota_and_refusals_do_not(room: Room) -> None:
    early = room.open()
    assert types(room.say(early, "SEND_LIKE", payload={"track": TRACK}, clientId="client_one", messageId="m")) == [
        "NACK No active session found"
    ]
    room.dj()
    said = [types(room.like(early, {"title": " bluE  bossa ", "artist": "KENNY dorham"}))[0] for _ in range(12)]
    assert said == ["ACK"] + ["NACK Already liked this track"] * 9 + ["NACK Rate limit exceeded (max 10/min)"] * 2


@pytest.mark.parametrize(
    ("played", "liked", "held"),
    [
        pytest.param(TRACK, TRACK, (1, 0), id="the track that was played"),
        pytest.param(TRACK, {**TRACK, "bpm": 99}, (1, 0), id="other details do not matter"),
        pytest.param(TRACK, {**TRACK, "title": "blue bossa"}, (0, 1), id="another spelling is lost"),
        pytest.param(TRACK, OTHER, (0, 1), id="a track that was not played is lost"),
        pytest.param(None, TRACK, (0, 1), id="nothing was played"),
    ],
)
def test_likes_are_kept_for_played_tracks_only_but_always_acknowledged(
    room: Room, played: dict[str, object] | None, liked: dict[str, object], held: tuple[int, int]
) -> None:
    dj, one = room.dj(), room.dancer()
    if played is not None:
        room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=played)
    assert types(room.like(one, liked)) == ["ACK"]
    state = room.state()
    assert (state["likes_held"], state["likes_orphaned"]) == held


def test_bulk_likes_take_the_first_hundred_and_skip_duplicates_without_a_quota(room: Room) -> None:
    dj, one = room.dj(), room.dancer()
    room.take(dj)
    tracks = [{"title": f"T{n // 2}", "artist": "A"} for n in range(240)]
    heard = room.say(one, "SEND_BULK_LIKE", sessionId=SESSION, payload={"tracks": tracks}, messageId="b")
    assert types(heard) == ["ACK"]
    assert types(room.take(dj)) == ["LIKE_RECEIVED"] * 50


def test_a_removed_like_is_gone_and_may_be_given_again(room: Room) -> None:
    dj, one = room.dj(), room.dancer()
    room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    room.like(one)
    room.take(dj)
    room.say(one, "REMOVE_LIKE", sessionId=SESSION, payload={"track": TRACK})
    assert room.state()["likes_held"] == 0
    assert room.take(dj) == []
    assert types(room.like(one)) == ["ACK"]
    assert room.state()["likes_held"] == 1


def test_the_last_tempo_vote_of_a_client_wins_and_expires_after_five_minutes() -> None:
    room = Room(answers_pings=True)
    dj, one, two = room.dj(), room.dancer("client_one"), room.dancer("client_two")

    def vote(socket: int, preference: str) -> dict[str, object]:
        room.take(dj)
        room.say(socket, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference=preference)
        feedback: dict[str, object] = room.take(dj)[0]
        return {key: feedback[key] for key in ("faster", "slower", "perfect", "total")}

    vote(one, "faster")
    assert vote(one, "slower") == {"faster": 0, "slower": 1, "perfect": 0, "total": 1}
    assert vote(one, "clear") == {"faster": 0, "slower": 1, "perfect": 0, "total": 1}
    room.wait(200)
    assert vote(two, "perfect") == {"faster": 0, "slower": 1, "perfect": 1, "total": 2}
    room.wait(101)
    assert vote(two, "perfect") == {"faster": 0, "slower": 0, "perfect": 1, "total": 1}
    assert room.state()["tempo_dropped"] == 1


def test_a_second_vote_is_acknowledged_but_not_counted(room: Room) -> None:
    dj, one = room.dj(), room.dancer()
    room.say(dj, "START_POLL", sessionId=SESSION, question="?", options=["a", "b"])
    room.take(dj)
    for option in (1, 0):
        heard = room.say(one, "VOTE_ON_POLL", pollId=1, optionIndex=option, clientId="client_one", messageId="v")
        assert types(heard)[-1] == "ACK"
    assert room.take(dj) == [
        {"type": "POLL_UPDATE", "pollId": 1, "votes": [0, 1], "totalVotes": 1, "sessionId": SESSION}
    ]


@pytest.mark.parametrize("option", [-1, 2, 0.5, 1e12])
def test_an_option_that_is_not_there_is_refused(room: Room, option: float) -> None:
    dj, one = room.dj(), room.dancer()
    room.say(dj, "START_POLL", sessionId=SESSION, question="?", options=["a", "b"])
    room.take(one)
    vote: dict[str, Any] = {"pollId": 1, "optionIndex": option, "clientId": "client_one", "messageId": "v"}
    assert types(room.say(one, "VOTE_ON_POLL", **vote)) == ["NACK Invalid option index"]


def test_without_a_message_id_every_outcome_is_silent(room: Room) -> None:
    one = room.dancer()
    assert room.like(one, messageId="") == []
    assert room.say(one, "SEND_TEMPO_REQUEST", sessionId="no-such-room", preference="faster") == []


def test_too_long_a_text_closes_the_socket_and_binaries_are_ignored(room: Room) -> None:
    one, two = room.open(), room.open()
    assert room.say_raw(one, b'{"type":"PING"}') == []
    assert room.say_raw(one, '{"type":"PING","pad":"' + "é" * (10 * 1024 - 24) + '"}') == [{"type": "PONG"}]
    assert room.say_raw(one, "💃" * (5 * 1024) + "x") == [(1009, "Message too large")]
    assert room.say_raw(two, '{"type":"PING"}') == [{"type": "PONG"}]
