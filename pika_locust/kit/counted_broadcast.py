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

    __slots__ = (
        "broadcast_before",
        "counts",
        "has_all_until_ns",
        "own_acked",
        "own_sent",
        "own_until_then",
        "since_ns",
        "until_ns",
    )

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
        self.broadcast_before: array[int] | None = None
        """How many may have been broadcast before it began, and how many must have been long before, of each kind in
        turn; None: not all news of that time have come yet."""


class _Moments:
    """Moments in order, and how many there were until any of the last seconds: older ones are only counted."""

    __slots__ = ("_counted", "_kept")

    def __init__(self) -> None:
        self._kept = array("q")
        self._counted = 0

    def add(self, at_ns: int, times: int = 1) -> None:
        """So many at one moment; nearly all come in order."""
        kept = self._kept
        if times == 1 and kept and at_ns >= kept[-1]:
            kept.append(at_ns)
            return
        place = bisect_right(kept, at_ns)
        kept[place:place] = array("q", [at_ns]) * times

    def until(self, at_ns: int) -> int:
        """How many there were by then."""
        return self._counted + bisect_right(self._kept, at_ns)

    def before(self, at_ns: int) -> int:
        """How many there were before that."""
        return self._counted + bisect_left(self._kept, at_ns)

    def forget(self, before_ns: int) -> None:
        """Nobody asks for a moment before this any more. A run of hours may have millions."""
        old = bisect_left(self._kept, before_ns)
        if old:
            self._counted += old
            del self._kept[:old]

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)


@dataclass(slots=True)
class _Actions:
    """When all actions of one kind were broadcast, as far as we know: each between its earliest and its latest."""

    earliest: _Moments = field(default_factory=_Moments)
    latest: _Moments = field(default_factory=_Moments)
    unsure: _Moments = field(default_factory=_Moments)
    """When those were sent that were not acknowledged: they may have been broadcast at any time since, or never."""

    def least(self, until_ns: int) -> int:
        """So many were broadcast by then, at the least."""
        return self.latest.until(until_ns)

    def most(self, until_ns: int) -> int:
        """So many can have been broadcast by then."""
        return self.earliest.until(until_ns) + self.unsure.until(until_ns)

    def forget(self, before_ns: int) -> None:
        """Nobody asks for a moment before this any more."""
        self.earliest.forget(before_ns)
        self.latest.forget(before_ns)
        self.unsure.forget(before_ns)


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
        self._new: list[Presence] = []
        """Those of which it is not known yet how many were broadcast before they began."""
        self._known_until_ns = 0
        """Of the others it was looked up when all news of the time before this had come."""
        self._actions: dict[tuple[str, int], _Actions] = {}
        self._told: dict[tuple[str, int, int], tuple[int, int]] = {}
        self._news: list[tuple[str, int, int, int, int]] = []
        self._tells_at_once = False
        worker.listen(TOPIC, self._on_news)
        worker.on_drained(self._tell_from_now_on)
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
        self._new.append(presence)
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

    def told(self, kind: str, number: int, at_ns: int, about: int = 0) -> None:
        """A broadcast said how many there are, of these actions so far, or of these about one thing."""
        moment = (kind, about, at_ns // MOMENT_NS)
        least, most = self._told.get(moment, (number, number))
        self._told[moment] = min(least, number), max(most, number)

    # News

    def _note(self, kind: str, about: int, sent_ns: int, acked_ns: int, items: int) -> None:
        if not self._news:
            later(self._worker, TELL_EVERY_S, self._tell)
        self._news.append((kind, about, sent_ns, acked_ns, items))
        if self._tells_at_once:
            self._tell()

    def _tell_from_now_on(self) -> None:
        """All judge once each process has said that its users have left, and would take for a duplicate what they have
        not heard of. Tens of thousands who leave are told of together, before that is said; what supporters still do
        is told at once."""
        self._tells_at_once = True
        self._tell()

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
                    actions.earliest.add(earliest_ns, items)
                    actions.latest.add(latest_ns, items)
                else:
                    actions.unsure.add(earliest_ns, items)
            if acked_ns and earliest_ns < self._known_until_ns:
                self._correct(kind, earliest_ns, latest_ns, items)

    def _correct(self, kind: str, earliest_ns: int, latest_ns: int, items: int) -> None:
        """News have come so late that it had been looked up already how many were broadcast before."""
        at = self._index.get(kind)
        for presence in (*self._present.values(), *self._left):
            if at is not None and (before := presence.broadcast_before) is not None:
                before[2 * at] += items * (earliest_ns < presence.since_ns)
                before[2 * at + 1] += items * (latest_ns < presence.since_ns - LEAVING_MARGIN_NS)

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
        for presence in self._new:
            if presence.since_ns < before_ns:
                presence.broadcast_before = self._broadcast_before(presence.since_ns)
        self._new = [presence for presence in self._new if presence.broadcast_before is None]
        self._known_until_ns = before_ns
        settled = [presence for presence in self._left if presence.until_ns < before_ns]
        self._left = [presence for presence in self._left if presence.until_ns >= before_ns]
        for presence in settled:
            self._settle_presence(presence)
        for moment in [moment for moment in self._told if (moment[2] + 1) * MOMENT_NS <= before_ns]:
            self._settle_told(moment, *self._told.pop(moment))
        # Who is settled later has been there until then, but for the margins, and what was told was told then.
        for actions in self._actions.values():
            actions.forget(before_ns - 2 * LEAVING_MARGIN_NS - MOMENT_NS)

    def _broadcast_before(self, since_ns: int) -> array[int]:
        before = array("q")
        for name in self._kinds:
            actions = self._actions.get((name, 0), _NONE)
            before.append(actions.earliest.before(since_ns))
            before.append(actions.latest.before(since_ns - LEAVING_MARGIN_NS))
        return before

    def _settle_presence(self, presence: Presence) -> None:
        before = presence.broadcast_before
        assert before is not None, "it began before it ended"
        for at, kind in enumerate(self._kinds.values()):
            actions = self._actions.get((kind.name, 0), _NONE)
            got = presence.counts[at]
            owed = actions.least(presence.has_all_until_ns) - before[2 * at] - presence.own_until_then[at]
            if owed > 0:
                delivered = self._metrics.delivered[kind.name]
                delivered.add(True, min(owed, got))
                delivered.add(False, max(0, owed - got))
            if kind.once and self._alone:
                most = actions.most(presence.until_ns + LEAVING_MARGIN_NS) - before[2 * at + 1]
                self._metrics.duplicates[kind.name].add(max(0, got - (most - presence.own_acked[at])))

    def _settle_told(self, moment: tuple[str, int, int], least: int, most: int) -> None:
        name, about, at = moment
        kind, actions = self._kinds[name], self._actions.get((name, about), _NONE)
        begin_ns, end_ns = at * MOMENT_NS - LEAVING_MARGIN_NS, (at + 1) * MOMENT_NS + LEAVING_MARGIN_NS
        lowest = 0 if kind.starts_anew else actions.least(begin_ns)
        if kind.of_receivers:
            lowest -= self._actions.get((_GONE, 0), _NONE).most(end_ns)
        right = least >= lowest and (not self._alone or most <= actions.most(end_ns))
        self._metrics.correct[name].add(right)


_NONE = _Actions()
