from __future__ import annotations

import _socket
import errno
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from socket import AF_INET, SOCK_STREAM
from typing import Any

import gevent
import pytest

from pika_locust.wire import http_dial
from pika_locust.wire import http_dial as http_origin
from pika_locust.wire.http_dial import Connector, Origin
from pika_locust.wire.http_models import ErrorKind, Timeouts, TransportError
from tests.wire.http_servers import Certificates, Peer, content, serving

pytestmark = pytest.mark.usefixtures("patience")

PATIENT = Timeouts(dns_s=5, connect_s=5, tls_s=5, send_s=5, read_s=5, total_s=5)


def ask(dial: Connector, timeouts: Timeouts = PATIENT) -> tuple[int, bytes]:
    connection = dial.connect(timeouts, timeouts.total_s, 1000)
    try:
        now = time.monotonic_ns()
        response = connection.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", now, now, False, timeouts)
        return response.status, response.content
    finally:
        connection.close()


def fail(dial: Connector, timeouts: Timeouts = PATIENT) -> TransportError:
    with pytest.raises(TransportError) as caught:
        dial.connect(timeouts, timeouts.total_s, 1000)
    return caught.value


def hello(peer: Peer) -> None:
    peer.answer(content(str(peer.address[0]).encode()))


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"])
def test_it_connects(host: str) -> None:
    with serving(hello, host=host) as server:
        dial = Connector(Origin(server.url), True, None)
        assert ask(dial) == (200, host.encode())
        assert 0 < dial.connecting_ns < 5e9
        assert dial.tls_ns == dial.bytes_sent == dial.bytes_received == 0


@pytest.mark.parametrize("source", ["127.0.8.77", "127.0.31.4"])
def test_it_sends_from_the_address_it_was_given(source: str) -> None:
    with serving(hello) as server:
        dial = Connector(Origin(server.url), True, source)
        assert ask(dial) == ask(dial) == (200, source.encode())


def test_the_port_of_a_source_address_is_chosen_when_the_target_is_known() -> None:
    with serving(hello) as server:
        connection = Connector(Origin(server.url), True, "127.0.8.77").connect(PATIENT, 5, 1000)
        assert connection._socket.getsockopt(socket.IPPROTO_IP, 24) == 1, "IP_BIND_ADDRESS_NO_PORT"
        assert connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        connection.close()


def test_a_source_address_that_is_not_ours_is_an_error() -> None:
    with serving(hello) as server:
        error = fail(Connector(Origin(server.url), True, "192.0.2.1"))
    assert error.kind is ErrorKind.LOCAL
    assert "source address" in error.text


def test_a_source_address_needs_a_target_of_its_kind() -> None:
    error = fail(Connector(Origin("http://127.0.0.1:1"), True, "::1"))
    assert (error.kind, error.text) == (
        ErrorKind.CONNECT_FAILED,
        "the target has no IPv6 address for the source address",
    )


