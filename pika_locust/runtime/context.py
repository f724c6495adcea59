"""`WorkerContext`: what the virtual users of one process share in a test.

That is metrics, ledgers, errors, facts for the audits, seeded random numbers, and news to and from other processes.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import gevent
from gevent.event import Event

from pika_locust.clock import monotonic
from pika_locust.judge import Ledger
from pika_locust.load.rng import SeededRandom
from pika_locust.metrics import Rate, Registry, Snapshot
from pika_locust.metrics.builtin import BASE_METRICS, TARGET_METRICS
from pika_locust.runtime.clocks import Clocks
from pika_locust.runtime.error_groups import group_of
from pika_locust.runtime.iterations import IterationQuota
from pika_locust.runtime.locust_stats import LocustStats
from pika_locust.runtime.machine import boot_id
from pika_locust.runtime.messages import RunStart
from pika_locust.runtime.target_settings import TRACE_SHARE
from pika_locust.scenario import Scenario
from pika_locust.settings import Settings
from pika_locust.wire.tracing import TraceSampler, set_sampler
from pika_locust.wire.traffic import TRAFFIC

logger = logging.getLogger(__name__)

SUPPORTERS_READY = "supporters_ready"
"""News: one of those who come on top is there, or has found out that it cannot be."""
USERS_PEAK = "users_peak"
"""News that the load plan was edited, and has so many users now."""
BATCH = 100
"""How many iterations wait to be counted at most."""
MAX_ERRORS = 200
MAX_SAID = 10
"""How many different words of the target are told with one error."""
MAX_INTERNAL_ERRORS = 10
# The fractional part of multiples of the golden ratio spreads any number of users evenly over a second.
_GOLDEN = 0.6180339887498949

Listener = Callable[[Mapping[str, Any]], None]
Shared = TypeVar("Shared")

LEAVE_WITHIN_S = 2.0
"""How long users that are cut off may take to end: to say what they are owed, and to close what they had open."""


class VirtualUser(Protocol):
    """What a process needs of its users to count them, and to end them; `runtime.actor.Actor` is one."""

    role: ClassVar[Literal["primary", "supporter"]]

    def release(self) -> None:
        """Ask it to finish."""

    def cut(self) -> None:
        """End it at once."""


class WorkerContext:
    """What the actors of this process share: metrics, ledgers, facts, and news from the other processes."""

    def __init__(
        self,
        begin: RunStart,
        scenario: Scenario,
        settings: Settings,
        worker_index: int,
        tell_all: Callable[[str, Mapping[str, Any]], None],
        request_event: Any,
        *,
        clocks: Clocks | None = None,
        quota: IterationQuota | None = None,
        make_arrivals: Callable[[WorkerContext], Any] | None = None,
    ) -> None:
        """`tell_all` tells every process of the test of a topic; `request_event` is Locust's.

        `clocks` are the times of other machines (this one's alone where none are given). `quota` says which user may
        begin another iteration, where their number is fixed. `make_arrivals` makes this process's arrivals in the open
        model, of this context when everything else of it is there.
        """
        self.begin = begin
        self.scenario = scenario
        self.settings = settings
        self.worker_index = worker_index
        self.metrics = Registry((*BASE_METRICS, *TARGET_METRICS, *scenario.metrics))
        self.ledgers = {name: Ledger(name) for name in scenario.ledgers}
        self.users_peak = begin.users_peak
        """The most users that the load plan has at once, all processes together; more when somebody edits it. 0: nobody
        says."""
        self.facts: dict[str, Any] = {}
        """Small plain values for the audits. Whole numbers of several processes are added; of other values the later
        worker's stays."""
        share = settings.get(TRACE_SHARE.name) or 0.0
        self.tracer = TraceSampler(share) if share > 0 else None
        """Says which requests carry a trace id; None: none of them."""
        set_sampler(self.tracer)
        self.errors: dict[tuple[str, str], int] = {}
        self._said: dict[tuple[str, str], set[str]] = {}
        self.internal_errors: list[str] = []
        self.draining: set[str] = set()
        """Roles whose users are to finish: they start nothing new."""
        self.clocks = clocks if clocks is not None else Clocks(boot_id())
        self.quota = quota
        self._supporters_heard: set[Any] = set()
        self.supporters_ready = Event()
        if not begin.supporters:
            self.supporters_ready.set()
        self._actors: dict[str, dict[VirtualUser, None]] = {"primary": {}, "supporter": {}}
        self.anew = 0
        """How often the figures have started anew."""
        self._left_out = Snapshot()
        self._numbers = 0
        self._supporters = 0
        self._tell_all = tell_all
        self._listeners: dict[str, list[Listener]] = {}
        self._checks: dict[str, Rate] = {}
        self._shared: dict[Any, Any] = {}
        self._at_end: list[Callable[[], None]] = []
        self._when_drained: list[Callable[[], None]] = []
        self._ended: Event | None = None
        self._cut_actors: set[VirtualUser] = set()
        self._request_event = request_event
        self._locust_stats = LocustStats(request_event)
        self.may_tell_later = self._locust_stats.is_alone
        """Whether successes may be told of some at a time: nobody but Locust's statistics listens to them."""
        if not scenario.is_locustfile:
            # Of a locustfile's own users it is Locust's request event that tells how much they received.
            _count_traffic(self.metrics)
        self._vus = self.metrics.gauge("vus")
        self._vus_max = self.metrics.gauge("vus_max")
        self._cut = self.metrics.counter("iterations_cut")
        self.cuts_at_once = begin.stop_timeout_s <= 0
        """Whether users that are cut off now were given no time to finish: what they were at says nothing then."""
        self.generator_errors = self.metrics.counter("generator_errors")
        """Connections that this machine had no file, port or memory left for."""
        self.iterations = self.metrics.counter("iterations")
        self.iteration_duration = self.metrics.trend("iteration_duration")
        self._iterations_ns: list[int] = []
        self.metrics.on_collect(self._count_iterations)
        self.arrivals: Any = make_arrivals(self) if make_arrivals is not None else None

    # Users

    def enter(self, actor: VirtualUser) -> int:
        """Take in a new user; gives its number in this process."""
        number = self._numbers
        self._numbers += 1
        self._actors[actor.role][actor] = None
        if actor.role == "primary":
            self._vus.add(1)
            self._vus_max.set(len(self._actors["primary"]))
        else:
            self._supporters += 1
        return number

    def leave(self, actor: VirtualUser) -> None:
        """A user has ended."""
        if actor in self._actors[actor.role]:
            del self._actors[actor.role][actor]
            if actor.role == "primary":
                self._vus.add(-1)

    def actors(self, role: str) -> list[VirtualUser]:
        """The users of a role that are there now."""
        return list(self._actors[role])

    def dice(self, number: int) -> SeededRandom:
        """The random number generator of a user: the same for the same seed, worker and number."""
        return SeededRandom(self.begin.seed, self.worker_index, number)

    def global_number(self, number: int) -> int:
        """A user's number in the whole test, different from those of all other processes."""
        return number * max(1, self.begin.workers) + self.worker_index

    def start_delay_s(self, number: int) -> float:
        """Seconds a new user waits before it acts, so that a ramp is a line and not a staircase."""
        return number * _GOLDEN % 1.0 if self.begin.spread else 0.0

    def drain(self, role: str, timeout_s: float) -> None:
        """Let every user of a role finish what it does and end; after `timeout_s` the rest are killed, and counted."""
        self.draining.add(role)
        deadline_s = monotonic() + timeout_s
        for actor in self.actors(role):
            actor.release()
        while self._actors[role] and monotonic() < deadline_s:
            gevent.sleep(0.02)
        # Of two who want the same users cut off, one counts them.
        left = [actor for actor in self.actors(role) if actor not in self._cut_actors]
        self._cut_actors.update(left)
        self.cuts_at_once = timeout_s <= 0
        if left:
            self.note_cut(len(left))
            self.error(role, f"cut off {timeout_s:g} s after the end")
        for actor in left:
            actor.cut()
        gevent.sleep(0)
        self._wait_for_those_cut_off()
        for callback in self._when_drained:
            with self.guarded():
                callback()

    def _wait_for_those_cut_off(self) -> None:
        """Let them leave: what is looked up when all have ended would miss what they are owed."""
        deadline_s = monotonic() + LEAVE_WITHIN_S
        while monotonic() < deadline_s and any(actor in self._actors[actor.role] for actor in self._cut_actors):
            gevent.sleep(0.01)

    def note_cut(self, users: int = 1) -> None:
        """So many users had to be killed in the middle of an iteration."""
        self._cut.add(users)

    def end(self) -> None:
        """All users have ended: call what `on_end` has registered, the last one first.

        Called once more meanwhile, it returns when that is done. Two interrupts, or one and the master's word, have two
        greenlets end the same test.
        """
        self._wait_for_those_cut_off()
        if self._ended is not None:
            self._ended.wait()
            return
        self._ended = ended = Event()
        try:
            while self._at_end:
                with self.guarded():
                    self._at_end.pop()()
        finally:
            self._ended = None
            ended.set()

    # What is measured

    def note_iteration(self, duration_ns: int) -> None:
        """An iteration has ended: it is counted with others, at the latest when somebody reads the metrics."""
        aside = self._iterations_ns
        aside.append(duration_ns)
        if len(aside) >= BATCH:
            self._count_iterations()

    def _count_iterations(self) -> None:
        aside = self._iterations_ns
        if aside:
            self.iterations.add(len(aside))
            self.iteration_duration.add_all([duration_ns // 1000 for duration_ns in aside])
            aside.clear()

    def check(self, name: str, ok: bool) -> None:
        """k6's check: counted by name, deciding nothing by itself."""
        rate = self._checks.get(name)
        if rate is None:
            rate = self._checks[name] = self.metrics.rate("checks").tagged(check=name)
        rate.add(ok)

    def error(self, name: str, error: str, said: str = "") -> str:
        """Count an error by where it happened and what it says; texts that differ in ids only are of one kind.

        `said` are the target's own words, told as well unless they are different each time. Gives the text that the
        error is counted under.
        """
        text = group_of(error)
        if said:
            said = group_of(said)
            known = self._said.setdefault((name, text), set())
            if said in known or len(known) < MAX_SAID:
                known.add(said)
                text = f"{text} ({said})"
        key = (name, text)
        if key not in self.errors and len(self.errors) >= MAX_ERRORS:
            key = ("other", "more kinds of errors than are kept apart")
        self.errors[key] = self.errors.get(key, 0) + 1
        return text

    def request(self, kind: str, name: str, response_time_ms: float | None, size_bytes: int, error: Any = None) -> None:
        """Fire Locust's `request` event, for its statistics, web page and other listeners.

        A success that nobody but Locust's statistics would hear of goes there directly.
        """
        if error is None and response_time_ms is not None and self._locust_stats.is_alone():
            self.requests(kind, name, (response_time_ms,), size_bytes)
            return
        self._request_event.fire(
            request_type=kind,
            name=name,
            response_time=response_time_ms,
            response_length=size_bytes,
            exception=error,
            context={},
        )

    def requests(self, kind: str, name: str, response_times_ms: Sequence[float], size_bytes: int) -> None:
        """Tell Locust of successes of one name, `size_bytes` together, since `may_tell_later` has said so."""
        try:
            self._locust_stats.write(kind, name, response_times_ms, size_bytes)
        except Exception as error:
            # Locust's statistics can be given other buckets, and those be wrong.
            self.internal_error(error)

    def internal_error(self, error: BaseException) -> None:
        """An exception that is not the target's doing: counted, logged with its traceback; the run ends with 107."""
        if len(self.internal_errors) < MAX_INTERNAL_ERRORS:
            logger.error("Unhandled in an actor:\n%s", "".join(traceback.format_exception(error)))
            self.internal_errors.append(f"{type(error).__name__}: {error}")

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """For callbacks of timers: what they raise is an internal error, and must not stop the loop's other work."""
        try:
            yield
        except Exception as error:
            self.internal_error(error)

    # What actors share

    def shared(self, make: Callable[[WorkerContext], Shared]) -> Shared:
        """The one object of this process that `make` makes; made when it is first asked for."""
        if make not in self._shared:
            self._shared[make] = make(self)
        return self._shared[make]  # type: ignore[no-any-return]

    def on_drained(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever all users of a role have ended here, before the other processes hear that."""
        self._when_drained.append(callback)

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call `callback` when all users have ended, before the last figures are sent."""
        self._at_end.append(callback)

    # News

    def tell_all(self, topic: str, data: Mapping[str, Any]) -> None:
        """Tell every process of the test, this one included."""
        self._tell_all(topic, data)

    def tell_ready(self, who: str) -> None:
        """One who comes on top of the users has done what they wait for, or could not: once all have, users begin."""
        self.tell_all(SUPPORTERS_READY, {"who": who})

    def listen(self, topic: str, listener: Listener) -> None:
        """Call `listener` with all news about `topic` from now on."""
        self._listeners.setdefault(topic, []).append(listener)

    def hear(self, topic: str, data: Mapping[str, Any]) -> None:
        """News has arrived about `topic`."""
        if topic == SUPPORTERS_READY:
            self._supporters_heard.add(data.get("who"))
            if len(self._supporters_heard) >= self.begin.supporters:
                self.supporters_ready.set()
        elif topic == USERS_PEAK:
            self.users_peak = max(self.users_peak, data["users"])
        for listener in self._listeners.get(topic, ()):
            with self.guarded():
                listener(data)

    def start_anew(self) -> None:
        """Leave out of all figures what was measured so far, in a ramp-up say. Ledgers stay whole, as the target holds
        all that was sent; so do levels, which are what they are."""
        self._left_out = self.metrics.snapshot().but_levels()
        self.errors.clear()
        self.anew += 1

    def figures(self) -> Snapshot:
        """Everything measured so far, or since the figures started anew."""
        figures = self.metrics.snapshot()
        return figures.minus(self._left_out) if self.anew else figures

    def report(self, *, final: bool) -> dict[str, Any]:
        """What is to be said beside the figures, cumulative as they are, as plain values for the wire."""
        return {
            "run_id": self.begin.run_id,
            "final": final,
            "anew": self.anew,
            "arrivals_left_out": self._left_out.counted("iterations_started")
            + self._left_out.counted("dropped_iterations"),
            "ledgers": [ledger.to_wire() for ledger in self.ledgers.values()],
            "facts": dict(self.facts),
            "errors": [[name, error, count] for (name, error), count in self.errors.items()],
            "internal_errors": list(self.internal_errors),
            "traces": [[*astuple(trace)] for trace in self.tracer.kept] if self.tracer is not None else [],
            "supporters": self._supporters,
            "iterations": [self.quota.begun, self.quota.done] if self.quota is not None else [0, 0],
        }


def _count_traffic(metrics: Registry) -> None:
    """Have what goes over WebSockets from now on counted in `data_sent` and `data_received`."""
    sent, received = metrics.counter("data_sent"), metrics.counter("data_received")
    told = [TRAFFIC.sent, TRAFFIC.received]

    def collect() -> None:
        sent.add(TRAFFIC.sent - told[0])
        received.add(TRAFFIC.received - told[1])
        told[:] = TRAFFIC.sent, TRAFFIC.received

    metrics.on_collect(collect)
