"""What clients send to the sandbox: bytes, recorded conversations with changes in them, its control endpoints.

No handler fails: whatever comes is answered, refused, or ends its own connection.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from pika_locust.catalogue import find_platform
from pika_locust.sandbox.faults import COMMON
from pika_locust.sandbox.server import Connection, Sandbox
from pika_locust.testing.transcripts import Event, read_transcripts
from tests.fuzz.inputs import CUTS, VALUES, changed, cut, fuzz
from tests.sandbox.echo_world import Transport

RECORDED = Path(__file__).parents[1] / "transcripts"
PLATFORMS = sorted(folder.name for folder in RECORDED.iterdir())


class Wire(Transport):
    """A transport that drops, as the real ones do, what is written when it is closing."""

    def write(self, data: bytes) -> None:
        if not self.is_closing():
            super().write(data)


class Server:
    """A sandbox whose connections are fed by hand."""

    def __init__(self, platform: str) -> None:
        self.platform = platform
        self.loop = asyncio.new_event_loop()
        self.sandbox = Sandbox([find_platform(platform)], (), {})
        self.loop.run_until_complete(self.sandbox.start(0))

    def connect(self) -> tuple[Connection, Wire]:
        transport = Wire()
        connection = Connection(self.sandbox)
        connection.connection_made(transport)  # type: ignore[arg-type]  # has what is used of one
        return connection, transport

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        """One request on a connection of its own: the status, and the body as it can be read."""
        connection, transport = self.connect()
        connection.data_received(request(method, path, body))
        head, _, answer = transport.take().partition(b"\r\n\r\n")
        connection.connection_lost(None)
        return int(head.split(b" ")[1]), answer

    def play(self, act: Callable[[], None]) -> None:
        """Do something to a fresh world, in the loop, and let the loop do what follows at once."""

        async def turn() -> None:
            self.ask("DELETE", "/__sandbox/faults")
            assert self.ask("POST", "/__sandbox/reset")[0] < 300
            act()
            await asyncio.sleep(0)
            state = json.loads(self.ask("GET", "/__sandbox/state")[1])
            assert state["internal_errors"] == 0, state["internal_error_messages"]

        self.loop.run_until_complete(turn())

    def close(self) -> None:
        self.loop.run_until_complete(self.sandbox.shut_down())
        self.loop.close()


@pytest.fixture(scope="module", params=PLATFORMS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    running = Server(request.param)
    yield running
    running.close()


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """An HTTP request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


