from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from socket import SHUT_RDWR
from typing import Any

import gevent
import pytest
from gevent.event import Event

from pika_locust.wire import http as http_session
from pika_locust.wire.http import ConcurrentUseError, _Requests
from pika_locust.wire.http_dial import Origin
from pika_locust.wire.http_models import ErrorKind, Response, Timeouts
from tests.wire.http_servers import Peer, Server, content, echo, serving

pytestmark = pytest.mark.usefixtures("patience")

TIMEOUTS = Timeouts(connect_s=2, read_s=2, total_s=5)
IDLE_S = 0.12
"""Longer than the peers below rest before they close or speak."""


@contextmanager
def session_to(server: Server, **rest: Any) -> Iterator[_Requests]:
    arguments = {"source_address": None, "trust": True, "observer": None, "max_body_bytes": 10_000, **rest}
    session = _Requests(Origin(server.url), TIMEOUTS, **arguments)
    yield session
    session.close()


def ask(session: _Requests, body: str = "", method: str = "POST") -> Response:
    payload = f"{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    return session._exchange(payload, "ask", method, TIMEOUTS)


def test_one_connection_serves_all_requests() -> None:
    with serving(echo) as server, session_to(server) as session:
        for number in range(5):
            response = ask(session, f"number {number}")
            assert (response.text, response.error) == (f"number {number}", None)
            assert (response.timings.connecting_us > 0) is (number == 0)
        assert (session.connections, session.retries, session.abandoned) == (1, 0, 0)
        assert len(server.peers) == 1


def test_a_connection_that_rested_and_is_open_is_used_again() -> None:
    with serving(echo) as server, session_to(server) as session:
        ask(session)
        gevent.sleep(IDLE_S)
        assert ask(session, "again").text == "again"
        assert (session.connections, session.retries) == (1, 0)


def test_what_the_event_loop_has_not_seen_yet_is_looked_for_after_a_long_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    # An hour, which no rest here takes, and a nanosecond, which every rest does.
    for idle_ns, retries in ((3600 * 10**9, 1), (1, 0)):
        monkeypatch.setattr(http_session, "IDLE_CHECK_NS", idle_ns)
        with serving(echo) as server, session_to(server) as session:
            ask(session)
            gevent.sleep(0)
            # Nothing below gives the loop a turn before the request is sent.
            server.peers[0].socket.shutdown(SHUT_RDWR)
            assert ask(session, "again").text == "again"
            assert (session.connections, session.retries) == (2, retries)


def once(peer: Peer) -> None:
    """Answer and close, without saying so."""
    peer.answer(content(b"first"))


def announced(peer: Peer) -> None:
    peer.answer(content(b"first", "200 OK", "Connection: close"))
    peer.wait_for_end()


def gone_idle(peer: Peer) -> None:
    """Answer, and close after a rest, as Node does after 5 s."""
    peer.answer(content(b"first"))
    gevent.sleep(0.05)


def late_words(peer: Peer) -> None:
    peer.answer(content(b"first"))
    gevent.sleep(0.05)
    peer.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
    peer.wait_for_end()


def reset_idle(peer: Peer) -> None:
    peer.answer(content(b"first"))
    gevent.sleep(0.05)
    peer.reset()


def read_and_reset(peer: Peer) -> None:
    peer.answer(content(b"first"))
    peer.request()
    peer.reset()


REPLACED: dict[str, tuple[Any, float, int]] = {
    "the server had said that it would close": (announced, 0.0, 0),
    "the server closed while it rested": (gone_idle, IDLE_S, 0),
    "the server reset it while it rested": (reset_idle, IDLE_S, 0),
    "something came that nobody had asked for": (late_words, IDLE_S, 0),
    "it shows only after the request was sent": (once, 0.0, 1),
    "it shows as a reset": (read_and_reset, 0.0, 1),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("script", "rest_s", "retries"), REPLACED.values(), ids=REPLACED)
def test_a_connection_that_is_over_is_replaced(script: Any, rest_s: float, retries: int, method: str) -> None:
    told: list[Response] = []
    with (
        serving(script, echo) as server,
        session_to(server, observer=lambda name, method, response: told.append(response)) as session,
    ):
        assert ask(session).text == "first"
        gevent.sleep(rest_s)
        response = ask(session, "second", method)
        assert (response.error, response.text) == (None, "second")
        assert response.retried is (retries > 0)
        assert (session.connections, session.retries) == (2, retries)
        assert response.bytes_sent == len(server.requests[-1]) * (1 + retries)
        assert len(told) == 2, "a request sent twice is one request"
        assert response.timings.connecting_us > 0


def test_a_request_is_sent_again_only_once() -> None:
    def deaf(peer: Peer) -> None:
        peer.request()

    with serving(once, deaf) as server, session_to(server) as session:
        ask(session)
        response = ask(session, "second")
        assert response.error is not None
        assert response.error.kind is ErrorKind.CLOSED
        assert response.retried
        assert (session.retries, len(server.peers)) == (1, 2)


def test_a_new_connection_that_fails_is_not_tried_again() -> None:
    with serving(lambda peer: peer.request()) as server, session_to(server) as session:  # type: ignore[arg-type,return-value]
        response = ask(session)
        assert response.error is not None
        assert response.error.kind is ErrorKind.CLOSED
        assert (session.retries, session.connections, response.retried) == (0, 1, False)


