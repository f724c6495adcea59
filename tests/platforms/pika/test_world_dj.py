from __future__ import annotations

from typing import Any

import pytest

from tests.platforms.pika.world_driver import OTHER, SESSION, TRACK, PikaDriver, types


@pytest.fixture
def driver() -> PikaDriver:
    return PikaDriver()


def poll(driver: PikaDriver, dj: int, question: str = "?", **fields: Any) -> int:
    before = driver.state()["sessions"][SESSION]["polls"]
    driver.say(dj, "START_POLL", sessionId=SESSION, question=question, options=["a", "b"], **fields)
    return len(before) + 1


def test_tracks_keep_a_gap_of_five_seconds_whoever_sends_them(driver: PikaDriver) -> None:
    first, second = driver.dj(), driver.dj()
    track: dict[str, Any] = {"sessionId": SESSION, "track": TRACK, "messageId": "t"}
    assert types(driver.say(first, "BROADCAST_TRACK", **track)) == ["ACK"]
    driver.wait(4.9)
    assert types(driver.say(second, "BROADCAST_TRACK", **track))[-1] == "NACK Rate limit exceeded (wait 5s)"
    driver.wait(0.1)
    assert types(driver.say(second, "BROADCAST_TRACK", **{**track, "messageId": "u"}))[-1] == "ACK"


def test_a_repeated_message_id_is_acknowledged_but_nothing_happens_until_it_is_forgotten() -> None:
    driver = PikaDriver()
    dj, one = driver.dj(), driver.dancer()
    track: dict[str, Any] = {"sessionId": SESSION, "track": TRACK, "messageId": "t"}
    driver.say(dj, "BROADCAST_TRACK", **track)
    driver.wait(6)
    driver.take(one)
    assert types(driver.say(dj, "BROADCAST_TRACK", **track)) == ["ACK"]
    assert driver.take(one) == []
    assert driver.state()["tracks_held"] == 1
    driver.wait(300)
    driver.say(dj, "BROADCAST_TRACK", **track)
    assert "NOW_PLAYING" in types(driver.take(one))


def test_another_song_resets_the_tempo_and_banks_the_votes(driver: PikaDriver) -> None:
    dj, one, two = driver.dj(), driver.dancer("client_one"), driver.dancer("client_two")
    driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    for socket in (one, two):
        driver.say(socket, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="slower")
    driver.wait(6)
    driver.take(one)
    driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track={**TRACK, "bpm": 90})
    assert [kind for kind in types(driver.take(one)) if kind != "LISTENER_COUNT"] == ["NOW_PLAYING"]
    driver.wait(6)
    driver.take(one)
    driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=OTHER)
    assert types(driver.take(one)) == ["TEMPO_RESET", "NOW_PLAYING"]
    tempos = [track["tempo"] for track in driver.get(f"/api/session/{SESSION}/recap")["tracks"]]
    assert tempos == [None, {"slower": 2, "perfect": 0, "faster": 0}, None]
    assert driver.state()["tempo_held"] == 2


def test_stopping_the_track_first_loses_the_votes(driver: PikaDriver) -> None:
    dj, one = driver.dj(), driver.dancer()
    driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    driver.say(one, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="slower")
    assert driver.state()["tempo_held"] == 1
    driver.say(dj, "TRACK_STOPPED", sessionId=SESSION)
    driver.say(dj, "END_SESSION", sessionId=SESSION)
    assert driver.get(f"/api/session/{SESSION}/recap")["tracks"][0]["tempo"] is None
    state = driver.state()
    assert (state["tempo_held"], state["tempo_dropped"]) == (0, 1)


def test_a_poll_ends_by_itself_at_its_time_and_the_starter_is_not_told(driver: PikaDriver) -> None:
    dj, one = driver.dj(), driver.dancer()
    poll(driver, dj, durationSeconds=30)
    driver.say(one, "VOTE_ON_POLL", pollId=1, optionIndex=1, clientId="client_one")
    driver.take(one)
    driver.take(dj)
    driver.wait(29.9)
    assert "POLL_ENDED" not in types(driver.take(one))
    driver.wait(0.1)
    assert driver.take(one) == [
        {"type": "POLL_ENDED", "pollId": 1, "results": [0, 1], "totalVotes": 1, "winnerIndex": 1}
    ]
    assert "POLL_ENDED" not in types(driver.take(dj))


