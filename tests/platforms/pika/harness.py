"""Real dancers and DJs in virtual time: on sockets that are none, with a recording worker context."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from gevent import get_hub

from pika_locust.kit import websocket_actor
from pika_locust.platforms.pika import dancer
from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.platforms.pika.dj import Dj
from pika_locust.platforms.pika.scenarios import DANCERS
from pika_locust.testing.virtual_time import VirtualTime
from pika_locust.testing.worker import RUN_ID, RecordingContext, live, make_context, make_user
from pika_locust.wire.websocket import Close
from pika_locust.wire.websocket_handshake import ConnectError

__all__ = ["RUN_ID", "SESSION", "Harness", "VirtualSocket", "now_playing", "poll_started", "refuse", "virtual_run"]

SESSION = "load-test-session"


class VirtualSocket:
    """A socket that keeps what is sent: `sent` as objects with the second they were sent at, newest last."""

    def __init__(self, harness: Harness, handler: Any) -> None:
        self._harness = harness
        self.handler = handler
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self.closed: Close | None = None
        self.on_send: Callable[[bytes], None] = lambda payload: None
        self.on_leave: Callable[[], None] = lambda: self.drop(Close(1000, by_us=True))

    @property
    def is_open(self) -> bool:
        return self.closed is None

    def send(self, payload: bytes) -> bool:
        if self.closed is not None:
            return False
        self.sent.append((self._harness.time.elapsed_s, json.loads(payload)))
        self.on_send(payload)
        return True

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.on_leave()

    def abort(self, error: str = "") -> None:
        self.drop(Close(1006, by_us=True, error=error))

    def drop(self, close: Close) -> None:
        """The connection is over."""
        if self.closed is None:
            self.closed = close
            self.handler.on_close(close)

    def hear(self, message: Mapping[str, Any] | str | bytes) -> None:
        """The server sends this."""
        text = message if isinstance(message, str | bytes) else json.dumps(message, separators=(",", ":"))
        if self.closed is None:
            payload = text.encode() if isinstance(text, str) else text
            try:
                self.handler.on_text(payload, self._harness.time.now_ns)
            except Exception as error:
                self.handler.on_internal_error(error)

    def answer_all(self) -> None:
        """From now on acknowledge whatever has a messageId, and answer PINGs."""

        def answer(payload: bytes) -> None:
            message = json.loads(payload)
            self.ack(message) if "messageId" in message else self.hear({"type": "PONG"})

        self.on_send = answer

    def of(self, kind: str) -> list[dict[str, Any]]:
        """What was sent of one type."""
        return [message for _, message in self.sent if message["type"] == kind]

    def times(self, kind: str) -> list[float]:
        """The seconds at which messages of one type were sent."""
        return [at_s for at_s, message in self.sent if message["type"] == kind]

    def kinds(self) -> list[str]:
        return [message["type"] for _, message in self.sent]

    def ack(self, message: Mapping[str, Any] | None = None) -> None:
        """Acknowledge a message; the last one that was sent unless another is given."""
        message_id = (message or self.sent[-1][1])["messageId"]
        self.hear({"type": "ACK", "messageId": message_id, "status": "ok", "timestamp": "2026-05-01T20:00:00.000Z"})


@contextmanager
def virtual_run() -> Iterator[Harness]:
    """A harness, for as long as time is virtual. At the end, nothing may have gone wrong in its users."""
    with VirtualTime() as time, pytest.MonkeyPatch.context() as patches:
        harness = Harness(time, patches)
        yield harness
        assert harness.worker.internal_errors == []
        assert all(user.unanswered >= 0 for user in harness.users)


class Harness:
    """The users of one process, and their clock. `connect` decides what a dial gives; by default a socket on which
    nobody answers."""

    def __init__(self, time: VirtualTime, patches: pytest.MonkeyPatch) -> None:
        self.time = time
        patches.setattr(websocket_actor, "connect", self._connect)
        patches.setattr(dancer, "HttpContext", lambda worker: self)
        self.connect: Callable[[Any], VirtualSocket] = lambda handler: VirtualSocket(self, handler)
        self.sockets: list[VirtualSocket] = []
        self.dials_s: list[float] = []
        self.users: list[Any] = []
        self.pages: Counter[str] = Counter()
        """How often which page was asked for over HTTP, by name; `close` is the end of such a connection."""
        self.worker: RecordingContext = self.make_context()

    def make_context(
        self, seed: int = 7, worker: int = 0, planned_s: float | None = None, **environ: str
    ) -> RecordingContext:
        """A new context, as in the process of one worker; it becomes the harness's."""
        self.worker = make_context(
            DANCERS,
            environ,
            worker_index=worker,
            seed=seed,
            target="ws://127.0.0.1:1/ws",
            planned_s=planned_s,
            supporters=1,
        )
        self.worker.hears_itself = True
        return self.worker

    def _connect(self, url: str, handler: Any, **options: Any) -> VirtualSocket:
        self.dials_s.append(self.time.elapsed_s)
        socket = self.connect(handler)
        self.sockets.append(socket)
        return socket

    def client(self, number: int, timeouts: Any) -> Any:
        """Stands for what `HttpContext.client` gives."""
        return SimpleNamespace(
            get=lambda path, name: self.pages.update([name]), close=lambda: self.pages.update(["close"])
        )

    def later(self, after_s: float, call: Callable[..., object], *arguments: Any) -> Any:
        """Call in so many seconds, unless what is returned is stopped."""
        timer = get_hub().loop.timer(after_s)
        timer.start(call, *arguments)
        return timer

    # Users

    def start(self, kind: type[Dancer] | type[Dj]) -> Any:
        """Start a user as Locust does; it acts as the clock runs."""
        user = make_user(kind, self.worker)
        self.users.append(user)
        self.time.spawn(live, user)
        return user

    def dancer(self) -> tuple[Any, VirtualSocket]:
        """A dancer whose connection has just been opened and who waits for an answer to SUBSCRIBE."""
        self.worker.supporters_ready.set()
        user = self.start(Dancer)
        self.time.run(0.001)
        return user, self.sockets[-1]

    def live_dancer(self) -> tuple[Any, VirtualSocket]:
        """A dancer who is subscribed."""
        user, socket = self.dancer()
        self.welcome(socket)
        return user, socket

    def welcome(self, socket: VirtualSocket) -> None:
        """Answer the last SUBSCRIBE as for a live session with nothing going on."""
        socket.hear({"type": "SESSIONS_LIST", "sessions": [{"sessionId": SESSION, "djName": "DJ"}]})
        socket.ack(socket.of("SUBSCRIBE")[-1])

    def drain(self, role: str) -> None:
        """What the end of a test does to the users of a role."""
        self.worker.draining.add(role)
        for user in self.worker.actors(role):
            user.release()


def now_playing(title: str, artist: str = "Kenny Dorham", session: str = SESSION) -> dict[str, Any]:
    return {
        "type": "NOW_PLAYING",
        "sessionId": session,
        "djName": "DJ",
        "track": {"title": title, "artist": artist, "bpm": 120},
    }


def poll_started(poll_id: int, session: str | None = SESSION, **more: Any) -> dict[str, Any]:
    where = {} if session is None else {"sessionId": session}
    question = {"pollId": poll_id, "question": "What next?", "options": ["Salsa", "Bachata"]}
    return {"type": "POLL_STARTED", **where, **question, **more}


def refuse(handler: Any) -> VirtualSocket:
    """For `Harness.connect`: nobody listens there."""
    raise ConnectError("refused", "connection refused")