def closed_port() -> int:
    with socket.socket(AF_INET, SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_refused_connection_is_an_error() -> None:
    port = closed_port()
    error = fail(Connector(Origin(f"http://127.0.0.1:{port}"), True, None))
    assert (error.kind, error.text) == (ErrorKind.CONNECT_REFUSED, f"127.0.0.1:{port} refused the connection")


@contextmanager
def full_listener() -> Iterator[int]:
    """A port where the kernel drops further attempts, as its queue is full and nobody accepts."""
    listener = _socket.socket(AF_INET, SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(4):
        sock = _socket.socket(AF_INET, SOCK_STREAM)
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
        waiting.append(sock)
    gevent.sleep(0.02)
    yield int(listener.getsockname()[1])
    for sock in (*waiting, listener):
        sock.close()


@pytest.mark.alone
def test_a_connection_that_nobody_accepts_is_an_error() -> None:
    with full_listener() as port:
        for timeouts in (Timeouts(connect_s=0.1), Timeouts(total_s=0.1)):
            began = time.monotonic()
            dial = Connector(Origin(f"http://127.0.0.1:{port}"), True, None)
            error = fail(dial, timeouts)
            assert (error.kind, error.text) == (
                ErrorKind.CONNECT_TIMEOUT,
                f"127.0.0.1:{port} did not accept within 0.1 s",
            )
            assert 0.09 <= time.monotonic() - began <= 1
            assert 0.09e9 <= dial.connecting_ns <= 1e9


def stand_in(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    monkeypatch.setattr(
        http_origin, "getaddrinfo", lambda *_: [(AF_INET, SOCK_STREAM, 6, "", address) for address in addresses]
    )


def test_the_next_address_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(hello) as server:
        stand_in(monkeypatch, ("127.0.0.1", closed_port()), ("127.0.0.1", server.port))
        assert ask(Connector(Origin("http://example.test"), True, None)) == (200, b"127.0.0.1")


def test_an_address_that_is_silent_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(hello) as server, full_listener() as port:
        stand_in(monkeypatch, ("127.0.0.1", port), ("127.0.0.1", server.port))
        timeouts = Timeouts(connect_s=0.2)
        assert ask(Connector(Origin("http://example.test"), True, None), timeouts) == (200, b"127.0.0.1")


def test_the_last_address_says_why_none_was_good(monkeypatch: pytest.MonkeyPatch) -> None:
    with full_listener() as port:
        stand_in(monkeypatch, ("127.0.0.1", port), ("127.0.0.1", closed_port()))
        error = fail(Connector(Origin("http://example.test"), True, None), Timeouts(connect_s=0.1))
    assert (error.kind, error.text) == (ErrorKind.CONNECT_REFUSED, "example.test refused the connection")


def test_a_name_without_addresses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    error = fail(Connector(Origin("http://example.test"), True, None))
    assert (error.kind, error.text) == (ErrorKind.DNS, "example.test has no address")


LIMITS = {
    "no file descriptors": (errno.EMFILE, ErrorKind.LOCAL, "ulimit -n"),
    "no file descriptors of the machine": (errno.ENFILE, ErrorKind.LOCAL, "ulimit -n"),
    "no ports": (errno.EADDRNOTAVAIL, ErrorKind.LOCAL, "no free port"),
    "no memory": (errno.ENOBUFS, ErrorKind.LOCAL, "no memory left"),
    "no route": (errno.ENETUNREACH, ErrorKind.CONNECT_FAILED, "Network is unreachable"),
}


@pytest.mark.parametrize(("code", "kind", "words"), LIMITS.values(), ids=LIMITS)
def test_a_limit_of_this_machine_says_so(
    monkeypatch: pytest.MonkeyPatch, code: int, kind: ErrorKind, words: str
) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(code, "Network is unreachable")

    monkeypatch.setattr(http_dial, "RawSocket", refuse)
    error = fail(Connector(Origin("http://127.0.0.1:1"), True, None))
    assert error.kind is kind
    assert words in error.text


def test_tls_is_part_of_it(certificates: Certificates) -> None:
    with serving(hello, tls=certificates.server_context()) as server:
        for verify, url in (
            (certificates.authority, server.url),
            (certificates.authority, f"https://localhost:{server.port}"),
            (False, server.url),
        ):
            dial = Connector(Origin(url), verify, "127.0.0.1")
            assert ask(dial) == (200, b"127.0.0.1")
            assert dial.tls_ns > 0
            assert dial.bytes_sent > 200
            assert dial.bytes_received > 500


def test_a_certificate_is_verified_unless_one_says_otherwise(certificates: Certificates) -> None:
    with serving(hello, tls=certificates.server_context()) as server:
        error = fail(Connector(Origin(server.url), True, None))
        assert (error.kind, error.text) == (
            ErrorKind.TLS,
            "the certificate is not trusted: unable to get local issuer certificate",
        )
        gevent.sleep(0.01)
        assert server.requests == []
    with serving(hello, host="127.0.0.2", tls=certificates.server_context()) as server:
        error = fail(Connector(Origin(server.url), certificates.authority, None))
        assert error.kind is ErrorKind.TLS
        assert "127.0.0.2" in error.text


def silent(peer: Peer) -> None:
    peer.wait_for_end()


def half(peer: Peer) -> None:
    peer.socket.recv(10)
    peer.close()


def plain(peer: Peer) -> None:
    peer.socket.recv(65536)
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    peer.wait_for_end()


def reset(peer: Peer) -> None:
    peer.socket.recv(10)
    peer.reset()


BROKEN = {
    "nobody answers": (silent, "no handshake within 0.1 s"),
    "the server hangs up": (
        half,
        "Connection reset by peer during the handshake|closed in the middle of the handshake",
    ),
    "the server resets": (reset, "Connection reset by peer during the handshake"),
    "the server speaks HTTP without TLS": (plain, "wrong version number|packet length too long"),
}


@pytest.mark.parametrize(("script", "texts"), BROKEN.values(), ids=BROKEN)
def test_a_handshake_that_fails_is_an_error(script: Any, texts: str) -> None:
    with serving(script) as server:
        dial = Connector(Origin(server.url.replace("http:", "https:")), False, None)
        error = fail(dial, Timeouts(tls_s=0.1))
        assert error.kind is ErrorKind.TLS
        assert error.text in texts.split("|")
        assert dial.tls_ns > 0


def test_a_dial_that_is_killed_closes_its_socket() -> None:
    with serving(silent) as server:
        dial = Connector(Origin(server.url.replace("http:", "https:")), False, None)
        dialling = gevent.spawn(dial.connect, PATIENT, 5, 1000)
        gevent.sleep(0.05)
        dialling.kill()
        gevent.sleep(0.02)
        assert len(server.peers) == 1
        with pytest.raises(OSError, match="Bad file descriptor"):
            server.peers[0].socket.getpeername()


def test_a_failed_dial_is_a_response() -> None:
    dial = Connector(Origin(f"http://127.0.0.1:{closed_port()}"), True, None)
    began = time.monotonic_ns()
    error = fail(dial)
    response = dial.failed(error, began)
    assert (response.status, response.content, response.failed) == (0, b"", True)
    assert response.error is not None
    assert (response.error.kind, response.error.text) == (error.kind, error.text)
    assert response.error.__traceback__ is None
    timings = response.timings
    assert timings.connecting_us == dial.connecting_ns // 1000
    assert timings.duration_us == 0
