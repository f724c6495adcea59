"""Whether broadcasts that carry no mark of their sender reached everybody, once, and told the right number.

"Somebody liked this" looks the same whoever liked. So all processes of the run tell each other, past the target, when
an action of their users was sent and when it was acknowledged: the server broadcast it between the two. A receiver who
was connected from before the one until after the other is owed it. What receivers got is counted, and compared with how
many they were owed, and with how many there can have been.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pika_locust.clock import monotonic_ns
from pika_locust.kit.broadcast import DEADLINE_S, HEARING_MARGIN_NS, LEAVING_MARGIN_NS
from pika_locust.kit.pending import OnReply
from pika_locust.metrics import Counter, Rate
from pika_locust.runtime.clock_sync import sent_here
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.machine import boot_id
from pika_locust.runtime.timers import every, later

TOPIC = "counted broadcasts"
TELL_EVERY_S = 0.25
SETTLE_S = 2 * DEADLINE_S
"""So long after a receiver left, all news of what happened before has come: a reply is waited for half as long."""
SWEEP_EVERY_S = 5.0
MOMENT_NS = 250_000_000
"""Numbers that are told within such a time are judged together: the least and the most of them."""
_GONE = "receivers gone"


@dataclass(frozen=True, slots=True)
class CountedKind:
    """A kind of broadcast that follows from one kind of action."""

    name: str
    once: bool = True
    """Whether the server broadcasts it only then: more of them are duplicates."""
    of_receivers: bool = False
    """Whether the number it tells is that of receivers, who come by this action and go when they leave."""
    starts_anew: bool = False
    """Whether the number it tells goes back to nothing now and then, so that only its most is known."""


@dataclass(frozen=True, slots=True)
class CountedMetrics:
    """Where counted broadcasts are counted: handles bound once in a process."""

    delivered: Mapping[str, Rate]
    """By kind: whether a receiver got what it was owed, as often as it was owed one."""
    duplicates: Mapping[str, Counter]
    """By kind: how many more a receiver got than there can have been."""
    correct: Mapping[str, Rate]
    """By kind: whether a number that was told was one that our own count allows."""

    @classmethod
    def of(cls, worker: WorkerContext, kinds: Iterable[CountedKind]) -> CountedMetrics:
        """The built-in ones (`metrics.builtin.FANOUT_METRICS`)."""
        names = [kind.name for kind in kinds]
        delivered, correct = worker.metrics.rate("fanout_delivery"), worker.metrics.rate("fanout_correct")
        duplicates = worker.metrics.counter("fanout_duplicates")
        return cls(
            delivered={name: delivered.tagged(kind=name) for name in names},
            duplicates={name: duplicates.tagged(kind=name) for name in names},
            correct={name: correct.tagged(kind=name) for name in names},
        )


class Presence:
    """One connection of a receiver: what it got while it lasted. A handler adds one to `counts[kind]` for each."""

    __slots__ = ("counts", "has_all_until_ns", "own_acked", "own_sent", "own_until_then", "since_ns", "until_ns")

    def __init__(self, kinds: int, since_ns: int) -> None:
        self.counts = [0] * kinds
        self.own_sent = [0] * kinds
        self.own_acked = [0] * kinds
        self.since_ns = since_ns
        self.until_ns = 0
        self.has_all_until_ns = 0
        """What was acknowledged before is known to have reached it..."""
        self.own_until_then = self.own_sent
        """...but for its own: so many of each kind."""


def _moments() -> array[int]:
    """Eight bytes a moment: there may be a million."""
    return array("q")


def _put(moments: array[int], at_ns: int) -> None:
    """Keep them in order; nearly all come in order."""
    if not moments or at_ns >= moments[-1]:
        moments.append(at_ns)
    else:
        moments.insert(bisect_right(moments, at_ns), at_ns)


@dataclass(slots=True)
class _Actions:
    """When all actions of one kind were broadcast, as far as we know: each between its earliest and its latest."""

    earliest_ns: array[int] = field(default_factory=_moments)
    latest_ns: array[int] = field(default_factory=_moments)
    unsure_ns: array[int] = field(default_factory=_moments)
    """When those were sent that were not acknowledged: they may have been broadcast at any time since, or never."""

    def add(self, earliest_ns: int, latest_ns: int, items: int) -> None:
        """So many were broadcast between the two."""
        for _ in range(items):
            _put(self.earliest_ns, earliest_ns)
            _put(self.latest_ns, latest_ns)

    def add_unsure(self, sent_ns: int, items: int) -> None:
        """So many were sent, and not acknowledged."""
        for _ in range(items):
            _put(self.unsure_ns, sent_ns)

    def least(self, since_ns: int, until_ns: int) -> int:
        """So many were broadcast between, at the least."""
        return max(0, bisect_right(self.latest_ns, until_ns) - bisect_left(self.earliest_ns, since_ns))

    def most(self, since_ns: int, until_ns: int) -> int:
        """So many can have been broadcast between."""
        sure = bisect_right(self.earliest_ns, until_ns) - bisect_left(self.latest_ns, since_ns)
        return sure + bisect_right(self.unsure_ns, until_ns)


class CountedBroadcasts:
    """What the receivers of this process got of what follows from the run's actions. Receivers are known by number.

    Arguments:
        worker: this process's part of the run.
        kinds: what is broadcast; a receiver's counts are in this order.
        metrics: where it is counted.
        alone: whether only this run's users act where these receivers are. If others may, more than our own count can
            explain is no fault.
    """

    def __init__(
        self, worker: WorkerContext, kinds: Sequence[CountedKind], metrics: CountedMetrics, *, alone: bool = True
    ) -> None:
        self._worker = worker
        self._kinds = {kind.name: kind for kind in kinds}
        self._index = {kind.name: index for index, kind in enumerate(kinds)}
        self._metrics = metrics
        self._alone = alone
        self._present: dict[int, Presence] = {}
        self._left: list[Presence] = []
        self._actions: dict[tuple[str, int], _Actions] = {}
        self._told: dict[tuple[str, int, int], tuple[int, int]] = {}
        self._news: list[list[Any]] = []
        worker.listen(TOPIC, self._on_news)
        worker.on_end(self._settle_all)
        worker.on_end(every(worker, SWEEP_EVERY_S, self._settle_old).stop)

    # What our users do

    def after(
        self, kind: str, sender: int, *, items: int = 1, about: int = 0, on_reply: OnReply | None = None
    ) -> OnReply:
        """What to call with the reply to an action that is sent now, from which broadcasts of this kind follow.

        Arguments:
            sender: the receiver who acts; it does not get its own.
            items: how many broadcasts follow.
            about: a number for what it is about, where numbers are told of each by itself (see `told`).
            on_reply: is called in turn.
        """
        at, sent_ns, presence = self._index[kind], monotonic_ns(), self._present.get(sender)
        own: list[int] = []
        if presence is not None:
            own = presence.own_acked.copy()
            presence.own_sent[at] += items

        def replied(ok: bool, why: str) -> None:
            if ok and presence is not None:
                presence.own_acked[at] += items
                if sent_ns > presence.has_all_until_ns:
                    # Whatever was acknowledged before this was sent was broadcast before this was answered.
                    presence.has_all_until_ns, presence.own_until_then = sent_ns, own
            self._note(kind, about, sent_ns, monotonic_ns() if ok else 0, items)
            if on_reply is not None:
                on_reply(ok, why)

        return replied

    # What our users get

    def joined(self, receiver: int) -> list[int]:
        """A receiver gets broadcasts from now on; returns where to count them, one number for each kind."""
        presence = self._present[receiver] = Presence(len(self._kinds), monotonic_ns())
        return presence.counts

    def left(self, receiver: int, *, has_all: bool = False) -> None:
        """A receiver begins to leave, or was cut off.

        `has_all`: the server has just answered it, so it has got all that was acknowledged before. Else the last two
        seconds may have been on their way.
        """
        presence = self._present.pop(receiver, None)
        if presence is None:
            return
        now_ns = presence.until_ns = monotonic_ns()
        if has_all:
            presence.has_all_until_ns, presence.own_until_then = now_ns, presence.own_acked
        elif now_ns - LEAVING_MARGIN_NS > presence.has_all_until_ns:
            presence.has_all_until_ns, presence.own_until_then = now_ns - LEAVING_MARGIN_NS, presence.own_sent
        self._left.append(presence)
        self._note(_GONE, 0, now_ns, now_ns, 1)
        # Whoever leaves last is waited for by those who judge: they must have heard of all that was done.
        self._tell()

    def told(self, kind: str, number: int, at_ns: int, about: int = 0) -> None:
        """A broadcast said how many there are, of these actions so far, or of these about one thing."""
        moment = (kind, about, at_ns // MOMENT_NS)
        least, most = self._told.get(moment, (number, number))
        self._told[moment] = min(least, number), max(most, number)

    # News

    def _note(self, kind: str, about: int, sent_ns: int, acked_ns: int, items: int) -> None:
        if not self._news:
            later(self._worker, TELL_EVERY_S, self._tell)
        self._news.append([kind, about, sent_ns, acked_ns, items])

    def _tell(self) -> None:
        if self._news:
            news, self._news = self._news, []
            self._worker.tell_all(TOPIC, {"boot": boot_id(), "actions": news})

    def _on_news(self, data: Mapping[str, Any]) -> None:
        boot, heard_ns = data["boot"], monotonic_ns()
        is_ours = boot == boot_id()
        for kind, about, sent_ns, acked_ns, items in data["actions"]:
            if is_ours:
                earliest_ns, latest_ns = sent_ns, max(sent_ns, acked_ns)
            else:
                earliest_ns, latest_ns = self._here(boot, sent_ns, acked_ns, heard_ns)
            for one in (0, about) if about else (0,):
                actions = self._actions.get((kind, one))
                if actions is None:
                    actions = self._actions[kind, one] = _Actions()
                if acked_ns:
                    actions.add(earliest_ns, latest_ns, items)
                else:
                    actions.add_unsure(earliest_ns, items)

    def _here(self, boot: str, sent_ns: int, acked_ns: int, heard_ns: int) -> tuple[int, int]:
        """The earliest and the latest moment, by our clock, between an action's two on another machine."""
        sent, lasted_ns = sent_here(self._worker.clocks, boot, sent_ns, heard_ns), max(0, acked_ns - sent_ns)
        if sent is None:
            # It was acknowledged before we heard of it, and sent so long before.
            return heard_ns - HEARING_MARGIN_NS - lasted_ns, heard_ns
        return sent.ns - sent.error_ns, min(heard_ns, sent.ns + lasted_ns + sent.error_ns)

    # Judging

    def _settle_old(self) -> None:
        self._settle(monotonic_ns() - int(SETTLE_S * 1e9))

    def _settle_all(self) -> None:
        for receiver in list(self._present):
            self.left(receiver)
        self._settle(monotonic_ns() + 1)

    def _settle(self, before_ns: int) -> None:
        settled = [presence for presence in self._left if presence.until_ns < before_ns]
        self._left = [presence for presence in self._left if presence.until_ns >= before_ns]
        for presence in settled:
            self._settle_presence(presence)
        for moment in [moment for moment in self._told if (moment[2] + 1) * MOMENT_NS <= before_ns]:
            self._settle_told(moment, *self._told.pop(moment))

    def _settle_presence(self, presence: Presence) -> None:
        for at, kind in enumerate(self._kinds.values()):
            actions = self._actions.get((kind.name, 0), _NONE)
            got = presence.counts[at]
            owed = actions.least(presence.since_ns, presence.has_all_until_ns) - presence.own_until_then[at]
            if owed > 0:
                delivered = self._metrics.delivered[kind.name]
                delivered.add(True, min(owed, got))
                delivered.add(False, max(0, owed - got))
            if kind.once and self._alone:
                margin_ns = LEAVING_MARGIN_NS
                most = actions.most(presence.since_ns - margin_ns, presence.until_ns + margin_ns)
                self._metrics.duplicates[kind.name].add(max(0, got - (most - presence.own_acked[at])))

    def _settle_told(self, moment: tuple[str, int, int], least: int, most: int) -> None:
        name, about, at = moment
        kind, actions = self._kinds[name], self._actions.get((name, about), _NONE)
        begin_ns, end_ns = at * MOMENT_NS - LEAVING_MARGIN_NS, (at + 1) * MOMENT_NS + LEAVING_MARGIN_NS
        lowest = 0 if kind.starts_anew else actions.least(0, begin_ns)
        if kind.of_receivers:
            lowest -= self._actions.get((_GONE, 0), _NONE).most(0, end_ns)
        right = least >= lowest and (not self._alone or most <= actions.most(0, end_ns))
        self._metrics.correct[name].add(right)


_NONE = _Actions()
