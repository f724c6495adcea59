"""The waiting lines: who is queued under which key, in what order."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from json.encoder import encode_basestring
from math import floor
from typing import Any

from pika_locust.platforms.verity.world_accounts import JSON_TYPE, an_object, bad_request, problems, refusal, text
from pika_locust.platforms.verity.world_calls import Call, ReplySender
from pika_locust.platforms.verity.world_model import TokenStore, User
from pika_locust.sandbox.faults import FaultSwitches
from pika_locust.sandbox.socketio import Outbox
from pika_locust.sandbox.timers import Action, Timers
from pika_locust.sandbox.world import Answer

# Which queue a join goes to: a city, and a hash of the preferences in one canonical spelling.

DEFAULT_CITY = "canberra"
_NO_PREFERENCES = sha256(b"{}").hexdigest()[:12]
_GAPS = re.compile(r"[^a-z0-9]+")
_LARGEST_EXACT = 2**53


def queue_key(place: str | None, preferences: dict[str, Any] | None) -> str:
    """`<city>:<first 12 hex digits of the sha256 of the preferences>`.

    Arguments:
        place: the city, or the legacy region, as the client wrote it.
        preferences: parsed JSON.
    """
    return f"{city_of(place)}:{fingerprint(preferences)}"


def city_of(place: str | None) -> str:
    """Lower case, with `-` for whatever is no letter or digit; `au` and nothing mean the default city."""
    city = _GAPS.sub("-", (place or "").strip().lower()).strip("-")
    return DEFAULT_CITY if city in ("", "au") else city


def fingerprint(preferences: dict[str, Any] | None) -> str:
    """Equal for preferences that differ only in the order of their keys."""
    if not preferences:
        return _NO_PREFERENCES
    return sha256(stable_json(preferences).encode("utf-8", "replace")).hexdigest()[:12]


def stable_json(value: Any) -> str:
    """JSON as `JSON.stringify` writes it after all keys were sorted, at every depth."""
    match value:
        case str():
            return encode_basestring(value)
        case dict():
            return "{" + ",".join(f"{encode_basestring(k)}:{stable_json(value[k])}" for k in _sorted(value)) + "}"
        case list():
            return "[" + ",".join(map(stable_json, value)) + "]"
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case int() if -_LARGEST_EXACT <= value <= _LARGEST_EXACT:
            return str(value)
    return javascript_number(float(value))


def _sorted(keys: dict[str, Any]) -> list[str]:
    # JavaScript compares UTF-16 code units; for ASCII that is what Python compares
    return sorted(keys) if all(map(str.isascii, keys)) else sorted(keys, key=lambda k: k.encode("utf-16-be", "replace"))


def javascript_number(value: float) -> str:
    """A number as `String(value)` writes it in JavaScript (ECMA-262, Number::toString)."""
    if value in (float("inf"), float("-inf")) or value != value:
        return "null"
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value!r}e0".partition("e")
    exponent = exponent.partition("e")[0]
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    k = len(digits)
    if k <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        power = f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
        text = digits + power if k == 1 else f"{digits[0]}.{digits[1:]}{power}"
    return sign + text


@dataclass(slots=True, eq=False)
class WaitingLine:
    """One queue key. `waiting` is in order: (score, user id), scores in milliseconds, as in a sorted set of Redis.

    `worked_on` says that the matching worker has somebody of it in hand, who is then not in `waiting`; `telling` that
    its members are being told its size, and `changed` that this is not the size any more.
    """

    key: str
    waiting: list[tuple[int, str]] = field(default_factory=list)
    worked_on: bool = False
    telling: bool = False
    changed: bool = False


@dataclass(slots=True, eq=False)
class Visit:
    """One user's stay in a line, which lasts while the worker has them in hand."""

    user: User
    line: WaitingLine
    joined_at: float
    score: int
    in_hand: bool = False


