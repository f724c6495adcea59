"""What a member of the sessions hears, and its two namespaces."""

from __future__ import annotations

import json
from typing import Any

import gevent
import pytest

from pika_locust.kit.socketio_connection import SocketIoConnection
from pika_locust.platforms.verity import session_events, session_user
from pika_locust.platforms.verity.scenarios import EVENTS, SESSIONS
from pika_locust.platforms.verity.session_events import Visit
from pika_locust.platforms.verity.session_user import SessionUser
from pika_locust.wire.websocket import Close
from tests.platforms.verity.harness import Harness, answer, saying, until
from tests.wire.http_servers import serving

MS = 1_000_000


@pytest.fixture
def member(harness: Harness) -> SessionUser:
    harness.open(SESSIONS)
    member: SessionUser = harness.begun(SessionUser)
    member.visit = Visit(joined_ns=10 * MS)
    return member


def event(*arguments: Any) -> bytes:
    return json.dumps(["name", *arguments]).encode()


def about(session: str) -> bytes:
    return event({"sessionId": session})


def test_times_are_taken_from_when_events_came(harness: Harness, member: SessionUser) -> None:
    assert member.on_event(b"match", about("s1"), 260 * MS)
    assert member.on_event(b"session:start", about("s1"), 280 * MS)
    SocketIoConnection(member).on_call("/video", b"session:end", about("s1"), 7, 2280 * MS)
    assert harness.trend("match_time").maximum == 250_000
    assert harness.trend("session_start_lag").maximum == 20_000
    assert harness.trend("session_length").maximum == 2_000_000
    assert (member.account.tokens.least, member.account.tokens.most) == (-1, -1)


def test_a_session_that_starts_in_the_same_moment_has_a_sample(harness: Harness, member: SessionUser) -> None:
    member.on_event(b"match", about("s1"), 260 * MS)
    member.on_event(b"session:start", about("s1"), 260 * MS)
    assert harness.trend("session_start_lag").minimum == 1


def test_events_of_other_sessions_and_repeated_ones_change_nothing(harness: Harness, member: SessionUser) -> None:
    member.on_event(b"match", about("s1"), 260 * MS)
    for _ in range(2):
        member.on_event(b"session:start", about("other"), 270 * MS)
        member.on_event(b"session:end", about("other"), 275 * MS)
        member.on_event(b"session:start", about("s1"), 280 * MS)
        assert member.on_event(b"queue:status", event({"usersSearching": 3}), 285 * MS)
    for at_ms in (300, 310):
        member.on_event(b"session:end", about("s1"), at_ms * MS)
    assert harness.trend("session_start_lag").count == harness.trend("session_length").count == 1
    assert member.visit.ended_ns == 300 * MS


def test_a_second_match_in_a_session_is_told_to_the_audit(harness: Harness, member: SessionUser) -> None:
    member.on_event(b"match", about("s1"), 260 * MS)
    member.on_event(b"match", about("s2"), 270 * MS)
    assert harness.worker.facts["in_two_sessions"] == 1
    assert harness.worker.facts["matches_seen"] == 1
    member.on_event(b"session:end", about("s1"), 280 * MS)
    member.on_event(b"match", about("s3"), 290 * MS)
    assert harness.worker.facts["in_two_sessions"] == 1


RUBBISH = {
    "no arguments": event(),
    "no object": event("s1"),
    "no session": event({}),
    "a session that is a number": event({"sessionId": 5}),
    "no JSON": b'["match",{',
    "no array": b'{"sessionId":"s1"}',
}


@pytest.mark.parametrize("payload", RUBBISH.values(), ids=RUBBISH)
def test_an_event_that_names_no_session_is_the_targets_mistake(
    payload: bytes, harness: Harness, member: SessionUser
) -> None:
    for name in (b"match", b"session:start", b"session:end"):
        member.on_event(name, payload, 260 * MS)
    assert harness.errors("receive") == [
        "match without a sessionId",
        "session:start without a sessionId",
        "session:end without a sessionId",
    ]
    assert harness.trend("match_time").count == 0


