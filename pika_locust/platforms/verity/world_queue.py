"""Verity's queue: keys, who waits under which of them, how many are searching, and the worker that matches pairs."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from math import floor
from typing import Any

from pika_locust.platforms.verity.world_model import User
from pika_locust.sandbox.app import App
from pika_locust.sandbox.javascript import stable_json

DEFAULT_CITY = "canberra"
_NO_PREFERENCES = sha256(b"{}").hexdigest()[:12]
_GAPS = re.compile(r"[^a-z0-9]+")


def queue_key(place: str | None, preferences: dict[str, Any] | None) -> str:
    """`<city>:<first 12 hex digits of the sha256 of the preferences>`.

    Arguments:
        place: the city, or the legacy region, as the client wrote it.
        preferences: parsed JSON.
    """
    return f"{city_of(place)}:{fingerprint(preferences)}"


@lru_cache(1024)
def city_of(place: str | None) -> str:
    """Lower case, with `-` for whatever is no letter or digit; `au` and nothing mean the default city."""
    city = _GAPS.sub("-", (place or "").strip().lower()).strip("-")
    return DEFAULT_CITY if city in ("", "au") else city


def fingerprint(preferences: dict[str, Any] | None) -> str:
    """Equal for preferences that differ only in the order of their keys."""
    if not preferences:
        return _NO_PREFERENCES
    return sha256(stable_json(preferences).encode("utf-8", "replace")).hexdigest()[:12]


@dataclass(slots=True, eq=False)
class WaitingLine:
    """One queue key. `waiting` is in order: (score, user id), scores in milliseconds, as in a sorted set of Redis.

    `worked_on` says that the matching worker has somebody of it in hand, who is then not in `waiting`; `telling` that
    its members are being told its size, and `changed` that this is not the size any more. `ghosts` are those who have
    left while the worker had them in hand, by user id: counted, and matched with nobody.
    """

    key: str
    waiting: list[tuple[int, str]] = field(default_factory=list)
    worked_on: bool = False
    telling: bool = False
    changed: bool = False
    ghosts: dict[str, Entry] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Entry:
    """One user's stay in a line, which lasts while the worker has them in hand; `locked` while it matches them."""

    user: User
    line: WaitingLine
    joined_at: float
    score: int
    in_hand: bool = False
    locked: bool = False


class Queue:
    """All lines. Only those in `crowded`, with two or more waiting, give the matching worker something to do."""

    def __init__(self) -> None:
        self.lines: dict[str, WaitingLine] = {}
        self.crowded: dict[str, WaitingLine] = {}
        self.entries: dict[str, Entry] = {}

    def line(self, key: str) -> WaitingLine:
        """The line of a key, made when there is none; one that stays empty is forgotten by `tidy`."""
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = WaitingLine(key)
        return line

    def enter(self, user: User, line: WaitingLine, now: float) -> Entry:
        """Puts a user at the end of a line."""
        ghost = line.ghosts.pop(user.id, None)
        if ghost is not None and not ghost.in_hand:
            self._remove(ghost)
        entry = self.entries[user.id] = Entry(user, line, now, int(now * 1000))
        self._insert(entry)
        return entry

    def first(self, line: WaitingLine, number: int) -> list[Entry]:
        """Whose turn it is; fewer when fewer wait."""
        return [line.ghosts.get(user_id) or self.entries[user_id] for _, user_id in line.waiting[:number]]

    def take_in_hand(self, entry: Entry) -> None:
        """Pulls a user out of the line, for the worker to decide on."""
        self._remove(entry)
        entry.in_hand = True

    def put_back(self, entry: Entry) -> None:
        """Ends the worker's hold on a user: back into the line, even as a ghost, unless they have joined anew."""
        entry.in_hand = entry.locked = False
        if self.is_there(entry) or entry.line.ghosts.get(entry.user.id) is entry:
            self._insert(entry)

    def is_there(self, entry: Entry) -> bool:
        """Whether a user has not left."""
        return self.entries.get(entry.user.id) is entry

    def leave_ghost(self, entry: Entry) -> None:
        """A user has left, and the worker does not know it."""
        del self.entries[entry.user.id]
        entry.line.ghosts[entry.user.id] = entry

    def drop_ghost(self, entry: Entry) -> None:
        """The worker has found out, and ends its hold."""
        entry.in_hand = entry.locked = False
        if entry.line.ghosts.get(entry.user.id) is entry:
            del entry.line.ghosts[entry.user.id]

    def end(self, entry: Entry) -> None:
        """The wait is over, by leaving or by a match."""
        if not entry.in_hand:
            self._remove(entry)
        del self.entries[entry.user.id]
        self.tidy(entry.line)

    def position(self, entry: Entry) -> int | None:
        """The rank from 0; None for one who is in the worker's hand."""
        if entry.in_hand:
            return None
        return bisect_left(entry.line.waiting, (entry.score, entry.user.id))

    def tidy(self, line: WaitingLine) -> None:
        """Forgets an empty line: a client may use a key of its own for every join."""
        if not line.waiting and not line.worked_on:
            self.lines.pop(line.key, None)

    def _insert(self, entry: Entry) -> None:
        line = entry.line
        insort(line.waiting, (entry.score, entry.user.id))
        if len(line.waiting) == 2:
            self.crowded[line.key] = line

    def _remove(self, entry: Entry) -> None:
        line = entry.line
        del line.waiting[bisect_left(line.waiting, (entry.score, entry.user.id))]
        if len(line.waiting) == 1:
            del self.crowded[line.key]


