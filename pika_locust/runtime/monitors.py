"""Monitors of the target, in the master (or local) process: Prometheus before and after the load, health and memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import gevent

from pika_locust.clock import monotonic
from pika_locust.errors import UnreadableError
from pika_locust.judge import Observed
from pika_locust.metrics import Registry, Snapshot
from pika_locust.metrics.builtin import TARGET_METRICS
from pika_locust.observe.prometheus import Prometheus, Reading, compare, left_out
from pika_locust.observe.prometheus_settings import split_queries
from pika_locust.observe.target import (
    HealthAnswer,
    HealthProbe,
    Outages,
    ProcessMemory,
    listening_pid,
    no_answer,
    read_json,
)
from pika_locust.outputs import redact
from pika_locust.settings import Settings
from pika_locust.url import Url, parse_url

logger = logging.getLogger(__name__)

TIMEOUT_S = 5.0
"""For all queries together, which are asked at once: no run waits longer for a Prometheus that hangs."""


class PrometheusMonitor:
    """Queries a Prometheus before the first user and after the last. Without `PROMETHEUS_URL` it does nothing."""

    def __init__(self, settings: Settings) -> None:
        self._url: str | None = settings.get("PROMETHEUS_URL")
        self._token: str | None = settings.get("PROMETHEUS_BEARER_TOKEN")
        self._queries = split_queries(settings["PROMETHEUS_QUERIES"]) if self._url is not None else ()
        self._start: list[Reading] | None = None
        self._end: list[Reading] | None = None

    def before(self) -> None:
        """Ask now, before the first user. Interrupted, it ends at once and raises on."""
        readings: list[Reading] = []
        try:
            self._ask("before the load", readings)
        finally:
            self._start = readings

    def after(self) -> None:
        """Ask now, after the load has drained; not where the test ended before `before` had: nothing was loaded.
        Interrupted, it ends at once and raises on; what was there by then is kept."""
        if self._start is not None:
            self._end = []
            self._ask("after the load", self._end)

    def found(self) -> tuple[Observed, ...]:
        """Rows for the report."""
        return tuple(row for start, end in self._pairs() for row in compare(start, end))

    def notes(self) -> tuple[str, ...]:
        """Which queries have more series than rows."""
        return tuple(note for start, end in self._pairs() if (note := left_out(start, end)) is not None)

    def _pairs(self) -> list[tuple[Reading, Reading]]:
        unasked = [Reading(query, problem="the test ended before it was asked") for query in self._queries]
        return list(zip(self._start or unasked, self._end or unasked, strict=True))

    def _ask(self, when: str, readings: list[Reading]) -> None:
        if self._url is None:
            return
        prometheus = Prometheus(self._url, self._token, TIMEOUT_S)
        asking = [gevent.spawn(prometheus.poll, query) for query in self._queries]
        problem = no_answer(TIMEOUT_S)
        try:
            gevent.joinall(asking, timeout=TIMEOUT_S)
        except KeyboardInterrupt:
            problem = "interrupted"
            raise
        finally:
            gevent.killall(asking, block=False)
            # One that fell over has no value, and gevent has printed why.
            late = [problem if answer.exception is None else "asking failed, as the log tells" for answer in asking]
            readings += [
                answer.value if isinstance(answer.value, Reading) else Reading(query, problem=why)
                for query, answer, why in zip(self._queries, asking, late, strict=True)
            ]
            self._tell(when, readings)

    def _tell(self, when: str, readings: list[Reading]) -> None:
        server = redact.text(str(self._url))
        silent: dict[str, list[str]] = {}
        for reading in readings:
            if not reading.series:
                silent.setdefault(reading.why_nothing, []).append(reading.query)
        count = sum(len(reading.series) for reading in readings)
        logger.info("Prometheus at %s, %s: %d series of %d queries", server, when, count, len(readings))
        for why, queries in silent.items():
            words = redact.one_line(f"{', '.join(queries)}: not observed: {why}")
            logger.warning("Prometheus at %s, %s: %s", server, when, words)


PROBE_EVERY_S = 5.0
PROBE_EVERY_AWAY_S = 1.0
"""While the target is away: when it comes back is told to the second."""


def _read(base_url: str) -> Url | None:
    """None for what is no URL: a locustfile's users may go to several hosts, or to none that is known beforehand."""
    try:
        return parse_url(base_url, "http", "https")
    except ValueError:
        return None


