"""`SocketIoActor`: a virtual user with a Socket.IO connection, whose events and answers are measured and recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from locust.exception import StopTest, StopUser

from pika_locust.clock import monotonic_ns
from pika_locust.kit.actor import PlatformActor, handlers_of
from pika_locust.kit.pending import NOT_CONNECTED
from pika_locust.kit.protocol_errors import ProtocolErrors
from pika_locust.kit.socketio_connection import (
    CUT_OFF_ASKING,
    NOT_OPENED,
    Phases,
    Reply,
    SocketIoConnection,
    first_argument,
)
from pika_locust.kit.source_addresses import UserAddresses
from pika_locust.load.pauses import Backoff
from pika_locust.metrics.metric import FAILURE
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.timers import UserTimers
from pika_locust.wire.socketio import PATH
from pika_locust.wire.socketio_protocol import Counts, PacketError
from pika_locust.wire.websocket import Close, Limits
from pika_locust.wire.websocket_handshake import CUT_OFF, ConnectError

_handlers_of = cache(handlers_of)
_LONGEST_REASON = 120
A_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class SharedCounts:
    """`worker.shared(SharedCounts(sent, received))`: what all connections of a process count together, told to the
    scenario's counters of these names, where there are any."""

    sent: str | None
    received: str | None

    def __call__(self, worker: WorkerContext) -> Counts:
        counts = Counts()
        for field, metric in (("sent", self.sent), ("received", self.received)):
            if metric is not None:
                _follow(worker, metric, counts, field)
        worker.shared(ProtocolErrors).follow(self, lambda: counts.received)
        return counts


def _follow(worker: WorkerContext, metric: str, counts: Counts, field: str) -> None:
    counter, told = worker.metrics.counter(metric), 0

    def collect() -> None:
        nonlocal told
        now = getattr(counts, field)
        counter.add(now - told)
        told = now

    worker.metrics.on_collect(collect)


