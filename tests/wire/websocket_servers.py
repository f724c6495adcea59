"""A WebSocket server that sends the frames a test asks for; independent of `pika_locust.wire`."""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent

from pika_locust.wire.websocket import Close, Limits, WebSocket, connect
from tests.wire.http_servers import Certificates, Peer, serving

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(
    payload: bytes = b"", opcode: int = TEXT, *, final: bool = True, reserved: int = 0, masked: bool = False
) -> bytes:
    """A frame as a server writes it, unless the arguments say otherwise."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    size = len(payload)
    bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    return head + b"\0\0\0\0" * masked + payload


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(struct.pack("!H", code) + reason, CLOSE)


def unmasked(key: bytes, payload: bytes) -> bytes:
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")


def switching(request: bytes, *headers: str) -> bytes:
    """The answer that accepts an upgrade."""
    key = next(
        line.partition(b":")[2].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    return "\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept}", *headers, "", ""]).encode()


class Talk:
    """One connection after its upgrade, from the server's side."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.send = peer.send

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self.peer.socket.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    def frame(self) -> tuple[int, bytes] | None:
        """Opcode and payload of the client's next frame, None when it has closed. A client must mask (section 5.1)."""
        try:
            first, second = self._exactly(2)
        except EOFError:
            return None
        assert first & 0xF0 == 0x80, "a client here never fragments"
        assert second & 0x80, "a client must mask"
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        key = self._exactly(4)
        return first & 0x0F, unmasked(key, self._exactly(size))


Script = Callable[[Talk], None]


def upgraded(script: Script) -> Callable[[Peer], None]:
    def run(peer: Peer) -> None:
        peer.send(switching(peer.request()))
        script(Talk(peer))

    return run


def echoing(talk: Talk) -> None:
    """Echo text and binary, answer a close frame with its own payload."""
    while (received := talk.frame()) is not None:
        opcode, payload = received
        talk.send(frame(payload, opcode))
        if opcode == CLOSE:
            return


def silent(talk: Talk) -> None:
    """Read, and say nothing."""
    while talk.frame() is not None:
        pass


def sending(*pieces: bytes, pause_s: float = 0.0) -> Script:
    """Send this, then read in silence."""

    def script(talk: Talk) -> None:
        talk.send(*pieces, pause_s=pause_s)
        silent(talk)

    return script


def not_reading(talk: Talk) -> None:
    gevent.sleep(30)


class Received:
    """A script that keeps what the client sent, and answers as it is told."""

    def __init__(self, first: bytes = b"", answers: dict[int, bytes] | None = None) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.ended = False
        self._first = first
        self._answers = answers or {}

    def __call__(self, talk: Talk) -> None:
        talk.send(self._first)
        try:
            while (received := talk.frame()) is not None:
                self.frames.append(received)
                talk.send(self._answers.get(received[0], b""))
        finally:
            self.ended = True


class Seen:
    """A handler that keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.stamps: list[int] = []
        self.binaries: list[bytes] = []
        self.closes: list[Close] = []
        self.errors: list[BaseException] = []
        self.order: list[str] = []

    def on_text(self, payload: bytes, at_ns: int) -> None:
        self.order.append("text")
        self.texts.append(payload)
        self.stamps.append(at_ns)

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        self.order.append("binary")
        self.binaries.append(payload)
        self.stamps.append(at_ns)

    def on_close(self, close: Close) -> None:
        self.order.append("close")
        self.closes.append(close)

    def on_internal_error(self, error: BaseException) -> None:
        self.order.append("fault")
        self.errors.append(error)


@contextmanager
def talking(
    *scripts: Script,
    handler: Seen | None = None,
    limits: Limits | None = None,
    certificates: Certificates | None = None,
    tls_version: ssl.TLSVersion | None = None,
) -> Iterator[tuple[WebSocket, Seen]]:
    """A connection to a server that follows the script after the upgrade."""
    context = None
    if certificates is not None:
        context = certificates.server_context()
        if tls_version is not None:
            context.maximum_version = tls_version
    with serving(*map(upgraded, scripts), tls=context) as server:
        seen = handler or Seen()
        url = f"{'wss' if certificates else 'ws'}://127.0.0.1:{server.port}/ws"
        ca_file = certificates.authority if certificates else None
        opened = connect(url, seen, limits=limits or Limits(), ca_file=ca_file)
        try:
            yield opened, seen
        finally:
            opened.abort()


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        gevent.sleep(0.001)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def another_process(program: str, *arguments: str) -> Iterator[tuple[int, Callable[[str], None]]]:
    """A Python process, the port that it prints, and a way to send it a line."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def say(line: str) -> None:
            stdin.write(f"{line}\n")
            stdin.flush()

        try:
            yield int(stdout.readline()), say
        finally:
            process.kill()
