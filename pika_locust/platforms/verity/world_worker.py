"""The matching worker: every half second it pairs those who wait, first come, first served.

The real worker does this with a few round trips to Redis for each pair, so for some milliseconds a pair is neither in
the line nor matched, and even a user who waits alone is popped and put back. That is visible from outside (a join
answered with position null, a status that counts too few), so it is kept: an attempt takes `ATTEMPT_S`, and several
lines are worked on at the same time. Lines where nobody can be paired cost nothing: whether their only user is popped
at the moment is worked out when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import floor

from pika_locust.platforms.verity.world_people import User
from pika_locust.platforms.verity.world_queue import Queue, Visit, WaitingLine
from pika_locust.platforms.verity.world_timers import Action, Timers
from pika_locust.sandbox.board import FaultSwitches

TICK_S = 0.5
ATTEMPT_S = 0.004
PAIRS_PER_TICK = 10
BLOCKED_FOR_S = 5.0

PairUp = Callable[[User, User, str, float], None]
Tell = Callable[[WaitingLine, float], None]


@dataclass(slots=True, eq=False)
class _Pass:
    """One tick's work on one line: whom the worker has in hand, and what it does once it has decided on them."""

    line: WaitingLine
    size_before: int
    attempts_left: int
    held: list[Visit] = field(default_factory=list)
    afterwards: list[Action] = field(default_factory=list)


class MatchWorker:
    """Calls `pair_up(first, second, key, now)` for each pair and `tell(line, now)` when a tick changed a line's size.

    Ticks fall on `started_at` plus whole multiples of half a second.
    """

    def __init__(
        self, queue: Queue, timers: Timers, faults: FaultSwitches, started_at: float, pair_up: PairUp, tell: Tell
    ) -> None:
        self._queue = queue
        self._timers = timers
        self._faults = faults
        self._started_at = started_at
        self._pair_up = pair_up
        self._tell = tell
        self._passes: dict[WaitingLine, _Pass] = {}
        self._awake = False

    def wake(self, now: float) -> None:
        """Must be called when a line may have become crowded."""
        if self._queue.crowded and not self._awake:
            self._awake = True
            self._timers.at(self._last_tick(now) + TICK_S, self._tick)

    def has_popped_alone(self, line: WaitingLine, now: float) -> bool:
        """Whether a line's only user is out of it just now, to be put back at once."""
        tick = self._last_tick(now)
        if now >= tick + ATTEMPT_S or len(line.waiting) != 1 or line.worked_on or "no-match" in self._faults.on:
            return False
        return self._queue.first(line, 1)[0].joined_at < tick

    def hold_alone(self, line: WaitingLine, now: float) -> None:
        """Plays the popping of a line's only user out, because somebody else is about to join the line."""
        work = self._open(line, attempts=0)
        self._hold(work, self._queue.first(line, 1), self._last_tick(now) + ATTEMPT_S)

    def afterwards(self, visit: Visit, action: Action) -> None:
        """Runs `action` when the worker has decided on somebody it has in hand."""
        self._passes[visit.line].afterwards.append(action)

    def _last_tick(self, now: float) -> float:
        return self._started_at + floor((now - self._started_at) / TICK_S + 1e-5) * TICK_S

    def _tick(self, now: float) -> None:
        self._awake = False
        if "no-match" in self._faults.on:
            self._faults.count("no-match")
        else:
            for line in list(self._queue.crowded.values()):
                if not line.worked_on:
                    self._next_attempt(self._open(line, PAIRS_PER_TICK), now)
        self.wake(now)

    def _open(self, line: WaitingLine, attempts: int) -> _Pass:
        line.worked_on = True
        work = self._passes[line] = _Pass(line, len(line.waiting), attempts)
        return work

    def _next_attempt(self, work: _Pass, now: float) -> None:
        pair = self._queue.first(work.line, 2)
        if work.attempts_left and len(pair) == 2 and self._old_enough(pair, now):
            work.attempts_left -= 1
            self._hold(work, pair, now + ATTEMPT_S)
        else:
            self._close(work, now)

    def _old_enough(self, pair: list[Visit], now: float) -> bool:
        late_s = self._faults.amount("late-match") / 1000
        if late_s and any(now - visit.joined_at < late_s for visit in pair):
            self._faults.count("late-match")
            return False
        return True

    def _hold(self, work: _Pass, visits: list[Visit], until: float) -> None:
        work.held = visits
        for visit in visits:
            self._queue.take_in_hand(visit)
        self._timers.at(until, partial(self._decide, work))

    def _decide(self, work: _Pass, now: float) -> None:
        held, work.held = work.held, []
        match held:
            case [first, second] if not (first.user.has_blocked(second.user) or second.user.has_blocked(first.user)):
                for visit in held:
                    self._queue.end(visit)
                self._pair_up(first.user, second.user, work.line.key, now)
            case [_, _]:
                for visit in held:
                    self._queue.put_back(visit, int((now + BLOCKED_FOR_S) * 1000))
            case _:
                for visit in held:
                    self._queue.put_back(visit, visit.score)
        actions, work.afterwards = work.afterwards, []
        for action in actions:
            action(now)
        self._next_attempt(work, now)

    def _close(self, work: _Pass, now: float) -> None:
        line = work.line
        line.worked_on = False
        del self._passes[line]
        if len(line.waiting) != work.size_before:
            self._tell(line, now)
        self._queue.tidy(line)
        self.wake(now)
