"""A fixed-window counter by key, as most servers limit their clients."""

from __future__ import annotations


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
