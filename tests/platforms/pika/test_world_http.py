from __future__ import annotations

import pytest

from pika_locust.platforms.pika.world_http import client_key
from pika_locust.sandbox.world import Request
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


def test_the_history_is_the_latest_fifty_newest_first(room: Room) -> None:
    dj = room.dj()
    for n in range(52):
        room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track={"title": f"T{n}", "artist": "A"})
        room.wait(5)
    history = room.get(f"/api/session/{SESSION}/history")
    assert [entry["title"] for entry in history] == [f"T{n}" for n in range(51, 1, -1)]
    assert list(history[0]) == ["id", "artist", "title", "playedAt"]


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
        ("GET", "/api/session/nobody/recap", 404, '{"error":"Session not found"}'),
        ("POST", "/health", 404, "404 Not Found"),
        ("GET", "/metrics", 404, "404 Not Found"),
        ("POST", "/api/sessions/active", 404, "404 Not Found"),
        ("GET", "/api/stats/global", 404, "404 Not Found"),
    ],
)
def test_refusals(room: Room, method: str, path: str, status: int, body: str) -> None:
    answer = room.ask(method, path)
    assert (answer.status, answer.body.decode()) == (status, body)


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        pytest.param({}, "unknown", id="all who come directly are one"),
        pytest.param({"x-forwarded-for": "1.1.1.1, 2.2.2.2"}, "1.1.1.1", id="the first of a chain"),
        pytest.param(
            {"x-forwarded-for": "1.1.1.1", "cf-connecting-ip": "3.3.3.3"}, "3.3.3.3", id="the edge knows best"
        ),
    ],
)
def test_whom_a_request_is_counted_for(headers: dict[str, str], key: str) -> None:
    assert client_key(Request("GET", "/", "", headers, peer="127.0.0.1")) == key
