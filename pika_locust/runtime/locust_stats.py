"""Locust's own statistics of requests, written without its `request` event while nobody else listens to that.

Firing the event, and Locust's listener to it, cost more than writing a request and reading its answer. What is written
here must be what `RequestStats.log_request` writes, and is compared with that before it is relied upon.
"""

from __future__ import annotations

from time import time
from types import SimpleNamespace
from typing import Any

from locust import stats as locusts
from locust.runners import Runner
from locust.stats import RequestStats, StatsEntry

_LISTENER = f"{Runner.__init__.__qualname__}.<locals>.on_request"
_SAMPLES_MS = (12.5, 0.0, 0.4, 3.0, 147.0, 98_765.4)


class LocustStats:
    """Takes successes while the listener of Locust's runner is the only one of `event`.

    Listeners may come and go. While there is another one, and with a Locust whose statistics are not as they are known
    here, it takes nothing.
    """

    __slots__ = ("_environment", "_event", "_listener")

    def __init__(self, event: Any, listener: Any = None, environment: Any = None) -> None:
        self._event = event
        self._listener = listener
        self._environment = environment
        """Whose statistics the listener writes; None when nothing is to be taken from it."""

    def take(self, kind: str, name: str, response_time_ms: float | None, size_bytes: int) -> bool:
        """Write a success into Locust's statistics, for a quarter of Locust's price; False: fire the event instead.

        That is also to be done for the first of a name, and once a second, when Locust begins to count anew and may
        keep a copy.
        """
        if response_time_ms is None:
            return False
        try:
            listeners = self._event._handlers
            if len(listeners) != 1:
                return False
            if listeners[0] is not self._listener:
                self._environment, self._listener = _environment_of(listeners[0]), listeners[0]
            if self._environment is None:
                return False
            stats = self._environment.stats
            total, entry = stats.total, stats.entries[name, kind]
            now = time()
            second = int(now)
            if (
                entry.min_response_time is None
                or total.min_response_time is None
                or entry.last_request_timestamp < second
                or total.last_request_timestamp < second
            ):
                return False
            # Looked up each time: who wants other buckets replaces it.
            rounded_ms = locusts.bucket_response_time(response_time_ms)
        except Exception:
            # Locust logs what a listener raises: when the event is fired, it is raised there.
            return False
        for each in (total, entry):
            each.num_requests += 1
            each.num_reqs_per_sec[second] += 1
            each.last_request_timestamp = now
            each.total_response_time += response_time_ms
            if response_time_ms < each.min_response_time:
                each.min_response_time = response_time_ms
            if response_time_ms > each.max_response_time:
                each.max_response_time = response_time_ms
            each.response_times[rounded_ms] += 1
            each.total_content_length += size_bytes
        return True


def _environment_of(listener: Any) -> Any:
    """Whose statistics this listener writes, if it is Locust's own and they are as they are known; None otherwise."""
    if getattr(listener, "__qualname__", "") != _LISTENER or listener.__module__ != Runner.__module__:
        return None
    closure = dict(zip(listener.__code__.co_freevars, listener.__closure__, strict=True))
    environment = closure["self"].cell_contents.environment
    is_locusts = type(environment.stats) is RequestStats and all(
        function.__module__ == locusts.__name__ for function in (RequestStats.log_request, StatsEntry.log)
    )
    return environment if is_locusts and _comes_to_the_same() else None


def _comes_to_the_same() -> bool:
    """Whether what is written here is what this Locust writes."""
    ours, theirs = RequestStats(), RequestStats()
    writer = LocustStats(SimpleNamespace(_handlers=[None]), None, SimpleNamespace(stats=ours))
    for response_time_ms in _SAMPLES_MS:
        if not writer.take("GET", "page", response_time_ms, 70):
            ours.log_request("GET", "page", response_time_ms, 70)
        theirs.log_request("GET", "page", response_time_ms, 70)
    return _timeless(ours) == _timeless(theirs)


def _timeless(stats: RequestStats) -> list[dict[str, Any]]:
    """What the entries hold, but for what depends on the moment of writing."""
    dated = dict.fromkeys(("stats", "start_time", "last_request_timestamp", "response_times_cache"))
    return [
        {**vars(entry), **dated, "num_reqs_per_sec": sum(entry.num_reqs_per_sec.values())}
        for entry in (stats.total, *stats.entries.values())
    ]
