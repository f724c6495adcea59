"""`WebSocketActor`: a virtual user on a WebSocket, from connecting and reconnecting to replies, heartbeat and leaving.

The user's greenlet connects and then waits. Everything between happens in callbacks of the event loop: a message is
told apart by its first bytes, and only what a handler asks for is parsed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import gevent
from gevent.event import Event
from locust.exception import StopTest, StopUser

from pika_locust.clock import monotonic_ns
from pika_locust.kit.actor import RAW, Fields, PlatformActor, handlers_of
from pika_locust.kit.json_messages import JsonMessages
from pika_locust.kit.meters import BoundMeters, named
from pika_locust.kit.pending import NOT_CONNECTED, REPLY_TIMEOUT_S, OnReply, SharedReplies
from pika_locust.kit.protocol_errors import ProtocolErrors
from pika_locust.kit.source_addresses import UserAddresses
from pika_locust.load.pauses import Backoff
from pika_locust.metrics import Counter, Rate, Trend
from pika_locust.metrics.builtin import WEBSOCKET_METRICS
from pika_locust.metrics.metric import FAILURE
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.timers import Condition, UserTimers
from pika_locust.wire.websocket import Close, Handler, Limits, WebSocket, connect
from pika_locust.wire.websocket_handshake import CUT_OFF, ConnectError

LEAVE_AGAIN_S = 0.05
NOT_CONNECTED_PAUSE_S = 0.1
"""Who asks without a connection waits so long: one that asks again and again must not keep all others from running."""
_QUOTE = ord('"')
_UNCOUNTED: list[int | float] = [0]

Write = Callable[[str], bytes]
"""Writes a message with the id that it is given."""


@dataclass(frozen=True, slots=True)
class ConnectionMetrics:
    """Where the connections of a class of users are counted; None: not at all."""

    received: Counter
    """Text messages that came."""
    errors: Counter
    """Connections that could not be made, or were lost."""
    sent: Counter | None = None
    """Messages that were sent, heartbeats left out."""
    success: Rate | None = None
    """Attempts to connect that were upgraded and confirmed."""
    kept: Rate | None = None
    """Connections that lasted until we closed them."""
    connecting: Trend | None = None
    """From the first packet to the end of the upgrade; with it, Locust is told how long connecting took."""
    duration: Trend | None = None
    """How long connections lasted."""
    reconnects: Counter | None = None
    """Connections that are not a user's first."""
    ping_latency: Trend | None = None
    """From a ping to its pong."""


