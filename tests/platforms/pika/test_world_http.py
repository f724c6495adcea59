from __future__ import annotations

import pytest

from pika_locust.sandbox.world import Request
from tests.platforms.pika.world_driver import OTHER, SESSION, TRACK, PikaDriver


@pytest.fixture
def driver() -> PikaDriver:
    return PikaDriver()


def play_two_tracks(driver: PikaDriver) -> None:
    """A DJ plays two tracks, and two dancers like them."""
    dj, one, two = driver.dj(), driver.dancer("client_one"), driver.dancer("client_two")
    driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    driver.like(one)
    driver.like(two)
    driver.wait(5)
    driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=OTHER)
    driver.like(one, OTHER)


def test_the_recap_counts_what_was_kept(driver: PikaDriver) -> None:
    play_two_tracks(driver)
    recap = driver.get(f"/api/session/{SESSION}/recap")
    assert (recap["trackCount"], recap["totalLikes"]) == (2, 3)
    assert [(t["position"], t["title"], t["likes"]) for t in recap["tracks"]] == [
        (1, "Blue Bossa", 2),
        (2, "Moondance", 1),
    ]
    assert recap["endedAt"] == "2026-11-21T03:00:05.000Z"
    assert "polls" not in recap


def test_the_history_is_the_latest_fifty_newest_first(driver: PikaDriver) -> None:
    dj = driver.dj()
    for n in range(52):
        driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track={"title": f"T{n}", "artist": "A"})
        driver.wait(5)
    history = driver.get(f"/api/session/{SESSION}/history")
    assert [entry["title"] for entry in history] == [f"T{n}" for n in range(51, 1, -1)]
    assert list(history[0]) == ["id", "artist", "title", "playedAt"]


@pytest.mark.parametrize(("listeners", "momentum"), [(0, "0"), (1, "0.05"), (3, "0.15"), (20, "1"), (25, "1")], ids=str)
def test_momentum_grows_with_the_listeners_and_is_written_as_javascript_does(
    driver: PikaDriver, listeners: int, momentum: str
) -> None:
    driver.dj()
    for n in range(listeners):
        driver.dancer(f"client_{n:02}")
    assert driver.http("GET", "/api/sessions/active").body.decode().endswith(f'"momentum":{momentum}}}]}}')


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
def test_refusals(driver: PikaDriver, method: str, path: str, status: int, body: str) -> None:
    answer = driver.http(method, path)
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
def test_whom_a_request_is_counted_for(driver: PikaDriver, headers: dict[str, str], key: str) -> None:
    assert driver.world.client_of(Request("GET", "/", "", headers, peer="127.0.0.1")) == key
