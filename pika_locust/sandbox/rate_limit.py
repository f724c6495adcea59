"""Rate limits as servers have them: so many attempts of each client in a window of time."""

from __future__ import annotations

from math import ceil


class FixedWindow:
    """Lets `limit` attempts through per key and window; a key's window starts with its first attempt.

    Arguments:
        limit: attempts let through in one window.
        window_s: length of the window in seconds.
        blocks: the first attempt beyond the limit starts another whole window, in which nothing is let through.
    """

    def __init__(self, limit: int, window_s: float, blocks: bool = False) -> None:
        self.limit = limit
        self.window_s = window_s
        self._blocks = blocks
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, key: str, now: float) -> bool:
        """Counts an attempt; False when it is beyond the limit."""
        started, used = self._windows.get(key, (now, 0))
        if now - started >= self.window_s:
            started, used = now, 0
        if self._blocks and used == self.limit:
            started = now
        self._windows[key] = (started, used + 1)
        return used < self.limit

    def take_or_wait(self, key: str, now: float) -> int | None:
        """Counts an attempt; None when it is let through, else in how many whole seconds it makes sense again."""
        return None if self.take(key, now) else max(1, ceil(self.resets_in(key, now)))

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
