from __future__ import annotations

from typing import Any

import pytest

from tests.platforms.pika.world_driver import OTHER, SESSION, TRACK, PikaDriver, types


@pytest.fixture
def driver() -> PikaDriver:
    return PikaDriver()


def test_the_first_client_id_of_a_connection_is_its_identity_for_good(driver: PikaDriver) -> None:
    dj, one = driver.dj(), driver.dancer("client_one")
    driver.say(dj, "START_POLL", sessionId=SESSION, question="?", options=["a", "b"])
    assert types(driver.like(one)) == ["ACK"]
    assert types(driver.like(one, clientId="client_two")) == ["NACK Already liked this track"]
    driver.say(one, "VOTE_ON_POLL", pollId=1, optionIndex=0, clientId="client_two")
    driver.say(one, "VOTE_ON_POLL", pollId=1, optionIndex=0, clientId="client_three")
    assert driver.state()["poll_votes_held"] == 1


def test_a_late_joiner_is_told_everything_in_order(driver: PikaDriver) -> None:
    dj, one = driver.dj(), driver.dancer()
    driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    driver.say(dj, "START_POLL", sessionId=SESSION, question="?", options=["a", "b"], durationSeconds=30)
    driver.say(dj, "SEND_ANNOUNCEMENT", sessionId=SESSION, message="hi", durationSeconds=60)
    driver.say(one, "VOTE_ON_POLL", pollId=1, optionIndex=1, clientId="client_one")
    late = driver.open()
    heard = driver.say(late, "SUBSCRIBE", sessionId=SESSION, clientId="client_late", messageId="s")
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
    driver.wait(61)
    again = driver.say(driver.open(), "SUBSCRIBE", sessionId=SESSION, clientId="client_last")
    assert types(again) == ["SESSIONS_LIST", "LISTENER_COUNT", "NOW_PLAYING"]


def test_a_socket_with_too_much_waiting_gets_no_list_and_its_messages_are_not_broadcast(driver: PikaDriver) -> None:
    driver.dj()
    one, two = driver.dancer("client_one"), driver.dancer("client_two")
    full = 64 * 1024
    assert types(driver.say(one, "SUBSCRIBE", queued_bytes=full - 1, sessionId=SESSION))[0] == "SESSIONS_LIST"
    assert types(driver.say(one, "SUBSCRIBE", queued_bytes=full, sessionId=SESSION))[0] == "LISTENER_COUNT"
    driver.take(two)
    assert types(driver.like(one, queued_bytes=full)) == ["ACK"]
    assert types(
        driver.say(one, "SEND_TEMPO_REQUEST", queued_bytes=full, sessionId=SESSION, preference="slower", messageId="t")
    ) == ["ACK"]
    assert driver.take(two) == []


def test_the_quota_of_likes_is_ten_in_a_sliding_minute(driver: PikaDriver) -> None:
    driver.dj()
    one = driver.dancer()

    def likes(*names: str) -> list[str]:
        return [types(driver.like(one, {"title": name, "artist": "A"}))[0] for name in names]

    assert likes(*"abcde") == ["ACK"] * 5
    driver.wait(30)
    assert likes(*"fghij") == ["ACK"] * 5
    assert likes("k") == ["NACK Rate limit exceeded (max 10/min)"]
    driver.wait(30)
    assert likes(*"klmno") == ["ACK"] * 5
    assert likes("p") == ["NACK Rate limit exceeded (max 10/min)"]
    assert types(driver.like(driver.dancer("client_two"))) == ["ACK"]


def test_duplicates_eat_the_quota_and_refusals_do_not(driver: PikaDriver) -> None:
    early = driver.open()
    assert types(driver.say(early, "SEND_LIKE", payload={"track": TRACK}, clientId="client_one", messageId="m")) == [
        "NACK No active session found"
    ]
    driver.dj()
    said = [types(driver.like(early, {"title": " bluE  bossa ", "artist": "KENNY dorham"}))[0] for _ in range(12)]
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
    driver: PikaDriver, played: dict[str, object] | None, liked: dict[str, object], held: tuple[int, int]
) -> None:
    dj, one = driver.dj(), driver.dancer()
    if played is not None:
        driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=played)
    assert types(driver.like(one, liked)) == ["ACK"]
    state = driver.state()
    assert (state["likes_held"], state["likes_orphaned"]) == held


