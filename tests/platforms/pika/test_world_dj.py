from __future__ import annotations

from typing import Any

import pytest

from tests.platforms.pika.world_room import OTHER, SESSION, TRACK, Room, types


@pytest.fixture
def room() -> Room:
    return Room()


def poll(room: Room, dj: int, question: str = "?", **fields: Any) -> int:
    before = room.state()["sessions"][SESSION]["polls"]
    room.say(dj, "START_POLL", sessionId=SESSION, question=question, options=["a", "b"], **fields)
    return len(before) + 1


def test_tracks_keep_a_gap_of_five_seconds_whoever_sends_them(room: Room) -> None:
    first, second = room.dj(), room.dj()
    track: dict[str, Any] = {"sessionId": SESSION, "track": TRACK, "messageId": "t"}
    assert types(room.say(first, "BROADCAST_TRACK", **track)) == ["ACK"]
    room.wait(4.9)
    assert types(room.say(second, "BROADCAST_TRACK", **track))[-1] == "NACK Rate limit exceeded (wait 5s)"
    room.wait(0.1)
    assert types(room.say(second, "BROADCAST_TRACK", **{**track, "messageId": "u"}))[-1] == "ACK"


def test_a_repeated_message_id_is_acknowledged_but_nothing_happens_until_it_is_forgotten() -> None:
    room = Room(answers_pings=True)
    dj, one = room.dj(), room.dancer()
    track: dict[str, Any] = {"sessionId": SESSION, "track": TRACK, "messageId": "t"}
    room.say(dj, "BROADCAST_TRACK", **track)
    room.wait(6)
    room.take(one)
    assert types(room.say(dj, "BROADCAST_TRACK", **track)) == ["ACK"]
    assert room.take(one) == []
    assert room.state()["tracks_held"] == 1
    room.wait(300)
    room.say(dj, "BROADCAST_TRACK", **track)
    assert "NOW_PLAYING" in types(room.take(one))


def test_another_song_resets_the_tempo_and_banks_the_votes(room: Room) -> None:
    dj, one, two = room.dj(), room.dancer("client_one"), room.dancer("client_two")
    room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    for socket in (one, two):
        room.say(socket, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="slower")
    room.wait(6)
    room.take(one)
    room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track={**TRACK, "bpm": 90})
    assert [kind for kind in types(room.take(one)) if kind != "LISTENER_COUNT"] == ["NOW_PLAYING"]
    room.wait(6)
    room.take(one)
    room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=OTHER)
    assert types(room.take(one)) == ["TEMPO_RESET", "NOW_PLAYING"]
    tempos = [track["tempo"] for track in room.get(f"/api/session/{SESSION}/recap")["tracks"]]
    assert tempos == [None, {"slower": 2, "perfect": 0, "faster": 0}, None]
    assert room.state()["tempo_held"] == 2


def test_stopping_the_track_first_loses_the_votes(room: Room) -> None:
    dj, one = room.dj(), room.dancer()
    room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    room.say(one, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="slower")
    assert room.state()["tempo_held"] == 1
    room.say(dj, "TRACK_STOPPED", sessionId=SESSION)
    room.say(dj, "END_SESSION", sessionId=SESSION)
    assert room.get(f"/api/session/{SESSION}/recap")["tracks"][0]["tempo"] is None
    state = room.state()
    assert (state["tempo_held"], state["tempo_dropped"]) == (0, 1)


def test_a_poll_ends_by_itself_at_its_time_and_the_starter_is_not_told(room: Room) -> None:
    dj, one = room.dj(), room.dancer()
    poll(room, dj, durationSeconds=30)
    room.say(one, "VOTE_ON_POLL", pollId=1, optionIndex=1, clientId="client_one")
    room.take(one)
    room.take(dj)
    room.wait(29.9)
    assert "POLL_ENDED" not in types(room.take(one))
    room.wait(0.1)
    assert room.take(one) == [{"type": "POLL_ENDED", "pollId": 1, "results": [0, 1], "totalVotes": 1, "winnerIndex": 1}]
    assert "POLL_ENDED" not in types(room.take(dj))


@pytest.mark.parametrize("how", ["END_POLL", "CANCEL_POLL"])
def test_a_poll_ended_by_hand_does_not_end_again(room: Room, how: str) -> None:
    dj, one = room.dj(), room.dancer()
    poll(room, dj, durationSeconds=30)
    room.say(dj, how, pollId=1)
    room.take(one)
    room.wait(60)
    assert "POLL_ENDED" not in types(room.take(one))


