from __future__ import annotations

import pytest

from pika_locust.errors import ConfigurationError
from pika_locust.platforms.pika.world import PLATFORM
from tests.platforms.pika.world_room import SESSION, TRACK, Room

HOUR_S = 3600.0


def counts(messages: list[dict[str, object]]) -> list[object]:
    return [message["count"] for message in messages if message["type"] == "LISTENER_COUNT"]


def test_the_heartbeat_tells_a_changed_count_once_and_not_to_the_oldest_socket() -> None:
    room = Room()
    oldest, dj = room.open(), room.dj()
    room.wait(1.9)
    assert counts(room.take(dj)) == []
    room.wait(0.2)
    assert counts(room.take(dj)) == [0]
    room.dancer("client_one")
    assert counts(room.take(dj)) == [1]
    room.wait(1.9)
    assert counts(room.take(dj)) == [1]
    room.wait(20)
    assert counts(room.take(dj)) == []
    assert counts(room.take(oldest)) == [1]


def test_a_listener_stays_counted_for_five_minutes_after_the_last_socket() -> None:
    room = Room(answers_pings=True)
    dj = room.dj()
    one, again = room.dancer("client_one"), room.dancer("client_one")
    room.wait(3)
    room.close(one)
    room.wait(400)
    room.close(again)
    watcher = room.open()
    room.wait(298)
    assert room.get("/api/sessions/active")["sessions"][0]["listenerCount"] == 1
    assert counts(room.take(watcher)) == []
    room.wait(4)
    assert room.get("/api/sessions/active")["sessions"][0]["listenerCount"] == 0
    assert counts(room.take(watcher)) == [0]
    assert counts(room.take(dj)) == [1]


def test_the_session_dies_with_the_socket_of_its_dj() -> None:
    room = Room()
    dj, dancer = room.dj(), room.dancer()
    room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    room.say(dancer, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="faster")
    room.take(dancer)
    room.close(dj)
    assert room.take(dancer) == [{"type": "SESSION_ENDED", "sessionId": SESSION}]
    assert room.get(f"/api/session/{SESSION}/recap")["tracks"][0]["tempo"] == {"slower": 0, "perfect": 0, "faster": 1}
    room.close(dancer)


def test_only_the_latest_session_of_a_socket_dies_with_it() -> None:
    room = Room()
    dj, dancer = room.dj(), room.open()
    room.say(dj, "REGISTER_SESSION", sessionId="second-room")
    room.take(dancer)
    room.close(dj)
    assert [message["sessionId"] for message in room.take(dancer)] == ["second-room"]
    assert [session["sessionId"] for session in room.get("/api/sessions/active")["sessions"]] == [SESSION]


def test_shutting_down_tells_all_but_the_oldest_and_closes_the_rows() -> None:
    room = Room()
    oldest, dj = room.open(), room.dj()
    room.take(oldest)
    room.take(dj)
    room.wait(1)
    (notice,) = room.world.shutdown(room.now)
    assert notice.without == oldest  # type: ignore[union-attr]
    assert room.state()["sessions"][SESSION]["ended_at"] is not None


@pytest.mark.parametrize(
    ("heard_at_s", "pinged_at_s"),
    [pytest.param(None, 104, id="from the start"), pytest.param(50.0, 152, id="since it last spoke")],
)
def test_an_idle_socket_is_pinged_and_cut_unless_it_answers(heard_at_s: float | None, pinged_at_s: int) -> None:
    room = Room()
    silent, answering = room.open(), room.open()
    if heard_at_s is not None:
        room.wait(heard_at_s)
        for socket in (silent, answering):
            room.say_raw(socket, "not json")
    room.wait(0.5 + pinged_at_s - (heard_at_s or 0))
    assert (room.take(silent), room.take(answering)) == (["ping"], ["ping"])
    room.world.ponged(answering, room.now)
    room.wait(16)
    assert room.take(silent) == [(None, "")]
    room.wait(84)
    assert room.take(answering) == []
    room.wait(4)
    assert room.take(answering) == ["ping"]


def test_broadcasts_count_as_activity_of_those_who_get_them() -> None:
    room = Room()
    oldest, talker = room.open(), room.open()
    for _ in range(30):
        room.wait(10)
        room.say(talker, "SEND_REACTION", sessionId=SESSION, reaction="thank_you")
    assert "ping" not in room.take(oldest)
    assert "ping" not in room.take(talker)


def test_who_is_left_out_of_every_broadcast_is_idle() -> None:
    room = Room()
    oldest = room.open()
    dj = room.dj()
    room.take(oldest)
    for n in range(27):
        room.wait(4)
        # only heartbeats are published, through the oldest socket
        room.world._memory.counts_told[SESSION] = -n - 1
    assert "ping" in room.take(oldest)
    assert "ping" not in room.take(dj)


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
    room = Room(answers_pings=True)
    room.open()
    dj = room.dj()
    gone = 0.0
    while gone < hours:
        step = min(busy_every_h or hours, hours - gone)
        room.wait(step * HOUR_S)
        gone += step
        if busy_every_h and gone < hours:
            room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    expired = [m for m in room.take(dj) if m["type"] == "SESSION_EXPIRED"]
    want = [{"type": "SESSION_EXPIRED", "sessionId": SESSION, "reason": reason}] if reason else []
    assert expired == want


def test_without_a_limit_everyone_may_connect_as_often_as_they_like() -> None:
    room = Room()
    assert all(room.refused() is None for _ in range(1000))
    assert room.ask("GET", "/ws").status == 404


def test_the_real_limit_counts_failures_by_client_and_forgets_them_on_success() -> None:
    room = Room(settings={"PIKA_SANDBOX_WS_RATE_LIMIT": "2"})
    for _ in range(5):
        room.open()
    assert [room.ask("GET", "/ws").status for _ in range(3)] == [404, 404, 429]
    refusal = room.refused()
    assert refusal is not None
    assert (refusal.status, refusal.body) == (429, b"Rate limit exceeded")
    assert room.refused(x_forwarded_for="10.0.0.9, 10.0.0.1") is None
    assert room.refused(cf_connecting_ip="10.0.0.8") is None
    room.wait(61)
    assert room.refused() is None


def test_throttle_counts_every_attempt() -> None:
    room = Room("throttle=3/60s")
    assert [room.refused() is None for _ in range(5)] == [True, True, True, False, False]
    assert room.refused(x_forwarded_for="10.0.0.9") is None
    room.wait(60)
    assert room.refused() is None
    assert room.faults.counts()["throttle"]["hit"] == 2


def test_other_paths_have_no_socket() -> None:
    room = Room()
    request = room._upgrade({})
    answer = room.world.upgrade(type(request)("GET", "/other", "", {}), room.now)
    assert answer is not None
    assert answer.status == 404


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "²"])
def test_settings_that_are_no_numbers_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="PIKA_SANDBOX_WS_RATE_LIMIT"):
        Room(settings={"PIKA_SANDBOX_WS_RATE_LIMIT": text})


def test_groups_follow_what_a_socket_has_done() -> None:
    room = Room()
    dancer, dj = room.open(), room.dj()
    assert (room.world.group(dancer), room.world.group(dj)) == ("dancers", "djs")
    room.say(dj, "END_SESSION", sessionId=SESSION)
    assert room.world.group(dj) == "djs"


def test_a_reset_world_is_like_a_new_one() -> None:
    room = Room()
    dj, dancer = room.dj(), room.dancer()
    room.say(dj, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK)
    room.like(dancer)
    room.wait(7)
    room.world.reset(room.now)
    assert room.state() == Room().state()
    assert room.world.due == room.now + 2


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
    }
