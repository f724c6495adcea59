"""queue:status: how many search under a key, told to each of them whenever that changes."""

from __future__ import annotations

from functools import partial

from pika_locust.platforms.verity.world_hub import Outbox
from pika_locust.platforms.verity.world_queue import Queue, WaitingLine
from pika_locust.platforms.verity.world_timers import Timers

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
