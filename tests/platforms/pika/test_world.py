from __future__ import annotations

from typing import Any

import pytest

from pika_locust.errors import ConfigurationError
from pika_locust.platforms.pika.world import PLATFORM
from pika_locust.testing.world_driver import PING
from tests.platforms.pika.world_driver import OTHER, SESSION, TRACK, PikaDriver

HOUR_S = 3600.0


def counts(messages: list[dict[str, object]]) -> list[object]:
    return [message["count"] for message in messages if message["type"] == "LISTENER_COUNT"]


def test_the_heartbeat_tells_a_changed_count_once_and_not_to_the_oldest_socket() -> None:
    driver = PikaDriver()
    oldest, dj = driver.open(), driver.dj()
    driver.wait(1.9)
    assert counts(driver.take(dj)) == []
    driver.wait(0.2)
    assert counts(driver.take(dj)) == [0]
    driver.dancer("client_one")
    assert counts(driver.take(dj)) == [1]
    driver.wait(1.9)
    assert counts(driver.take(dj)) == [1]
    driver.wait(20)
    assert counts(driver.take(dj)) == []
    assert counts(driver.take(oldest)) == [1]


def test_a_listener_stays_counted_for_five_minutes_after_the_last_socket() -> None:
    driver = PikaDriver()
    dj = driver.dj()
    one, again = driver.dancer("client_one"), driver.dancer("client_one")
    driver.wait(3)
    driver.close(one)
    driver.wait(400)
    driver.close(again)
    watcher = driver.open()
    driver.wait(298)
    assert driver.get("/api/sessions/active")["sessions"][0]["listenerCount"] == 1
    assert counts(driver.take(watcher)) == []
    driver.wait(4)
    assert driver.get("/api/sessions/active")["sessions"][0]["listenerCount"] == 0
    assert counts(driver.take(watcher)) == [0]
    assert counts(driver.take(dj)) == [1]


def test_the_session_dies_with_the_socket_of_its_dj() -> None:
    driver = PikaDriver()
    dj, dancer = driver.dj(), driver.dancer()
    driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    driver.say(dancer, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="faster")
    driver.take(dancer)
    driver.close(dj)
    assert driver.take(dancer) == [{"type": "SESSION_ENDED", "sessionId": SESSION}]
    assert driver.get(f"/api/session/{SESSION}/recap")["tracks"][0]["tempo"] == {"slower": 0, "perfect": 0, "faster": 1}
    driver.close(dancer)


def test_only_the_latest_session_of_a_socket_dies_with_it() -> None:
    driver = PikaDriver()
    dj, dancer = driver.dj(), driver.open()
    driver.say(dj, "REGISTER_SESSION", sessionId="second-session")
    driver.take(dancer)
    driver.close(dj)
    assert [message["sessionId"] for message in driver.take(dancer)] == ["second-session"]
    assert [session["sessionId"] for session in driver.get("/api/sessions/active")["sessions"]] == [SESSION]


def test_shutting_down_tells_all_but_the_oldest_and_closes_the_rows() -> None:
    driver = PikaDriver()
    oldest, dj = driver.open(), driver.dj()
    driver.take(oldest)
    driver.take(dj)
    driver.wait(1)
    (notice,) = driver.world.shutdown(driver.now)
    assert notice.without == oldest  # type: ignore[union-attr]
    assert driver.state()["sessions"][SESSION]["ended_at"] is not None


@pytest.mark.parametrize(
    ("heard_at_s", "pinged_at_s"),
    [pytest.param(None, 104, id="from the start"), pytest.param(50.0, 152, id="since it last spoke")],
)
def test_an_idle_socket_is_pinged_and_cut_unless_it_answers(heard_at_s: float | None, pinged_at_s: int) -> None:
    driver = PikaDriver(answers_pings=False)
    silent, answering = driver.open(), driver.open()
    if heard_at_s is not None:
        driver.wait(heard_at_s)
        for socket in (silent, answering):
            driver.send(socket, "not json")
    driver.wait(0.5 + pinged_at_s - (heard_at_s or 0))
    assert (driver.take(silent), driver.take(answering)) == ([PING], [PING])
    driver.ping(answering)
    driver.wait(16)
    assert driver.take(silent) == [(None, "")]
    driver.wait(84)
    assert driver.take(answering) == []
    driver.wait(4)
    assert driver.take(answering) == [PING]