def test_bulk_likes_take_the_first_hundred_and_skip_duplicates_without_a_quota(driver: PikaDriver) -> None:
    dj, one = driver.dj(), driver.dancer()
    driver.take(dj)
    tracks = [{"title": f"T{n // 2}", "artist": "A"} for n in range(240)]
    heard = driver.say(one, "SEND_BULK_LIKE", sessionId=SESSION, payload={"tracks": tracks}, messageId="b")
    assert types(heard) == ["ACK"]
    assert types(driver.take(dj)) == ["LIKE_RECEIVED"] * 50


def test_a_removed_like_is_gone_and_may_be_given_again(driver: PikaDriver) -> None:
    dj, one = driver.dj(), driver.dancer()
    driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    driver.like(one)
    driver.take(dj)
    driver.say(one, "REMOVE_LIKE", sessionId=SESSION, payload={"track": TRACK})
    assert driver.state()["likes_held"] == 0
    assert driver.take(dj) == []
    assert types(driver.like(one)) == ["ACK"]
    assert driver.state()["likes_held"] == 1


def test_the_last_tempo_vote_of_a_client_wins_and_expires_after_five_minutes() -> None:
    driver = PikaDriver()
    dj, one, two = driver.dj(), driver.dancer("client_one"), driver.dancer("client_two")

    def vote(socket: int, preference: str) -> dict[str, object]:
        driver.take(dj)
        driver.say(socket, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference=preference)
        feedback: dict[str, object] = driver.take(dj)[0]
        return {key: feedback[key] for key in ("faster", "slower", "perfect", "total")}

    vote(one, "faster")
    assert vote(one, "slower") == {"faster": 0, "slower": 1, "perfect": 0, "total": 1}
    assert vote(one, "clear") == {"faster": 0, "slower": 1, "perfect": 0, "total": 1}
    driver.wait(200)
    assert vote(two, "perfect") == {"faster": 0, "slower": 1, "perfect": 1, "total": 2}
    driver.wait(101)
    assert vote(two, "perfect") == {"faster": 0, "slower": 0, "perfect": 1, "total": 1}
    assert driver.state()["tempo_dropped"] == 1


def test_a_second_vote_is_acknowledged_but_not_counted(driver: PikaDriver) -> None:
    dj, one = driver.dj(), driver.dancer()
    driver.say(dj, "START_POLL", sessionId=SESSION, question="?", options=["a", "b"])
    driver.take(dj)
    for option in (1, 0):
        heard = driver.say(one, "VOTE_ON_POLL", pollId=1, optionIndex=option, clientId="client_one", messageId="v")
        assert types(heard)[-1] == "ACK"
    assert driver.take(dj) == [
        {"type": "POLL_UPDATE", "pollId": 1, "votes": [0, 1], "totalVotes": 1, "sessionId": SESSION}
    ]


@pytest.mark.parametrize("option", [-1, 2, 0.5, 1e12])
def test_an_option_that_is_not_there_is_refused(driver: PikaDriver, option: float) -> None:
    dj, one = driver.dj(), driver.dancer()
    driver.say(dj, "START_POLL", sessionId=SESSION, question="?", options=["a", "b"])
    driver.take(one)
    vote: dict[str, Any] = {"pollId": 1, "optionIndex": option, "clientId": "client_one", "messageId": "v"}
    assert types(driver.say(one, "VOTE_ON_POLL", **vote)) == ["NACK Invalid option index"]


def test_without_a_message_id_every_outcome_is_silent(driver: PikaDriver) -> None:
    one = driver.dancer()
    assert driver.like(one, messageId="") == []
    assert driver.say(one, "SEND_TEMPO_REQUEST", sessionId="no-such-session", preference="faster") == []


def test_too_long_a_text_closes_the_socket_and_binaries_are_ignored(driver: PikaDriver) -> None:
    one, two = driver.open(), driver.open()
    assert driver.send(one, b'{"type":"PING"}') == []
    assert driver.send(one, '{"type":"PING","pad":"' + "é" * (10 * 1024 - 24) + '"}') == [{"type": "PONG"}]
    assert driver.send(one, "💃" * (5 * 1024) + "x") == [(1009, "Message too large")]
    assert driver.send(two, '{"type":"PING"}') == [{"type": "PONG"}]