@pytest.mark.parametrize("how", ["END_POLL", "CANCEL_POLL"])
def test_a_poll_ended_by_hand_does_not_end_again(driver: PikaDriver, how: str) -> None:
    dj, one = driver.dj(), driver.dancer()
    poll(driver, dj, durationSeconds=30)
    driver.say(dj, how, pollId=1)
    driver.take(one)
    driver.wait(60)
    assert "POLL_ENDED" not in types(driver.take(one))


def test_the_end_of_a_poll_is_never_told_when_its_starter_is_gone(driver: PikaDriver) -> None:
    dj, one = driver.dj(), driver.dancer()
    poll(driver, dj, durationSeconds=30)
    driver.close(dj)
    driver.take(one)
    driver.wait(60)
    assert driver.take(one) == []
    assert driver.state()["sessions"][SESSION]["polls"][0]["status"] == "active"


def test_a_poll_that_is_not_on_show_survives_the_end_of_its_session_and_ends_unannounced(driver: PikaDriver) -> None:
    dj, one = driver.dj(), driver.dancer()
    poll(driver, dj, "first")
    poll(driver, dj, "second", durationSeconds=30)
    driver.say(dj, "END_POLL", pollId=1)
    driver.say(dj, "END_SESSION", sessionId=SESSION)
    driver.close(dj)
    vote: dict[str, Any] = {"pollId": 2, "optionIndex": 0, "clientId": "client_one", "messageId": "v"}
    assert types(driver.say(one, "VOTE_ON_POLL", **vote)) == ["ACK"]
    driver.take(one)
    driver.wait(31)
    assert driver.take(one) == []
    assert types(driver.say(one, "VOTE_ON_POLL", **vote)) == ["NACK Poll not found or already ended"]


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
def test_only_the_owner_may(driver: PikaDriver, type_: str, fields: dict[str, Any], refusal: str | None) -> None:
    driver.dj()
    stranger = driver.dancer()
    heard = driver.say(stranger, type_, sessionId=SESSION, messageId="m", **fields)
    assert types(heard) == ([refusal] if refusal else [])
    assert types(driver.say(stranger, type_, sessionId="no-such-session", messageId="m", **fields)) == [
        "NACK Session not found"
    ]


@pytest.mark.parametrize(
    ("type_", "refusal"),
    [("END_POLL", "NACK Unauthorized end poll"), ("CANCEL_POLL", "NACK Unauthorized cancel poll")],
)
def test_only_the_owner_may_end_a_poll(driver: PikaDriver, type_: str, refusal: str) -> None:
    poll(driver, driver.dj())
    stranger = driver.dancer()
    assert types(driver.say(stranger, type_, pollId=1, messageId="m")) == [refusal]
    assert types(driver.say(stranger, type_, pollId=2, messageId="m")) == ["NACK Poll not found"]


def test_a_session_without_an_id_is_given_one_out_of_the_time(driver: PikaDriver) -> None:
    dj = driver.open()
    assert driver.say(dj, "REGISTER_SESSION")[0] == {
        "type": "SESSION_REGISTERED",
        "sessionId": "session_1795230000000",
        "authenticated": False,
        "djName": "DJ",
    }


def test_an_announcement_expires(driver: PikaDriver) -> None:
    dj = driver.dj()

    def listed() -> dict[str, Any]:
        (answer,) = driver.say(dj, "GET_SESSIONS")
        return dict(answer["sessions"][0])

    driver.say(dj, "SEND_ANNOUNCEMENT", sessionId=SESSION, message="hi", durationSeconds=60)
    assert listed()["activeAnnouncement"] == {
        "message": "hi",
        "timestamp": "2026-11-21T03:00:00.000Z",
        "endsAt": "2026-11-21T03:01:00.000Z",
    }
    driver.wait(60)
    assert "activeAnnouncement" not in listed()


def test_there_is_a_limit_of_live_sessions() -> None:
    driver = PikaDriver(settings={"PIKA_SANDBOX_MAX_SESSIONS": "2"})
    driver.dj("first-session")
    driver.dj("second-session")
    late = driver.open()
    assert driver.say(late, "REGISTER_SESSION", sessionId="third-session") == [
        (1013, "Server busy (max sessions reached)")
    ]
    assert types(driver.say(driver.open(), "REGISTER_SESSION", sessionId="first-session")) == ["SESSION_REGISTERED"]
