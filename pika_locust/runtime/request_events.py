"""Metrics of a locustfile's own users, from Locust's `request` event, in every process that runs users."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import gevent

from pika_locust.metrics import Counter, Rate, Trend
from pika_locust.outputs import redact
from pika_locust.runtime.context import WorkerContext
from pika_locust.wire.http_models import LOCAL_LIMITS, MAX_WORDS, ErrorKind, words_in

_LOCAL = re.compile(rf"\[Errno ({'|'.join(map(str, LOCAL_LIMITS))})\]")


def is_local(error: Any) -> bool:
    """Whether a request failed for want of a file, port or memory of this machine, whichever client made it."""
    return getattr(error, "kind", None) == ErrorKind.LOCAL or _LOCAL.search(str(error)) is not None


_READ_BODIES = ("_content", "_cached_content")
"""Where requests (and our own client) and geventhttpclient keep a body that has been read."""


def _outcome(exception: Any, response: Any) -> tuple[str, str]:
    """What a failed request is told as: its error, with where a redirect leads, and what the body says of an answer
    that was no success. What was not read, as of a stream, says nothing."""
    error = str(exception) or type(exception).__name__
    if response is None or 200 <= getattr(response, "status_code", 200) < 300:
        # What a task does not like of a success it says itself.
        return error, ""
    headers = getattr(response, "headers", None)
    onward = headers.get("location") if isinstance(headers, Mapping) else None
    bodies = (getattr(response, name, None) for name in _READ_BODIES)
    said = words_in(next((body for body in bodies if isinstance(body, bytes)), b""))
    return (f"{error} to {onward[:MAX_WORDS]}" if onward else error), said


Handles = tuple[Counter, Rate, Trend, Trend]


class RequestEventMeter:
    """Watches one process's users during one test."""

    def __init__(self, environment: Any, runner: Any, worker: WorkerContext) -> None:
        events = environment.events
        self._environment = environment
        self._cutting: Any = None
        """What counts the users that have to be killed in the end."""
        self._runner = runner
        self._worker = worker
        self._vus = worker.metrics.gauge("vus")
        self._bytes = worker.metrics.counter("data_received")
        self._exceptions = worker.metrics.counter("task_exceptions")
        self._handles: dict[tuple[str, str], Handles] = {}
        self._listeners = (
            (events.request, self._on_request),
            (events.spawning_complete, self._on_spawned),
            (events.user_error, self._on_user_error),
            (events.test_stopping, self._on_stopping),
        )
        for event, listener in self._listeners:
            event.add_listener(listener)
        self._take_spawn_messages(since_s=0)

    def sample(self) -> None:
        """Note how many users there are now."""
        self._vus.set(self._runner.user_count)

    def stop_users(self) -> None:
        """Stop them as Locust does it, and see to it that none is started any more."""
        # A ramp-up that is still under way in the master goes on sending: users would come back after the last report.
        self._take_spawn_messages(since_s=math.inf)
        self._runner.stop()

    def close(self) -> None:
        """Listen no longer."""
        if self._cutting is not None:
            self._cutting.kill(block=False)
        for event, listener in self._listeners:
            event.remove_listener(listener)

    def _on_stopping(self, **_: Any) -> None:
        stop_timeout_s = self._environment.stop_timeout
        if stop_timeout_s and self._cutting is None:
            # Locust waits as long, and from a moment later on, before it kills whoever is still in a task.
            users = list(self._runner.user_greenlets)
            self._cutting = gevent.spawn_later(stop_timeout_s, self._count_cut, users, stop_timeout_s)

    def _count_cut(self, users: list[Any], stop_timeout_s: float) -> None:
        cut = sum(not user.dead for user in users)
        if cut:
            self._worker.note_cut(cut)
            self._worker.error("users", f"killed in a task that was not over {stop_timeout_s:g} s after the end (-s)")

    def _take_spawn_messages(self, since_s: float) -> None:
        if hasattr(self._runner, "last_received_spawn_timestamp"):
            self._runner.last_received_spawn_timestamp = since_s

    def _on_spawned(self, **_: Any) -> None:
        self.sample()

    def _on_user_error(self, user_instance: Any, exception: BaseException, **_: Any) -> None:
        self._exceptions.add()
        self._worker.error(type(user_instance).__name__, f"{type(exception).__name__}: {exception}")

    def _on_request(
        self,
        request_type: str,
        name: str,
        response_time: float | None,
        response_length: int | None,
        exception: Any = None,
        response: Any = None,
        **_: Any,
    ) -> None:
        requests, failed, duration, failed_duration = self._bound(request_type, name)
        requests.add()
        failed.add(bool(exception))
        if response_length:
            self._bytes.add(response_length)
        if exception:
            self._worker.error(redact.name(name), *_outcome(exception, response))
            if is_local(exception):
                self._worker.generator_errors.add()
        if response_time is not None:
            (failed_duration if exception else duration).add(round(response_time * 1000))

    def _bound(self, request_type: str, name: str) -> Handles:
        handles = self._handles.get((request_type, name))
        if handles is None:
            metrics, tags = self._worker.metrics, {"name": redact.name(name), "method": request_type}
            handles = self._handles[request_type, name] = (
                metrics.counter("http_reqs").tagged(**tags),
                metrics.rate("http_req_failed").tagged(**tags),
                metrics.trend("http_req_duration").tagged(**tags),
                metrics.trend("http_req_failed_duration").tagged(**tags),
            )
        return handles