def test_the_end_of_a_poll_is_never_told_when_its_starter_is_gone(room: Room) -> None:
    dj, one = room.dj(), room.dancer()
    poll(room, dj, durationSeconds=30)
    room.close(dj)
    room.take(one)
    room.wait(60)
    assert room.take(one) == []
    assert room.state()["sessions"][SESSION]["polls"][0]["status"] == "active"


def test_a_poll_that_is_not_on_show_survives_the_end_of_its_session_and_ends_unannounced(room: Room) -> None:
    dj, one = room.dj(), room.dancer()
    poll(room, dj, "first")
    poll(room, dj, "second", durationSeconds=30)
    room.say(dj, "END_POLL", pollId=1)
    room.say(dj, "END_SESSION", sessionId=SESSION)
    room.close(dj)
    vote: dict[str, Any] = {"pollId": 2, "optionIndex": 0, "clientId": "client_one", "messageId": "v"}
    assert types(room.say(one, "VOTE_ON_POLL", **vote)) == ["ACK"]
    room.take(one)
    room.wait(31)
    assert room.take(one) == []
    assert types(room.say(one, "VOTE_ON_POLL", **vote)) == ["NACK Poll not found or already ended"]


@pytest.mark.parametrize(
    ("type_", "fields", "refusal"),
    [
        ("TRACK_STOPPED", {}, "NACK Unauthorized track stop"),
        ("END_SESSION", {}, "NACK Unauthorized end session"),
        ("START_POLL", {"question": "?", "options": ["a", "b"]}, "NACK Unauthorized poll attempt"),
        ("SEND_ANNOUNCEMENT", {"message": "hi"}, "NACK Unauthorized announcement"),
        ("CANCEL_ANNOUNCEMENT", {}, "NACK Unauthorized cancel announcement"),
        ("BROADCAST_TRACK", {"track": TRACK}, None),
        ("METADATA_UPDATED", {"track": TRACK}, None),
    ],
)
def test_only_the_owner_may(room: Room, type_: str, fields: dict[str, Any], refusal: str | None) -> None:
    room.dj()
    stranger = room.dancer()
    heard = room.say(stranger, type_, sessionId=SESSION, messageId="m", **fields)
    assert types(heard) == ([refusal] if refusal else [])
    assert types(room.say(stranger, type_, sessionId="no-such-room", messageId="m", **fields)) == [
        "NACK Session not found"
    ]


@pytest.mark.parametrize(
    ("type_", "refusal"),
    [("END_POLL", "NACK Unauthorized end poll"), ("CANCEL_POLL", "NACK Unauthorized cancel poll")],
)
def test_only_the_owner_may_end_a_poll(room: Room, type_: str, refusal: str) -> None:
    poll(room, room.dj())
    stranger = room.dancer()
    assert types(room.say(stranger, type_, pollId=1, messageId="m")) == [refusal]
    assert types(room.say(stranger, type_, pollId=2, messageId="m")) == ["NACK Poll not found"]


def test_a_session_without_an_id_is_given_one_out_of_the_time(room: Room) -> None:
    dj = room.open()
    assert room.say(dj, "REGISTER_SESSION")[0] == {
        "type": "SESSION_REGISTERED",
        "sessionId": "session_1795230000000",
        "authenticated": False,
        "djName": "DJ",
    }


def test_an_announcement_expires(room: Room) -> None:
    dj = room.dj()

    def listed() -> dict[str, Any]:
        (answer,) = room.say(dj, "GET_SESSIONS")
        return dict(answer["sessions"][0])

    room.say(dj, "SEND_ANNOUNCEMENT", sessionId=SESSION, message="hi", durationSeconds=60)
    assert listed()["activeAnnouncement"] == {
        "message": "hi",
        "timestamp": "2026-11-21T03:00:00.000Z",
        "endsAt": "2026-11-21T03:01:00.000Z",
    }
    room.wait(60)
    assert "activeAnnouncement" not in listed()


def test_there_is_a_limit_of_live_sessions() -> None:
    room = Room(settings={"PIKA_SANDBOX_MAX_SESSIONS": "2"})
    room.dj("first-room")
    room.dj("second-room")
    late = room.open()
    assert room.say(late, "REGISTER_SESSION", sessionId="third-room") == [(1013, "Server busy (max sessions reached)")]
    assert types(room.say(room.open(), "REGISTER_SESSION", sessionId="first-room")) == ["SESSION_REGISTERED"]
