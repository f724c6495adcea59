"""What a member of the sessions hears, and its two namespaces."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pika_locust.kit.socketio_client import SocketIoClient
from pika_locust.platforms.verity.scenarios import SESSIONS
from pika_locust.platforms.verity.session_user import SessionUser, Visit
from pika_locust.wire.websocket import Close
from tests.platforms.verity.harness import Harness, until

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
    SocketIoClient(member).on_call("/video", b"session:end", about("s1"), 7, 2280 * MS)
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
        assert not member.on_event(b"queue:status", event({"usersSearching": 3}), 285 * MS)
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
    client = SocketIoClient(member)
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
