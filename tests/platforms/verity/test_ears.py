from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from pika_locust.platforms.verity import session_user as ears
from pika_locust.platforms.verity.account import TokenBounds
from pika_locust.platforms.verity.scenarios import SESSIONS
from pika_locust.platforms.verity.session_user import SessionSockets, Visit
from pika_locust.runtime.timers import Condition
from pika_locust.wire.websocket import Close
from pika_locust.wire.websocket_handshake import ConnectError
from tests.platforms.verity.night import Night, until

MS = 1_000_000


class Rung(Condition):
    """A bell that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def notify(self) -> None:
        self.times += 1
        super().notify()


@pytest.fixture
def bell() -> Rung:
    return Rung()


@pytest.fixture
def tokens() -> TokenBounds:
    return TokenBounds()


@pytest.fixture
def member(night: Night, bell: Rung, tokens: TokenBounds) -> SessionSockets:
    night.open(SESSIONS)
    member = SessionSockets(night.lobby, tokens, bell)
    member.visit = Visit(joined_ns=10 * MS)
    return member


def event(*arguments: Any) -> bytes:
    return json.dumps(["name", *arguments]).encode()


def about(session: str) -> bytes:
    return event({"sessionId": session})


def test_times_are_taken_from_when_events_came(
    night: Night, member: SessionSockets, bell: Rung, tokens: TokenBounds
) -> None:
    member.on_event("/queue", b"match", about("s1"), 260 * MS)
    member.on_event("/video", b"session:start", about("s1"), 280 * MS)
    member.on_call("/video", b"session:end", about("s1"), 7, 2280 * MS)
    assert night.trend("match_time").maximum == 250_000
    assert night.trend("session_start_lag").maximum == 20_000
    assert night.trend("session_length").maximum == 2_000_000
    assert (tokens.least, tokens.most) == (-1, -1)
    assert bell.times == 3


def test_a_session_that_starts_in_the_same_moment_has_a_sample(night: Night, member: SessionSockets) -> None:
    member.on_event("/queue", b"match", about("s1"), 260 * MS)
    member.on_event("/video", b"session:start", about("s1"), 260 * MS)
    assert night.trend("session_start_lag").minimum == 1


def test_events_of_other_sessions_and_repeated_ones_change_nothing(night: Night, member: SessionSockets) -> None:
    member.on_event("/queue", b"match", about("s1"), 260 * MS)
    for _ in range(2):
        member.on_event("/video", b"session:start", about("other"), 270 * MS)
        member.on_event("/video", b"session:end", about("other"), 275 * MS)
        member.on_event("/video", b"session:start", about("s1"), 280 * MS)
        member.on_event("/queue", b"queue:status", event({"usersSearching": 3}), 285 * MS)
    for at_ms in (300, 310):
        member.on_event("/video", b"session:end", about("s1"), at_ms * MS)
    assert night.trend("session_start_lag").count == night.trend("session_length").count == 1
    assert member.visit.ended_ns == 300 * MS


def test_a_second_match_in_a_session_is_told_to_the_audit(night: Night, member: SessionSockets) -> None:
    member.on_event("/queue", b"match", about("s1"), 260 * MS)
    member.on_event("/queue", b"match", about("s2"), 270 * MS)
    assert night.worker.facts["in_two_sessions"] == 1
    assert night.worker.facts["matches_seen"] == 1
    member.on_event("/video", b"session:end", about("s1"), 280 * MS)
    member.on_event("/queue", b"match", about("s3"), 290 * MS)
    assert night.worker.facts["in_two_sessions"] == 1


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
    payload: bytes, night: Night, member: SessionSockets
) -> None:
    for name in (b"match", b"session:start", b"session:end"):
        member.on_event("/queue", name, payload, 260 * MS)
    assert night.errors("receive") == [
        "match without a sessionId",
        "session:start without a sessionId",
        "session:end without a sessionId",
    ]
    assert night.trend("match_time").count == 0


def test_what_sockets_complain_of_is_told_and_only_our_own_end_is_none(night: Night, member: SessionSockets) -> None:
    member.on_trouble("a packet of an unknown type")
    member.on_connect_error("/queue", b'{"message":"no"}')
    member.on_close(Close(1000, by_us=True))
    assert night.rate("error_rate") == (0, 0)
    member.on_close(Close(1001, "going away"))
    member.on_close(Close(1006, by_us=True, error="no ping came in time"))
    assert night.rate("error_rate") == (2, 0)
    assert night.errors("receive") == ["a packet of an unknown type"]
    assert night.errors("connect") == ['/queue was refused: {"message":"no"}']
    assert night.errors("connection") == ["closed by the server: 1001 going away", "no ping came in time"]


def test_a_fault_in_a_listener_is_ours(night: Night, member: SessionSockets) -> None:
    member.on_internal_error(KeyError("x"))
    assert night.worker.internal_errors == ["KeyError: 'x'"]
    night.worker.internal_errors.clear()


def test_a_dial_that_fails_is_an_error(night: Night, member: SessionSockets, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(target: str, handler: Any) -> Any:
        raise ConnectError("refused", "connection refused")

    monkeypatch.setattr(ears, "socketio", SimpleNamespace(connect=refused))
    assert not member.listen("token")
    assert night.rate("checks", check="sockets connected") == (0, 1)
    assert night.errors("connect")


# On real sockets


def test_both_namespaces_are_open_before_anything_is_asked_for(night: Night, member: SessionSockets) -> None:
    account = night.begun_account()
    assert not member.are_open
    assert member.listen(account.entry.access_token)
    assert member.listen(account.entry.access_token)
    assert member.are_open
    assert night.rate("checks", check="sockets connected") == (1, 0)
    member.close()
    until(lambda: not member.are_open)
    assert night.rate("error_rate")[0] == 0


def test_a_bad_token_is_kicked_and_that_is_no_connection(night: Night, member: SessionSockets) -> None:
    assert not member.listen("bad") or not member.listen("bad")
    until(lambda: len(night.errors("connect")) >= 1)
    assert night.errors("connect")[0].startswith("kicked out of /")


def test_namespaces_that_never_open_are_given_up(
    night: Night, member: SessionSockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ears, "START_WAIT_S", 0.1)
    monkeypatch.setattr(ears, "NAMESPACES", ("/queue", "/nowhere"))
    account = night.begun_account()
    assert not member.listen(account.entry.access_token)
    assert night.errors("connection") == ["the namespaces were not opened"]
    assert night.errors("connect") == ['/nowhere was refused: {"message":"Invalid namespace"}']