def test_what_sockets_complain_of_is_told_and_only_our_own_end_is_none(harness: Harness, member: SessionUser) -> None:
    client = SocketIoConnection(member)
    client.on_trouble("a packet of an unknown type")
    client.on_connect_error("/queue", b'{"message":"no"}')
    client.on_close(Close(1000, by_us=True))
    assert harness.rate("error_rate") == (0, 0)
    client.on_close(Close(1001, "going away"))
    client.on_close(Close(1006, by_us=True, error="no ping came in time"))
    assert harness.rate("error_rate") == (2, 0)
    assert harness.errors("receive") == ["a packet of an unknown type"]
    assert harness.errors("connect") == ['/queue was refused: {"message":"no"}']
    assert harness.errors("connection") == ["closed by the server: 1001 going away", "no ping came in time"]


def token_of(member: SessionUser) -> dict[str, str]:
    assert member.account.exists or member.open_account()
    return {"token": member.account.credentials.access_token}


def test_a_dial_that_fails_is_an_error(harness: Harness) -> None:
    harness.open(SESSIONS, "http://127.0.0.1:9")
    assert not harness.begun(SessionUser).connect({"token": "any"})
    assert harness.rate("checks", check="sockets connected") == (0, 1)
    assert harness.rate("error_rate") == (1, 0)
    assert len(harness.errors("connect")) == 1


def test_both_namespaces_are_open_before_anything_is_asked_for(harness: Harness, member: SessionUser) -> None:
    token = token_of(member)
    assert not member.is_connected
    assert member.connect(token)
    assert member.connect(token)
    assert member.is_connected
    assert harness.rate("checks", check="sockets connected") == (1, 0)
    member.disconnect()
    until(lambda: not member.client.is_open)
    assert harness.rate("error_rate")[0] == 0


def test_a_bad_token_is_kicked_and_that_is_no_connection(harness: Harness, member: SessionUser) -> None:
    assert not member.connect({"token": "bad"}) or not member.connect({"token": "bad"})
    until(lambda: len(harness.errors("connect")) >= 1)
    assert harness.errors("connect")[0].startswith("kicked out of /")


def test_namespaces_that_never_open_are_given_up(
    harness: Harness, member: SessionUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SessionUser, "namespaces", ("/queue", "/nowhere"))
    assert not member.connect(token_of(member))
    assert harness.errors("connection") == ["the namespaces were not opened"]
    assert harness.errors("connect") == ['/nowhere was refused: {"message":"Invalid namespace"}']


# Who must be told what


def kinds(harness: Harness, metric: str) -> dict[str, tuple[int, int]]:
    """Passes and fails of a rate, by kind of event."""
    found = {kind: harness.rate(metric, kind=kind) for kind in EVENTS}
    return {kind: counts for kind, counts in found.items() if counts != (0, 0)}


def failures(harness: Harness, kind: str) -> list[str]:
    """What was wrong in what was told."""
    return list(harness.worker.metrics.snapshot().failures(f"fanout_correct{{kind:{kind}}}"))


def test_whoever_is_in_a_session_is_told_everything_once_and_rightly(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_events, "DEADLINE_S", 0.5)
    worker = harness.open(SESSIONS, begin={"users_peak": 4})
    worker.hears_itself = True
    for _ in range(4):
        harness.start(SessionUser)
    until(lambda: harness.rate("fanout_delivery", kind="outcome")[0] >= 4, 15.0)
    harness.drain()
    assert set(kinds(harness, "fanout_delivery")) >= {"match", "session_start", "session_end", "outcome"}
    assert all(fails == 0 for _, fails in kinds(harness, "fanout_delivery").values())
    assert set(kinds(harness, "fanout_correct")) == set(EVENTS)
    assert all(fails == 0 for _, fails in kinds(harness, "fanout_correct").values())
    assert harness.count("fanout_duplicates") == 0


