from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from pika_locust.platforms.verity import session_user
from pika_locust.platforms.verity.scenarios import SESSIONS
from pika_locust.platforms.verity.session_user import SessionUser
from pika_locust.wire.handshake import ConnectError
from pika_locust.wire.websocket import Close
from tests.platforms.verity.night import RECEIVED, SESSION_S, SIGNED_UP, Night, answer, saying, until
from tests.wire.http_servers import serving

MS = 1_000_000


def books(night: Night) -> tuple[int, int, int, int]:
    """Tokens expected, uncertain and held, and how many balances were wrong."""
    facts = night.share.facts
    return (
        facts["tokens_expected"],
        facts.get("tokens_unanswered", 0),
        facts["tokens_held"],
        facts.get("balances_wrong", 0),
    )


# Against the sandbox


def test_members_are_matched_talk_choose_and_come_again(night: Night) -> None:
    night.open(SESSIONS)
    for _ in range(4):
        night.start(SessionUser)
    until(lambda: night.trend("choice_latency").count >= 8, 10.0)
    night.drain()
    matches = night.trend("match_time").count
    assert matches == night.trend("session_start_lag").count == night.trend("session_length").count
    assert matches == night.share.facts["matches_seen"] == night.rate("match_rate")[0]
    assert matches == 2 * night.sandbox.state()["sessions"]["created"]
    assert night.trend("match_time").maximum < 1_500_000
    assert SESSION_S * 0.95e6 < night.trend("session_length").quantile(0.5) < SESSION_S * 1.5e6
    assert night.rate("error_rate")[0] == 0
    expected, uncertain, held, wrong = books(night)
    assert (expected, uncertain, wrong) == (held, 0, 0)
    assert night.sandbox.state()["queued"] == 0
    assert "in_two_sessions" not in night.share.facts


def test_members_buy_tokens_before_they_run_out(night: Night) -> None:
    night.open(SESSIONS, TOKENS_PER_USER="3", BALANCE_CHECK_EVERY="2", TOP_UP_TOKENS="4")
    for _ in range(2):
        night.start(SessionUser)
    until(lambda: night.rate("match_rate")[0] >= 10, 15.0)
    night.drain()
    assert night.rate("checks", check="queue join ok")[1] == 0
    assert night.count("http_reqs", name="stripe_webhook") >= 4
    expected, uncertain, held, wrong = books(night)
    assert (expected, uncertain, wrong) == (held, 0, 0)


def test_whoever_waits_when_the_test_ends_leaves_the_queue_and_gets_the_token_back(night: Night) -> None:
    night.faults(no_match=True)
    night.open(SESSIONS)
    night.start(SessionUser)
    until(lambda: night.sandbox.state()["queued"] == 1)
    night.drain()
    assert night.sandbox.state()["queued"] == 0
    assert books(night) == (5, 0, 5, 0)
    assert night.rate("match_rate") == (0, 0)


def test_whoever_is_not_matched_in_time_leaves_and_tries_again(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_user, "MATCH_WAIT_S", 0.1)
    night.open(SESSIONS)
    night.start(SessionUser)
    until(lambda: night.rate("match_rate")[1] >= 3)
    night.drain()
    assert night.trend("match_time").count == 0
    assert books(night) == (5, 0, 5, 0)


def test_a_session_that_is_announced_and_does_not_begin_is_an_error(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_user, "START_WAIT_S", 0.2)
    night.faults(dead_session=True)
    night.open(SESSIONS)
    for _ in range(2):
        night.start(SessionUser)
    until(lambda: len(night.errors("session")) == 1)
    night.drain()
    assert night.errors("session") == ["no session:start within 0.2 s of the match"]
    assert night.trend("session_start_lag").count == 0
    assert books(night)[3] == 0


def test_in_the_suites_way_nobody_listens_and_whoever_is_gone_was_matched(night: Night) -> None:
    night.open(SESSIONS, CONTRACT="suite", TOKENS_PER_USER="9", SESSION_HOLD_SECONDS="0.7")
    for _ in range(4):
        night.start(SessionUser)
    until(lambda: night.count("iterations") >= 8)
    night.drain()
    state = night.sandbox.state()
    assert state["tokens"]["spent"] >= 4
    assert night.trend("match_time").count == 0
    expected, uncertain, held, wrong = books(night)
    assert (expected, uncertain, wrong) == (held, 0, 0)


