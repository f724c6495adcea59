from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent import get_hub
from gevent.event import Event

from pika_locust.wire import http_connection
from pika_locust.wire.http_connection import Connection
from pika_locust.wire.http_dial import Connector, Origin
from pika_locust.wire.http_models import ErrorKind, Response, Timeouts
from tests.wire.http_servers import Certificates, Peer, Script, chunked, content, echo, serving

pytestmark = pytest.mark.usefixtures("patience")

LIMIT = 100_000
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BIG = b"x" * 20_000_000


@contextmanager
def connected(
    script: Script, timeouts: Timeouts | None = None, certificates: Certificates | None = None
) -> Iterator[Connection]:
    tls = certificates and certificates.server_context()
    with serving(script, tls=tls) as server:
        connection = Connector(Origin(server.url), False, None).connect(timeouts or Timeouts(), 5, LIMIT)
        try:
            yield connection
        finally:
            connection.close()


def exchange(
    connection: Connection, payload: bytes = REQUEST, timeouts: Timeouts | None = None, bodiless: bool = False
) -> Response:
    now = time.monotonic_ns()
    return connection.exchange(payload, now, now, bodiless, timeouts or connection._timeouts)


def post(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


ANSWERED: dict[str, tuple[list[bytes], bytes, bool]] = {
    "in one piece": ([content(b"hello")], b"hello", True),
    "byte by byte": ([bytes([byte]) for byte in content(b"hello")], b"hello", True),
    "chunks, byte by byte": ([bytes([byte]) for byte in chunked(b"hel", b"lo")], b"hello", True),
    "an interim answer of its own": ([b"HTTP/1.1 100 Continue\r\n\r\n", content(b"hello")], b"hello", True),
    "a body larger than one read": ([content(b"y" * LIMIT)], b"y" * LIMIT, True),
    "and the connection closes": ([content(b"hello", "200 OK", "Connection: close")], b"hello", False),
}


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("pieces", "body", "reusable"), ANSWERED.values(), ids=ANSWERED)
def test_an_answer_is_read_whole(
    certificates: Certificates, pieces: list[bytes], body: bytes, reusable: bool, secure: bool
) -> None:
    def script(peer: Peer) -> None:
        while peer.request():
            peer.send(*pieces, pause_s=0 if len(pieces) < 3 else 0.0001)

    with connected(script, certificates=certificates if secure else None) as connection:
        for _ in range(2 if reusable else 1):
            response = exchange(connection)
            assert response.error is None
            assert (response.status, response.content) == (200, body)
            assert connection.reusable is reusable
            raw = sum(map(len, pieces))
            assert (response.bytes_sent, response.bytes_received) == (len(REQUEST), raw) or secure
            assert response.bytes_received >= raw


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_the_end_of_the_connection_may_be_the_end_of_the_body(certificates: Certificates, secure: bool) -> None:
    def script(peer: Peer) -> None:
        peer.answer(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo")
        if secure:
            peer.socket.unwrap()
        peer.close()

    with connected(script, certificates=certificates if secure else None) as connection:
        response = exchange(connection)
        assert (response.error, response.content, connection.reusable) == (None, b"hello", False)


def test_a_body_that_ends_with_the_connection_needs_the_end_of_tls(certificates: Certificates) -> None:
    """Else nobody knows whether it was cut short (RFC 9112, section 9.8)."""
    with connected(hang_up(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"), certificates=certificates) as connection:
        response = exchange(connection)
        assert response.error is not None
        assert (response.error.kind, response.status, connection.reusable) == (ErrorKind.CLOSED, 0, False)


def test_a_body_whose_length_is_known_does_not(certificates: Certificates) -> None:
    script = hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", b"lo")
    with connected(script, certificates=certificates) as connection:
        assert exchange(connection).content == b"hello"


def stall(*pieces: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.answer(*pieces)
        peer.wait_for_end()

    return script


def hang_up(*pieces: bytes) -> Script:
    return lambda peer: peer.answer(*pieces)


def reset(*pieces: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.answer(*pieces, pause_s=0.01)
        peer.reset()

    return script


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
SHORT = "nothing to read for 0.1 s"
FAILED: dict[str, tuple[Script, ErrorKind, str, bool]] = {
    "no answer": (stall(), ErrorKind.READ_TIMEOUT, SHORT, True),
    "half a head": (stall(HALF[:20]), ErrorKind.READ_TIMEOUT, SHORT, False),
    "half a body": (stall(HALF), ErrorKind.READ_TIMEOUT, SHORT, False),
    "an interim answer alone": (stall(b"HTTP/1.1 100 C\r\n\r\n"), ErrorKind.READ_TIMEOUT, SHORT, False),
    "closed without an answer": (hang_up(), ErrorKind.CLOSED, "closed without an answer", True),
    "closed in the head": (hang_up(HALF[:20]), ErrorKind.CLOSED, "closed in the middle of the answer", False),
    "closed in the body": (hang_up(HALF), ErrorKind.CLOSED, "closed in the middle of the answer", False),
    "reset without an answer": (reset(), ErrorKind.RESET, "the connection was reset", True),
    "reset in the body": (reset(HALF), ErrorKind.RESET, "the connection was reset", False),
    "garbage": (
        stall(b"\0\1\2\3"),
        ErrorKind.PROTOCOL,
        "not a readable HTTP answer: Expected HTTP/, RTSP/ or ICE/",
        False,
    ),
    "a body over the bound": (
        stall(content(b"x" * (LIMIT + 1))),
        ErrorKind.TOO_LARGE,
        f"the body exceeds {LIMIT} bytes",
        False,
    ),
}


@pytest.mark.parametrize(("script", "kind", "text", "unanswered"), FAILED.values(), ids=FAILED)
def test_a_failure_is_in_the_response(script: Script, kind: ErrorKind, text: str, unanswered: bool) -> None:
    with connected(script, Timeouts(read_s=0.1)) as connection:
        response = exchange(connection)
        assert response.error is not None
        assert (response.error.kind, response.error.text) == (kind, text)
        assert response.error.__traceback__ is response.error.__context__ is None
        assert (response.status, response.content, len(response.headers)) == (0, b"", 0)
        assert connection.unanswered is unanswered
        assert not connection.reusable
        assert response.bytes_sent == len(REQUEST)
        assert sum(response.timings) >= response.duration_us > 0


def test_two_answers_in_one_packet_are_one_and_the_end_of_the_connection() -> None:
    with connected(stall(content(b"one") + content(b"two"))) as connection:
        response = exchange(connection)
        assert (response.error, response.content) == (None, b"one")
        assert not connection.reusable, "nobody may take the second one for the answer to another request"


def drip(peer: Peer) -> None:
    peer.request()
    while True:
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n", pause_s=0.02)


def flood(peer: Peer) -> None:
    peer.request()
    while True:
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 1000)


TOTAL: dict[str, tuple[Script, Timeouts, str]] = {
    "the whole has a bound": (drip, Timeouts(read_s=0.1, total_s=0.15), "not finished within 0.15 s in all"),
    "also for who never stops talking": (
        flood,
        Timeouts(read_s=0.1, total_s=0.15),
        "not finished within 0.15 s in all",
    ),
    "the whole is bounded more tightly": (stall(), Timeouts(read_s=5, total_s=0.1), "not finished within 0.1 s in all"),
    "silence is bounded more tightly": (stall(), Timeouts(read_s=0.1, total_s=5), "nothing to read for 0.1 s"),
}


@pytest.mark.parametrize("own", [True, False], ids=["the connection's own", "this request's"])
@pytest.mark.parametrize(("script", "timeouts", "text"), TOTAL.values(), ids=TOTAL)
@pytest.mark.alone
def test_time_outs_end_a_request(script: Script, timeouts: Timeouts, text: str, own: bool) -> None:
    with connected(script, timeouts if own else None) as connection:
        began = time.monotonic()
        response = exchange(connection, timeouts=timeouts)
        assert response.error is not None
        assert (response.error.kind, response.error.text) == (ErrorKind.READ_TIMEOUT, text)
        assert 0.09 <= time.monotonic() - began <= 1
        assert 90_000 <= response.duration_us <= 1_000_000


def slow(peer: Peer) -> None:
    while peer.request():
        gevent.sleep(0.03)
        peer.send(content(b"slow"))


def test_the_waits_of_many_requests_do_not_add_up_to_a_silence() -> None:
    with connected(slow, Timeouts(read_s=0.1)) as connection:
        for _ in range(8):
            response = exchange(connection)
            assert (response.error, response.content) == (None, b"slow")


def late_but_there(peer: Peer) -> None:
    """The answer is in the client's socket when the whole process, and so the client's timer, is late."""
    peer.request()
    gevent.sleep(0.02)
    peer.socket.sendall(content(b"late"))
    time.sleep(0.1)
    peer.wait_for_end()


def test_an_answer_that_is_there_is_read_however_late_the_generator_is() -> None:
    for timeouts in (Timeouts(read_s=0.05), Timeouts(read_s=5, total_s=0.05)):
        with connected(late_but_there, timeouts) as connection:
            response = exchange(connection)
            assert (response.error, response.content) == (None, b"late")
            assert response.duration_us >= 100_000


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_request_larger_than_the_buffers_is_sent(certificates: Certificates, secure: bool) -> None:
    lengths = []

    def script(peer: Peer) -> None:
        gevent.sleep(0.02)
        lengths.append(len(peer.request()))
        peer.send(content(b"thanks"))

    payload = post(BIG)
    with connected(script, certificates=certificates if secure else None) as connection:
        response = exchange(connection, payload)
        assert (response.error, response.content) == (None, b"thanks")
        assert lengths == [len(payload)]
        assert response.bytes_sent == len(payload) or secure
        assert response.timings.sending_us > 15_000
        assert connection.reusable


def never_read(peer: Peer) -> None:
    gevent.sleep(5)


SENDING: dict[str, tuple[Timeouts, str]] = {
    "sending has a bound": (Timeouts(send_s=0.1), "not sent within 0.1 s"),
    "the whole is bounded more tightly": (Timeouts(total_s=0.1), "not sent within 0.1 s in all"),
}


@pytest.mark.parametrize(("timeouts", "text"), SENDING.values(), ids=SENDING)
def test_a_request_that_nobody_reads_is_an_error(timeouts: Timeouts, text: str) -> None:
    with connected(never_read, timeouts) as connection:
        response = exchange(connection, post(BIG))
        assert response.error is not None
        assert (response.error.kind, response.error.text) == (ErrorKind.SEND, text)
        assert 0 < response.bytes_sent < len(BIG)
        assert response.timings.sending_us >= 90_000
        assert response.timings.waiting_us == 0


def test_an_answer_before_the_request_was_read_is_an_answer() -> None:
    def script(peer: Peer) -> None:
        peer.socket.recv(1000)
        peer.send(content(b"no", "413 Content Too Large"))
        gevent.sleep(1)

    with connected(script) as connection:
        response = exchange(connection, post(BIG))
        assert (response.error, response.status, response.content) == (None, 413, b"no")
        assert response.bytes_sent < len(BIG)
        assert not connection.reusable, "the rest of the request was never sent"


def test_an_interim_answer_does_not_stop_the_sending() -> None:
    def script(peer: Peer) -> None:
        peer.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        gevent.sleep(0.02)
        peer.answer(content(b"thanks"))

    with connected(script) as connection:
        response = exchange(connection, post(BIG))
        assert (response.error, response.content, connection.reusable) == (None, b"thanks", True)


def test_a_connection_that_ends_while_sending_is_an_error() -> None:
    def script(peer: Peer) -> None:
        peer.socket.recv(1000)
        peer.reset()

    with connected(script) as connection:
        response = exchange(connection, post(BIG))
        assert response.error is not None
        assert response.error.kind in (ErrorKind.RESET, ErrorKind.CLOSED)
        assert connection.unanswered


def test_the_clock_is_read_at_the_edges() -> None:
    def script(peer: Peer) -> None:
        peer.request()
        gevent.sleep(0.05)
        peer.send(HALF)
        gevent.sleep(0.08)
        peer.send(b"andaha")

    with connected(script) as connection:
        response = exchange(connection)
        timings = response.timings
        assert response.content == b"halfandaha"
        assert 0 <= timings.sending_us < 20_000
        assert 48_000 <= timings.waiting_us < 75_000
        assert 75_000 <= timings.receiving_us < 110_000
        assert (timings.blocked_us, timings.connecting_us, timings.tls_handshaking_us) == (0, 0, 0)
        assert response.done_ns == connection.last_used_ns


def test_head_is_answered_without_a_body() -> None:
    def script(peer: Peer) -> None:
        peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        peer.answer(content(b"whole"))

    with connected(script) as connection:
        response = exchange(connection, REQUEST.replace(b"GET", b"HEAD"), bodiless=True)
        assert (response.error, response.status, response.content) == (None, 200, b"")
        assert response.headers["content-length"] == "5"
        assert exchange(connection).content == b"whole"


CLEAN: dict[str, tuple[bytes | None, bool]] = {
    "nothing came": (b"", True),
    "something came that nobody asked for": (b"HTTP/1.1 408 Request Timeout\r\n\r\n", False),
    "the server closed": (None, False),
}


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("after", "clean"), CLEAN.values(), ids=CLEAN)
def test_an_idle_connection_is_looked_at(
    certificates: Certificates, after: bytes | None, clean: bool, secure: bool
) -> None:
    answered = Event()

    def script(peer: Peer) -> None:
        peer.answer(content(b"x"))
        answered.wait()
        if after is not None:
            peer.send(after)
            peer.wait_for_end()

    with connected(script, certificates=certificates if secure else None) as connection:
        assert exchange(connection).error is None
        answered.set()
        gevent.sleep(0.02)
        assert connection.is_clean() is clean


def test_an_idle_connection_that_was_reset_is_not_clean() -> None:
    answered = Event()

    def script(peer: Peer) -> None:
        peer.answer(content(b"x"))
        answered.wait()
        peer.reset()

    with connected(script) as connection:
        assert exchange(connection).error is None
        answered.set()
        gevent.sleep(0.02)
        assert not connection.is_clean()


def test_it_can_be_closed_twice() -> None:
    with connected(echo) as connection:
        connection.close()
        connection.close()


def test_a_turn_lets_timers_go_on() -> None:
    fired = []
    get_hub().loop.update_now()
    gevent.spawn_later(0.001, fired.append, "timer")
    time.sleep(0.01)
    http_connection._turn()
    assert fired == ["timer"]
