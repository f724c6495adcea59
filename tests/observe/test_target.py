from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import psutil
import pytest

from pika_locust.clock import monotonic
from pika_locust.errors import UnreadableError
from pika_locust.observe.target import HealthProbe, Outages, ProcessMemory, listening_pid, read_json
from pika_locust.wire.http_tls import client_context
from tests.wire.http_servers import Certificates, Peer, content, serving


@pytest.fixture(autouse=True)
def _no_longer_than_this() -> Iterator[None]:
    with gevent.Timeout(10):
        yield


def answering(*pieces: bytes, every_s: float = 0.0) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        while peer.request():
            for piece in pieces:
                peer.send(piece)
                gevent.sleep(every_s)

    return script


UNREADABLE: dict[str, tuple[bytes, str, int]] = {
    "no success": (content(b"out of\r\n order", "503 Nope"), "was answered 503 Nope (out of order)", 503),
    "refused": (content(b"", "401 Unauthorized"), "was answered 401 Unauthorized", 401),
    "a redirect elsewhere": (
        content(b"", "301 Moved", "Location: https://other.example/x"),
        "was answered 301 Moved to https://other.example/x",
        301,
    ),
    "no JSON": (content(b"<html>"), "was answered 200 OK (<html>): no JSON", 200),
    "nothing": (content(b""), "was answered 200 OK: no JSON", 200),
    "JSON that is too deep": (content(b"[" * 100_000), f"was answered 200 OK ({'[' * 120}): no JSON", 200),
}


@pytest.mark.parametrize(("answer", "why", "status"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_document_says_what_it_is(answer: bytes, why: str, status: int) -> None:
    with serving(answering(answer)) as server, pytest.raises(UnreadableError) as caught:
        read_json(f"http://alice:pa55@127.0.0.1:{server.port}/held?of=me")
    assert str(caught.value) == f"GET http://127.0.0.1:{server.port}/held?of=me {why}"
    assert caught.value.status == status


def test_a_document_is_asked_for_with_the_headers_and_the_credentials_of_the_url() -> None:
    with serving(answering(content(b'{"count": 3}'))) as server:
        found = read_json(f"http://alice:pa55@127.0.0.1:{server.port}/held?of=me", {"X-Run": "7"})
    assert found == {"count": 3}
    (request,) = server.requests
    assert request.startswith(b"GET /held?of=me HTTP/1.1\r\n")
    assert b"Authorization: Basic YWxpY2U6cGE1NQ==\r\n" in request
    assert b"X-Run: 7\r\n" in request


def test_a_redirect_on_the_same_host_is_followed() -> None:
    def script(peer: Peer) -> None:
        while request := peer.request():
            peer.send(content(b"[1]") if b" /there " in request else content(b"", "302 Found", "Location: /there"))

    with serving(script) as server:
        assert read_json(f"http://127.0.0.1:{server.port}/here") == [1]


def test_an_answer_that_trickles_has_an_end() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    with serving(answering(head, *[b" "] * 1000, every_s=0.02)) as server, pytest.raises(UnreadableError) as caught:
        read_json(f"http://127.0.0.1:{server.port}/", within_s=0.3)
    assert "0.3 s" in str(caught.value)


@pytest.mark.alone
def test_redirects_have_one_end_together() -> None:
    def script(peer: Peer) -> None:
        while peer.request():
            gevent.sleep(0.2)
            peer.send(content(b"", "302 Found", "Location: /on"))

    began_s = monotonic()
    with serving(script) as server, pytest.raises(UnreadableError, match=r"no answer within 0\.3 s"):
        read_json(f"http://127.0.0.1:{server.port}/", within_s=0.3)
    assert monotonic() - began_s < 0.5


def test_an_answer_without_an_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pika_locust.observe.target.MAX_ANSWER_BYTES", 100_000)
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    script = answering(endless, *[b"2710\r\n" + b" " * 10_000 + b"\r\n"] * 50)
    with serving(script) as server, pytest.raises(UnreadableError, match=r"100,?000"):
        read_json(f"http://127.0.0.1:{server.port}/")


def test_nobody_there() -> None:
    with pytest.raises(UnreadableError, match=r"GET http://127\.0\.0\.1:1/x: 127\.0\.0\.1:1 refused the connection"):
        read_json("http://127.0.0.1:1/x")


def test_a_certificate_is_trusted_as_the_loads_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = Certificates(tmp_path)
    client_context.cache_clear()
    with serving(answering(content(b"{}")), tls=certificates.server_context()) as server:
        url = f"https://localhost:{server.port}/"
        with pytest.raises(UnreadableError, match="certificate"):
            read_json(url)
        client_context.cache_clear()
        monkeypatch.setenv("SSL_CERT_FILE", certificates.authority)
        assert read_json(url) == {}
    client_context.cache_clear()


def test_health_is_a_2xx_and_its_round_trip() -> None:
    with serving(answering(content(b"ok", "200 OK", "X-Pika-Sandbox: pika"))) as server:
        probe = HealthProbe(f"http://127.0.0.1:{server.port}/health")
        answers = [probe.poll(), probe.poll()]
        probe.close()
    assert [(answer.ok, answer.sandbox) for answer in answers] == [(True, "pika")] * 2
    assert all(0 < answer.latency_us < 5_000_000 for answer in answers)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "script",
    [answering(content(b"", "503 Busy")), answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000_000), answering(b"?")],
    ids=["no success", "a page without an end", "no HTTP"],
)
def test_a_page_that_is_none_is_no_health(script: Callable[[Peer], None]) -> None:
    with serving(script) as server:
        probe = HealthProbe(f"http://127.0.0.1:{server.port}/health", within_s=1.0)
        assert not probe.poll().ok
        probe.close()