def test_a_lost_socket_is_an_error_and_is_opened_again(night: Night) -> None:
    night.faults(close_after=0.4)
    night.open(SESSIONS)
    for _ in range(2):
        night.start(SessionUser)
    until(lambda: night.rate("checks", check="sockets connected")[0] >= 4, 10.0)
    night.drain()
    assert night.rate("error_rate")[0] >= 2
    assert len(night.errors("connection")) >= 1


def test_a_target_without_sockets_is_an_error_and_is_not_hammered(night: Night) -> None:
    pages = {
        "/auth/signup-anonymous": SIGNED_UP,
        "/webhooks/stripe": RECEIVED,
        "/tokens/balance": answer(200, {"tokenBalance": 5}),
        "/socket.io/?EIO=4&transport=websocket": answer(404, {}),
    }
    with serving(saying(pages)) as server:
        night.open(SESSIONS, server.url)
        night.start(SessionUser)
        gevent.sleep(1.3)
        night.drain()
    assert night.rate("checks", check="sockets connected") == (0, 2)
    assert "404" in night.errors("connect")[0]


def test_a_bad_token_is_kicked_and_that_is_no_connection(night: Night) -> None:
    night.open(SESSIONS)
    user = night.begun(SessionUser)
    user.account.access_token = "bad"
    assert not user._listen() or not user._listen()
    until(lambda: len(night.errors("connect")) >= 1)
    assert night.errors("connect")[0].startswith("kicked out of /")
    user.on_stop()


# Events, one by one


@pytest.fixture
def user(night: Night) -> Any:
    night.open(SESSIONS)
    user = night.begun(SessionUser)
    user._joined_ns = 10 * MS
    return user


def event(*arguments: Any) -> bytes:
    return json.dumps(["name", *arguments]).encode()


def about(session: str) -> bytes:
    return event({"sessionId": session})


def test_times_are_taken_from_when_events_came(night: Night, user: Any) -> None:
    user.on_event("/queue", b"match", about("s1"), 260 * MS)
    user.on_event("/video", b"session:start", about("s1"), 280 * MS)
    user.on_call("/video", b"session:end", about("s1"), 7, 2280 * MS)
    assert night.trend("match_time").maximum == 250_000
    assert night.trend("session_start_lag").maximum == 20_000
    assert night.trend("session_length").maximum == 2_000_000
    assert (user.account.tokens.least, user.account.tokens.most) == (-1, -1)


def test_a_session_that_starts_in_the_same_moment_has_a_sample(night: Night, user: Any) -> None:
    user.on_event("/queue", b"match", about("s1"), 260 * MS)
    user.on_event("/video", b"session:start", about("s1"), 260 * MS)
    assert night.trend("session_start_lag").minimum == 1


def test_events_of_other_sessions_and_repeated_ones_change_nothing(night: Night, user: Any) -> None:
    user.on_event("/queue", b"match", about("s1"), 260 * MS)
    for _ in range(2):
        user.on_event("/video", b"session:start", about("other"), 270 * MS)
        user.on_event("/video", b"session:end", about("other"), 275 * MS)
        user.on_event("/video", b"session:start", about("s1"), 280 * MS)
        user.on_event("/queue", b"queue:status", event({"usersSearching": 3}), 285 * MS)
    for at_ms in (300, 310):
        user.on_event("/video", b"session:end", about("s1"), at_ms * MS)
    assert night.trend("session_start_lag").count == night.trend("session_length").count == 1
    assert user._ended_ns == 300 * MS


def test_a_second_match_in_a_session_is_told_to_the_audit(night: Night, user: Any) -> None:
    user.on_event("/queue", b"match", about("s1"), 260 * MS)
    user.on_event("/queue", b"match", about("s2"), 270 * MS)
    assert night.share.facts["in_two_sessions"] == 1
    assert night.share.facts["matches_seen"] == 1
    user.on_event("/video", b"session:end", about("s1"), 280 * MS)
    user.on_event("/queue", b"match", about("s3"), 290 * MS)
    assert night.share.facts["in_two_sessions"] == 1


RUBBISH = {
    "no arguments": event(),
    "no object": event("s1"),
    "no session": event({}),
    "a session that is a number": event({"sessionId": 5}),
    "no JSON": b'["match",{',
    "no array": b'{"sessionId":"s1"}',
}


@pytest.mark.parametrize("payload", RUBBISH.values(), ids=RUBBISH)
def test_an_event_that_names_no_session_is_the_targets_mistake(payload: bytes, night: Night, user: Any) -> None:
    for name in (b"match", b"session:start", b"session:end"):
        user.on_event("/queue", name, payload, 260 * MS)
    assert night.errors("receive") == [
        "match without a sessionId",
        "session:start without a sessionId",
        "session:end without a sessionId",
    ]
    assert night.trend("match_time").count == 0


