from __future__ import annotations

import gc
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import get_hub
from gevent import socket as gevent_socket

from pika_locust.wire import http_dial as http_origin
from pika_locust.wire import websocket_handshake as handshake
from pika_locust.wire.websocket_handshake import ConnectError, open_socket
from tests.open_files import no_file_left
from tests.wire.http_servers import Certificates, Peer, content, serving
from tests.wire.websocket_servers import frame, open_files, switching, until

pytestmark = pytest.mark.usefixtures("patience")


def accepting(peer: Peer) -> None:
    peer.send(switching(peer.request()))
    peer.wait_for_end()


def dial(url: str, **options: Any) -> Any:
    return open_socket(url, **{"headers": {}, "timeout_s": 5.0, **options})[0]


def failure(url: str, **options: Any) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        dial(url, **options)
    return caught.value


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# What is asked for


def choosing(*subprotocol: str) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.send(switching(peer.request(), *(f"Sec-WebSocket-Protocol: {name}" for name in subprotocol)))
        peer.wait_for_end()

    return script


def test_the_server_chooses_one_of_the_subprotocols_that_are_offered() -> None:
    with serving(choosing("chat.V2")) as server:
        sock, chosen = open_socket(
            f"ws://127.0.0.1:{server.port}/", headers={}, timeout_s=5.0, subprotocols=("chat.V1", "chat.V2")
        )
        sock.close()
    assert chosen == "chat.V2"
    assert b"Sec-WebSocket-Protocol: chat.V1, chat.V2\r\n" in server.requests[0]


@pytest.mark.parametrize(
    ("chosen", "named"), [((), "None"), (("chat",), "'chat'"), (("CHAT.V1",), "'CHAT.V1'")], ids=["none", "one", "case"]
)
def test_a_subprotocol_that_was_not_offered_is_refused(chosen: tuple[str, ...], named: str) -> None:
    with serving(choosing(*chosen)) as server:
        error = failure(f"ws://127.0.0.1:{server.port}/", subprotocols=("chat.v1", "chat.v2"))
    assert error.kind == "protocol"
    assert str(error) == f"the server chose the subprotocol {named}; offered were chat.v1, chat.v2"


def test_the_request_has_what_the_protocol_asks_for_and_what_the_caller_adds() -> None:
    with serving(accepting) as server:
        headers = {"X-Pika-Client": "pika-load-test", "Authorization": "Bearer abc"}
        dial(f"ws://127.0.0.1:{server.port}/ws?channel=7&name=a%20b", headers=headers).close()
    (request,) = server.requests
    first, *lines = request.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert first == "GET /ws?channel=7&name=a%20b HTTP/1.1"
    fields = dict(line.split(": ", 1) for line in lines)
    assert len(fields.pop("Sec-WebSocket-Key")) == 24
    assert fields == {
        "Host": f"127.0.0.1:{server.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        **headers,
    }, "no Origin and no extension"


def fields_of(url: str, headers: dict[str, str] | None = None) -> tuple[str, list[str]]:
    """What a server at `url`, which has {port} in it, is asked: the first line, and the headers."""
    with serving(accepting) as server:
        dial(url.format(port=server.port), headers=headers or {}).close()
    first, *lines = server.requests[0].decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    return first, lines


def test_what_a_request_line_cannot_hold_is_encoded() -> None:
    first, _ = fields_of("ws://127.0.0.1:{port}/a b/ü/?name=a b")
    assert first == "GET /a%20b/%C3%BC/?name=a%20b HTTP/1.1"


def test_credentials_of_the_url_are_basic_authentication() -> None:
    _, lines = fields_of("ws://alice:pa55@127.0.0.1:{port}/ws")
    assert lines.count("Authorization: Basic YWxpY2U6cGE1NQ==") == 1
    assert not any("alice" in line for line in lines)
    _, lines = fields_of("ws://alice:pa55@127.0.0.1:{port}/ws", {"authorization": "Bearer abc"})
    assert [line for line in lines if line.lower().startswith("authorization")] == ["authorization: Bearer abc"]


