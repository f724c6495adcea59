"""queue:status: how many search under a key, told to each of them whenever that changes."""

from __future__ import annotations

from functools import partial

from pika_locust.platforms.verity.world_hub import Hub
from pika_locust.platforms.verity.world_queue import Line
from pika_locust.platforms.verity.world_timers import Timers

DELAY_S = 0.005
"""The real server counts and tells a few milliseconds after the change, when others have joined meanwhile."""
MANY = 50
SECONDS_PER_LISTENER = 1e-4


class Announcer:
    """Tells lines their size.

    With N in a line each change costs N messages: the real server needs seconds for 200 joins (21,909 messages). Here
    a line of more than `MANY` is told at most once per `SECONDS_PER_LISTENER` times N, which is 10,000 messages a
    second at worst, and the last of several changes is always told.
    """

    def __init__(self, hub: Hub, timers: Timers, enabled: bool) -> None:
        self._hub = hub
        self._timers = timers
        self._enabled = enabled

    def tell(self, line: Line, now: float) -> None:
        """The size of a line has changed."""
        size = len(line.waiting)
        if not self._enabled or line.telling or not self._hub.listeners("/queue"):
            return
        line.telling = size > MANY
        self._timers.at(now + max(DELAY_S, size * SECONDS_PER_LISTENER), partial(self._tell, line))

    def _tell(self, line: Line, now: float) -> None:
        line.telling = False
        if line.waiting:
            waiting = [user_id for _, user_id in line.waiting]
            self._hub.emit_to_all("/queue", waiting, "queue:status", {"usersSearching": len(waiting)})