def started(user_id: str, seconds: float = 0.3) -> dict[str, Any]:
    return {"sessionId": "s1", "durationSeconds": seconds, "rtm": {"userId": user_id}}


WRONG: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "another queue": ("match", "match", {"queueKey": "elsewhere"}, "another queueKey than was joined"),
    "a long session": ("session_start", "session:start", started("me", 45), "told durationSeconds 45"),
    "another's tokens": ("session_start", "session:start", started("you"), "another user's rtm.userId"),
    "no tokens": ("session_start", "session:start", {**started("me"), "rtm": None}, "another user's rtm.userId"),
    "a failure": ("session_end", "session:end", {"reason": "token_error"}, "told the reason 'token_error'"),
    "too many": ("queue_status", "queue:status", {"usersSearching": 51}, "told 51 searching, of 4 users"),
    "nobody": ("queue_status", "queue:status", {"usersSearching": 0}, "told 0 searching, of 4 users"),
}


@pytest.mark.parametrize(("kind", "name", "data", "words"), WRONG.values(), ids=WRONG)
def test_what_is_told_must_be_so(kind: str, name: str, data: dict[str, Any], words: str, harness: Harness) -> None:
    harness.open(SESSIONS, begin={"users_peak": 4})
    user: SessionUser = harness.begun(SessionUser)
    user.account.user_id = "me"
    user.visit = Visit(joined_ns=10 * MS, queue_key="ours")
    if name != "match":
        user.on_event(b"match", event({"sessionId": "s1", "queueKey": "ours"}), 20 * MS)
    user.on_event(name.encode(), event({"sessionId": "s1", **data}), 30 * MS)
    assert kinds(harness, "fanout_correct")[kind] == (0, 1)
    assert failures(harness, kind) == [words]


def test_a_number_that_is_right_is_judged_once_a_visit(harness: Harness) -> None:
    harness.open(SESSIONS, begin={"users_peak": 4})
    user: SessionUser = harness.begun(SessionUser)
    for _ in range(2):
        user.visit = Visit(joined_ns=10 * MS)
        for searching in (4, 1):
            user.on_event(b"queue:status", event({"usersSearching": searching}), 20 * MS)
    assert kinds(harness, "fanout_correct") == {"queue_status": (2, 0)}
    assert user.visit.statuses == 2


def test_each_event_that_comes_again_is_a_duplicate(harness: Harness, member: SessionUser) -> None:
    names = ("match", "session:start", "session:end", "match:non_mutual")
    for name in names:
        for _ in range(2):
            member.on_event(name.encode(), about("s1"), 260 * MS)
    kinds_told = ("match", "session_start", "session_end", "outcome")
    assert [harness.count("fanout_duplicates", kind=kind) for kind in kinds_told] == [1, 1, 1, 1]
    assert "in_two_sessions" not in harness.worker.facts


OUTCOMES: dict[str, tuple[str, dict[str, str], str, str, tuple[int, int], list[str]]] = {
    "told so": ("match:mutual", {"matchId": "m1"}, "mutual", "m1", (1, 0), []),
    "not mutual": ("match:non_mutual", {}, "non_mutual", "", (1, 0), []),
    "told otherwise": ("match:non_mutual", {}, "mutual", "m1", (1, 0), ["told non_mutual, answered mutual"]),
    "another match": ("match:mutual", {"matchId": "m2"}, "mutual", "m1", (1, 0), ["another matchId than was answered"]),
    "not told": ("", {}, "mutual", "m1", (0, 1), []),
}


