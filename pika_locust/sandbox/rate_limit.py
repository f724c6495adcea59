"""Rate limits as servers have them: fixed windows by key, and by route and address with a whole window of refusal."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pika_locust.sandbox.faults import FaultSwitches
from pika_locust.sandbox.world import Headers


class FixedWindow:
    """Lets `limit` attempts through per key and window; a key's window starts with its first attempt.

    Arguments:
        limit: attempts let through in one window.
        window_s: length of the window in seconds.
    """

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit = limit
        self.window_s = window_s
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, key: str, now: float) -> bool:
        """Counts an attempt; False when it is beyond the limit."""
        started, used = self._windows.get(key, (now, 0))
        if now - started >= self.window_s:
            started, used = now, 0
        self._windows[key] = (started, used + 1)
        return used < self.limit

    def remaining(self, key: str, now: float) -> int:
        """Attempts still free in the current window of `key`."""
        started, used = self._windows.get(key, (now, 0))
        return max(0, self.limit - (used if now - started < self.window_s else 0))

    def resets_in(self, key: str, now: float) -> float:
        """Seconds until the current window of `key` ends."""
        started, _ = self._windows.get(key, (now, 0))
        return max(0.0, started + self.window_s - now)

    def forget(self, key: str) -> None:
        """Starts `key` afresh."""
        self._windows.pop(key, None)


@dataclass(slots=True)
class _Window:
    started: float
    hits: int = 0
    blocked_at: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Too many: `retry_s` whole seconds until it may work again."""

    retry_s: int


class Throttle:
    """The fault `throttle` per (route, address): the first request beyond the limit blocks that pair for a window.

    Routes with a limit of their own keep it, unless the fault's is lower. While the fault is off everything passes and
    no answer carries a header of it.
    """

    def __init__(self, faults: FaultSwitches) -> None:
        self._faults = faults
        self._limit: int | None = None
        self._window_s = 0.0
        self._windows: dict[tuple[str, str], _Window] = {}
        faults.watch(self._retune)
        self._retune()

    def reset(self) -> None:
        """Starts all windows afresh."""
        self._windows.clear()

    def pass_through(self, route: str, own_limit: int | None, address: str, now: float) -> Headers | Refused:
        """Counts a request; the headers its answer gets, or how long it is shut out.

        Arguments:
            route: the name of the route, as "GET /orders".
            own_limit: requests per window that the route itself allows; None for as many as the fault.
            address: where the request came from.
            now: seconds since the epoch.
        """
        if self._limit is None:
            return ()
        limit, key = self._limit if own_limit is None else min(own_limit, self._limit), (route, address)
        window = self._windows.get(key)
        if window is None or self._left(window, now) <= 0:
            window = self._windows[key] = _Window(now)
        if window.blocked_at is None:
            window.hits += 1
            if window.hits > limit:
                window.blocked_at = now
        left = math.ceil(self._left(window, now))
        if window.blocked_at is not None:
            self._faults.count("throttle")
            return Refused(left)
        return (
            ("x-ratelimit-limit", str(limit)),
            ("x-ratelimit-remaining", str(limit - window.hits)),
            ("x-ratelimit-reset", str(left)),
        )

    def _left(self, window: _Window, now: float) -> float:
        since = window.started if window.blocked_at is None else window.blocked_at
        return self._window_s - (now - since)

    def _retune(self) -> None:
        fault = self._faults.on.get("throttle")
        limit, window_s = (int(fault.value), float(fault.window_s)) if fault is not None else (None, 0.0)
        if (limit, window_s) != (self._limit, self._window_s):
            self._limit, self._window_s = limit, window_s
            self._windows.clear()
