"""Virtual time for actors: a clock that jumps from one timer to the next, and events to wait for on it.

`Clock.timer` stands in for a gevent loop's, `VirtualEvent` for gevent's Event. Greenlets that wait give way to whoever
runs the clock; nothing ever sleeps, so an harness takes milliseconds, and comes out the same every time.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

BEGIN_NS = 1_000_000_000_000


class Timer:
    """What gevent's `loop.timer` gives."""

    def __init__(self, clock: Clock, after_s: float, repeat_s: float) -> None:
        self._clock = clock
        self._after_s = after_s
        self._repeat_s = repeat_s
        self._due: list[Any] | None = None

    def start(self, callback: Callable[..., Any], *arguments: Any, update: bool = False) -> None:
        self.stop()
        self._due = self._clock.push(self._after_s, self._fire, callback, arguments)

    def stop(self) -> None:
        if self._due is not None:
            self._due[-1] = None
            self._due = None

    def close(self) -> None:
        self.stop()

    def _fire(self, callback: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._due = None
        if self._repeat_s:
            self._due = self._clock.push(self._repeat_s, self._fire, callback, arguments)
        callback(*arguments)


class Clock:
    """The time, and everything that is due."""

    def __init__(self) -> None:
        self.now_ns = BEGIN_NS
        self._heap: list[list[Any]] = []
        self._order = itertools.count()

    @property
    def now_s(self) -> float:
        """Seconds since the clock was made."""
        return (self.now_ns - BEGIN_NS) / 1e9

    def monotonic_ns(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        return self.now_ns / 1e9

    def timer(self, after_s: float, repeat_s: float = 0.0) -> Timer:
        return Timer(self, after_s, repeat_s)

    def run_callback(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.push(0.0, call, *arguments)

    @staticmethod
    def give_way() -> Any:
        """What switching to gevent's hub is: the greenlet waits until somebody switches to it."""
        here = getcurrent()
        assert here.parent is not None, "only a greenlet of Clock.spawn can wait"
        return here.parent.switch()

    def push(self, after_s: float, call: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call in so many seconds; the entry's last field set to None calls it off."""
        entry = [self.now_ns + round(after_s * 1e9), next(self._order), arguments, call]
        heapq.heappush(self._heap, entry)
        return entry

    def spawn(self, run: Callable[[], Any]) -> greenlet:
        """Run in a greenlet of its own, from the next turn on; it may wait for events."""
        started = greenlet(run)
        self.push(0.0, started.switch)
        return started

    def stand_still(self, seconds: float) -> None:
        """Time goes by and nothing is done, as when the process is held up: what is due is done late."""
        self.now_ns += round(seconds * 1e9)

    def run(self, seconds: float) -> None:
        """Let so much time go by."""
        until_ns = self.now_ns + round(seconds * 1e9)
        while self._heap and self._heap[0][0] <= until_ns:
            due_ns, _, arguments, call = heapq.heappop(self._heap)
            self.now_ns = max(self.now_ns, due_ns)
            if call is not None:
                call(*arguments)
        self.now_ns = until_ns


class VirtualEvent:
    """What gevent's Event is, on a Clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._is_set = False
        self._waiting: list[list[Any]] = []

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        waiting, self._waiting = self._waiting, []
        for entry in waiting:
            self._wake(entry)

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        if self._is_set:
            return True
        entry = [getcurrent()]
        self._waiting.append(entry)
        if timeout is not None:
            self._clock.push(timeout, self._resume, entry)
        self._clock.give_way()
        if entry in self._waiting:
            self._waiting.remove(entry)
        return self._is_set

    def _wake(self, entry: list[Any]) -> None:
        self._clock.push(0.0, self._resume, entry)

    @staticmethod
    def _resume(entry: list[Any]) -> None:
        waiter, entry[0] = entry[0], None
        if waiter is not None:
            waiter.switch()
