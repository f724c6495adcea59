"""Writes successes to Locust's request statistics directly, while nobody else listens to its `request` event.

Firing the event, and Locust's listener to it, cost more than writing a request and reading its answer. What is written
here must be what `RequestStats.log_request` writes, and is compared with that before it is relied upon.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from time import time
from types import SimpleNamespace
from typing import Any

from locust import stats as locusts
from locust.runners import Runner
from locust.stats import RequestStats, StatsEntry

from pika_locust.outputs import redact

_ROUNDED, _ROUNDED_TO_WHOLE_MS = getattr(locusts, "bucket_response_time", None), 100
"""Locust's own buckets, and below which time they are whole milliseconds."""
_LISTENER = f"{Runner.__init__.__qualname__}.<locals>.on_request"
_SAMPLES_MS = (12.5, 0.0, 0.4, 3.0, 99.5, 147.0, 98_765.4)


class LocustStats:
    """Where successes can go as long as `is_alone`: nobody but the listener of Locust's runner hears the event.

    Listeners may come and go. With a Locust whose statistics are not as they are known here, it is never so.
    """

    __slots__ = ("_environment", "_event", "_is_known", "_listener")

    def __init__(self, event: Any, environment: Any = None) -> None:
        self._event = event
        self._listener: Any = None
        self._is_known = False
        self._environment = environment
        """Whose statistics Locust's listener wrote when it was last seen."""

    def is_alone(self) -> bool:
        """Whether the event has one listener, Locust's own, and that one's statistics are as they are known here."""
        listeners: Any = getattr(self._event, "_handlers", ())
        if len(listeners) != 1:
            return False
        if listeners[0] is not self._listener:
            self._listener = listeners[0]
            try:
                environment = _environment_of(self._listener)
            except Exception:
                # Nothing of this is promised by Locust; its event is.
                environment = None
            self._is_known = environment is not None
            self._environment = environment or self._environment
        return self._is_known

    def write(self, kind: str, name: str, response_times_ms: Sequence[float], size_bytes: int) -> None:
        """Write successes of one name, `size_bytes` together, as of now; only after `is_alone` has said so."""
        stats, name = self._environment.stats, redact.name(name)
        total, entry = stats.total, stats.entries[name, kind]
        now = time()
        second = int(now)
        if (
            entry.min_response_time is None
            or total.min_response_time is None
            or entry.last_request_timestamp < second
            or total.last_request_timestamp < second
        ):
            # Locust begins to count anew, and may keep a copy of what it has.
            stats.log_request(kind, name, response_times_ms[0], size_bytes)
            response_times_ms, size_bytes = response_times_ms[1:], 0
            if not response_times_ms:
                return
        count, least_ms, most_ms = len(response_times_ms), min(response_times_ms), max(response_times_ms)
        # Looked up each time: who wants other buckets replaces it.
        bucket = locusts.bucket_response_time
        rounds = bucket is _ROUNDED and most_ms < _ROUNDED_TO_WHOLE_MS
        times = Counter(map(round if rounds else bucket, response_times_ms))
        for each in (total, entry):
            each.num_requests += count
            each.num_reqs_per_sec[second] += count
            each.last_request_timestamp = now
            each.total_response_time = sum(response_times_ms, each.total_response_time)
            if least_ms < each.min_response_time:
                each.min_response_time = least_ms
            if most_ms > each.max_response_time:
                each.max_response_time = most_ms
            response_times = each.response_times
            for rounded_ms, often in times.items():
                response_times[rounded_ms] += often
            each.total_content_length += size_bytes


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
    writer = LocustStats(None, SimpleNamespace(stats=ours))
    for response_time_ms in _SAMPLES_MS:
        writer.write("GET", "page", (response_time_ms,), 70)
        theirs.log_request("GET", "page", response_time_ms, 70)
    return _timeless(ours) == _timeless(theirs)


def _timeless(stats: RequestStats) -> list[dict[str, Any]]:
    """What the entries hold, but for what depends on the moment of writing."""
    dated = dict.fromkeys(("stats", "start_time", "last_request_timestamp", "response_times_cache"))
    return [
        {**vars(entry), **dated, "num_reqs_per_sec": sum(entry.num_reqs_per_sec.values())}
        for entry in (stats.total, *stats.entries.values())
    ]