@dataclass(frozen=True, slots=True)
class _MetricsOf:
    """`worker.shared(_MetricsOf(actor_class))`: the same object for all actors of a class in a process."""

    actor: type[WebSocketActor]

    def __call__(self, worker: WorkerContext) -> ConnectionMetrics:
        for name in self.actor.reply_names:
            worker.metrics.trend("ack_latency").tagged(kind=name)
            worker.metrics.rate("ack_success").tagged(kind=name)
        metrics = self.actor.connection_metrics(worker.shared(BoundMeters(self.actor)))
        received = metrics.received
        worker.shared(ProtocolErrors).follow(received, lambda: int(received.own_count))
        return metrics


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a message that was asked."""

    ok: bool
    why: str = ""
    """What a refusal says, or why there was no reply."""


class WebSocketActor(PlatformActor):
    """A user with a WebSocket of its own, which may be lost and opened again.

    Override `act`: `connect`, then `ask`, `post`, `send`, `think` and `wait_for`, or just `wait_closed`. Handle what
    arrives with `@on("KIND")`, or with `@on_raw("KIND")` as it came; acknowledgements and refusals find their messages
    by themselves. A user who is to finish closes as soon as nothing is unanswered. Without an `act` of its own a user
    connects, calls `opened` and listens.
    """

    abstract = True

    meters: Any = named(WEBSOCKET_METRICS)
    spelling: ClassVar[JsonMessages] = JsonMessages()
    """How the protocol writes its messages; one object for all classes that speak to the same server."""
    ignored: ClassVar[tuple[str, ...]] = ()
    """Kinds that nothing follows from: they are counted, and not looked into."""
    reply_names: ClassVar[tuple[str, ...]] = ()
    """Names of messages (see `expect`) whose replies are in the report even if none was sent."""
    reply_within_s: ClassVar[float] = REPLY_TIMEOUT_S
    """A later reply counts as none."""

    headers: ClassVar[Mapping[str, str] | None] = None
    """Sent with the upgrade."""
    subprotocols: ClassVar[tuple[str, ...]] = ()
    """Offered with the upgrade: the server must choose one."""
    limits: ClassVar[Limits] = Limits(connect_s=5.0)
    backoff: ClassVar[Backoff] = Backoff(first_s=1.0, jitter_s=1.0, factor=1.3, cap_s=10.0)
    """The pause before a connection that comes after one that failed or was lost."""
    confirmed_by_upgrade: ClassVar[bool] = True
    """Whether a connection is a success when it is upgraded; else it is when `confirm` is called."""
    connect_check: ClassVar[str] = "WebSocket connected"
    """The check that counts upgrades; empty: none."""
    lost_as: ClassVar[str] = "connection"
    """What errors are counted under that end a connection."""

    ping: ClassVar[bytes] = b""
    """The message that asks for a sign of life; empty: no heartbeat."""
    pong: ClassVar[str] = "PONG"
    """The kind of its answer."""
    ping_every_s: ClassVar[float] = 10.0
    pong_within_s: ClassVar[float] = 30.0
    """A connection without a pong for so long is dropped."""

    _handlers: ClassVar[dict[bytes, Callable[..., None] | None]]

    # Not in the dictionary that every Locust user has: with more than 30 names in it, each would be much bigger.
    __slots__ = (
        "_closed",
        "_handler_of",
        "_kind_at",
        "_metrics",
        "_news",
        "_opened_ns",
        "_ping_sent_ns",
        "_received_cell",
        "_sent_cell",
        "_socket",
        "confirmed",
        "failures",
        "pending",
        "protocol_errors",
        "timers",
        "unanswered",
    )

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        handlers: dict[bytes, Callable[..., None] | None] = {kind.encode(): None for kind in cls.ignored}
        handlers[cls.spelling.ack.encode()] = _on_ack
        handlers[cls.spelling.nack.encode()] = _on_nack
        if cls.ping:
            handlers[cls.pong.encode()] = _on_pong
        for kind, (method, fields) in handlers_of(cls).items():
            handlers[kind] = method if fields is RAW else _parsing(cls.spelling, kind.decode(), method, fields)
        cls._handlers = handlers

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.unanswered = 0
        """Messages that wait for their reply."""
        self.failures = 0
        """How many times in a row the connection could not be made, or was lost."""
        self.confirmed = False
        """Whether the connection, or the last one, has been a success."""
        self._socket: WebSocket | None = None
        self._news: Condition | None = None
        self._opened_ns = 0
        self._ping_sent_ns = 0
        """When the oldest ping went out that has no pong yet; 0: none."""

    @classmethod
    def connection_metrics(cls, meters: Any) -> ConnectionMetrics:
        """Where connections are counted, asked for once in a process; override it to count elsewhere or less."""
        return ConnectionMetrics(
            received=meters.ws_messages_received,
            errors=meters.ws_connection_errors,
            sent=meters.ws_messages_sent,
            success=meters.ws_connection_success,
            kept=meters.ws_connection_kept,
            connecting=meters.ws_connecting,
            duration=meters.ws_session_duration,
            reconnects=meters.ws_reconnects,
            ping_latency=meters.ping_latency,
        )

    def begin(self) -> None:
        super().begin()
        worker = self.worker
        self.pending = worker.shared(SharedReplies(self.spelling, self.reply_within_s))
        self.timers = UserTimers(worker)
        """The user's timers; those named `ping` and `leave` are this class's."""
        self.protocol_errors = worker.shared(ProtocolErrors)
        self._metrics = metrics = worker.shared(_MetricsOf(type(self)))
        self._closed = Event()
        # Bound here once: they are asked for every message.
        self._received_cell = metrics.received.cell
        self._sent_cell = metrics.sent.cell if metrics.sent is not None else _UNCOUNTED
        self._kind_at = self.spelling.kind_at
        self._handler_of = self._handlers.get

    # One connection, in the user's greenlet

    def act(self) -> None:
        """One connection: it is listened to until it is over."""
        if self.connect():
            self.wait_closed()

    def url(self) -> str:
        """Where to connect to; the target, unless overridden."""
        return self.worker.begin.target

    def connect(self) -> bool:
        """Open the connection, after a pause when the one before failed or was lost.

        False, and counted, when that fails; also when the user is to finish meanwhile.
        """
        return self.back_off() and self.dial()

    def back_off(self) -> bool:
        """Pause if the connection before failed or was lost; False when the user is to finish instead."""
        failures = self.failures
        return not (failures and self.pause(self.backoff.delay_s(failures, self.dice)))

    def dial(self) -> bool:
        """Open the connection at once, then call `opened`; False, and counted, when that fails.

        Raises RuntimeError when the last one is still open.
        """
        if self._socket is not None:
            raise RuntimeError("this user's connection is still open: disconnect first")
        metrics, worker = self._metrics, self.worker
        self._closed.clear()
        self.confirmed = False
        began_ns = monotonic_ns()
        try:
            self._socket = self.open_socket(self)
        except ConnectError as error:
            self._count_failure(error, began_ns)
            return False
        except BaseException:
            if not worker.cuts_at_once:
                self._count_failure(ConnectError("timeout", CUT_OFF), began_ns)
            raise
        if self._opened_ns and metrics.reconnects is not None:
            metrics.reconnects.add()
        self._opened_ns = opened_ns = monotonic_ns()
        if self.connect_check:
            worker.check(self.connect_check, True)
        if metrics.connecting is not None:
            metrics.connecting.add((opened_ns - began_ns) // 1000)
            worker.request("WS", "connect", (opened_ns - began_ns) / 1e6, 0)
        if self.confirmed_by_upgrade:
            self.confirm()
        if self.ping:
            self._ping_sent_ns = 0
            self.timers.start("ping", self.ping_every_s, self._beat)
        self.opened()
        return True

    def _count_failure(self, error: ConnectError, began_ns: int) -> None:
        """Count an attempt, begun at `began_ns`, that came to no connection."""
        metrics, worker = self._metrics, self.worker
        self.failures += 1
        metrics.errors.add()
        if metrics.success is not None:
            why = worker.shared(UserAddresses).failure(error)
            metrics.success.tagged(**{FAILURE: why}).add(False)
        if self.connect_check:
            worker.check(self.connect_check, False)
        worker.error("connect", str(error))
        if error.kind == "local":
            worker.generator_errors.add()
        took_ms = (monotonic_ns() - began_ns) / 1e6 if metrics.connecting is not None else None
        worker.request("WS", "connect", took_ms, 0, error)

    def open_socket(self, handler: Handler) -> WebSocket:
        """One more connection, as this user makes them. Raises ConnectError."""
        return connect(
            self.url(),
            handler,
            headers=self.headers,
            limits=self.limits,
            subprotocols=self.subprotocols,
            source_address=self.worker.shared(UserAddresses).of(self.number),
            tracer=self.worker.tracer,
        )

    def opened(self) -> None:
        """For overriding: the connection has just been opened; still in the user's greenlet."""

    def wait_closed(self, within_s: float | None = None) -> bool:
        """Wait until the connection is over, for at most so many seconds; whether it is. Without one, at once."""
        if self.released.is_set():
            # While it still connected, perhaps: there was nothing to close then.
            self.finish()
        return self._socket is None or bool(self._closed.wait(within_s))

    def wait_for(self, condition: Callable[[], object], within_s: float) -> bool:
        """Wait until something is so; False when it is not so in the end: when the seconds are over, or the connection
        is. Looks after each `notify`, when the connection is confirmed, and when the user is to finish."""
        if self._news is None:
            self._news = Condition()
        self._news.wait_for(lambda: condition() or not self.is_open, within_s)
        return bool(condition())

    def notify(self) -> None:
        """Have `wait_for` look again: for handlers that have changed what it may wait for."""
        if self._news is not None:
            self._news.notify()

    def disconnect(self) -> None:
        """Close as soon as nothing is unanswered, and wait until that is done."""
        if self._socket is not None:
            self.leave()
            self._closed.wait()

    # Sending; from anywhere, except for `ask`

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    def send(self, payload: bytes) -> bool:
        """Send a text message (UTF-8); False without a connection: then nothing goes out, and nothing is counted."""
        if self._socket is None or not self._socket.send(payload):
            return False
        self._sent_cell[0] += 1
        return True

    def send_json(self, message: Mapping[str, Any]) -> bool:
        """Send a message that wants no reply; see `send`."""
        return self.send(self.spelling.respelt(message))

    def send_ping(self) -> None:
        """Send a ping, which is not counted."""
        if self._socket is not None:
            self._socket.send(self.ping)

    def expect(self, name: str, *, ledger: str | None = None, items: int = 1, on_reply: OnReply | None = None) -> str:
        """Announce a message that wants a reply, and get the id to `send` it with.

        Arguments:
            name: what it is counted under.
            ledger: where it is booked: as sent, then as acked, refused, timed out or uncertain.
            items: how many entries of the ledger it stands for.
            on_reply: called in the event loop with whether it was acknowledged, and if not why.

        Raises KeyError for a ledger that the scenario does not have.
        """
        pending = self.pending
        message_id = pending.next_id()
        book = self.worker.ledgers[ledger] if ledger is not None else None
        pending.expect(message_id, name, self, book, items, on_reply)
        return message_id

    def post(
        self,
        name: str,
        message: Mapping[str, Any] | Write,
        *,
        ledger: str | None = None,
        items: int = 1,
        on_reply: OnReply | None = None,
    ) -> str:
        """Send a message that wants a reply, and do not wait for it; gives its id.

        Without a connection, and on one that is closing, nothing goes out, and nothing is counted or booked: the id is
        "", and `on_reply` is told at once. `message` is the object without its id, or a function that writes it with
        the id. For the rest, and for what is raised, see `expect`.
        """
        if self._socket is None or not self._socket.is_open:
            if on_reply is not None:
                on_reply(False, NOT_CONNECTED)
            return ""
        message_id = self.expect(name, ledger=ledger, items=items, on_reply=on_reply)
        if callable(message):
            self.send(message(message_id))
        else:
            self.send_json({**message, self.spelling.id: message_id})
        return message_id

    def ask(
        self,
        name: str,
        message: Mapping[str, Any] | Write,
        *,
        ledger: str | None = None,
        items: int = 1,
        on_reply: OnReply | None = None,
    ) -> Reply:
        """`post` a message and wait for its reply, in the user's own greenlet.

        No reply in time, and a connection that is lost meanwhile or is not there, are replies that are not ok.
        """
        replies: list[Reply] = []
        replied = Event()

        def take(ok: bool, why: str) -> None:
            replies.append(Reply(ok, why))
            replied.set()
            if on_reply is not None:
                on_reply(ok, why)

        if not self.post(name, message, ledger=ledger, items=items, on_reply=take):
            gevent.sleep(NOT_CONNECTED_PAUSE_S)
        replied.wait()
        return replies[0]

    def confirm(self) -> None:
        """The server has shown that it serves: the connection is a success, and pauses begin anew.

        Once the connection is over, it has been counted as what it was by then.
        """
        if not self.confirmed and not self._closed.is_set():
            self.confirmed = True
            self.failures = 0
            if self._metrics.success is not None:
                self._metrics.success.add(True)
            self.notify()

    # What arrives, in the event loop

    def on_text(self, payload: bytes, at_ns: int) -> None:
        """A message: count it, and hand it to the handler of its kind."""
        self._received_cell[0] += 1
        # The same as spelling.kind_of, without the call: this line runs for every message of every user.
        at, handler_of = self._kind_at, self._handler_of
        handle = handler_of(payload[at : payload.find(_QUOTE, at)], _on_unknown)
        if handle is not None:
            handle(self, payload, at_ns)

    def on_unknown(self, payload: bytes, at_ns: int) -> None:
        """A message of no kind that is handled or ignored, or one that is spelt in another way than expected."""
        message = self.spelling.parse(payload)
        if message is None:
            self.misread("a message that is not a JSON object")
            return
        kind = message.get(self.spelling.kind)
        if not isinstance(kind, str):
            self.misread(f"a message whose {self.spelling.kind} is no text")
            return
        known = kind.encode(errors="replace")
        if known not in self._handlers:
            self.misread(f"a message of the unknown type {kind[:40]}")
        elif (handle := self._handlers[known]) is not None:
            # Spelt in another way than the server's own: read it as if it were not.
            handle(self, self.spelling.respelt(message), at_ns)

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        """A binary message: an error, unless overridden."""
        self.misread("a binary message, which the protocol does not have")

    def misread(self, words: str) -> None:
        """A message is none that the protocol has: counted, as an error and as `protocol_errors`."""
        self.protocol_errors.add(words)

    def on_internal_error(self, error: BaseException) -> None:
        """A handler raised."""
        self.worker.internal_error(error)

    def on_close(self, close: Close) -> None:
        """The connection is over: settle its accounts, then call `closed`."""
        metrics = self._metrics
        self._socket = None
        self.timers.cancel("ping")
        self.timers.cancel("leave")
        self.pending.connection_lost(self)
        if metrics.duration is not None:
            metrics.duration.add((monotonic_ns() - self._opened_ns) // 1000)
        if not self.confirmed and metrics.success is not None:
            metrics.success.add(False)
        if metrics.kept is not None:
            metrics.kept.add(close.kept)
        if not close.kept:
            metrics.errors.add()
            self.failures += 1
            self.worker.error(self.lost_as, close.why_lost)
        self._closed.set()
        self.notify()
        self.closed(close.kept)

    def closed(self, kept: bool) -> None:
        """For overriding: the connection is over; `kept` is whether it was as long as we wanted it."""

    # Heartbeat

    def _beat(self) -> None:
        now_ns = monotonic_ns()
        if self._ping_sent_ns and now_ns - self._ping_sent_ns > self.pong_within_s * 1e9:
            self.abort(f"no {self.pong} for {self.pong_within_s:g} s")
            return
        if not self._ping_sent_ns:
            self._ping_sent_ns = now_ns
        self.send_ping()
        self.timers.start("ping", self.ping_every_s, self._beat)

    def on_pong(self, at_ns: int) -> None:
        """The answer to a ping was read."""
        if self._ping_sent_ns:
            if self._metrics.ping_latency is not None:
                self._metrics.ping_latency.add((at_ns - self._ping_sent_ns) // 1000)
            self._ping_sent_ns = 0

    # Leaving

    def release(self) -> None:
        """Ask the user to finish."""
        super().release()
        self.notify()
        if hasattr(self, "_closed"):
            self.finish()

    def finish(self) -> None:
        """For overriding: the user is to finish, and may be told so more than once. By default it leaves."""
        self.leave()

    def leave(self) -> None:
        """Close as soon as nothing is unanswered any more: replies come, or are given up, within seconds."""
        if self._socket is None:
            return
        if self.unanswered:
            self.timers.start("leave", LEAVE_AGAIN_S, self.leave)
            return
        self.leaving()
        self.close()

    def leaving(self) -> None:
        """For overriding: `leave` is about to close the connection."""

    def close(self) -> None:
        """Begin the closing handshake, whatever is unanswered."""
        if self._socket is not None:
            self._socket.close()

    def abort(self, error: str) -> None:
        """Drop the connection at once; `error` says why."""
        if self._socket is not None:
            self._socket.abort(error)

    def on_stop(self) -> None:
        try:
            if self._socket is not None and isinstance(sys.exception(), StopUser | StopTest):
                # It has ended by itself, and was not killed: perhaps its close frame has just gone out.
                self.leave()
                self._closed.wait(self.reply_within_s + self.limits.close_s)
        finally:
            if self._socket is not None:
                # Whoever was to have no time to finish has not lost its connection.
                self._socket.abort("" if self.worker.cuts_at_once else "the user was killed")
            super().on_stop()


class Listener:
    """A second connection of a user, opened when it is made, which only listens: what a bystander sees.

    Override `on_text`. Nothing of it is counted as the user's; that it could not be made, or was lost, is an error.
    """

    def __init__(self, actor: WebSocketActor) -> None:
        self._worker = actor.worker
        self._closing = False
        self._socket: WebSocket | None = None
        try:
            self._socket = actor.open_socket(self)
        except ConnectError as error:
            self._worker.error("listener", str(error))

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    def close(self) -> None:
        """Listen no longer."""
        self._closing = True
        if self._socket is not None:
            self._socket.close()

    def on_text(self, payload: bytes, at_ns: int) -> None:
        """A message, for overriding."""

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        """A binary message is nothing to listen to."""

    def on_close(self, close: Close) -> None:
        """The connection is over."""
        self._socket = None
        if not self._closing:
            self._worker.error("listener", close.why_lost)

    def on_internal_error(self, error: BaseException) -> None:
        """A handler raised."""
        self._worker.internal_error(error)


def _parsing(
    spelling: JsonMessages, kind: str, method: Callable[..., None], fields: Fields
) -> Callable[[WebSocketActor, bytes, int], None]:
    """A handler that gets the message as an object. One that begins as such and is none is not handled."""
    parse = spelling.parse

    def handle(actor: WebSocketActor, payload: bytes, at_ns: int) -> None:
        message = parse(payload)
        if message is None:
            actor.misread(f"{kind} that is not a JSON object")
            return
        for name, type_ in fields:
            if not isinstance(message.get(name), type_):
                actor.misread(f"{kind} without {name}, or with one that is no {type_.__name__}")
                return
        method(actor, message, at_ns)

    return handle


def _on_ack(actor: WebSocketActor, payload: bytes, at_ns: int) -> None:
    actor.pending.on_ack(payload, at_ns)


def _on_nack(actor: WebSocketActor, payload: bytes, at_ns: int) -> None:
    if actor.spelling.parse(payload) is None:
        actor.misread(f"{actor.spelling.nack} that is not a JSON object")
    else:
        actor.pending.on_nack(payload, at_ns)


def _on_pong(actor: WebSocketActor, payload: bytes, at_ns: int) -> None:
    actor.on_pong(at_ns)


def _on_unknown(actor: WebSocketActor, payload: bytes, at_ns: int) -> None:
    actor.on_unknown(payload, at_ns)
