"""Metrics of a locustfile's own users, from Locust's `request` event, in every process that runs users."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import gevent
from locust.user.task import LOCUST_STATE_STOPPING

from pika_locust.metrics import Counter, Rate, Registry, Trend
from pika_locust.outputs import redact
from pika_locust.runtime.context import WorkerContext
from pika_locust.wire.http_models import LOCAL_LIMITS, MAX_WORDS, ErrorKind, words_in
from pika_locust.wire.traffic import TRAFFIC

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


BATCH = 100
"""How many successes of a name wait to be counted at most."""


class _Named:
    """The bound handles of one name, and the successes that are still to be counted."""

    __slots__ = ("duration", "failed", "failed_duration", "reqs", "waiting_us")

    def __init__(self, metrics: Registry, request_type: str, name: str) -> None:
        tags = {"name": redact.name(name), "method": request_type}
        self.reqs: Counter = metrics.counter("http_reqs").tagged(**tags)
        self.failed: Rate = metrics.rate("http_req_failed").tagged(**tags)
        self.duration: Trend = metrics.trend("http_req_duration").tagged(**tags)
        self.failed_duration: Trend = metrics.trend("http_req_failed_duration").tagged(**tags)
        self.waiting_us: list[int] = []

    def count_waiting(self) -> None:
        waiting_us, self.waiting_us = self.waiting_us, []
        self.reqs.add(len(waiting_us))
        self.failed.add(False, len(waiting_us))
        self.duration.add_all(waiting_us)


class RequestEventMeter:
    """Watches one process's users during one test.

    Successes wait to be counted together, a hundred at a time or when somebody reads the metrics: one by one that would
    cost four times as much.
    """

    def __init__(self, environment: Any, runner: Any, worker: WorkerContext) -> None:
        events = environment.events
        self._environment = environment
        self._runner = runner
        self._locusts_stop_users = runner.stop_users
        runner.stop_users = self._stop_users
        self._killed: set[Any] = set()
        """Users that had to be killed: of two who want the same ones stopped, one counts them."""
        self._worker = worker
        self._vus = worker.metrics.gauge("vus")
        self._bytes = worker.metrics.counter("data_received")
        self._retries = worker.metrics.counter("http_retries")
        self._retries_before = TRAFFIC.retries
        self._exceptions = worker.metrics.counter("task_exceptions")
        self._named: dict[tuple[str, str], _Named] = {}
        worker.metrics.on_collect(self._settle)
        self._listeners = (
            (events.request, self._on_request),
            (events.spawning_complete, self._on_spawned),
            (events.user_error, self._on_user_error),
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
        self._runner.stop_users = self._locusts_stop_users
        for event, listener in self._listeners:
            event.remove_listener(listener)

    def cut_users(self) -> None:
        """Kill those that are still in a task, and count them: whoever interrupts again waits for nobody."""
        late = self._stopping()
        self._runner.user_greenlets.kill(block=True)
        self._count_killed(late, "killed in a task when the run was interrupted again")

    def _stop_users(self, user_classes_stop_count: dict[str, int]) -> None:
        """Stop users as Locust does it, in a ramp-down and at the end, and count those that it has to kill."""
        stop_timeout_s = self._environment.stop_timeout
        if not stop_timeout_s:
            self._locusts_stop_users(user_classes_stop_count)
            return
        late: list[Any] = []
        # Locust waits as long, and from a moment later on, before it kills whoever is still in a task.
        looking = gevent.spawn_later(stop_timeout_s, lambda: late.extend(self._stopping()))
        try:
            self._locusts_stop_users(user_classes_stop_count)
        except KeyboardInterrupt:
            # It came to Locust's main greenlet, which waits here for the users of a run in one process.
            self.cut_users()
        finally:
            looking.kill(block=False)
        self._count_killed(
            late, f"killed in a task that was not over {stop_timeout_s:g} s after the user was to stop (-s)"
        )

    def _count_killed(self, late: Iterable[Any], told: str) -> None:
        # The others were asked by an earlier step of the ramp-down, and are still in their task.
        killed = {greenlet for greenlet in late if greenlet.dead} - self._killed
        if killed:
            self._killed |= killed
            self._worker.note_cut(len(killed))
            self._worker.error("users", told)

    def _stopping(self) -> list[Any]:
        """The greenlets of users that were asked to stop, and are in a task."""
        # A user may have other greenlets in its group.
        greenlets = [(greenlet, next(iter(greenlet.args), None)) for greenlet in self._runner.user_greenlets]
        return [greenlet for greenlet, user in greenlets if getattr(user, "_state", None) == LOCUST_STATE_STOPPING]

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
        named = self._named.get((request_type, name))
        if named is None:
            named = self._named[request_type, name] = _Named(self._worker.metrics, request_type, name)
        if response_length:
            self._bytes.add(response_length)
        if response_time is not None and not exception:
            waiting_us = named.waiting_us
            waiting_us.append(round(response_time * 1000))
            if len(waiting_us) >= BATCH:
                named.count_waiting()
            return
        named.reqs.add()
        named.failed.add(bool(exception))
        if exception:
            self._worker.error(redact.name(name), *_outcome(exception, response))
            if is_local(exception):
                self._worker.generator_errors.add()
            if response_time is not None:
                named.failed_duration.add(round(response_time * 1000))

    def _settle(self) -> None:
        # Locust's event says nothing of them, and to look at every response would cost every request something.
        self._retries.add(TRAFFIC.retries - self._retries_before)
        self._retries_before = TRAFFIC.retries
        for named in self._named.values():
            if named.waiting_us:
                named.count_waiting()