class TargetMonitor:
    """Probes the health page and the memory of the target's process every 5 s, where they can be seen.

    Without a base URL (nobody knows the target's HTTP side) it watches nothing.
    """

    def __init__(self, base_url: str, sandbox_pid: int | None) -> None:
        self._base_url = base_url
        target = _read(base_url)
        pid = sandbox_pid or (listening_pid(target.host, target.port_number) if target is not None else None)
        self._memory = ProcessMemory(pid) if pid is not None else None
        self._health = HealthProbe(f"{base_url}/health") if target is not None else None
        self._registry = Registry(TARGET_METRICS)
        self._peak_mb = 0.0
        self._is_sandbox = sandbox_pid is not None
        self._sandbox_before: Any | None = None
        self._greenlet: Any = None
        self.internal_errors: list[str] = []
        """Exceptions of the monitor itself."""
        self.outages = Outages()
        """When the target went away, and came back."""
        self.fault_changes: list[tuple[float, str]] = []
        """When a sandbox was seen to have other faults switched on than before, by the monotonic clock; and which."""
        self._faults: Mapping[str, Any] | None = None

    def start(self) -> None:
        """Begin to probe."""
        if self._health is None:
            return
        self._greenlet = gevent.spawn(self._watch, self._health)
        self._greenlet.link_exception(
            lambda watch: self.internal_errors.append(f"watching the target: {watch.exception!r}")
        )

    def stop(self) -> None:
        """Stop probing."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def snapshot(self) -> Snapshot:
        """What was seen so far."""
        return self._registry.snapshot()

    def sandbox_state(self) -> Any | None:
        """What the sandbox holds, by its own account; None when the target is not a sandbox.

        Raises UnreadableError when it cannot answer.
        """
        return read_json(f"{self._base_url}/__sandbox/state") if self._is_sandbox else None

    def sandbox_errors(self) -> list[str]:
        """What went wrong in the sandbox itself since this monitor has known it: a sentence, or nothing.

        A sandbox that does not answer any more says nothing; what it does not answer is measured elsewhere.
        """
        before, state = self._sandbox_before, self._sandbox_figures()
        if before is None or state is None:
            return []
        count = state["internal_errors"] - before["internal_errors"]
        if count <= 0:
            return []
        times = "once" if count == 1 else f"{count} times"
        known, messages = before["internal_error_messages"], state["internal_error_messages"]
        new = [message for message in messages if message not in known] or messages
        return [f"the sandbox failed {times}: {'; '.join(new)}"]

    def _sandbox_figures(self) -> Any | None:
        """The sandbox's state without what it has of each user; None when there is none or it does not answer."""
        if not self._is_sandbox:
            return None
        try:
            return read_json(f"{self._base_url}/__sandbox/state?users=0")
        except UnreadableError:
            return None

    def _look_at_faults(self, at_s: float) -> None:
        if not self._is_sandbox:
            return
        try:
            faults = read_json(f"{self._base_url}/__sandbox/faults")["faults"]
        except (KeyError, TypeError, UnreadableError):
            return
        if faults != (self._faults or {}):
            told = ", ".join(name if value is True else f"{name}={value}" for name, value in faults.items())
            self.fault_changes.append((at_s, f"faults: {told or 'none any more'}"))
        self._faults = faults

    def _watch(self, health: HealthProbe) -> None:
        success = self._registry.rate("health_success")
        latency = self._registry.trend("health_latency")
        next_s = monotonic()
        while True:
            at_s = monotonic()
            self.look_at_memory()
            answer = health.poll()
            self._note_outage(answer, at_s)
            if answer is not None:
                success.add(answer.ok)
                if answer.ok:
                    latency.add(answer.latency_us)
                self._is_sandbox = self._is_sandbox or answer.sandbox is not None
            if self._sandbox_before is None:
                self._sandbox_before = self._sandbox_figures()
            self._look_at_faults(at_s)
            next_s += PROBE_EVERY_S
            while self.outages.is_away and monotonic() + PROBE_EVERY_AWAY_S < next_s:
                gevent.sleep(PROBE_EVERY_AWAY_S)
                # One more look, which counts for no rate: those are as many in good times as in bad.
                self._note_outage(health.poll(), monotonic())
            gevent.sleep(max(0.0, next_s - monotonic()))

    def look_at_memory(self) -> None:
        """How much memory the target takes now. At the end of the load, too: that is where most of a leak is."""
        used_mb = self._memory.poll() if self._memory is not None else None
        if used_mb is not None:
            self._peak_mb = max(self._peak_mb, used_mb)
            self._registry.gauge("target_memory_mb").set(self._peak_mb)

    def _note_outage(self, answer: HealthAnswer | None, at_s: float) -> None:
        if answer is not None:
            self.outages.note(answer.problem, at_s)
