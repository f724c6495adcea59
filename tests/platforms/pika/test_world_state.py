from __future__ import annotations

import json

from tests.platforms.pika.world_driver import OTHER, SESSION, TRACK, PikaDriver


def test_totals_are_what_audits_compare_with() -> None:
    driver = PikaDriver()
    dj, one, two = driver.dj(), driver.dancer("client_one"), driver.dancer("client_two")
    driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    driver.say(dj, "START_POLL", sessionId=SESSION, question="?", options=["a", "b"])
    for socket, name in ((one, "client_one"), (two, "client_two")):
        driver.like(socket)
        driver.say(socket, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="faster")
        driver.say(socket, "VOTE_ON_POLL", pollId=1, optionIndex=1, clientId=name)
    driver.like(one, {"title": "never played", "artist": "A"})
    driver.say(dj, "CANCEL_POLL", pollId=1)
    driver.wait(5)
    driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=OTHER)
    driver.say(one, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="slower")
    state = driver.state()
    totals = ("likes_held", "likes_orphaned", "tempo_held", "tempo_dropped", "poll_votes_held", "tracks_held")
    assert [state[name] for name in totals] == [2, 1, 3, 0, 2, 2]
    assert (state["sessions_live"], state["sessions"][SESSION]["listeners"]) == (1, 2)
    assert state["sessions"][SESSION]["tempo"] == {"faster": 2, "slower": 1, "perfect": 0}
    assert state["sessions"][SESSION]["tracks"][0] == {
        "id": 1,
        "title": "Blue Bossa",
        "artist": "Kenny Dorham",
        "likes": 2,
        "tempo": {"slower": 0, "perfect": 0, "faster": 2},
    }
    poll = {
        "id": 1,
        "question": "?",
        "options": ["a", "b"],
        "votes": [0, 2],
        "totalVotes": 2,
        "voters": 2,
        "status": "cancelled",
        "open": False,
    }
    assert state["polls"] == state["sessions"][SESSION]["polls"] == [poll]
    driver.say(dj, "END_SESSION", sessionId=SESSION)
    after = driver.state()
    assert [after[name] for name in totals] == [2, 1, 3, 0, 2, 2]
    assert (after["sessions_live"], after["sessions"][SESSION]["live"]) == (0, False)
    assert after["memory"] == {
        "sessions": 0,
        "sockets": 3,
        "listeners": 0,
        "likes_remembered": 0,
        "clients_with_quota": 2,
        "nonces": 0,
    }
    json.dumps(after)


def test_votes_without_a_track_are_not_held_and_dropped_at_the_end() -> None:
    driver = PikaDriver()
    dj, one = driver.dj(), driver.dancer()
    driver.say(one, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="faster")
    assert driver.state()["tempo_held"] == 0
    driver.close(dj)
    assert (driver.state()["tempo_held"], driver.state()["tempo_dropped"]) == (0, 1)
