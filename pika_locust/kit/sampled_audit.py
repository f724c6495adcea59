"""Audits by sampling: of all users who have ended, some are drawn, and looked up at the target when all have ended.

For what only the user itself can ask for (its own balance, its own orders), where asking for everybody would be another
load test. Any number of processes take part: together they look up as many as are wanted, each in proportion to the
users it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappush, heappushpop
from typing import Any, Generic, TypeVar

from pika_locust.load.rng import SeededRandom
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.timers import run_concurrently
from pika_locust.wire.http import HttpClient, Response, Timeouts

T = TypeVar("T")
Answer = TypeVar("Answer")


class BottomKSample(Generic[T]):
    """Keeps at most `size` of the items that are added, however many come and in whatever order.

    Every item draws a number, and those with the lowest stay (bottom-k sampling); so any number up to `size` can be
    picked at the end, and each pick is as good as drawn from all.
    """

    def __init__(self, size: int, dice: SeededRandom) -> None:
        self._size = size
        self._dice = dice
        self._kept: list[tuple[int, int, T]] = []
        self.seen = 0
        """How many items were added."""

    def add(self, item: T) -> None:
        """One more of the many."""
        self.seen += 1
        # The highest number is to be on top of the heap, which has its lowest there.
        entry = (-self._dice.bits(), self.seen, item)
        if len(self._kept) < self._size:
            heappush(self._kept, entry)
        else:
            heappushpop(self._kept, entry)

    def pick(self, number: int) -> list[T]:
        """So many of all that were added; fewer when there are not so many."""
        return [item for _, _, item in sorted(self._kept, reverse=True)[:number]]


def part_of(wanted: int, own: int, others: Iterable[int]) -> int:
    """How many of its `own` items a process takes, so that all together take at least `wanted`, or all there are.

    `others` is what the other processes have, as far as this one knows. Knowing too little of them only makes the part
    larger: with n_i items of its own and N in all, process i takes at least wanted · n_i / N, and these add up.
    """
    total = own + sum(others)
    return own if total <= wanted else min(own, -(-wanted * own // total))


SAMPLE_SIZE = 1000
"""How many are looked up in the whole test, when there are more: a thousand say enough about ten thousand."""
TOPIC = "users_ended"


class SampledAudit(Generic[T]):
    """Draws from what users leave when they end, and has the sample looked up when the last has ended.

    Make one in a process, when the first user begins: `worker.shared(make)` with a function that makes it.

    Users end when a ramp-down releases them or the test ends. What is asked for after the last of them, in every
    process, costs no latency that is measured, and needs none of the time that users have to finish.

    Arguments:
        worker: the process's context. Its fact `users_owed` says how many have ended.
        look_up: looks a sample up, and gives facts for the audit on the master. Whole numbers of several processes are
            added there. It must be done within ten seconds: `WITHIN_S` is the time for it.
        wanted: the size of the sample, over all processes.
    """

    def __init__(
        self, worker: WorkerContext, look_up: Callable[[Sequence[T]], Mapping[str, Any]], wanted: int = SAMPLE_SIZE
    ) -> None:
        self._worker = worker
        self._look_up = look_up
        self._wanted = wanted
        # No user has this number, so nobody else draws from its random numbers.
        self._sample: BottomKSample[T] = BottomKSample(wanted, worker.dice(-1))
        self._others: dict[int, int] = {}
        worker.facts["users_owed"] = 0
        worker.listen(TOPIC, self._on_news)
        worker.on_end(self._finish)

    def take(self, owed: T) -> None:
        """A user has ended: this is what the target must hold for it, and how to ask."""
        self._sample.add(owed)
        self._worker.facts["users_owed"] = users = self._sample.seen
        if users & (users - 1) == 0:
            # At each power of two: so few messages, and what the others know is never less than half.
            self._worker.tell_all(TOPIC, {"worker": self._worker.worker_index, "users": users})

    def _on_news(self, news: Mapping[str, Any]) -> None:
        if news["worker"] != self._worker.worker_index:
            self._others[news["worker"]] = news["users"]

    def _finish(self) -> None:
        part = part_of(self._wanted, self._sample.seen, self._others.values())
        self._worker.facts.update(self._look_up(self._sample.pick(part)))


AT_ONCE = 32
WITHIN_S = 8.0
"""For all of them together: after a second Ctrl-C, a worker's last report is waited for ten seconds."""
TIMEOUTS = Timeouts(connect_s=3.0, read_s=3.0, total_s=3.5)
TRIES = 2


def look_up(
    owed: Sequence[T],
    client: Callable[[T], HttpClient],
    ask: Callable[[HttpClient, T], Answer],
    *,
    keep: bool = True,
    within_s: float = WITHIN_S,
) -> list[Answer | None]:
    """Ask for all of these, some at a time.

    Arguments:
        owed: what is asked for.
        client: makes a connection for one of them.
        ask: asks for one; its time-outs should be `TIMEOUTS`, as `get` has them.
        keep: whether a connection serves one after another; not so where each user has an address of its own.
        within_s: seconds for all.

    Gives an answer for each, in order; None for those who were not asked for in time. Raises what `ask` raises.
    """
    answers: list[Answer | None] = [None] * len(owed)
    idle: list[HttpClient] = []

    def serve(index: int) -> None:
        http = idle.pop() if idle else client(owed[index])
        try:
            answers[index] = ask(http, owed[index])
        except BaseException:
            http.close()
            raise
        if keep:
            idle.append(http)
        else:
            http.close()

    try:
        run_concurrently(range(len(owed)), serve, at_once=AT_ONCE, within_s=within_s)
    finally:
        for http in idle:
            http.close()
    return answers


def get(http: HttpClient, path: str, headers: Mapping[str, str] | None = None) -> Response:
    """A GET that is tried once more after a 5xx, or no answer."""
    for _ in range(TRIES):
        response = http.get(path, headers=headers, timeouts=TIMEOUTS)
        if response.error is None and response.status < 500:
            break
    return response


def why_not(response: Response | None, within_s: float = WITHIN_S) -> str:
    """Why an answer does not tell what it was asked for, for a report."""
    if response is None:
        return f"not within {within_s:g} s"
    return response.summary
