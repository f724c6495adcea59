"""The waiting lines: who is queued under which key, in what order."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field

from pika_locust.platforms.verity.world_people import User


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
