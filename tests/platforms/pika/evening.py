"""Real dancers and DJs for a test: in virtual time, on sockets that are none, with a worker context as in a run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from locust.exception import StopUser

from pika_locust.judge import Ledger
from pika_locust.kit import broadcast, pending
from pika_locust.platforms.pika import dancer, dj, heartbeat, line
from pika_locust.platforms.pika import dancer as reactions
from pika_locust.platforms.pika.context import PikaContext
from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.platforms.pika.dj import Dj
from pika_locust.platforms.pika.scenarios import DANCERS
from pika_locust.runtime import actor, context, timers
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.messages import RunStart
from pika_locust.runtime.options import LOAD_SETTINGS
from pika_locust.settings import read_settings
from pika_locust.wire.websocket import Close
from pika_locust.wire.websocket_handshake import ConnectError
from tests.platforms.pika.virtual import Clock, VirtualEvent

RUN_ID = "0123456789ab"
SESSION = "load-test-session"


class Wire:
    """A socket that keeps what is sent: `sent` as objects with the second they were sent at, newest last."""

    def __init__(self, evening: Evening, handler: Any) -> None:
        self._evening = evening
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
        self.sent.append((self._evening.clock.now_s, json.loads(payload)))
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
                self.handler.on_text(payload, self._evening.clock.now_ns)
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


class Evening:
    """One process's part of a test. `connect` decides what a dial gives; by default a Wire that nobody answers."""

    def __init__(self, patches: pytest.MonkeyPatch) -> None:
        self._patches = patches
        self.clock = clock = Clock()
        hub = SimpleNamespace(loop=clock, switch=clock.give_way)
        for module in (actor, timers):
            patches.setattr(module, "get_hub", lambda: hub)
        for module in (dancer, dj, heartbeat, reactions, pending, broadcast):
            patches.setattr(module, "monotonic_ns", clock.monotonic_ns)
        patches.setattr(dj, "monotonic", clock.monotonic)
        for module in (actor, dancer, dj, context):
            patches.setattr(module, "Event", lambda: VirtualEvent(clock))
        patches.setattr(line, "connect", self._connect)
        patches.setattr(dancer, "Lobby", self._lobby)
        self.connect: Callable[[Any], Wire] = lambda handler: Wire(self, handler)
        self.wires: list[Wire] = []
        self.dials_s: list[float] = []
        self.actors: list[Any] = []
        self.lobby_visits: Counter[str] = Counter()
        self.requests: list[tuple[str, Any]] = []
        self.told: list[tuple[str, Mapping[str, Any]]] = []
        self.worker = self.make_context()

    def make_context(
        self, seed: int = 7, worker: int = 0, planned_s: float | None = None, **environ: str
    ) -> WorkerContext:
        """A share of its own, as in the process of one worker; it becomes the evening's."""
        settings, problems = read_settings((*LOAD_SETTINGS, *DANCERS.settings), environ, "pika")
        assert problems == []
        supporters = len(DANCERS.supporters(settings))
        begin = RunStart(RUN_ID, seed, "ws://127.0.0.1:1/ws", settings.public(), planned_s, False, supporters, 30.0)
        request = SimpleNamespace(fire=lambda **event: self.requests.append((event["name"], event["exception"])))
        self.worker = WorkerContext(begin, DANCERS, settings, worker, self._tell_all, request)
        return self.worker

    def _tell_all(self, topic: str, data: Mapping[str, Any]) -> None:
        self.told.append((topic, data))
        self.worker.hear(topic, data)

    def _connect(self, url: str, handler: Any, **options: Any) -> Wire:
        self.dials_s.append(self.clock.now_s)
        wire = self.connect(handler)
        self.wires.append(wire)
        return wire

    def _lobby(self, room: PikaContext) -> Any:
        visit = self.lobby_visits.update
        return SimpleNamespace(
            look_in=lambda: visit(["look_in"]), read_history=lambda: visit(["history"]), close=lambda: visit(["close"])
        )

    # Actors

    def start(self, kind: type[Dancer] | type[Dj]) -> Any:
        """Start a user as Locust does; it acts as the clock runs."""
        worker = self.worker
        user = kind(SimpleNamespace(pika_locust=SimpleNamespace(wait_for_context=lambda timeout_s: worker)))
        self.actors.append(user)
        self.clock.spawn(lambda: self._live(user))
        return user

    @staticmethod
    def _live(user: Any) -> None:
        try:
            user.on_start()
            while True:
                user.iterate()
        except StopUser:
            user.on_stop()

    def dancer(self) -> tuple[Any, Wire]:
        """A dancer whose connection has just been opened and who waits for an answer to SUBSCRIBE."""
        self.worker.supporters_ready.set()
        user = self.start(Dancer)
        self.clock.run(0.001)
        return user, self.wires[-1]

    def live_dancer(self) -> tuple[Any, Wire]:
        """A dancer who is subscribed."""
        user, wire = self.dancer()
        self.welcome(wire)
        return user, wire

    def welcome(self, wire: Wire) -> None:
        """Answer the last SUBSCRIBE as for a live session with nothing going on."""
        wire.hear({"type": "SESSIONS_LIST", "sessions": [{"sessionId": SESSION, "djName": "DJ"}]})
        wire.ack(wire.of("SUBSCRIBE")[-1])

    def drain(self, role: str) -> None:
        """What the end of a test does to the users of a role."""
        self.worker.draining.add(role)
        for user in self.worker.actors(role):
            user.release()

    # What was measured

    @property
    def room(self) -> PikaContext:
        return self.worker.shared(PikaContext)

    def count(self, name: str, **tags: str) -> int:
        """A counter."""
        return int(self.worker.metrics.counter(name).tagged(**tags).read().count)  # type: ignore[union-attr]

    def rate(self, name: str, **tags: str) -> tuple[int, int]:
        """A rate's passes and fails."""
        value = self.worker.metrics.rate(name).tagged(**tags).read()
        return value.passes, value.fails  # type: ignore[union-attr]

    def samples(self, name: str, **tags: str) -> int:
        """How many samples a trend has."""
        return int(self.worker.metrics.trend(name).tagged(**tags).read().count)  # type: ignore[union-attr]

    def booked(self, ledger: str) -> dict[str, int]:
        """A ledger's outcomes that occurred."""
        return outcomes(self.worker.ledgers[ledger])

    def errors(self, name: str) -> list[str]:
        """The texts of the errors of one name."""
        return [text for (where, text) in self.worker.errors if where == name]


def outcomes(ledger: Ledger) -> dict[str, int]:
    """A ledger's outcomes that occurred."""
    names = ("sent", "acked", "refused", "timed_out", "uncertain")
    return {name: ledger.count(name) for name in names if ledger.count(name)}


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


def refused_dial(handler: Any) -> Wire:
    """For `Evening.connect`: nobody listens there."""
    raise ConnectError("refused", "connection refused")