def test_a_host_of_the_callers_takes_the_place_of_the_urls() -> None:
    _, lines = fields_of("ws://127.0.0.1:{port}/ws", {"host": "app.example"})
    assert [line for line in lines if line.lower().startswith("host")] == ["Host: app.example"]


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"X": "a\r\nEvil: 1"}, "a header's value has a line break"),
        ({"X Y": "a"}, "'X Y' cannot be the name of a header"),
        ({"X-Name": "Zoë ✓"}, "beyond Latin-1"),
        ({"upgrade": "h2c"}, "upgrade is the upgrade's own; leave it out"),
        ({"Sec-WebSocket-Key": "a"}, "Sec-WebSocket-Key is the upgrade's own"),
        ({"Sec-WebSocket-Protocol": "chat"}, "subprotocols="),
    ],
)
def test_a_header_that_cannot_be_sent_is_the_callers_mistake(headers: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        dial("ws://127.0.0.1:1/", headers=headers)
    assert problem in str(caught.value)


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
def test_the_source_address_is_where_the_connection_comes_from(certificates: Certificates, tls: bool) -> None:
    with serving(accepting, tls=certificates.server_context() if tls else None) as server:
        scheme = "wss" if tls else "ws"
        for address in ("127.0.8.1", "127.0.8.2"):
            dial(f"{scheme}://127.0.0.1:{server.port}/", source_address=address, verify=False).close()
        assert [peer.address[0] for peer in server.peers] == ["127.0.8.1", "127.0.8.2"]


def test_a_source_address_that_is_not_ours_is_this_machines_limit() -> None:
    with serving(accepting) as server:
        error = failure(f"ws://127.0.0.1:{server.port}/", source_address="192.0.2.1")
    assert error.kind == "local"
    assert "source address" in str(error)


def test_a_source_address_needs_a_target_of_its_kind() -> None:
    error = failure("ws://127.0.0.1:1/", source_address="::1")
    assert (error.kind, str(error)) == ("address", "the target has no IPv6 address for the source address")


def test_every_key_is_another() -> None:
    with serving(accepting) as server:
        for _ in range(5):
            dial(f"ws://127.0.0.1:{server.port}").close()
    keys = {line for request in server.requests for line in request.split(b"\r\n") if b"-Key:" in line}
    assert len(keys) == 5


def test_cookies_of_one_user_are_not_sent_for_another() -> None:
    def script(peer: Peer) -> None:
        peer.send(switching(peer.request(), "Set-Cookie: session=one; Domain=localhost; Path=/"))
        peer.wait_for_end()

    with serving(script) as server:
        for _ in range(2):
            dial(f"ws://localhost:{server.port}/").close()
    assert [b"cookie" in request.lower() for request in server.requests] == [False, False]


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
        monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{closed_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with serving(accepting) as server:
        dial(f"ws://127.0.0.1:{server.port}").close()
    assert len(server.requests) == 1


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_bytes_that_come_with_the_answer_stay_in_the_socket(certificates: Certificates, tls: bool) -> None:
    more = frame(b"first") + frame(b"second" * 1000)

    def script(peer: Peer) -> None:
        peer.send(switching(peer.request()) + more)
        peer.wait_for_end()

    with serving(script, tls=certificates.server_context() if tls else None) as server:
        url = f"{'wss' if tls else 'ws'}://127.0.0.1:{server.port}/"
        sock = dial(url, ca_file=certificates.authority)
        got = b""
        while len(got) < len(more):
            got += sock.recv(65536)
        assert got == more
        sock.close()


def test_the_socket_is_told_not_to_wait_for_more_before_it_sends() -> None:
    with serving(accepting) as server:
        sock = dial(f"ws://127.0.0.1:{server.port}")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.gettimeout() is None
        sock.close()


def test_other_greenlets_go_on_meanwhile() -> None:
    """Also in this process, in which nothing is patched."""
    ticks = []

    def script(peer: Peer) -> None:
        request = peer.request()
        for _ in range(20):
            gevent.sleep(0.002)
            ticks.append(time.monotonic())
        peer.send(switching(request))
        peer.wait_for_end()

    with serving(script) as server:
        dial(f"ws://127.0.0.1:{server.port}").close()
    assert len(ticks) == 20


# Addresses


def test_an_address_of_ipv6() -> None:
    with serving(accepting, host="::1") as server:
        dial(f"ws://[::1]:{server.port}/").close()
    assert b"Host: [::1]:" in server.requests[0]


def test_a_name_is_looked_up_once_for_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look_up(host: str, port: int, *_: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(http_origin, "getaddrinfo", look_up)
    with serving(accepting) as server:
        for path in ("", "/", "/ws", "/ws?x=1"):
            dial(f"ws://pika.test:{server.port}{path}").close()
    assert asked == ["pika.test"]
    assert b"Host: pika.test:" in server.requests[0]


@contextmanager
def silent_port() -> Iterator[int]:
    """A port where attempts are dropped, as its queue is full: so a silent host looks on loopback."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    for _ in range(4):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(full.getsockname())
        waiting.append(sock)
    yield int(full.getsockname()[1])
    for sock in (*waiting, full):
        sock.close()


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ports of 127.0.0.1 that stand for the host `some.test`."""
    ports: list[int] = []

    def look_up(*_: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

    monkeypatch.setattr(http_origin, "getaddrinfo", look_up)
    handshake._shared_origin.cache_clear()
    return ports


@pytest.mark.parametrize("first", ["refuses", "is silent"])
@pytest.mark.alone
def test_the_next_address_is_tried_when_one(first: str, found: list[int]) -> None:
    with serving(accepting) as server, silent_port() as silent:
        found += [closed_port() if first == "refuses" else silent, server.port]
        began = time.monotonic()
        dial("ws://some.test/", timeout_s=0.4).close()
        assert time.monotonic() - began < 0.35


ALL_FAIL: dict[str, tuple[bool, bool, str, str]] = {
    "all refuse": (True, True, "refused", "connection refused"),
    "all are silent": (False, False, "timeout", "no connection within 0.2 s"),
    "the last one refuses": (False, True, "refused", "connection refused"),
}


@pytest.mark.parametrize(("first", "second", "kind", "text"), ALL_FAIL.values(), ids=ALL_FAIL)
def test_no_address_is_left_when(first: bool, second: bool, kind: str, text: str, found: list[int]) -> None:
    with silent_port() as silent:
        before = open_files()
        found += [closed_port() if refuses else silent for refuses in (first, second)]
        error = failure("ws://some.test/", timeout_s=0.2)
        assert (error.kind, str(error)) == (kind, text)
        until(lambda: open_files() <= before)


# Failures


WRONG_ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
)


def saying(*pieces: bytes, pause_s: float = 0.0) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.answer(*pieces, pause_s=pause_s)
        peer.wait_for_end()

    return script


def saying_at_once(data: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.socket.recv(65536)
        peer.send(data)

    return script


def resetting(peer: Peer) -> None:
    peer.request()
    peer.reset()


def changed(old: bytes, new: bytes) -> Callable[[Peer], None]:
    """The right answer, but for one thing."""

    def script(peer: Peer) -> None:
        answer = switching(peer.request())
        assert old in answer
        peer.send(answer.replace(old, new))
        peer.wait_for_end()

    return script


FAILURES: dict[str, tuple[Callable[[Peer], None], str, int | None, str]] = {
    "404 with a body": (
        saying(content(b"no such channel\n", "404 Not Found")),
        "status",
        404,
        "the upgrade was answered 404: no such channel",
    ),
    "429 without a body": (
        saying(content(b"", "429 Too Many Requests")),
        "status",
        429,
        "the upgrade was answered 429",
    ),
    "503 with more than is worth reading": (
        saying(content(b"x" * 50_000, "503 Service Unavailable")),
        "status",
        503,
        "the upgrade was answered 503: " + "x" * 120,
    ),
    "401 without a length": (
        saying(b"HTTP/1.1 401 Unauthorized\r\n\r\n"),
        "status",
        401,
        "the upgrade was answered 401",
    ),
    "a body that is not UTF-8": (
        saying(content(b"\xff!", "500 Oops")),
        "status",
        500,
        "the upgrade was answered 500: \ufffd!",
    ),
    "200 and no upgrade": (saying(content(b"hello")), "status", 200, "the upgrade was answered 200: hello"),
    "a redirect": (
        saying(content(b"", "302 Found", "Location: ws://127.0.0.1:1/elsewhere")),
        "status",
        302,
        "the upgrade was answered 302, a redirect to ws://127.0.0.1:1/elsewhere",
    ),
    "a redirect to nowhere": (
        saying(b"HTTP/1.1 308 Permanent Redirect\r\n\r\n"),
        "status",
        308,
        "the upgrade was answered 308, a redirect",
    ),
    "a wrong answer to the key": (
        saying(WRONG_ACCEPT + b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
        "protocol",
        None,
        "not a Web",
    ),
    "no answer to the key": (changed(b"Sec-WebSocket-Accept", b"X-Accept"), "protocol", None, "not a WebSocket answer"),
    "101 without Upgrade": (changed(b"Upgrade: websocket\r\n", b""), "protocol", None, "not a WebSocket answer"),
    "an upgrade to something else": (changed(b"websocket", b"h2c"), "protocol", None, "not a WebSocket answer"),
    "an extension that nobody offered": (
        changed(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
        "protocol",
        None,
        "an extension that nobody offered",
    ),
    "a subprotocol that nobody offered": (
        changed(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: chat\r\n\r\n"),
        "protocol",
        None,
        "the server chose the subprotocol 'chat'; offered were none",
    ),
    "garbage": (saying(b"\x16\x03\x01\xff\xfe\n\x00\x00\n"), "protocol", None, "not a WebSocket answer"),
    "another protocol": (saying(b"SSH-2.0-OpenSSH_9.6\r\n"), "protocol", None, "not a WebSocket answer"),
    "an empty line": (saying(b"\r\n"), "protocol", None, "not a WebSocket answer"),
    "a header without a colon": (
        saying(b"HTTP/1.1 101 Yes\r\nnonsense\r\n\r\n"),
        "protocol",
        None,
        "not a WebSocket answer",
    ),
    "a length that is no number": (
        saying(b"HTTP/1.1 500 Oops\r\nContent-Length: many\r\n\r\n"),
        "protocol",
        None,
        "not a WebSocket answer",
    ),
    "the end before an answer": (
        lambda peer: peer.answer(),
        "closed",
        None,
        "closed the connection during the handshake",
    ),
    "the end in the middle of it": (
        lambda peer: peer.answer(b"HTTP/1.1 101 Switch"),
        "closed",
        None,
        "closed the connection during the handshake",
    ),
    "the end before the question was read": (lambda peer: None, "closed", None, "closed the connection during"),
    "a reset": (
        resetting,
        "closed",
        None,
        "closed the connection during the handshake",
    ),
}


@pytest.mark.parametrize(("script", "kind", "status", "words"), FAILURES.values(), ids=FAILURES)
def test_a_failed_upgrade_is_named(script: Callable[[Peer], None], kind: str, status: int | None, words: str) -> None:
    with serving(script) as server:
        before = open_files()
        error = failure(f"ws://127.0.0.1:{server.port}/ws")
        assert (error.kind, error.status) == (kind, status)
        assert words in str(error)
        assert error.kind != "status" or words == str(error)
        until(lambda: open_files() <= before)


def test_a_refused_connection() -> None:
    error = failure(f"ws://127.0.0.1:{closed_port()}/")
    assert (error.kind, error.status, str(error)) == ("refused", None, "connection refused")


def test_a_host_that_cannot_be_reached() -> None:
    error = failure("ws://255.255.255.255:9/")
    assert error.kind == "unreachable"
    assert str(error)


def test_an_unknown_host() -> None:
    error = failure("ws://no-such-host.invalid/")
    assert error.kind == "address"
    assert str(error).startswith("the host cannot be looked up: no-such-host.invalid")


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "127.0.0.1:8080", "ws://", "ws:///path", "", f"ws://{'x' * 64}.test/", "ws://h:0x/"],
)
def test_what_is_no_url_is_the_callers_mistake_and_not_the_targets(url: str) -> None:
    with pytest.raises(ValueError):
        dial(url)


def test_this_machines_limit_is_named() -> None:
    port = closed_port()
    with no_file_left():
        error = failure(f"ws://127.0.0.1:{port}/")
    assert error.kind == "local"
    assert str(error) == "Too many open files (this machine's limit: raise `ulimit -n`)"


def silent(peer: Peer) -> None:
    peer.request()
    gevent.sleep(9)


def dribbling(peer: Peer) -> None:
    answer = switching(peer.request())
    peer.send(*(answer[place : place + 1] for place in range(len(answer))), pause_s=0.01)


def dribbling_a_body(peer: Peer) -> None:
    peer.answer(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\n", *[b"x"] * 100, pause_s=0.01)


LATE: dict[str, Callable[[Peer], None]] = {
    "silence": silent,
    "one byte at a time": dribbling,
    "a body one byte at a time": dribbling_a_body,
    "headers without an end": saying(b"HTTP/1.1 101 Yes\r\n", *[b"X-More: x\r\n"] * 100, pause_s=0.01),
}


@pytest.mark.parametrize("script", LATE.values(), ids=LATE)
@pytest.mark.alone
def test_an_answer_that_is_not_there_in_time(script: Callable[[Peer], None]) -> None:
    with serving(script) as server:
        before = open_files()
        began = time.monotonic()
        error = failure(f"ws://127.0.0.1:{server.port}/ws", timeout_s=0.15)
        assert 0.14 < time.monotonic() - began < 0.6
        assert (error.kind, str(error)) == ("timeout", "no answer to the upgrade within 0.15 s")
        assert open_files() <= before + 1, "the server's end may still be open"


def test_a_handshake_of_tls_that_is_not_there_in_time(certificates: Certificates) -> None:
    with serving(lambda peer: gevent.sleep(9)) as server:
        before = open_files()
        error = failure(f"wss://127.0.0.1:{server.port}/", timeout_s=0.1, ca_file=certificates.authority)
        assert (error.kind, str(error)) == ("timeout", "no end of the TLS handshake within 0.1 s")
        until(lambda: open_files() <= before + 1)


def test_a_name_that_is_not_found_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_origin, "getaddrinfo", lambda *_: gevent.sleep(9))
    error = failure("ws://slow.test/", timeout_s=0.05)
    assert error.kind in ("timeout", "address")
    assert "within 0.05 s" in str(error)


def test_somebody_elses_time_out_is_not_the_targets_failure() -> None:
    with serving(silent) as server:
        before = open_files()
        with pytest.raises(gevent.Timeout) as caught, gevent.Timeout(0.05) as outer:
            dial(f"ws://127.0.0.1:{server.port}/")
        assert caught.value is outer
        until(lambda: open_files() <= before + 1)


def test_a_killed_user_leaves_no_socket() -> None:
    with serving(silent) as server:
        gevent.sleep(0)
        before = open_files(), get_hub().loop.activecnt
        user = gevent.spawn(dial, f"ws://127.0.0.1:{server.port}/")
        gevent.sleep(0.05)
        until(lambda: open_files() <= before[0] + 2)
        user.kill()
        assert isinstance(user.value, gevent.GreenletExit)
        until(lambda: open_files() <= before[0] + 1)
    until(lambda: get_hub().loop.activecnt <= before[1])


# TLS


def test_wss_works_with_the_right_authority_and_without_verification(certificates: Certificates) -> None:
    with serving(accepting, tls=certificates.server_context()) as server:
        for host in ("localhost", "127.0.0.1"):
            sock = dial(f"wss://{host}:{server.port}/ws", ca_file=certificates.authority)
            assert sock.getpeercert()["subject"] == ((("commonName", "localhost"),),)
            sock.close()
        dial(f"wss://127.0.0.1:{server.port}/ws", verify=False).close()
    assert [request.split(b" ")[1] for request in server.requests] == [b"/ws"] * 3


def test_a_certificate_that_nobody_vouches_for(certificates: Certificates) -> None:
    with serving(accepting, tls=certificates.server_context()) as server:
        before = open_files()
        error = failure(f"wss://127.0.0.1:{server.port}/")
        until(lambda: open_files() <= before)
    assert error.kind == "tls"
    assert str(error) == "the certificate is not trusted: unable to get local issuer certificate"


def test_a_certificate_for_another_host(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "")]
    monkeypatch.setattr(http_origin, "getaddrinfo", lambda host, port, *_: [(*found[0], ("127.0.0.1", port))])
    with serving(accepting, tls=certificates.server_context()) as server:
        error = failure(f"wss://other.test:{server.port}/", ca_file=certificates.authority)
        dial(f"wss://other.test:{server.port}/", verify=False).close()
    assert error.kind == "tls"
    assert "not valid for 'other.test'" in str(error)


def hanging_up(peer: Peer) -> None:
    peer.socket.recv(65536)


PLAIN_ANSWERS: dict[str, tuple[Callable[[Peer], None], str]] = {
    "that complains in HTTP": (
        saying_at_once(content(b"plain HTTP here", "400 Bad Request")),
        "TLS failed: wrong version number",
    ),
    "that hangs up": (hanging_up, "TLS failed: "),
}


@pytest.mark.parametrize(("script", "words"), PLAIN_ANSWERS.values(), ids=PLAIN_ANSWERS)
def test_tls_to_a_plain_port(certificates: Certificates, script: Callable[[Peer], None], words: str) -> None:
    with serving(script) as server:
        error = failure(f"wss://127.0.0.1:{server.port}/", ca_file=certificates.authority)
    assert error.kind == "tls"
    assert str(error).startswith(words)


def test_a_plain_connection_to_a_port_of_tls(certificates: Certificates) -> None:
    with serving(accepting, tls=certificates.server_context()) as server:
        error = failure(f"ws://127.0.0.1:{server.port}/")
    assert error.kind in ("closed", "protocol")


def test_a_context_is_made_once_for_many_connections(certificates: Certificates) -> None:
    with serving(accepting, tls=certificates.server_context()) as server:
        url = f"wss://127.0.0.1:{server.port}/"
        trusting = [dial(url, ca_file=certificates.authority) for _ in range(3)]
        careless = dial(url, verify=False)
        assert len({id(sock.context) for sock in trusting}) == 1
        assert careless.context is not trusting[0].context
        assert careless.context.verify_mode is ssl.CERT_NONE
        for sock in (*trusting, careless):
            sock.close()


def test_a_file_without_certificates_is_the_callers_mistake(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for path in (str(empty), str(tmp_path / "missing.pem")):
        with pytest.raises(ValueError, match="no certificates to trust"):
            dial("wss://127.0.0.1:1/", ca_file=path)


def test_what_failed_is_not_kept(certificates: Certificates) -> None:
    # Tests that ran before in this process may hold some.
    before = errors_alive()
    with serving(silent) as server:
        for _ in range(3):
            failure(f"ws://127.0.0.1:{server.port}/", timeout_s=0.02)
    assert errors_alive() == before


def errors_alive() -> int:
    gc.collect()
    return sum(isinstance(thing, ConnectError) for thing in gc.get_objects())


def endless_line(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"x" * 5_000_000 + b"\r\n\r\n")


def endless_lines(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\n" + b"x: y\r\n" * 800_000 + b"\r\n")


def endless_refusal(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 50000000\r\n\r\n", b"come later " * 500_000)


TOO_MUCH = {
    "one line": (endless_line, "protocol", None, "not a WebSocket answer: it exceeds 65,536 bytes"),
    "many lines": (endless_lines, "protocol", None, "not a WebSocket answer: it exceeds 65,536 bytes"),
    "a refusal": (endless_refusal, "status", 503, "the upgrade was answered 503: come later come later"),
}


@pytest.mark.parametrize(("script", "kind", "status", "words"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_an_answer_of_megabytes_is_given_up_and_others_go_on_meanwhile(
    script: Callable[[Peer], None], kind: str, status: int | None, words: str
) -> None:
    turns = [0]

    def others() -> None:
        while True:
            gevent.sleep(0.0001)
            turns[0] += 1

    with serving(script) as server:
        other = gevent.spawn(others)
        gevent.sleep(0.001)
        begun = turns[0]
        error = failure(f"ws://127.0.0.1:{server.port}/ws", timeout_s=10.0)
        other.kill()
    assert (error.kind, error.status) == (kind, status)
    assert str(error).startswith(words)
    assert status is not None or turns[0] - begun >= 3


class CountingSocket:
    """A socket that counts how often it is read."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.gettimeout = sock.gettimeout
        self.reads = 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        self.reads += 1
        data: bytes = self._sock.recv(size, flags)
        return data


@pytest.mark.parametrize("pieces", [1, 7, 10_000], ids=["at once", "in some pieces", "byte by byte"])
def test_an_answer_is_read_line_by_line_and_nothing_beyond_it(pieces: int) -> None:
    head = b"HTTP/1.1 101 Switching Protocols\r\n" + b"Upgrade: websocket\r\nX-Long: " + b"x" * 5000 + b"\r\n\r\n"
    beyond = b"\x81\x05hello\n"
    near, far = gevent_socket.socketpair()
    with near, far:

        def answer() -> None:
            size = max(1, len(head + beyond) // pieces)
            for at in range(0, len(head + beyond), size):
                far.sendall((head + beyond)[at : at + size])
                if pieces > 1 and at % 100 == 0:
                    gevent.sleep(0)
            far.shutdown(gevent_socket.SHUT_WR)

        answering = gevent.spawn(answer)
        counting = CountingSocket(near)
        reader = handshake._AnswerReader(counting)
        read = b""
        while not read.endswith(b"\r\n\r\n"):
            read += reader.recv(1)
        assert read == head
        if pieces == 1:
            answering.join()
            # Four lines, one of them longer than what is looked at in one go: each is looked at, then taken.
            assert counting.reads == 2 * 5
        rest = b"".join(iter(lambda: near.recv(100), b""))
        assert rest == beyond
        assert reader.recv(1) == b"", "the end is an end"
        answering.join()