class Queue:
    """All lines. Only those in `crowded`, with two or more waiting, give the matching worker something to do."""

    def __init__(self) -> None:
        self.lines: dict[str, WaitingLine] = {}
        self.crowded: dict[str, WaitingLine] = {}
        self.visits: dict[str, Visit] = {}

    def line(self, key: str) -> WaitingLine:
        """The line of a key, made when there is none; one that stays empty is forgotten by `tidy`."""
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = WaitingLine(key)
        return line

    def enter(self, user: User, line: WaitingLine, now: float) -> Visit:
        """Puts a user at the end of a line."""
        visit = self.visits[user.id] = Visit(user, line, now, int(now * 1000))
        self._insert(visit)
        return visit

    def first(self, line: WaitingLine, number: int) -> list[Visit]:
        """Whose turn it is; fewer when fewer wait."""
        return [self.visits[user_id] for _, user_id in line.waiting[:number]]

    def take_in_hand(self, visit: Visit) -> None:
        """Pulls a user out of the line, for the worker to decide on."""
        self._remove(visit)
        visit.in_hand = True

    def put_back(self, visit: Visit, score: int) -> None:
        """Ends the worker's hold on a user: back into the line."""
        visit.in_hand = False
        visit.score = score
        self._insert(visit)

    def end(self, visit: Visit) -> None:
        """The visit is over, by leaving or by a match."""
        if not visit.in_hand:
            self._remove(visit)
        del self.visits[visit.user.id]
        self.tidy(visit.line)

    def position(self, visit: Visit) -> int | None:
        """The rank from 0; None for one who is in the worker's hand."""
        if visit.in_hand:
            return None
        return bisect_left(visit.line.waiting, (visit.score, visit.user.id))

    def tidy(self, line: WaitingLine) -> None:
        """Forgets an empty line: a client may use a key of its own for every join."""
        if not line.waiting and not line.worked_on:
            self.lines.pop(line.key, None)

    def _insert(self, visit: Visit) -> None:
        line = visit.line
        insort(line.waiting, (visit.score, visit.user.id))
        if len(line.waiting) == 2:
            self.crowded[line.key] = line

    def _remove(self, visit: Visit) -> None:
        line = visit.line
        del line.waiting[bisect_left(line.waiting, (visit.score, visit.user.id))]
        if len(line.waiting) == 1:
            del self.crowded[line.key]


# queue:status: how many search under a key, told to each of them whenever that changes.

DELAY_S = 0.005
"""The real server counts and tells a few milliseconds after the change, when others have joined meanwhile."""
MANY = 50
SLICE = 100
SLICE_S = 0.01


class QueueStatus:
    """Tells lines their size.

    With N in a line each change costs N messages: the real server needs seconds for 200 joins (21,909 messages). Here
    a line of more than `MANY` is told in slices of `SLICE` each `SLICE_S`, and what changes meanwhile is told in the
    next round: 10,000 messages a second at worst, and the last of several changes is always told.
    """

    def __init__(self, hub: Outbox, queue: Queue, timers: Timers, enabled: bool) -> None:
        self._hub = hub
        self._queue = queue
        self._timers = timers
        self._enabled = enabled

    def tell(self, line: WaitingLine, now: float) -> None:
        """The size of a line has changed."""
        if not self._enabled or not self._hub.listeners("/queue"):
            return
        if line.telling:
            line.changed = True
            return
        line.telling = len(line.waiting) > MANY
        self._timers.at(now + DELAY_S, partial(self._begin, line))

    def _begin(self, line: WaitingLine, now: float) -> None:
        waiting = [user_id for _, user_id in line.waiting]
        line.changed = False
        if line.telling:
            self._slice(line, waiting, len(waiting), now)
        elif waiting:
            self._emit(waiting, len(waiting))

    def _slice(self, line: WaitingLine, left: list[str], size: int, now: float) -> None:
        visits = self._queue.visits
        self._emit([user_id for user_id in left[:SLICE] if user_id in visits and visits[user_id].line is line], size)
        if len(left) > SLICE:
            self._timers.at(now + SLICE_S, partial(self._slice, line, left[SLICE:], size))
            return
        line.telling = False
        if line.changed:
            self.tell(line, now)

    def _emit(self, user_ids: list[str], size: int) -> None:
        self._hub.emit_to_all("/queue", user_ids, "queue:status", {"usersSearching": size})


# The matching worker: every half second it pairs those who wait, first come, first served.
#
# The real worker does this with a few round trips to Redis for each pair, so for some milliseconds a pair is neither in
# the line nor matched, and even a user who waits alone is popped and put back. That is visible from outside (a join
# answered with position null, a status that counts too few), so it is kept: an attempt takes `ATTEMPT_S`, and several
# lines are worked on at the same time. Lines where nobody can be paired cost nothing: whether their only user is popped
# at the moment is worked out when somebody asks.

TICK_S = 0.5
ATTEMPT_S = 0.004
PAIRS_PER_TICK = 10

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
            case [first, second]:
                for visit in held:
                    self._queue.end(visit)
                self._pair_up(first.user, second.user, work.line.key, now)
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