def test_a_health_page_says_what_is_wrong_with_it() -> None:
    with serving(answering(content(b"no database", "503 Busy"))) as server:
        probe = HealthProbe(f"http://127.0.0.1:{server.port}/health")
        answer = probe.poll()
        probe.close()
    assert answer is not None
    assert answer.problem == "answered 503 Busy (no database)"


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ([], ""),
        (["", "", ""], ""),
        (["refused", "refused"], ""),
        (["refused", "", "refused", "answered 503", ""], "from 0:02 to 0:04 (refused)"),
        (["", "refused", "", "answered 503", "refused"], "from 0:01 to 0:02 (refused), from 0:03 on (answered 503)"),
        (
            ["", *["refused", ""] * 7],
            (
                "from 0:01 to 0:02 (refused), from 0:03 to 0:04 (refused), from 0:05 to 0:06 (refused), "
                "from 0:07 to 0:08 (refused), from 0:09 to 0:10 (refused), and 2 times more"
            ),
        ),
    ],
    ids=["not asked", "always there", "never there", "away and back", "twice, and away at the end", "again and again"],
)
def test_an_outage_is_from_the_first_look_that_failed_to_the_first_that_did_not(seen: list[str], told: str) -> None:
    outages = Outages()
    for second, problem in enumerate(seen):
        outages.note(problem, 1000.0 + second)
    assert outages.describe(1000.0) == (told and f"the target's health page was not answered {told}")


def test_a_child_that_ends_while_memory_is_added_up_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    own = ProcessMemory(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        child = psutil.Process(process.pid)
        process.communicate(b"\n")
    monkeypatch.setattr(psutil.Process, "children", lambda self, recursive: [child])
    used_mb = own.poll()
    assert used_mb is not None
    assert used_mb > 5
    # What cannot be seen is not nothing.
    monkeypatch.setattr(child, "memory_info", hidden)
    assert own.poll() is None


def hidden() -> None:
    raise psutil.AccessDenied


LISTENING = """
import socket, sys, time
with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET) as listener:
    listener.bind((sys.argv[1], 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_process_that_listens_is_found(address: str) -> None:
    with subprocess.Popen([sys.executable, "-c", LISTENING, address], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            assert listening_pid("localhost", port) == process.pid
            with socket.create_connection((address, port)) as connected:
                assert listening_pid("localhost", connected.getsockname()[1]) is None, "connected is not listening"
        finally:
            process.kill()
    assert listening_pid("localhost", port) is None


def test_what_listens_on_another_machine_is_not_looked_for() -> None:
    assert listening_pid("192.0.2.1", 80) is None
    assert listening_pid("no such host", 80) is None
