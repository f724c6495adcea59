from __future__ import annotations

import json

from tests.platforms.pika.world_room import OTHER, SESSION, TRACK, Room


def test_totals_are_what_audits_compare_with() -> None:
    room = Room()
    dj, one, two = room.dj(), room.dancer("client_one"), room.dancer("client_two")
    room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    room.say(dj, "START_POLL", sessionId=SESSION, question="?", options=["a", "b"])
    for socket, name in ((one, "client_one"), (two, "client_two")):
        room.like(socket)
        room.say(socket, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="faster")
        room.say(socket, "VOTE_ON_POLL", pollId=1, optionIndex=1, clientId=name)
    room.like(one, {"title": "never played", "artist": "A"})
    room.say(dj, "CANCEL_POLL", pollId=1)
    room.wait(5)
    room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=OTHER)
    room.say(one, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="slower")
    state = room.state()
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
    room.say(dj, "END_SESSION", sessionId=SESSION)
    after = room.state()
    assert [after[name] for name in totals] == [2, 1, 3, 0, 2, 2]
    assert (after["sessions_live"], after["sessions"][SESSION]["live"]) == (0, False)
    json.dumps(after)


def test_votes_without_a_track_are_not_held_and_dropped_at_the_end() -> None:
    room = Room()
    dj, one = room.dj(), room.dancer()
    room.say(one, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="faster")
    assert room.state()["tempo_held"] == 0
    room.close(dj)
    assert (room.state()["tempo_held"], room.state()["tempo_dropped"]) == (0, 1)
