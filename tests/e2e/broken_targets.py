"""Targets that are no Pika! server, on loopback: each takes connections and does one wrong thing with them."""

from __future__ import annotations

import base64
import hashlib
import itertools
import socket
import threading
from collections.abc import Callable
from typing import Any

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
Wrong = Callable[[socket.socket, bytes], None]

GARBAGE = (
    b"hello there",
    b"",
    b"[1,2,3]",
    b'{"type":"NOW_PLAYING","sessionId":"load-test-session","track":17}',
    b'{"type":"POLL_STARTED","pollId":{},"options":7}',
    b'{"type":"LISTENER_COUNT","sessionId":"load-test-session","count":"lots"}',
    b'{"type":"POLL_UPDATE","sessionId":"load-test-session","pollId":[],"totalVotes":{}}',
    b'{"type":"NACK","messageId":[],"error":{"a":1}}',
    b'{"type":"ACK","messageId":"nobody"}',
    b'{"type":"DANCE_OFF"}',
    b'{"type":' + b"[" * 5000,
    "ÆØÅ".encode() * 500,
)


class Wrongdoer:
    """A server that answers plain HTTP with an empty list, and hands every request for an upgrade to `wrong`."""

    def __init__(self, wrong: Wrong) -> None:
        self._wrong = wrong
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listener.getsockname()[1]
        self.upgrades = 0
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Wrongdoer:
        return self

    def __exit__(self, *failure: Any) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with sock:
                while (head := _head(sock)) and b"Upgrade: websocket" not in head:
                    sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]")
                if head:
                    self.upgrades += 1
                    self._wrong(sock, head)
        except OSError:
            pass
        self._open.discard(sock)


def _head(sock: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(4096)
        if not data:
            return b""
        head += data
    return head


def _upgraded(head: bytes) -> bytes:
    key = next(line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def _frame(payload: bytes, opcode: int = 1) -> bytes:
    size = len(payload)
    head = bytes((0x80 | opcode, size)) if size < 126 else bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    return head + payload


def refuses(sock: socket.socket, head: bytes) -> None:
    """Every upgrade is one too many."""
    body = b"Rate limit exceeded"
    sock.sendall(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


def says_nothing(sock: socket.socket, head: bytes) -> None:
    """Upgraded, and not a word more: closing is not answered either."""
    sock.sendall(_upgraded(head))
    while sock.recv(4096):
        pass


def talks_rubbish(sock: socket.socket, head: bytes) -> None:
    """Whatever it is told, it answers with the next piece of rubbish, a binary message among them."""
    sock.sendall(_upgraded(head) + b"".join(map(_frame, GARBAGE)) + _frame(b"\x00\xff", 2))
    for payload in itertools.cycle(GARBAGE):
        if not sock.recv(4096):
            return
        sock.sendall(_frame(payload))


def breaks_the_protocol(sock: socket.socket, head: bytes) -> None:
    """What follows the upgrade are no frames."""
    sock.sendall(_upgraded(head) + b"\xff\xff\xff\xff this is not a frame")
    while sock.recv(4096):
        pass