# Joining and leaving the queue: the locks, the token that is taken, and the refund.

JOIN_S = 0.002
"""How long a join takes; a second one of the same user, or a leave, that comes in this time meets its lock."""

JOIN_CHECKS = {"city": text, "region": text, "preferences": an_object}
NO_CITY = bad_request("City must be a non-empty string when provided")
NO_TOKENS = bad_request("Insufficient token balance")
LOCKED = refusal(409, "Queue operation in progress", "Conflict")
NOT_QUEUED = Answer(200, b'{"status":"not_queued","refunded":false}', JSON_TYPE)


class QueueRoutes:
    """The two routes of the queue, and what a closed socket does to it."""

    def __init__(
        self,
        desk: ReplySender,
        queue: Queue,
        worker: MatchWorker,
        announcer: QueueStatus,
        purse: TokenStore,
        timers: Timers,
        faults: FaultSwitches,
    ) -> None:
        self._desk = desk
        self._queue = queue
        self._worker = worker
        self._announcer = announcer
        self._purse = purse
        self._timers = timers
        self._faults = faults

    def join(self, call: Call) -> Answer | None:
        """POST /queue/join. Answers a new visit only after `JOIN_S`, with the position of that moment."""
        body: dict[str, Any] = call.body if isinstance(call.body, dict) else {}
        if wrong := problems(body, JOIN_CHECKS):
            return bad_request(wrong)
        city = body.get("city")
        if city is not None and not city.strip():
            return NO_CITY
        user, now = call.user, call.now
        if user.joining:
            return LOCKED
        visit = self._queue.visits.get(user.id)
        if visit is not None:
            return self._queued("already_queued", visit, now)
        if not self._purse.take(user.id):
            return NO_TOKENS
        line = self._queue.line(queue_key(body.get("region") if city is None else city, body.get("preferences")))
        if self._worker.has_popped_alone(line, now):
            self._worker.hold_alone(line, now)
        visit = self._queue.enter(user, line, now)
        self._worker.wake(now)
        self._announcer.tell(line, now)
        user.joining = True
        self._timers.at(now + JOIN_S, partial(self._joined, call, visit))
        return None

    def leave(self, call: Call) -> Answer | None:
        """DELETE /queue/leave. Whoever is in the worker's hand is answered when it has decided."""
        user = call.user
        if user.joining:
            return LOCKED
        visit = self._queue.visits.get(user.id)
        if visit is not None and visit.in_hand:
            self._worker.afterwards(visit, lambda now: self._desk.reply(call, self._end(user, now)))
            return None
        return self._end(user, call.now)

    def disconnected(self, user: User, now: float) -> None:
        """A /queue socket of the user is gone: the server leaves for them."""
        visit = self._queue.visits.get(user.id)
        if visit is not None and visit.in_hand:
            self._worker.afterwards(visit, lambda later: self._quietly_end(user, later))
        else:
            self._end(user, now)

    def _quietly_end(self, user: User, now: float) -> None:
        self._end(user, now)

    def _joined(self, call: Call, visit: Visit, now: float) -> None:
        call.user.joining = False
        self._desk.reply(call, self._queued("queued", visit, now))

    def _queued(self, status: str, visit: Visit, now: float) -> Answer:
        gone = self._queue.visits.get(visit.user.id) is not visit
        popped = gone or self._worker.has_popped_alone(visit.line, now)
        position = None if popped else self._queue.position(visit)
        rank = "null" if position is None else position
        body = f'{{"status":"{status}","queueKey":"{visit.line.key}","position":{rank}}}'
        return Answer(201, body.encode(), JSON_TYPE)

    def _end(self, user: User, now: float) -> Answer:
        visit = self._queue.visits.get(user.id)
        if visit is None:
            return NOT_QUEUED
        self._queue.end(visit)
        self._announcer.tell(visit.line, now)
        if "kept-token" in self._faults.on:
            self._faults.count("kept-token")
            return _left("already_matched", "false", visit)
        if not self._faults.hits("lose-write", "refund"):
            self._purse.give_back(user.id)
        return _left("left", "true", visit)


def _left(status: str, refunded: str, visit: Visit) -> Answer:
    body = f'{{"status":"{status}","refunded":{refunded},"queueKey":"{visit.line.key}"}}'
    return Answer(200, body.encode(), JSON_TYPE)
