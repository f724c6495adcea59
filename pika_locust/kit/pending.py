"""Messages that wait for a reply, and what becomes of each: acknowledged, refused, timed out, or cut off."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pika_locust.clock import monotonic_ns
from pika_locust.judge import Ledger
from pika_locust.kit.json_messages import JsonMessages
from pika_locust.metrics import Counter, Rate, Trend
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.timers import every

NOT_CONNECTED = "not connected"
"""What is told of a message that could not even be sent."""
REPLY_TIMEOUT_S = 5.0
"""A later reply counts as none."""
_SWEEP_EVERY_S = 0.25
_LATE_KEPT = 10_000
"""So many messages that timed out can still be booked by a late reply: the latest."""
_LONGEST_REASON = 120
_MOST_REASONS = 50
"""So many refusals are told apart by their words: a server that puts an id into each would use up all series."""

OnReply = Callable[[bool, str], None]


class Owner(Protocol):
    """Who sends: an actor that knows how many of its messages still wait."""

    unanswered: int


BATCH = 100
"""How many acknowledgements of a kind wait to be counted at most."""


@dataclass(frozen=True, slots=True)
class ReplyMetrics:
    """Where replies are counted: handles bound once in a process."""

    latency: Trend
    """By kind of message: from a message to its acknowledgement."""
    success: Rate
    """By kind of message: whether it was acknowledged in time."""
    round_trip: Trend
    """From any message to its reply, refusals included."""
    refused: Counter
    """Refusals; tagged with what they say, as `error`."""
    late: Counter
    """Replies to what nobody waits for any more."""

    @classmethod
    def of(cls, worker: WorkerContext) -> ReplyMetrics:
        """The built-in ones (`metrics.builtin.WEBSOCKET_METRICS`)."""
        metrics = worker.metrics
        return cls(
            latency=metrics.trend("ack_latency"),
            success=metrics.rate("ack_success"),
            round_trip=metrics.trend("ws_message_latency"),
            refused=metrics.counter("nacks"),
            late=metrics.counter("late_answers"),
        )


class _Kind:
    """The bound handles of one kind of message, and the acknowledgements that are still to be counted."""

    __slots__ = ("acked_us", "latency", "name", "size_bytes", "success")

    def __init__(self, name: str, metrics: ReplyMetrics) -> None:
        self.name = name
        self.latency = metrics.latency.tagged(kind=name)
        self.success = metrics.success.tagged(kind=name)
        self.acked_us: list[int] = []
        self.size_bytes = 0
        """What the acknowledgements were long that Locust is still to be told of."""


Waiting = tuple[_Kind, Owner, int, Ledger | None, tuple[str, ...], OnReply | None]
"""One message on its way: its kind, who sent it and when, its ledger with its entries there, and who hears what became
of it. A plain tuple, as it is made and taken apart for every message."""


def _numbers(worker: WorkerContext) -> Iterator[int]:
    """One count for all tables of a process, which may well belong to the same server."""
    return itertools.count(1)


class PendingReplies:
    """The messages of all actors of a process that wait for a reply, in the order in which they were sent.

    One table and one timer serve everybody: a timer for each message would cost more than the message. For the same
    reason acknowledgements wait to be counted together, a hundred at a time or when somebody reads the metrics, as the
    report of every two seconds does. Locust's statistics wait with them; a listener of its `request` event hears of
    every acknowledgement at once.

    Arguments:
        worker: this process's part of the run.
        metrics: where replies are counted.
        spelling: how the protocol writes ids, acknowledgements and refusals.
        timeout_s: a later reply counts as none.
    """

    def __init__(
        self,
        worker: WorkerContext,
        metrics: ReplyMetrics,
        spelling: JsonMessages,
        timeout_s: float = REPLY_TIMEOUT_S,
    ) -> None:
        self._worker = worker
        self._metrics = metrics
        self._spelling = spelling
        self._timeout_s = timeout_s
        self._ack_id = spelling.ack_id
        # A server may take an id that it has seen some minutes ago for a repetition, and not act on it: so ids differ
        # between runs, too.
        self._prefix = f"{worker.begin.run_id}.{worker.worker_index:x}."
        self._numbers = worker.shared(_numbers)
        self._kinds: dict[str, _Kind] = {}
        self._is_settled = True
        self._tells_later = False
        self._waiting: dict[str, Waiting] = {}
        self._by_owner: dict[Owner, list[str]] | None = None
        self._late: dict[str, Waiting] = {}
        self._reasons: set[str] = set()
        worker.metrics.on_collect(self._settle)
        worker.on_end(every(worker, _SWEEP_EVERY_S, self._sweep).stop)

    def next_id(self) -> str:
        """An id that no other message has, of this run or of the one before."""
        return f"{self._prefix}{next(self._numbers):x}"

    def expect(
        self,
        message_id: str,
        kind: str,
        owner: Owner,
        ledger: Ledger | None = None,
        items: int = 1,
        on_reply: OnReply | None = None,
    ) -> None:
        """A message goes out now; call this before sending it, for its reply may come at once.

        `items` is how many entries of the ledger it stands for (a bulk of likes is one message).
        """
        booked: tuple[str, ...] = ()
        if ledger is not None:
            booked = (message_id,) if items == 1 else tuple(f"{message_id}/{item}" for item in range(items))
            for item in booked:
                ledger.sent(item)
        owner.unanswered += 1
        self._by_owner = None
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = _Kind(kind, self._metrics)
        self._waiting[message_id] = (known, owner, monotonic_ns(), ledger, booked, on_reply)

    def on_ack(self, payload: bytes, at_ns: int) -> None:
        """An acknowledgement was read at `at_ns`, on the monotonic clock."""
        waiting = self._waiting.pop(self._ack_id(payload), None)
        if waiting is None:
            waiting = self._waiting.pop(message_id := self._id_of(self._spelling.parse(payload)), None)
            if waiting is None:
                self._on_late(message_id)
                return
        kind, owner, sent_ns, ledger, items, on_reply = waiting
        owner.unanswered -= 1
        latency_us = (at_ns - sent_ns) // 1000
        worker = self._worker
        tells_later = worker.may_tell_later()
        if tells_later is not self._tells_later:
            # Whoever begins to listen hears of what comes, and not of what was.
            self._settle()
            self._tells_later = tells_later
        acked_us = kind.acked_us
        acked_us.append(latency_us)
        self._is_settled = False
        if tells_later:
            kind.size_bytes += len(payload)
        if len(acked_us) >= BATCH:
            self._count(kind)
        if ledger is not None:
            for item in items:
                ledger.acked(item)
        if on_reply is not None:
            on_reply(True, "")
        if not tells_later:
            worker.request("WS", kind.name, latency_us / 1000, len(payload))

    def _settle(self) -> None:
        if not self._is_settled:
            self._is_settled = True
            for kind in self._kinds.values():
                if kind.acked_us:
                    self._count(kind)

    def _count(self, kind: _Kind) -> None:
        acked_us = kind.acked_us
        kind.latency.add_all(acked_us)
        self._metrics.round_trip.add_all(acked_us)
        kind.success.add(True, len(acked_us))
        if self._tells_later:
            self._worker.requests("WS", kind.name, [us / 1000 for us in acked_us], kind.size_bytes)
        kind.acked_us.clear()
        kind.size_bytes = 0

    def on_nack(self, payload: bytes, at_ns: int) -> None:
        """A refusal was read at `at_ns`."""
        message = self._spelling.parse(payload) or {}
        message_id = self._id_of(message)
        why = str(message.get(self._spelling.error, "no reason given"))[:_LONGEST_REASON]
        if len(self._reasons) < _MOST_REASONS:
            self._reasons.add(why)
        self._metrics.refused.tagged(error=why if why in self._reasons else "other reasons").add()
        waiting = self._waiting.pop(message_id, None)
        if waiting is not None:
            self._metrics.round_trip.add((at_ns - waiting[2]) // 1000)
            self._fail(waiting, why)
        else:
            self._metrics.late.add()
            waiting = self._late.pop(message_id, None)
        for ledger, item in _booked(waiting):
            ledger.refused(item, why)

    def connection_lost(self, owner: Owner) -> None:
        """No reply can come any more for what this actor had sent."""
        if not owner.unanswered:
            return
        if self._by_owner is None:
            # Made when it is needed: a server that dies takes thousands of connections with it in one moment, and
            # looking through everybody's messages for each of them would hold up all the others.
            self._by_owner = {}
            for message_id, waiting in self._waiting.items():
                self._by_owner.setdefault(waiting[1], []).append(message_id)
        for message_id in self._by_owner.pop(owner, ()):
            if message_id not in self._waiting:
                continue
            waiting = self._waiting.pop(message_id)
            # Where somebody wanted the end at once, nobody waited for the reply.
            self._fail(waiting, "the connection was lost before the answer", counts=not self._worker.cuts_at_once)
            for ledger, item in _booked(waiting):
                ledger.uncertain(item)

    def _on_late(self, message_id: str) -> None:
        self._metrics.late.add()
        waiting = self._late.pop(message_id, None)
        for ledger, item in _booked(waiting):
            ledger.acked(item)

    def _fail(self, waiting: Waiting, why: str, *, counts: bool = True) -> None:
        kind, owner, sent_ns, _, _, on_reply = waiting
        owner.unanswered -= 1
        if on_reply is not None:
            # What it raises must not keep the others of a lost connection from being settled.
            with self._worker.guarded():
                on_reply(False, why)
        if not counts:
            return
        kind.success.add(False)
        self._worker.error(kind.name, why)
        waited_ms = (monotonic_ns() - sent_ns) / 1e6
        self._worker.request("WS", kind.name, waited_ms, 0, RuntimeError(why))

    def _sweep(self) -> None:
        oldest_ns = monotonic_ns() - int(self._timeout_s * 1e9)
        while self._waiting:
            message_id = next(iter(self._waiting))
            waiting = self._waiting[message_id]
            if waiting[2] > oldest_ns:
                return
            del self._waiting[message_id]
            if len(self._late) >= _LATE_KEPT:
                # Of the oldest, a reply is least to be expected.
                del self._late[next(iter(self._late))]
            self._late[message_id] = waiting
            self._fail(waiting, f"no answer within {self._timeout_s:g} s")
            for ledger, item in _booked(waiting):
                ledger.timed_out(item)

    def _id_of(self, message: Mapping[str, Any] | None) -> str:
        return str((message or {}).get(self._spelling.id))


def _booked(waiting: Waiting | None) -> Iterator[tuple[Ledger, str]]:
    """The entries of a message, each with its ledger."""
    if waiting is not None and (ledger := waiting[3]) is not None:
        for item in waiting[4]:
            yield ledger, item


@dataclass(frozen=True, slots=True)
class SharedReplies:
    """`worker.shared(SharedReplies(spelling))`: one table for all messages that are so spelt, counted under the
    built-in names. Raises KeyError where the scenario does not declare `WEBSOCKET_METRICS`."""

    spelling: JsonMessages
    timeout_s: float = REPLY_TIMEOUT_S

    def __call__(self, worker: WorkerContext) -> PendingReplies:
        return PendingReplies(worker, ReplyMetrics.of(worker), self.spelling, self.timeout_s)
