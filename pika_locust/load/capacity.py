"""The search for the largest load that passes: which load to try next, and the bounds that the trials leave.

The bounds are those of MLRsearch (draft-ietf-bmwg-mlrsearch): a load at which trials fail bounds the capacity from
above, and of several the smallest counts; a load at which they pass bounds it from below, and the largest below the
upper bound counts. That larger loads passed changes nothing: a server that fails at 100 has no capacity of 200.

Trials say pass, fail or void. Loads grow by a factor until one fails, then halve the distance to it (as a ratio), until
the bounds are close enough. Then each bound is tried once more; where a trial contradicts an earlier one at the same
load, a third one decides. A void trial says nothing about the target (the load generator could not keep up, say) and
ends the search, since any larger load would say as little.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "void"]
Ending = Literal["goal", "most", "least", "void", "trials"]
"""Why a search is over: the bounds are close enough; even the most wanted load passes; not even one user or one arrival
a second does; a trial was void; there were as many trials as there may be."""

GROWTH = 2
"""From a load that passes to the next, while none has failed."""
LEAST = 1
CONFIRMING = 2
"""Trials that a bound rests on at least."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run at one load. `why` says what failed, or why it is void."""

    load: int
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a search looks for.

    `first` is the load it starts with, `most` the largest it tries; `width` how far the upper bound may be above the
    lower one (0.1: a tenth of it); `max_trials` how many trials it may make.
    """

    first: int = 10
    most: int = 100_000
    width: float = 0.1
    max_trials: int = 40

    def problems(self) -> Iterator[str]:
        """Numbers that make no sense, a sentence each."""
        if self.first < LEAST:
            yield f"the first load must be at least {LEAST}, got {self.first}"
        if self.most < self.first:
            yield f"the largest load, {self.most}, is below the first, {self.first}"
        if not 0 < self.width < math.inf:
            yield f"the width of the goal must be above 0, got {self.width:g}"
        if self.max_trials < 1:
            yield f"there must be at least one trial, got {self.max_trials}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the trials say of the capacity: at `lower` they pass, at `upper` they fail; None where no load did."""

    lower: int | None
    upper: int | None
    inverted: tuple[int, ...] = ()
    """Loads above the upper bound that passed: more load, fewer failures. They do not count."""

    @property
    def ratio(self) -> float | None:
        """The upper bound by the lower one."""
        return self.upper / self.lower if self.lower and self.upper else None


class Search:
    """Says which load to try next, and takes what came of it.

        search = Search(Goal(first=50))
        while (load := search.next_load()) is not None:
            search.add(Trial(load, "pass" if holds(load) else "fail"))
        search.bounds()

    Raises ValueError for a goal with problems.
    """

    def __init__(self, goal: Goal) -> None:
        if problems := list(goal.problems()):
            raise ValueError("; ".join(problems))
        self.goal = goal
        self.trials: list[Trial] = []

    def add(self, trial: Trial) -> None:
        """Take the result of a trial."""
        self.trials.append(trial)

    def bounds(self) -> Bounds:
        """The bounds by what is known so far."""
        scores = self._scores()
        passing = [load for load, score in scores.items() if score > 0]
        failing = [load for load, score in scores.items() if score < 0]
        upper = min(failing, default=None)
        lower = max((load for load in passing if upper is None or load < upper), default=None)
        inverted = tuple(sorted(load for load in passing if upper is not None and load > upper))
        return Bounds(lower, upper, inverted)

    @property
    def ending(self) -> Ending | None:
        """Why the search is over; None while it goes on."""
        if any(trial.outcome == "void" for trial in self.trials):
            return "void"
        found = self._next()
        if not isinstance(found, int):
            return found
        return "trials" if len(self.trials) >= self.goal.max_trials else None

    def next_load(self) -> int | None:
        """The load of the next trial; None when the search is over."""
        if self.ending is not None:
            return None
        found = self._next()
        assert isinstance(found, int)
        return found

    def _next(self) -> int | Ending:
        """The load that tells most, or why there is none."""
        if not self.trials:
            return self.goal.first
        contradictory = [load for load, score in self._scores().items() if score == 0]
        if contradictory:
            return contradictory[0]
        bounds = self.bounds()
        lower, upper = bounds.lower, bounds.upper
        if upper is None:
            assert lower is not None
            return self._unconfirmed(lower) or "most" if lower >= self.goal.most else self._larger(lower)
        if lower is None:
            return self._unconfirmed(upper) or "least" if upper <= LEAST else max(LEAST, upper // GROWTH)
        if upper - lower > 1 and upper / lower > 1 + self.goal.width:
            return min(max(math.isqrt(lower * upper), lower + 1), upper - 1)
        # The upper bound first: more goes wrong by chance than goes well.
        return self._unconfirmed(upper) or self._unconfirmed(lower) or "goal"

    def _larger(self, load: int) -> int:
        return min(max(load * GROWTH, LEAST), self.goal.most)

    def _unconfirmed(self, load: int) -> int | None:
        """The load, when too few trials say what it is."""
        return load if sum(trial.load == load for trial in self.trials) < CONFIRMING else None

    def _scores(self) -> Counter[int]:
        """By load: passes less failures."""
        scores: Counter[int] = Counter()
        for trial in self.trials:
            if trial.outcome != "void":
                scores[trial.load] += 1 if trial.outcome == "pass" else -1
        return scores
