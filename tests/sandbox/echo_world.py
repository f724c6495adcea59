"""A world that answers and publishes what it is sent, its platform, and a transport that collects what is written."""

from __future__ import annotations

from typing import Any

from pika_locust.sandbox.faults import Cover
from pika_locust.sandbox.world import (
    Answer,
    Begin,
    Chunk,
    Close,
    Effects,
    End,
    Ping,
    Platform,
    Publish,
    Reply,
    Request,
    Send,
)


class Transport:
    """Collects what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False
        self.aborted = False
        self.waiting = 0

    def write(self, data: bytes) -> None:
        assert not self.is_closing()
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 5) if name == "peername" else None

    def take(self) -> bytes:
        written, self.written = self.written, b""
        return written


class EchoWorld:
    """Sockets: `all TEXT` is published, `ping`, `bye`, `cut` do what they say, anything else comes back.

    HTTP: `/later` is answered by the next tick, `/stream` in pieces out of ticks, anything else at once.
    """

    def __init__(self, now: float) -> None:
        self.log: list[Any] = []
        self.due = float("inf")
        self.later: list[int] = []
        self.streams: dict[int, int] = {}

    def request(self, exchange: int, request: Request, now: float) -> Effects:
        if request.path == "/later":
            self.later.append(exchange)
            self.due = now + 0.02
            return ()
        if request.path == "/stream":
            self.streams[exchange] = 3
            self.due = now + 0.01
            return [Begin(exchange, 200, (("content-type", "text/event-stream"),))]
        return [Reply(exchange, Answer.text(f"{request.method} {request.path} {request.body.decode()}"))]

    def abandoned(self, exchange: int, now: float) -> Effects:
        self.log.append(("abandoned", exchange))
        self.streams.pop(exchange, None)
        return ()

    def upgrade(self, request: Request, now: float) -> Answer | None:
        return Answer.text("not here", 403) if request.path == "/closed" else None

    def opened(self, socket: int, request: Request, now: float) -> Effects:
        self.log.append(("opened", socket, request.path))
        return ()

    def received(self, socket: int, data: str | bytes, now: float, queued: int) -> Effects:
        match data:
            case "ping":
                return [Ping(socket)]
            case "bye":
                return [Send(socket, "goodbye"), Close(socket, 4001, "as asked")]
            case "cut":
                return [Close(socket, None)]
            case "break":
                raise RuntimeError("planted")
            case str() if data.startswith("all "):
                return [Publish(data[4:], socket, "all"), Send(socket, "ok")]
        return [Send(socket, data)]

    def ponged(self, socket: int, now: float) -> Effects:
        self.log.append(("ponged", socket))
        return ()

    def closed(self, socket: int, now: float) -> Effects:
        self.log.append(("closed", socket))
        return [Publish(f"{socket} left")]

    def tick(self, now: float) -> Effects:
        effects: list[Any] = [Reply(exchange, Answer.text("later")) for exchange in self.later]
        self.later = []
        for exchange, left in list(self.streams.items()):
            if left:
                self.streams[exchange] = left - 1
                effects.append(Chunk(exchange, f"data: {left}\n\n".encode()))
            else:
                del self.streams[exchange]
                effects.append(End(exchange))
        self.due = now + 0.01 if self.streams else float("inf")
        return effects

    def shutdown(self, now: float) -> Effects:
        return [Publish("shutting down")]

    def group(self, socket: int) -> str:
        return "odd" if socket % 2 else "even"

    def state(self, now: float) -> dict[str, Any]:
        return {"log": self.log}

    def reset(self, now: float) -> None:
        self.log = []


def echo_platform(name: str = "echo", *faults: str) -> Platform:
    """A platform that serves a `EchoWorld` and supports the faults of the wire, or those named."""
    names = faults or ("latency", "error", "refuse", "lose-fanout", "close-after", "leak", "crash-after")
    covers = tuple(Cover(fault, fault, name, "nothing") for fault in names)
    return Platform(name, "an echo", lambda switches, settings, now: EchoWorld(now), covers, ("odd", "even"))