def upgrade(path: str) -> bytes:
    """A request for a WebSocket."""
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade")
    keys = ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    return "\r\n".join((*lines, *keys)).encode() + b"\r\n\r\n"


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """A frame as a client sends it, its mask all zeros."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + length + bytes(4) + payload


STREAMS = (
    request("GET", "/health") + request("GET", "/nowhere?a=1"),
    request("POST", "/queue/join", b'{"gender":"male"}', "Content-Type: application/json"),
    request("GET", "/tokens/balance", b"", "Authorization: Bearer x.y.z"),
    request("POST", "/webhooks/stripe", b'{"id":"evt_1"}', "Stripe-Signature: t=1,v1=abc"),
    request("GET", "/api/session/abc/recap", b"", "Connection: close"),
    request("GET", "/__sandbox/state?users=0") + request("GET", "/metrics"),
    b"POST /auth/signup-anonymous HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    upgrade("/ws") + frame(b'{"type":"PING"}') + frame(b"", 9) + frame(b"\x03\xe8", 8),
    upgrade("/socket.io/?EIO=4&transport=websocket") + frame(b"40") + frame(b'42["heartbeat"]') + frame(b"1"),
)  # fmt: skip
STREAM_FRAGMENTS = (
    b"\r\n", b"\r\n\r\n", b"\0", b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\nConnection: Upgrade\r\n", b"HTTP/1.0",
    b"Expect: 100-continue\r\n", b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n", b"\x88\x80\0\0\0\0",
    b"\x81\x81\0\0\0\0\xff", b"\x01\x81\0\0\0\0\xf0", b"\x80\x80\0\0\0\0", b"\x82\x81\0\0\0\0a", b"\x89\x80\0\0\0\0",
    b"\x81\xff" + b"\xff" * 8, b"%00", b"?", b"/", b"\xff",
)  # fmt: skip


@fuzz(data=changed(STREAMS, STREAM_FRAGMENTS) | st.binary(max_size=200), at=CUTS)
def test_bytes(server: Server, data: bytes, at: list[int]) -> None:
    def act() -> None:
        connection, transport = server.connect()
        for piece in cut(data, at):
            if not transport.is_closing():
                connection.data_received(piece)
        written = transport.take()
        assert not written or written.startswith(b"HTTP/1.1 ")
        connection.connection_lost(None)

    server.play(act)


FLOWS = {name: list(read_transcripts(RECORDED / name).values()) for name in PLATFORMS}
JSON_FRAGMENTS = (
    "{", "}", "[", "]", ",", ":", '"', "null", "true", "-1", "1e999", "NaN", "9" * 400, "9" * 5000, '""', "{}", "[]",
    "[" * 2000, "\\ud800", "\u0000", "\U0001f600", '"x"', "0.5", "/", "4", "42", "5",
)  # fmt: skip


@st.composite
def conversations(draw: st.DrawFn, platform: str) -> list[Event]:
    """What clients did in a recorded conversation, with a few of their words changed, missing or repeated."""
    transcript = draw(st.sampled_from(FLOWS[platform]))
    events = [event for event in transcript.events if event.by_client][:60]
    for _ in range(draw(st.integers(0, 6)) if events else 0):
        at = draw(st.integers(0, len(events) - 1))
        event = events[at]
        match draw(st.sampled_from(("change", "change", "change", "repeat", "delete"))):
            case "change" if event.kind == "text":
                data = draw(changed((event.data,), JSON_FRAGMENTS) | st.sampled_from(JSON_FRAGMENTS))
                events[at] = Event(event.at_ms, event.who, True, "text", data)
            case "change" if event.kind == "http":
                body = draw(changed((event.data.get("body") or "",), JSON_FRAGMENTS) | st.sampled_from(JSON_FRAGMENTS))
                events[at] = Event(event.at_ms, event.who, True, "http", {**event.data, "body": body})
            case "repeat":
                events.insert(at, event)
            case "delete" if len(events) > 1:
                del events[at]
    return events


def replay(server: Server, events: list[Event]) -> None:
    """Say to a server what clients said, each on its own connection."""
    sockets: dict[str, tuple[Connection, Wire]] = {}
    for event in events:
        match event.kind:
            case "open":
                sockets[event.who] = server.connect()
                sockets[event.who][0].data_received(upgrade(event.data["path"]))
            case "http":
                data = event.data
                headers = [f"{name}: {value}" for name, value in (data.get("headers") or {}).items()]
                body = (data.get("body") or "").encode("utf-8", "surrogatepass")
                connection, transport = server.connect()
                connection.data_received(request(data["method"], data["path"], body, *headers))
                written = transport.take()
                assert not written or written.startswith(b"HTTP/1.1 ")
                connection.connection_lost(None)
            case "text" if event.who in sockets:
                connection, transport = sockets[event.who]
                if not transport.is_closing():
                    connection.data_received(frame(event.data.encode("utf-8", "surrogatepass")))
            case "close" if event.who in sockets:
                sockets.pop(event.who)[0].connection_lost(None)
    for connection, _ in sockets.values():
        connection.connection_lost(None)


@fuzz(data=st.data())
def test_conversations(server: Server, data: Any) -> None:
    events = data.draw(conversations(server.platform))
    server.play(lambda: replay(server, events))


# What is switched here does nothing before it is switched off again, but for an end of the process.
FAULTS = [kind.name for kind in COMMON if kind.name != "crash-after"]


SETTINGS = VALUES | st.sampled_from(("0.5", "120/60s", True, 0.02))
CONTROL = ("/__sandbox/faults", "/__sandbox/state?users=0", "/__sandbox/reset", "/metrics")


@fuzz(
    method=st.sampled_from(("GET", "PUT", "DELETE", "POST", "HEAD", "X")),
    path=changed(CONTROL, ("/", "?", "&", "%")),
    body=st.sampled_from(JSON_FRAGMENTS)
    | VALUES.map(json.dumps)
    | st.dictionaries(st.sampled_from(FAULTS), SETTINGS, max_size=3).map(json.dumps),
)
def test_control(server: Server, method: str, path: str, body: str) -> None:
    def act() -> None:
        status, answer = server.ask(method, path.encode("ascii", "replace").decode(), body.encode())
        if (method, path) == ("PUT", "/__sandbox/faults"):
            assert status in (200, 400)
            assert ("error" in json.loads(answer)) is (status == 400)

    server.play(act)