class SocketIoActor(PlatformActor):
    """`connect` makes the connection, unless there is one; `ask` sends an event and waits for its answer, `emit` sends
    one, methods marked with `@on` hear of others, `wait_for` and `stay` wait. `disconnect` ends it; so does the end of
    the user.

    A user that is to finish goes on waiting for an answer that it has asked for: only `pause`, `think` and `stay` end
    at once. Events that no method is marked for are passed over, unparsed.
    """

    abstract = True

    path: ClassVar[str] = PATH
    """Where the server's Socket.IO is, below the target's base URL."""
    namespaces: ClassVar[tuple[str, ...]] = ("/",)
    """What to open; `emit` and `ask` mean the first where they name none."""
    connect_within_s: ClassVar[float] = 10.0
    """For the WebSocket, and again for its namespaces."""
    backoff: ClassVar[Backoff] = Backoff(first_s=1.0, jitter_s=1.0, factor=1.5, cap_s=15.0)
    """Pauses after connections that did not come about; not of primary users in the open model: arrivals set their
    pace."""
    connect_check: ClassVar[str] = "Socket.IO connected"
    """The check that counts connections, namespaces included; empty: none."""

    upgrade_trend: ClassVar[str | None] = None
    """The metric of the time from the dial to the end of the WebSocket's handshake. With any of these three, Locust is
    told of connections, too."""
    open_trend: ClassVar[str | None] = None
    """The metric of the time from there to Engine.IO's open packet."""
    connect_trend: ClassVar[str | None] = None
    """The metric of the time from there to the server's consent to the last namespace."""
    connect_rate: ClassVar[str | None] = None
    """The rate of connections that came about, namespaces included."""
    connect_counters: ClassVar[tuple[str | None, str | None]] = (None, None)
    """The counters of connections that came about, and of those that did not."""
    sent_counter: ClassVar[str | None] = None
    """The counter of messages that went out, pongs and requests for namespaces included."""
    received_counter: ClassVar[str | None] = None
    """The counter of messages that came in, of every kind."""

    client: SocketIoConnection | None = None
    failures = 0
    """Connections in a row that did not come about."""

    def begin(self) -> None:
        super().begin()
        self.counts = self.worker.shared(SharedCounts(self.sent_counter, self.received_counter))
        self.addresses = self.worker.shared(UserAddresses)
        kind: Any = type(self)
        self._handlers = _handlers_of(kind)
        self.timers = UserTimers(self.worker)
        """What is due to be done, until the connection is over."""

    # In the user's greenlet

    @property
    def is_connected(self) -> bool:
        """Whether the connection is there, and all its namespaces."""
        return self.client is not None and self.client.is_connected

    def connect(self, auth: Mapping[str, Any] | None = None) -> bool:
        """Make the connection, unless there is one, and open its namespaces with `auth`. A failure is counted, and
        paused after; it never raises for what the target does."""
        if self.is_connected:
            return True
        self.disconnect()
        client = self.client = SocketIoConnection(self)
        began_ns, failure = monotonic_ns(), None
        try:
            ok = client.connect(
                self.worker.scenario.http_base(self.worker.begin.target),
                path=self.path,
                namespaces=self.namespaces,
                auth=auth,
                within_s=self.connect_within_s,
                limits=Limits(connect_s=self.connect_within_s),
                counts=self.counts,
                source_address=self.addresses.of(self.number),
                tracer=self.worker.tracer,
            )
        except ConnectError as error:
            ok, failure = False, error
            self.worker.error("connect", str(error))
            if error.kind == "local":
                self.worker.generator_errors.add()
        except BaseException:
            if not self.worker.cuts_at_once:
                failure = ConnectError("timeout", CUT_OFF)
                self.worker.error("connect", str(failure))
                self._count_connection(False, client.phases, (monotonic_ns() - began_ns) / 1e6, failure)
            raise
        self._count_connection(ok, client.phases, (monotonic_ns() - began_ns) / 1e6, failure)
        self.failures = 0 if ok else self.failures + 1
        if not ok:
            self.back_off()
        return ok

    def _count_connection(self, ok: bool, phases: Phases, took_ms: float, failure: Exception | None) -> None:
        worker, trends = self.worker, (self.upgrade_trend, self.open_trend, self.connect_trend)
        for trend, took_us in zip(trends, phases, strict=True):
            if trend is not None and took_us:
                worker.metrics.trend(trend).add(took_us)
        if self.connect_rate is not None:
            rate = worker.metrics.rate(self.connect_rate)
            if isinstance(failure, ConnectError):
                rate = rate.tagged(**{FAILURE: self.addresses.failure(failure)})
            rate.add(ok)
        counter = self.connect_counters[0 if ok else 1]
        if counter is not None:
            worker.metrics.counter(counter).add()
        if any(trends):
            worker.request("SIO", "connect", took_ms, 0, None if ok else failure or RuntimeError(NOT_OPENED))
        if self.connect_check:
            self.checked(self.connect_check, ok)

    def back_off(self) -> None:
        """Pause after a connection that did not come about, unless the next one is when an arrival is due."""
        if self.worker.arrivals is None or self.role != "primary":
            self.pause(self.backoff.delay_s(self.failures, self.dice))

    def disconnect(self) -> None:
        """Leave and hang up in good order, if there is a connection; does not wait for the end."""
        if self.client is not None:
            self.client.close()

    def emit(self, event: str, *values: Any, namespace: str = "") -> bool:
        """Send an event; False, and counted as an error, when that cannot be done now."""
        if self.client is not None and self.client.emit(event, *values, namespace=namespace):
            return True
        self.worker.error(event, NOT_CONNECTED)
        return False

    def ask(
        self,
        event: str,
        *values: Any,
        first_of: Collection[str] = (),
        refused_by: Collection[str] = (),
        unless: Callable[[str, Any], bool] | None = None,
        within_s: float = 10.0,
        namespace: str = "",
        name: str = "",
        ledger: str | None = None,
        item: str = "",
        trend: str | None = None,
        rate: str | None = None,
    ) -> Reply:
        """Send an event and wait for its answer; it never raises for what the target does.

        Arguments:
            values: what the event carries.
            first_of: events of which the first that comes is the answer; without any, the acknowledgement is.
            refused_by: events that answer, too, and mean no.
            unless: called in the event loop with the name of such an event and what it carries first: where it says
                True, the event is about something else, and one goes on waiting.
            within_s: an answer that takes longer counts as none; only an acknowledgement can still be booked then.
            name: under which this is counted, the event's where none is named; the outcome is the check `<name> ok`.
            ledger: where `item` is booked: as sent, then as acked, refused, timed out, or uncertain when the
                connection is lost. What cannot be sent for want of a connection is not booked.
            item: the id of what is sent.
            trend: the metric that a success's time to the answer goes to, in microseconds.
            rate: the metric that says whether there was a success.

        Raises KeyError for a ledger or metric that the scenario does not have.
        """
        worker, client, name = self.worker, self.client, name or event
        book = worker.ledgers[ledger] if ledger is not None else None
        began_ns = monotonic_ns()
        if client is None or not client.is_connected:
            reply, book = Reply(error=NOT_CONNECTED), None
        else:
            if book is not None:
                book.sent(item)
            on_late = None if book is None else lambda: book.acked(item)
            try:
                reply = client.ask(
                    event,
                    *values,
                    first_of=first_of,
                    refused_by=refused_by,
                    unless=unless,
                    namespace=namespace,
                    within_s=within_s,
                    on_late=on_late,
                )
            except BaseException:
                # Cut off in the middle: the target may have got it.
                if book is not None:
                    book.uncertain(item)
                if not worker.cuts_at_once:
                    self.checked(f"{name} ok", False)
                    if rate is not None:
                        worker.metrics.rate(rate).add(False)
                    worker.error(name, CUT_OFF_ASKING)
                    took_ms = (monotonic_ns() - began_ns) / 1e6
                    worker.request("SIO", name, took_ms, 0, RuntimeError(CUT_OFF_ASKING))
                raise
        self.checked(f"{name} ok", reply.ok)
        if rate is not None:
            worker.metrics.rate(rate).add(reply.ok)
        if reply.ok and trend is not None:
            worker.metrics.trend(trend).add(reply.latency_us)
        why = "" if reply.ok else reply.error or self.reason(reply)
        if why:
            worker.error(name, why)
        if book is not None:
            if reply.ok:
                book.acked(item)
            elif reply.refused:
                book.refused(item, why)
            elif client is not None and client.is_connected:
                book.timed_out(item)
            else:
                book.uncertain(item)
        # Where nothing answered, so long was waited for it.
        took_ms = (monotonic_ns() - began_ns) / 1e6 if reply.error else reply.latency_us / 1000
        worker.request("SIO", name, took_ms, reply.size_bytes, RuntimeError(why) if why else None)
        return reply

    def reason(self, reply: Reply) -> str:
        """Why the target said no, in words that are of few kinds: the first of `code`, `message`, `error` and `reason`
        that the answer has, else the name of the event."""
        for field in ("code", "message", "error", "reason"):
            value = reply.get(field)
            if isinstance(value, str | int) and value != "":
                return str(value)[:_LONGEST_REASON]
        return reply.name

    def wait_for(self, condition: Callable[[], object], within_s: float) -> bool:
        """Wait until something is so, looking after each event that a method has heard of, and when the user is to
        finish; False when it is not so in the end: when the seconds are over, or the connection is."""
        return bool(condition()) if self.client is None else self.client.wait_for(condition, within_s)

    def stay(self, seconds: float = A_DAY_S) -> bool:
        """Stay connected for so long, or until the user is to finish; whether the connection is still there."""
        self.wait_for(self.released.is_set, seconds)
        return self.is_connected

    def release(self) -> None:
        super().release()
        if self.client is not None:
            self.client.notify()

    def on_stop(self) -> None:
        if hasattr(self, "timers"):
            self.timers.cancel_all()
        client = self.client
        try:
            if client is not None and isinstance(sys.exception(), StopUser | StopTest):
                # It has ended by itself: the answer to its close frame says whether its last connection was kept. One
                # that does not come ends the connection, too.
                self.disconnect()
                client.wait_for(lambda: not client.is_open, A_DAY_S)
        finally:
            if client is not None:
                # Whoever was to have no time to finish has not lost its connection.
                client.abort("" if self.worker.cuts_at_once else "the user was killed")
            super().on_stop()

    # In the event loop

    def on_event(self, name: bytes, payload: bytes, at_ns: int) -> bool:
        """Hand an event to the method that is marked for it; see `kit.actor.on`."""
        handler = self._handlers.get(name)
        if handler is None:
            return False
        method, fields = handler
        try:
            data = first_argument(payload)
        except PacketError as error:
            if not fields:
                self.on_trouble("receive", f"{name.decode(errors='replace')}: {error}")
                return True
            data = None
        for field, kind in fields:
            if not isinstance(data, dict) or not isinstance(data.get(field), kind):
                self.on_trouble("receive", f"{name.decode(errors='replace')} without a {field}")
                return True
        method(self, data, at_ns)
        return True

    def on_trouble(self, where: str, words: str) -> None:
        """The target did something wrong: counted as an error, a message as one that the protocol does not have."""
        if where == "receive":
            self.worker.shared(ProtocolErrors).add(words)
        else:
            self.worker.error(where, words)

    def on_disconnect(self, close: Close) -> None:
        """The connection is over; one that we did not end is counted as an error."""
        if self.client is None or not self.client.is_open:
            # Else it is the end of one that another has taken the place of.
            self.timers.cancel_all()
        if not close.kept:
            self.worker.error("connection", close.why_lost)
        self.closed(close.kept)

    def closed(self, kept: bool) -> None:
        """For overriding: the connection is over; `kept` is whether it was as long as we wanted it."""

    def on_internal_error(self, error: BaseException) -> None:
        """A method that handles an event raised: a mistake of ours, never the target's."""
        self.worker.internal_error(error)