def test_an_answer_that_had_begun_is_not_asked_for_again() -> None:
    def cut(peer: Peer) -> None:
        peer.answer(content(b"first"))
        peer.answer(b"H")

    with serving(cut, echo) as server, session_to(server) as session:
        ask(session)
        response = ask(session, "second")
        assert response.error is not None
        assert (response.error.text, session.retries) == ("closed in the middle of the answer", 0)
        assert ask(session, "third").text == "third"


def test_a_server_that_thought_and_then_closed_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_session, "RETRY_WITHIN_US", 20_000)

    def thoughtful(peer: Peer) -> None:
        peer.answer(content(b"first"))
        peer.request()
        gevent.sleep(0.05)

    with serving(thoughtful, echo) as server, session_to(server) as session:
        ask(session)
        response = ask(session, "second")
        assert response.error is not None
        assert (response.error.kind, session.retries) == (ErrorKind.CLOSED, 0)


def test_a_time_out_is_not_asked_again() -> None:
    def silent(peer: Peer) -> None:
        peer.answer(content(b"first"))
        peer.wait_for_end()

    with serving(silent, echo) as server, session_to(server) as session:
        ask(session)
        response = session._exchange(b"GET / HTTP/1.1\r\n\r\n", "x", "GET", Timeouts(read_s=0.05))
        assert response.error is not None
        assert (response.error.kind, session.retries) == (ErrorKind.READ_TIMEOUT, 0)
        assert ask(session, "third").text == "third", "on a connection of its own"


def test_a_target_that_is_off_is_an_error_each_time_and_comes_back() -> None:
    with serving(echo) as server:
        pass
    with session_to(server) as session:
        for _ in range(3):
            response = ask(session)
            assert response.error is not None
            assert response.error.kind is ErrorKind.CONNECT_REFUSED
        assert (session.connections, session.retries) == (0, 0)


def test_a_killed_request_takes_its_connection_with_it() -> None:
    ended = Event()

    def slow(peer: Peer) -> None:
        peer.answer(content(b"first"))
        peer.request()
        peer.wait_for_end()
        ended.set()

    with serving(slow, echo) as server, session_to(server) as session:
        ask(session)
        asking = gevent.spawn(ask, session, "killed")
        gevent.sleep(0.02)
        asking.kill()
        assert ended.wait(1), "the server sees the end"
        assert session.abandoned == 1
        assert ask(session, "mine").text == "mine", "and nobody gets another's answer"
        assert session.connections == 2


def test_a_timeout_of_the_callers_own_takes_it_too() -> None:
    def silent(peer: Peer) -> None:
        peer.request()
        peer.wait_for_end()

    with serving(silent, echo) as server, session_to(server) as session:
        with gevent.Timeout(0.02, False):
            ask(session)
        assert session.abandoned == 1
        assert ask(session, "mine").text == "mine"


def test_a_second_greenlet_is_refused_and_the_first_goes_on() -> None:
    def slow(peer: Peer) -> None:
        peer.request()
        gevent.sleep(0.03)
        peer.send(content(b"first"))
        peer.wait_for_end()

    with serving(slow) as server, session_to(server) as session:
        asking = gevent.spawn(ask, session)
        gevent.sleep(0.01)
        with pytest.raises(ConcurrentUseError, match="under way"):
            ask(session)
        assert asking.get().text == "first"
        assert session.connections == 1


def test_closing_ends_a_request_under_way() -> None:
    def silent(peer: Peer) -> None:
        peer.answer(content(b"first"))
        peer.request()
        peer.wait_for_end()

    with serving(silent) as server, session_to(server) as session:
        ask(session)
        asking = gevent.spawn(ask, session)
        gevent.sleep(0.01)
        session.close()
        session.close()
        response = asking.get(timeout=1)
        assert response.error.kind is ErrorKind.CLOSED
        assert (session.retries, session.connections) == (0, 1)
        with pytest.raises(ConcurrentUseError, match="closed"):
            ask(session)


def test_closing_while_it_connects_leaves_nothing_open() -> None:
    with serving(echo) as server, session_to(server) as session:
        asking = gevent.spawn(ask, session)
        gevent.sleep(0)
        session.close()
        response = asking.get(timeout=1)
        assert (response.error.kind, response.error.text) == (ErrorKind.CLOSED, "the client was closed meanwhile")
        gevent.sleep(0.02)
        assert server.requests == []
        assert session._connection is None


def test_the_observer_is_told_before_the_caller_and_may_ask_itself() -> None:
    told: list[tuple[str, str, int]] = []
    sessions: list[_Requests] = []

    def observer(name: str, method: str, response: Response) -> None:
        told.append((name, method, response.status))
        if len(told) == 1:
            ask(sessions[0], "inner")

    with serving(echo) as server, session_to(server, observer=observer) as session:
        sessions.append(session)
        assert ask(session, "outer").text == "outer"
        assert told == [("ask", "POST", 200), ("ask", "POST", 200)]


def test_the_observer_is_told_of_failures() -> None:
    told: list[Response] = []
    with serving(echo) as server:
        pass
    with session_to(server, observer=lambda name, method, response: told.append(response)) as session:
        response = ask(session)
        assert told == [response]
        assert response.failed