STATUS_DELAY_S = 0.005
"""The real server counts and tells a few milliseconds after the change, when others have joined meanwhile."""
MANY = 50
SLICE = 100
SLICE_S = 0.01

TellSize = Callable[[Iterable[str], int], None]
"""Tells users, by id, how many are searching."""


class QueueStatus:
    """Tells lines their size.

    With N in a line each change costs N messages: the real server needs seconds for 200 joins (21,909 messages). Here
    a line of more than `MANY` is told in slices of `SLICE` each `SLICE_S`, and what changes meanwhile is told in the
    next round: 10,000 messages a second at worst, and the last of several changes is always told.
    """

    def __init__(self, app: App, queue: Queue, tell_size: TellSize) -> None:
        self._app = app
        self._queue = queue
        self._tell_size = tell_size

    def changed(self, line: WaitingLine) -> None:
        """The size of a line has changed."""
        if line.telling:
            line.changed = True
            return
        line.telling = len(line.waiting) > MANY
        self._app.after(STATUS_DELAY_S, self._begin, line)

    def _begin(self, line: WaitingLine) -> None:
        waiting = [user_id for _, user_id in line.waiting]
        line.changed = False
        if line.telling:
            self._slice(line, waiting, len(waiting))
        elif waiting:
            self._tell_size(waiting, len(waiting))

    def _slice(self, line: WaitingLine, left: list[str], size: int) -> None:
        entries = self._queue.entries
        self._tell_size([one for one in left[:SLICE] if one in entries and entries[one].line is line], size)
        if len(left) > SLICE:
            self._app.after(SLICE_S, self._slice, line, left[SLICE:], size)
            return
        line.telling = False
        if line.changed:
            self.changed(line)


TICK_S = 0.5
ATTEMPT_S = 0.004
PAIRS_PER_TICK = 10

PairUp = Callable[[User, User, str], None]


@dataclass(slots=True, eq=False)
class _Pass:
    """One tick's work on one line: whom the worker has in hand, and what it does once it has decided on them."""

    line: WaitingLine
    size_before: int
    attempts_left: int
    held: list[Entry] = field(default_factory=list)
    afterwards: list[Callable[[], object]] = field(default_factory=list)


