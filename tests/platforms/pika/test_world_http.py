from __future__ import annotations

import json

import pytest

from tests.platforms.pika.world_room import OTHER, SESSION, TRACK, Room


@pytest.fixture
def room() -> Room:
    return Room()


def night(room: Room) -> tuple[int, int, int]:
    """A DJ who played two tracks, and two dancers who liked and voted."""
    dj, one, two = room.dj(), room.dancer("client_one"), room.dancer("client_two")
    room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    room.like(one)
    room.like(two)
    room.wait(5)
    room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=OTHER)
    room.like(one, OTHER)
    return dj, one, two


def test_the_recap_counts_what_was_kept(room: Room) -> None:
    night(room)
    recap = room.get(f"/api/session/{SESSION}/recap")
    assert (recap["trackCount"], recap["totalLikes"]) == (2, 3)
    assert [(t["position"], t["title"], t["likes"]) for t in recap["tracks"]] == [
        (1, "Blue Bossa", 2),
        (2, "Moondance", 1),
    ]
    assert recap["endedAt"] == "2026-11-21T03:00:05.000Z"
    assert "polls" not in recap


def test_the_owner_sees_the_polls_as_well(room: Room) -> None:
    body = {"email": "mila@example.org", "password": "long enough", "displayName": "Mila"}
    token = json.loads(room.ask("POST", "/api/auth/register", body, x_pika_client="pika-e2e").body)["token"]
    dj, one = room.dj(token=token), room.dancer()
    room.say(dj, "START_POLL", sessionId=SESSION, question="Next?", options=["a", "b"])
    room.say(one, "VOTE_ON_POLL", pollId=1, optionIndex=1, clientId="client_one")
    room.say(dj, "END_POLL", pollId=1)
    recap = room.get(f"/api/session/{SESSION}/recap", authorization=f"Bearer {token}")
    assert (recap["totalPolls"], recap["totalPollVotes"]) == (1, 1)
    assert recap["polls"] == [
        {
            "id": 1,
            "question": "Next?",
            "options": ["a", "b"],
            "votes": [0, 1],
            "totalVotes": 1,
            "winnerIndex": 1,
            "winner": "b",
            "startedAt": "2026-11-21T03:00:00.000Z",
            "endedAt": "2026-11-21T03:00:00.000Z",
            "currentTrack": None,
        }
    ]
    assert "polls" not in room.get(f"/api/session/{SESSION}/recap", authorization="Bearer pk_dj_other")


def test_the_history_is_the_latest_fifty_newest_first(room: Room) -> None:
    dj = room.dj()
    for n in range(52):
        room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track={"title": f"T{n}", "artist": "A"})
        room.wait(5)
    history = room.get(f"/api/session/{SESSION}/history")
    assert [entry["title"] for entry in history] == [f"T{n}" for n in range(51, 1, -1)]
    assert list(history[0]) == ["id", "artist", "title", "playedAt"]


def test_lists_of_ended_sessions_and_statistics_are_cached_for_five_minutes(room: Room) -> None:
    room = Room(answers_pings=True)
    assert room.get("/api/stats/global") == {"totalSessions": 0, "totalTracks": 0, "totalLikes": 0}
    assert (room.get("/api/sessions/recent"), room.get("/api/stats/top-tracks")) == ([], [])
    dj, _, _ = night(room)
    room.say(dj, "END_SESSION", sessionId=SESSION)
    room.wait(290)
    assert room.get("/api/stats/global")["totalLikes"] == 0
    room.wait(10)
    assert room.get("/api/stats/global") == {"totalSessions": 1, "totalTracks": 2, "totalLikes": 3}
    assert room.get("/api/stats/top-tracks")[0] == {"artist": "Kenny Dorham", "title": "Blue Bossa", "likeCount": 2}
    assert [entry["id"] for entry in room.get("/api/sessions/recent")] == [SESSION]


def test_only_the_last_five_ended_sessions_are_recent(room: Room) -> None:
    for n in range(7):
        dj = room.dj(f"session-{n}")
        room.wait(1)
        room.close(dj)
    assert [entry["id"] for entry in room.get("/api/sessions/recent")] == [f"session-{n}" for n in range(6, 1, -1)]


@pytest.mark.parametrize(("listeners", "momentum"), [(0, "0"), (1, "0.05"), (3, "0.15"), (20, "1"), (25, "1")], ids=str)
def test_momentum_grows_with_the_listeners_and_is_written_as_javascript_does(
    room: Room, listeners: int, momentum: str
) -> None:
    room.dj()
    for n in range(listeners):
        room.dancer(f"client_{n:02}")
    assert room.ask("GET", "/api/sessions/active").body.decode().endswith(f'"momentum":{momentum}}}]}}')


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/api/client/load-dancer-1-0/likes", 400, '{"error":"Invalid client ID format"}'),
        ("GET", "/api/client/client_%20x/likes", 400, '{"error":"Invalid client ID format"}'),
        ("GET", "/api/session/nobody/recap", 404, '{"error":"Session not found"}'),
        ("GET", "/api/dj/nobody", 404, '{"error":"DJ not found"}'),
        ("POST", "/health", 404, "404 Not Found"),
        ("GET", "/metrics", 404, "404 Not Found"),
        ("POST", "/api/push/send", 401, '{"error":"Unauthorized"}'),
    ],
)
def test_refusals(room: Room, method: str, path: str, status: int, body: str) -> None:
    answer = room.ask(method, path)
    assert (answer.status, answer.body.decode()) == (status, body)


def test_fingerprints_and_subscriptions_to_push(room: Room) -> None:
    night(room)
    tracks = [{"artist": "Kenny Dorham", "title": "Blue Bossa"}, {"artist": "X", "title": "Y"}, 7]
    answer = room.ask("POST", f"/api/sessions/{SESSION}/sync-fingerprints", {"tracks": tracks})
    assert json.loads(answer.body) == {"synced": 1, "total": 3, "sessionId": SESSION}
    assert room.ask("POST", "/api/push/subscribe", {"endpoint": "https://push", "keys": {}}).status == 200
    assert room.ask("POST", "/api/push/subscribe", {"endpoint": "https://push"}).status == 400
