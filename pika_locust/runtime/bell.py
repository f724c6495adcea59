"""How a user's greenlet waits for what callbacks of the event loop notice."""

from __future__ import annotations

import time
from collections.abc import Callable

from gevent.event import Event


class Condition:
    """Wakes the one greenlet that waits for it; whoever may have changed what it waits for rings."""

    def __init__(self) -> None:
        self._event = Event()

    def ring(self) -> None:
        """Have the waiting greenlet look again."""
        self._event.set()

    def wait_until(self, condition: Callable[[], object], within_s: float) -> bool:
        """Wait until something is so, looking now and after each ring; False when it is not so within the seconds."""
        deadline_s = time.monotonic() + within_s
        while not condition():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            self._event.clear()
            self._event.wait(left_s)
        return True
