from __future__ import annotations

import os
import socket
import ssl
import subprocess
import time

import gevent
import gevent.event
import pytest

from pika_locust.wire.websocket import Close, WebSocket, connect
from tests.wire.http_servers import Certificates, Peer, serving
from tests.wire.websocket_servers import (
    Seen,
    Talk,
    another_process,
    echoing,
    frame,
    sending,
    switching,
    talking,
    until,
)

pytestmark = pytest.mark.usefixtures("patience")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
@pytest.mark.parametrize("size", [0, 5, 126, 16_384, 70_000, 1 << 20])
def test_messages_over_tls(certificates: Certificates, size: int, version: ssl.TLSVersion) -> None:
    with talking(echoing, certificates=certificates, tls_version=version) as (opened, seen):
        for number in range(3):
            assert opened.send(b"%d" % number * size)
        until(lambda: len(seen.texts) == 3)
        opened.close(4000, "done")
        until(lambda: seen.closes)
    assert seen.texts == [b"%d" % number * size for number in range(3)]
    assert seen.closes == [Close(4000, "done", by_us=True)]


def test_many_small_frames_in_one_tls_record(certificates: Certificates) -> None:
    wanted = [b"%d" % number for number in range(1500)]
    data = b"".join(map(frame, wanted))
    assert len(data) < 16_384, "or it is not one record"
    with talking(sending(data), certificates=certificates) as (_, seen):
        until(lambda: len(seen.texts) >= 1500)
    assert seen.texts == wanted
    assert len(set(seen.stamps)) == 1


def test_what_comes_in_one_tls_record_with_the_answer_to_the_upgrade_is_handed_over_at_once(
    certificates: Certificates,
) -> None:
    def script(peer: Peer) -> None:
        peer.send(switching(peer.request()) + frame(b"first") + frame(b"second"))
        peer.wait_for_end()

    with serving(script, tls=certificates.server_context()) as server:
        seen = Seen()
        opened = connect(f"wss://127.0.0.1:{server.port}/", seen, ca_file=certificates.authority)
        assert seen.order == []
        until(lambda: len(seen.texts) == 2, 0.5)
        opened.abort()


def test_an_abort_before_that_is_the_end(certificates: Certificates) -> None:
    with serving(
        lambda peer: peer.send(switching(peer.request()) + frame(b"x")), tls=certificates.server_context()
    ) as server:
        seen = Seen()
        connect(f"wss://127.0.0.1:{server.port}/", seen, ca_file=certificates.authority).abort()
        gevent.sleep(0.02)
    assert seen.order == ["close"]


@pytest.mark.parametrize("how", ["with its farewell", "without", "by a reset"])
def test_the_end_of_a_tls_connection_is_1006(certificates: Certificates, how: str) -> None:
    def script(talk: Talk) -> None:
        talk.send(frame(b"before"))
        talk.frame()
        if how == "with its farewell":
            talk.peer.socket.unwrap()
        elif how == "by a reset":
            talk.peer.reset()

    with talking(script, certificates=certificates) as (opened, seen):
        until(lambda: seen.texts)
        opened.send(b"end it")
        until(lambda: seen.closes)
    (close,) = seen.closes
    assert (close.code, close.by_us) == (1006, False)
    assert close.error


def test_garbage_in_the_place_of_tls_is_1006(certificates: Certificates) -> None:
    def script(talk: Talk) -> None:
        os.write(talk.peer.socket.fileno(), b"\x81\x05hello, in the clear")
        gevent.sleep(5)

    with talking(script, certificates=certificates) as (_, seen):
        until(lambda: seen.closes)
    assert [close.code for close in seen.closes] == [1006]
    assert seen.closes[0].error.startswith("the connection broke: ")


FLOOD = """
    import socket, ssl, sys
    from tests.wire.websocket_servers import frame, switching

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    raw, _ = listener.accept()
    connection = context.wrap_socket(raw, server_side=True)
    connection.sendall(switching(connection.recv(65536)))
    records = frame(b"x" * 16000) * 16
    try:
        while True:
            connection.sendall(records)
    except OSError:
        pass
"""


@pytest.mark.alone
def test_a_tls_server_that_never_pauses_does_not_hold_the_event_loop(certificates: Certificates) -> None:
    class Working(Seen):
        def on_text(self, payload: bytes, at_ns: int) -> None:
            self.texts.append(payload[:1])
            end = time.perf_counter() + 0.0005
            while time.perf_counter() < end:
                pass

    with another_process(FLOOD, certificates.chain, certificates.key) as (port, _):
        seen = Working()
        opened = connect(f"wss://127.0.0.1:{port}/", seen, ca_file=certificates.authority)
        gaps = []
        end = time.monotonic() + 0.6
        while (now := time.monotonic()) < end:
            gevent.sleep(0.001)
            gaps.append(time.monotonic() - now)
        opened.abort()
    assert len(seen.texts) > 100
    assert max(gaps) < 0.2


class OpenSslServer:
    """`openssl s_server`, which can be told to renegotiate and to change keys in the middle of a connection."""

    def __init__(self, certificates: Certificates, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = ["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}", "-cert", certificates.chain]
        self._process = subprocess.Popen(
            [*command, "-key", certificates.key, "-naccept", "1", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.output = b""
        self.wait_for(b"ACCEPT")

    def wait_for(self, words: bytes) -> None:
        """Read until these words have come, in the greenlet's own time."""
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

        def come() -> bool:
            try:
                self.output += os.read(self._process.stdout.fileno(), 65536)  # type: ignore[union-attr]
            except BlockingIOError:
                pass
            return words in self.output

        until(come)

    def say(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()
        gevent.sleep(0.05)

    def upgrade(self) -> None:
        self.wait_for(b"\r\n\r\n")
        self.say(switching(self.output[self.output.index(b"GET ") :]))

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


TLS_TALK: dict[str, tuple[tuple[str, ...], bytes]] = {
    "new keys of TLS 1.3": (("-tls1_3",), b"k\n"),
    "new keys of TLS 1.3 on both sides": (("-tls1_3",), b"K\n"),
    "a renegotiation of TLS 1.2": (("-tls1_2",), b"r\n"),
    "tickets and nothing else": (("-tls1_3", "-num_tickets", "5"), b""),
}


@pytest.mark.parametrize(("options", "command"), TLS_TALK.values(), ids=TLS_TALK)
@pytest.mark.alone
def test_what_tls_says_for_itself_neither_blocks_nor_is_heard(
    certificates: Certificates, options: tuple[str, ...], command: bytes
) -> None:
    server = OpenSslServer(certificates, *options)
    opened: WebSocket | None = None
    try:
        upgrading = gevent.spawn(server.upgrade)
        seen = Seen()
        opened = connect(f"wss://127.0.0.1:{server.port}/", seen, ca_file=certificates.authority)
        upgrading.get()
        server.say(frame(b"before the talk!\n"))
        until(lambda: seen.texts)
        for number in range(3):
            if command:
                server.say(command)
            longest = [0.0]

            def tick(longest: list[float] = longest) -> None:
                for _ in range(20):
                    began = time.monotonic()
                    gevent.sleep(0.001)
                    longest[0] = max(longest[0], time.monotonic() - began)

            tick()
            assert longest[0] < 0.1
            assert opened.send(b"x" * 30)
            server.say(frame(b"behind the talk\n"))
            until(lambda number=number: len(seen.texts) == 2 + number)  # type: ignore[misc]
        assert seen.closes == []
        assert opened.is_open
    finally:
        if opened is not None:
            opened.abort()
        server.stop()