@pytest.mark.parametrize(("name", "data", "outcome", "match", "owed", "wrong"), OUTCOMES.values(), ids=OUTCOMES)
def test_both_sides_hear_what_one_was_answered(
    name: str,
    data: dict[str, str],
    outcome: str,
    match: str,
    owed: tuple[int, int],
    wrong: list[str],
    harness: Harness,
    member: SessionUser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_events, "DEADLINE_S", 0.05)
    assert member.connect(token_of(member))
    member.on_event(b"match", about("s1"), 260 * MS)
    if name:
        member.on_event(name.encode(), event({"sessionId": "s1", **data}), 270 * MS)
    # Another process's user was answered.
    harness.worker.hear(session_events.TOPIC, {"session": "s1", "outcome": outcome, "match": match})
    until(lambda: harness.rate("fanout_delivery", kind="outcome") != (0, 0))
    assert harness.rate("fanout_delivery", kind="outcome") == owed
    assert failures(harness, "outcome") == wrong
    assert kinds(harness, "fanout_correct").get("outcome", (0, 0)) == (owed[0] - len(wrong), len(wrong))


PASSED: dict[str, tuple[dict[str, str], list[str]]] = {
    "as it should be": ({"status": "resolved", "outcome": "non_mutual"}, []),
    "left open": ({"status": "pending"}, ["a PASS was answered 'pending', None"]),
    "mutual": ({"status": "resolved", "outcome": "mutual"}, ["a PASS was answered 'resolved', 'mutual'"]),
    "nothing": ({}, ["a PASS was answered None, None"]),
}


@pytest.mark.parametrize(("said", "wrong"), PASSED.values(), ids=PASSED)
def test_whoever_passes_is_answered_that_it_is_not_mutual(
    said: dict[str, str], wrong: list[str], harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_user, "MATCH_CHANCE", 0.0)
    with serving(saying({"/sessions/s1/choice": answer(201, said)})) as server:
        harness.open(SESSIONS, server.url)
        harness.begun(SessionUser)._choose(Visit(session_id="s1"))
    assert harness.rate("fanout_correct", kind="outcome") == (1 - len(wrong), len(wrong))
    assert failures(harness, "outcome") == wrong


def test_whoever_wants_to_meet_again_may_have_to_wait(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_user, "MATCH_CHANCE", 1.0)
    with serving(saying({"/sessions/s1/choice": answer(201, {"status": "pending"})})) as server:
        harness.open(SESSIONS, server.url)
        harness.begun(SessionUser)._choose(Visit(session_id="s1"))
    assert harness.rate("fanout_correct", kind="outcome") == (0, 0)


def test_two_who_both_want_to_meet_again_are_to_hear_of_it(
    harness: Harness, member: SessionUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_events, "DEADLINE_S", 0.05)
    assert member.connect(token_of(member))
    pending = {"outcome": "pending", "match": ""}
    for session, heard in (("s1", "match:mutual"), ("s2", "match:non_mutual"), ("s3", "")):
        member.visit = Visit(joined_ns=10 * MS)
        member.on_event(b"match", about(session), 260 * MS)
        if heard:
            member.on_event(heard.encode(), event({"sessionId": session, "matchId": "m1"}), 270 * MS)
        # The first of them waits for the other one.
        harness.worker.hear(session_events.TOPIC, {"session": session, **pending})
        gevent.sleep(0.1)
    assert harness.rate("fanout_delivery", kind="outcome") == (0, 0)
    for session in ("s1", "s2", "s3", "of others"):
        harness.worker.hear(session_events.TOPIC, {"session": session, **pending})
    until(lambda: harness.rate("fanout_delivery", kind="outcome") == (2, 1))
    assert failures(harness, "outcome") == ["told non_mutual, answered mutual"]


def test_whoever_has_left_by_then_is_owed_no_outcome(
    harness: Harness, member: SessionUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_events, "DEADLINE_S", 0.05)
    assert member.connect(token_of(member))
    member.on_event(b"match", about("s1"), 260 * MS)
    harness.worker.hear(session_events.TOPIC, {"session": "s1", "outcome": "mutual", "match": "m1"})
    member.disconnect()
    gevent.sleep(0.2)
    assert harness.rate("fanout_delivery", kind="outcome") == (0, 0)