class MatchWorker:
    """Pairs those who wait every half second, first come, first served.

    The real worker does this with a few round trips to Redis for each pair, so for some milliseconds a pair is neither
    in the line nor matched, and even a user who waits alone is popped and put back. That is visible from outside (a
    join answered with position null, a status that counts too few), so it is kept: an attempt takes `ATTEMPT_S`, and
    several lines are worked on at the same time. Lines where nobody can be paired cost nothing: whether their only user
    is popped at the moment is worked out when somebody asks.

    Arguments:
        app: its clock and timers; ticks fall on the time at which the worker is made, and each half second after it.
        queue: all lines.
        pair_up: called with two users and the key of their line.
        changed: called with a line whose size a tick has changed.
    """

    def __init__(self, app: App, queue: Queue, pair_up: PairUp, changed: Callable[[WaitingLine], None]) -> None:
        self._app = app
        self._queue = queue
        self._started_at = app.now
        self._pair_up = pair_up
        self._changed = changed
        self._passes: dict[WaitingLine, _Pass] = {}
        self._awake = False

    def wake(self) -> None:
        """Must be called when a line may have become crowded."""
        if self._queue.crowded and not self._awake:
            self._awake = True
            self._app.at(self._last_tick() + TICK_S, self._tick)

    def has_popped_alone(self, line: WaitingLine) -> bool:
        """Whether a line's only user is out of it just now, to be put back at once."""
        tick = self._last_tick()
        if self._app.now >= tick + ATTEMPT_S or len(line.waiting) != 1 or line.worked_on:
            return False
        return "no-match" not in self._app.faults.on and self._queue.first(line, 1)[0].joined_at < tick

    def expect(self, line: WaitingLine) -> None:
        """Somebody is about to join a line: if its only user is popped just now, that must be played out."""
        if self.has_popped_alone(line):
            work = self._open(line, attempts=0)
            self._hold(work, self._queue.first(line, 1), self._last_tick() + ATTEMPT_S)

    def afterwards(self, entry: Entry, action: Callable[[], object]) -> None:
        """Runs `action` when the worker has decided on somebody it has in hand."""
        self._passes[entry.line].afterwards.append(action)

    def _last_tick(self) -> float:
        return self._started_at + floor((self._app.now - self._started_at) / TICK_S + 1e-5) * TICK_S

    def _tick(self) -> None:
        self._awake = False
        if not self._app.hit("no-match"):
            for line in list(self._queue.crowded.values()):
                if not line.worked_on:
                    self._next_attempt(self._open(line, PAIRS_PER_TICK))
        self.wake()

    def _open(self, line: WaitingLine, attempts: int) -> _Pass:
        line.worked_on = True
        work = self._passes[line] = _Pass(line, len(line.waiting), attempts)
        return work

    def _next_attempt(self, work: _Pass) -> None:
        pair = self._queue.first(work.line, 2)
        if work.attempts_left and len(pair) == 2 and self._old_enough(pair):
            work.attempts_left -= 1
            self._hold(work, pair, self._app.now + ATTEMPT_S)
        else:
            self._close(work)

    def _old_enough(self, pair: list[Entry]) -> bool:
        faults, now = self._app.faults, self._app.now
        late_s = faults.amount("late-match") / 1000
        if late_s and any(now - entry.joined_at < late_s for entry in pair):
            faults.count("late-match")
            return False
        return True

    def _hold(self, work: _Pass, entries: list[Entry], until: float) -> None:
        work.held = entries
        for entry in entries:
            self._queue.take_in_hand(entry)
            entry.locked = len(entries) == 2
        self._app.at(until, self._decide, work)

    def _decide(self, work: _Pass) -> None:
        held, work.held = work.held, []
        there = [entry for entry in held if self._queue.is_there(entry)]
        match there:
            case [first, second]:
                for entry in there:
                    self._queue.end(entry)
                self._pair_up(first.user, second.user, work.line.key)
            case _:
                for entry in held:
                    # With two in hand it looks whether both are still there; one alone it puts back unseen.
                    if len(held) == 2 and entry not in there:
                        self._queue.drop_ghost(entry)
                    else:
                        self._queue.put_back(entry)
        actions, work.afterwards = work.afterwards, []
        for action in actions:
            action()
        self._next_attempt(work)

    def _close(self, work: _Pass) -> None:
        line = work.line
        line.worked_on = False
        del self._passes[line]
        if len(line.waiting) != work.size_before:
            self._changed(line)
        self._queue.tidy(line)
        self.wake()
