"""A fixed number of iterations, as k6's shared-iterations and per-vu-iterations have it, divided among workers.

What counts is what is finished. A worker that dies has its last report for a witness; whatever it was granted and
cannot be shown to have finished is granted again to the others, so the number of finished iterations is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MAX_DURATION_S = 600.0
"""k6's `maxDuration`: after it no iteration begins, and those that never began are `dropped_iterations`."""


def split(total: int, parts: int) -> tuple[int, ...]:
    """`total` in `parts` whole numbers that differ by one at most and add up to it. Raises ValueError for no parts."""
    if parts < 1:
        raise ValueError(f"{total} cannot be divided among {parts}")
    return tuple(total * (part + 1) // parts - total * part // parts for part in range(parts))


@dataclass(frozen=True, slots=True)
class SharedIterations:
    """`iterations` in all, taken by whichever of `vus` users is free."""

    iterations: int
    vus: int = 1
    max_duration_s: float = MAX_DURATION_S

    @property
    def total(self) -> int:
        """How many iterations there are in all."""
        return self.iterations

    def problems(self) -> list[str]:
        """Everything that k6 would refuse, too, one sentence each."""
        found = _shared_problems(self.iterations, self.vus, self.max_duration_s)
        if not found and self.iterations < self.vus:
            found.append(f"{self.iterations} iterations are too few for {self.vus} users to have one each")
        return found

    def pots(self, workers: int) -> tuple[Pot, ...]:
        """Each worker's share."""
        return tuple(Pot(granted) for granted in split(self.iterations, workers))


@dataclass(frozen=True, slots=True)
class PerUserIterations:
    """`iterations` for each of `vus` users, however fast the others are."""

    iterations: int
    vus: int = 1
    max_duration_s: float = MAX_DURATION_S

    @property
    def total(self) -> int:
        """How many iterations there are in all."""
        return self.iterations * self.vus

    def problems(self) -> list[str]:
        """Everything that k6 would refuse, too, one sentence each."""
        return _shared_problems(self.iterations, self.vus, self.max_duration_s)

    def allowances(self, workers: int) -> tuple[Allowances, ...]:
        """Each worker's users (numbered from 0, worker i of n has the users i, i + n, …) and what they may do."""
        if workers < 1:
            raise ValueError(f"{self.vus} users cannot be divided among {workers} workers")
        return tuple(
            Allowances(dict.fromkeys(range(worker, self.vus, workers), self.iterations)) for worker in range(workers)
        )


class Pot:
    """Iterations that any user of one worker may take."""

    __slots__ = ("finished", "granted", "taken")

    def __init__(self, granted: int) -> None:
        self.granted = granted
        self.taken = 0
        self.finished = 0

    def take(self) -> bool:
        """Begin one; False when there is none left. After it, call `finish` or `give_back`."""
        if self.taken >= self.granted:
            return False
        self.taken += 1
        return True

    def finish(self) -> None:
        """One that was taken is done."""
        self.finished += 1

    def give_back(self) -> None:
        """One that was taken came to nothing (its user was stopped); another user may take it."""
        self.taken -= 1

    def grant(self, more: int) -> None:
        """Take over what another worker left undone."""
        self.granted += more

    @property
    def unfinished(self) -> int:
        """What somebody else must do if this worker dies now."""
        return self.granted - self.finished


class Allowances:
    """One worker's users, each with iterations of its own. A user that is not named has none."""

    __slots__ = ("_finished", "_granted", "_taken")

    def __init__(self, granted: Mapping[int, int]) -> None:
        self._granted = dict(granted)
        self._taken = dict.fromkeys(granted, 0)
        self._finished = dict.fromkeys(granted, 0)

    @property
    def users(self) -> tuple[int, ...]:
        """The users that have something left to begin."""
        return tuple(user for user, granted in self._granted.items() if self._taken[user] < granted)

    @property
    def finished(self) -> int:
        """How many iterations all users have finished."""
        return sum(self._finished.values())

    def take(self, user: int) -> bool:
        """Begin one of the user's own; False when it has none left. After it, call `finish` or `give_back`."""
        if self._taken.get(user, 0) >= self._granted.get(user, 0):
            return False
        self._taken[user] += 1
        return True

    def finish(self, user: int) -> None:
        """One that the user took is done."""
        self._finished[user] += 1

    def give_back(self, user: int) -> None:
        """One that the user took came to nothing; it may be taken again."""
        self._taken[user] -= 1

    def grant(self, more: Mapping[int, int]) -> None:
        """Take over users of another worker, each with what it has left."""
        for user, iterations in more.items():
            self._granted[user] = self._granted.get(user, 0) + iterations
            self._taken.setdefault(user, 0)
            self._finished.setdefault(user, 0)

    @property
    def unfinished(self) -> dict[int, int]:
        """What each user has left, for somebody else to do if this worker dies now; users without rest are left out."""
        left = {user: granted - self._finished[user] for user, granted in self._granted.items()}
        return {user: iterations for user, iterations in left.items() if iterations}


def hand_on(unfinished: Iterable[Mapping[int, int]], survivors: int) -> tuple[dict[int, int], ...]:
    """What each survivor is to be granted of the users that dead workers leave; each user goes to one survivor, whole.

    For a `Pot` it is `split(unfinished, survivors)`. Raises ValueError when nobody is left.
    """
    if survivors < 1:
        raise ValueError("every worker is dead: nobody is left to take their iterations")
    users: Sequence[tuple[int, int]] = [pair for left in unfinished for pair in sorted(left.items())]
    return tuple(dict(users[survivor::survivors]) for survivor in range(survivors))


def _shared_problems(iterations: int, vus: int, max_duration_s: float) -> list[str]:
    found = [] if iterations > 0 else [f"iterations must be above 0, got {iterations}"]
    if vus <= 0:
        found.append(f"users must be above 0, got {vus}")
    if max_duration_s < 1:
        found.append(f"the longest duration must be at least 1 s, got {max_duration_s:g} s")
    return found