def test_what_sockets_complain_of_is_told_and_only_our_own_end_is_none(night: Night, user: Any) -> None:
    user.on_trouble("a packet of an unknown type")
    user.on_connect_error("/queue", b'{"message":"no"}')
    user.on_close(Close(1000, by_us=True))
    assert night.rate("error_rate") == (0, 0)
    user.on_close(Close(1001, "going away"))
    user.on_close(Close(1006, by_us=True, error="no ping came in time"))
    assert night.rate("error_rate") == (2, 0)
    assert night.errors("receive") == ["a packet of an unknown type"]
    assert night.errors("connect") == ['/queue was refused: {"message":"no"}']
    assert night.errors("connection") == ["closed by the server: 1001 going away", "no ping came in time"]


def test_a_fault_in_a_listener_is_ours(night: Night, user: Any) -> None:
    user.on_fault(KeyError("x"))
    assert night.share.faults == ["KeyError: 'x'"]
    night.share.faults.clear()


def test_a_dial_that_fails_is_an_error(night: Night, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(target: str, handler: Any) -> Any:
        raise ConnectError("refused", "connection refused")

    monkeypatch.setattr(session_user, "socketio", SimpleNamespace(connect=refused))
    assert not user._listen()
    assert night.rate("checks", check="sockets connected") == (0, 1)
    assert night.errors("connect")


# Where to queue


def keys(night: Night, users: int, **environ: str) -> list[Any]:
    joined: list[Any] = []

    def post(path: str, json: Any, name: str) -> Any:
        joined.append(json)
        return SimpleNamespace(status=500, error=None)

    night.open(SESSIONS, **environ)
    for number in range(users):
        user = night.begun(SessionUser)
        assert user.number == number
        user.account.http = SimpleNamespace(post=post)
        user._join()
    return joined


def test_all_queue_in_one_place_like_the_suites_users(night: Night) -> None:
    first, second = keys(night, 2)
    assert first == second == {"region": "australiacentral", "preferences": {"mode": "video-session-sustain"}}


def test_neighbours_share_a_queue(night: Night) -> None:
    joined = keys(night, 8, QUEUE_KEYS="2")
    assert [body["preferences"]["key"] for body in joined] == [0, 0, 1, 1, 0, 0, 1, 1]


def test_isolated_visits_have_queues_of_their_own(night: Night) -> None:
    joined = keys(night, 4, QUEUE_MODE="isolated")
    assert len({body["preferences"]["seed"] for body in joined}) == 4


JOINS: dict[str, tuple[Any, tuple[int, int]]] = {
    "answered": (answer(201, {"status": "queued"}), (5, 5)),
    "refused": (answer(409, {}), (5, 5)),
    "not answered": (None, (4, 5)),
}
LEAVES: dict[str, tuple[Any, str, tuple[int, int]]] = {
    "left": (answer(200, {"status": "left", "refunded": True}), "left", (5, 5)),
    "the target took us out": (answer(200, {"status": "already_matched"}), "already_matched", (5, 5)),
    "no JSON": (answer(200, b"ok"), "None", (5, 5)),
    "refused": (answer(500, {}), "", (4, 5)),
    "sent twice, and gone": ([None, answer(200, {"status": "not_queued"})], "gone", (5, 5)),
    "not answered": (None, "", (4, 5)),
}


def paid_up(night: Night, url: str) -> Any:
    night.open(SESSIONS, url)
    user = night.begun(SessionUser)
    user.account.sign_up()
    user.account.buy(5)
    return user


def owed(user: Any) -> tuple[int, int]:
    return user.account.tokens.least, user.account.tokens.most


@pytest.mark.parametrize(("said", "books"), JOINS.values(), ids=JOINS)
def test_what_is_owed_after_a_join(said: Any, books: tuple[int, int], night: Night) -> None:
    pages = {"/auth/signup-anonymous": SIGNED_UP, "/webhooks/stripe": RECEIVED, "/queue/join": said}
    with serving(saying(pages)) as server:
        user = paid_up(night, server.url)
        user._join()
    assert owed(user) == books


@pytest.mark.parametrize(("said", "status", "books"), LEAVES.values(), ids=LEAVES)
def test_what_is_owed_after_leaving(said: Any, status: str, books: tuple[int, int], night: Night) -> None:
    pages = {"/auth/signup-anonymous": SIGNED_UP, "/webhooks/stripe": RECEIVED, "/queue/leave": said}
    with serving(saying(pages)) as server:
        user = paid_up(night, server.url)
        assert user._leave() == status
    assert owed(user) == books