def test_broadcasts_count_as_activity_of_those_who_get_them() -> None:
    driver = PikaDriver(answers_pings=False)
    oldest, talker = driver.open(), driver.open()
    for _ in range(30):
        driver.wait(10)
        driver.say(talker, "SEND_REACTION", sessionId=SESSION, reaction="thank_you")
    assert PING not in driver.take(oldest)
    assert PING not in driver.take(talker)


def test_who_is_left_out_of_every_broadcast_is_idle() -> None:
    driver = PikaDriver(answers_pings=False)
    oldest = driver.open()
    dj = driver.dj()
    driver.take(oldest)
    for n in range(27):
        driver.wait(4)
        # only heartbeats are published, through the oldest socket
        driver.world.live.counts_told[SESSION] = -n - 1
    assert PING in driver.take(oldest)
    assert PING not in driver.take(dj)


@pytest.mark.parametrize(
    ("hours", "busy_every_h", "reason"),
    [
        pytest.param(7.9, None, None, id="idle, but young"),
        pytest.param(8.2, None, "Session inactive", id="idle and old"),
        pytest.param(23.9, 3, None, id="old, but busy"),
        pytest.param(24.2, 3, "Session exceeded maximum duration", id="older than a day"),
    ],
)
def test_forgotten_sessions_expire(hours: float, busy_every_h: float | None, reason: str | None) -> None:
    driver = PikaDriver()
    driver.open()
    dj = driver.dj()
    gone = 0.0
    while gone < hours:
        step = min(busy_every_h or hours, hours - gone)
        driver.wait(step * HOUR_S)
        gone += step
        if busy_every_h and gone < hours:
            driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    expired = [m for m in driver.take(dj) if m["type"] == "SESSION_EXPIRED"]
    want = [{"type": "SESSION_EXPIRED", "sessionId": SESSION, "reason": reason}] if reason else []
    assert expired == want


def test_without_a_limit_everyone_may_connect_as_often_as_they_like() -> None:
    driver = PikaDriver()
    assert all(driver.refusal() is None for _ in range(1000))
    assert driver.http("GET", "/ws").status == 404


def test_the_real_limit_counts_failures_by_client_and_forgets_them_on_success() -> None:
    driver = PikaDriver(settings={"PIKA_SANDBOX_WS_RATE_LIMIT": "2"})
    for _ in range(5):
        driver.open()
    assert [driver.http("GET", "/ws").status for _ in range(3)] == [404, 404, 429]
    refusal = driver.refusal()
    assert refusal is not None
    assert (refusal.status, refusal.body) == (429, b"Rate limit exceeded")
    assert driver.refusal(x_forwarded_for="10.0.0.9, 10.0.0.1") is None
    assert driver.refusal(cf_connecting_ip="10.0.0.8") is None
    driver.wait(61)
    assert driver.refusal() is None


def test_throttle_counts_every_attempt() -> None:
    driver = PikaDriver("throttle=3/60s")
    answers = [driver.refusal() for _ in range(5)]
    assert [answer and (answer.status, answer.body) for answer in answers] == [None] * 3 + [
        (429, b"Rate limit exceeded")
    ] * 2
    assert driver.http("GET", "/ws").status == 429
    assert driver.refusal(x_forwarded_for="10.0.0.9") is None
    driver.wait(60)
    assert driver.refusal() is None
    assert driver.faults.counts()["throttle"]["hit"] == 3


def test_other_paths_have_no_socket_and_are_no_attempt_at_one() -> None:
    driver = PikaDriver("throttle=1/60s", settings={"PIKA_SANDBOX_WS_RATE_LIMIT": "1"})
    answers = [driver.refusal("/other") for _ in range(3)]
    assert [answer and answer.status for answer in answers] == [404] * 3
    assert driver.refusal() is None


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "²"])
def test_settings_that_are_no_numbers_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="PIKA_SANDBOX_WS_RATE_LIMIT"):
        PikaDriver(settings={"PIKA_SANDBOX_WS_RATE_LIMIT": text})


