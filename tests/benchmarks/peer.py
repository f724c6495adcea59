"""The other end of the benchmarks: a server of its own process that costs the measured side nothing.

`/echo` echoes; `/broadcast` only receives broadcasts; `/ws` answers as Pika does (SUBSCRIBE, ACK for whatever has a
messageId) and receives broadcasts, too. HTTP requests are answered with a JSON object that says that the session is
live and holds nothing. Several may share a port, and its connections.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import sys
from typing import cast

import uvloop

from pika_locust.process import raise_open_file_limit

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LIKE = b'{"type":"LIKE_RECEIVED","payload":{"track":{"title":"LT 000017 0123456789ab","artist":"pika-locust"}}}'
SESSION = "load-test-session"
PAGE = b'{"sessions":[{"sessionId":"load-test-session","djName":"somebody"}],"tracks":[],"polls":[]}'
MESSAGE_ID = re.compile(rb'"messageId":"([^"]+)"')


def frame(payload: bytes) -> bytes:
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else bytes((0x81, 126)) + size.to_bytes(2, "big")
    return head + payload


def unmask(payload: bytes, key: bytes) -> bytes:
    words = (len(payload) + 3) // 4
    masked = int.from_bytes(payload, "little") ^ int.from_bytes(key * words, "little")
    return masked.to_bytes(words * 4 + 1, "little")[: len(payload)]


class Peer(asyncio.Protocol):
    listeners: set[Peer] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own, which is no subclass
        self.buffer = b""
        self.path = b""

    def connection_lost(self, exc: Exception | None) -> None:
        Peer.listeners.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self._step():
            pass

    def _step(self) -> bool:
        return self._frame() if self.path else self._head()

    def _head(self) -> bool:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head, self.buffer = self.buffer[:end], self.buffer[end + 4 :]
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
        if key is None:
            answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            self.transport.write(answer % (len(PAGE), PAGE))
            return True
        accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self.path = head.split(b" ", 2)[1]
        if self.path == b"/broadcast":
            Peer.listeners.add(self)
        return True

    def _frame(self) -> bool:
        buffer = self.buffer
        if len(buffer) < 6:
            return False
        size, start = buffer[1] & 127, 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        end = start + 4 + size
        if len(buffer) < end:
            return False
        payload = unmask(buffer[start + 4 : end], buffer[start : start + 4])
        opcode, self.buffer = buffer[0] & 15, buffer[end:]
        if opcode == 8:
            self.transport.write(bytes((0x88, len(payload))) + payload)
            self.transport.close()
        elif opcode == 1:
            self._text(payload)
        return True

    def _text(self, payload: bytes) -> None:
        if self.path != b"/ws":
            self.transport.write(frame(payload))
            return
        if payload.startswith(b'{"type":"PING"'):
            self.transport.write(frame(b'{"type":"PONG"}'))
        if payload.startswith(b'{"type":"SUBSCRIBE"'):
            Peer.listeners.add(self)
            self.transport.write(frame(b'{"type":"SESSIONS_LIST","sessions":[]}'))
        message_id = MESSAGE_ID.search(payload)
        if message_id is not None:
            ack = b'{"type":"ACK","messageId":"%s","status":"ok","timestamp":"2026-05-01T20:00:00.000Z"}'
            self.transport.write(frame(ack % message_id[1]))


async def main(port: int, broadcasts_per_s: float) -> None:
    raise_open_file_limit()
    loop = asyncio.get_running_loop()
    await loop.create_server(Peer, "127.0.0.1", port, backlog=4096, reuse_port=True)
    print("listening", flush=True)
    like = frame(LIKE)
    due = loop.time()
    while True:
        if not broadcasts_per_s:
            await asyncio.sleep(3600)
        due += 1 / broadcasts_per_s
        await asyncio.sleep(max(0.0, due - loop.time()))
        for listener in Peer.listeners:
            listener.transport.write(like)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2])))