def test_groups_follow_what_a_socket_has_done() -> None:
    driver = PikaDriver()
    dancer, dj = driver.open(), driver.dj()
    assert (driver.world.group(dancer), driver.world.group(dj)) == ("dancers", "djs")
    driver.say(dj, "END_SESSION", sessionId=SESSION)
    assert driver.world.group(dj) == "djs"


def test_a_reset_world_is_like_a_new_one() -> None:
    driver = PikaDriver()
    dj, dancer = driver.dj(), driver.dancer()
    driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    driver.like(dancer)
    driver.wait(7)
    driver.world.reset(driver.now)
    assert driver.state() == PikaDriver().state()
    assert driver.world.due == driver.now + 2


def test_every_fault_of_the_platform_says_who_must_see_it() -> None:
    assert PLATFORM.supports == {
        "latency",
        "error",
        "drop",
        "lose-write",
        "lose-fanout",
        "double",
        "throttle",
        "refuse",
        "close-after",
        "dead-session",
        "leak",
        "crash-after",
        "max-sockets",
        "swallow-likes",
        "swallow-tempo",
        "swallow-poll-updates",
        "swallow-poll-ends",
        "swallow-reactions",
        "swallow-session-ends",
        "swallow-tempo-resets",
        "double-tracks",
        "miscount-listeners",
        "nonsense",
    }


SWALLOWED = {
    "swallow-likes": "LIKE_RECEIVED",
    "swallow-tempo": "TEMPO_FEEDBACK",
    "swallow-poll-updates": "POLL_UPDATE",
    "swallow-poll-ends": "POLL_ENDED",
    "swallow-reactions": "REACTION_RECEIVED",
    "swallow-session-ends": "SESSION_ENDED",
    "swallow-tempo-resets": "TEMPO_RESET",
}


def broadcasts_of_a_session(*faults: str) -> list[dict[str, Any]]:
    """What a dancer hears who only listens to everything that there is to hear."""
    driver = PikaDriver(*faults)
    dj, one, other = driver.dj(), driver.dancer(), driver.dancer("client_two")
    for track in (TRACK, OTHER):
        driver.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=track)
        driver.wait(5.1)
    driver.like(one)
    driver.say(one, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="faster")
    driver.say(dj, "START_POLL", sessionId=SESSION, question="?", options=["a", "b"])
    driver.say(one, "VOTE_ON_POLL", pollId=1, optionIndex=0, clientId="client_one")
    driver.say(dj, "END_POLL", pollId=1)
    driver.say(one, "SEND_REACTION", sessionId=SESSION, reaction="thank_you")
    driver.say(dj, "END_SESSION", sessionId=SESSION)
    heard: list[dict[str, Any]] = driver.take(other)
    return heard


@pytest.mark.parametrize("fault", SWALLOWED)
def test_what_is_swallowed_reaches_nobody_and_all_else_does(fault: str) -> None:
    healthy = broadcasts_of_a_session()
    wanted = [message for message in healthy if message["type"] != SWALLOWED[fault]]
    assert len(wanted) < len(healthy)
    assert broadcasts_of_a_session(f"{fault}=1") == wanted


def test_tracks_are_broadcast_twice() -> None:
    heard = [message["type"] for message in broadcasts_of_a_session("double-tracks=1")]
    assert heard.count("NOW_PLAYING") == 4
    assert heard.count("TEMPO_RESET") == 1


def test_listeners_are_miscounted_to_everybody() -> None:
    driver = PikaDriver("miscount-listeners=1")
    dj = driver.dj()
    heard = driver.say(driver.open(), "SUBSCRIBE", sessionId=SESSION, clientId="client_one")
    counts = [m["count"] for m in (*heard, *driver.take(dj)) if m["type"] == "LISTENER_COUNT"]
    assert counts == [51, 51]
