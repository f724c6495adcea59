"""Watching the target from the leading process, beside the load."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import gevent

from pika_locust.measure import Registry, Snapshot
from pika_locust.observe.health import HealthProbe, fetch_json
from pika_locust.observe.process import ProcessMemory, listening_pid
from pika_locust.runtime.metrics import TARGET_METRICS

PROBE_EVERY_S = 5.0


class TargetMonitor:
    """Probes the health page and the memory of the target's process every 5 s, where they can be seen.

    Without a base URL (nobody knows the target's HTTP side) it watches nothing.
    """

    def __init__(self, base_url: str, sandbox_pid: int | None) -> None:
        parts = urlsplit(base_url)
        self._base_url = base_url
        port = parts.port or (443 if parts.scheme == "https" else 80)
        pid = sandbox_pid or (listening_pid(parts.hostname, port) if parts.hostname else None)
        self._memory = ProcessMemory(pid) if pid is not None else None
        self._health = HealthProbe(f"{self._base_url}/health")
        self._registry = Registry(TARGET_METRICS)
        self._peak_mb = 0.0
        self._is_sandbox = sandbox_pid is not None
        self._greenlet: Any = None
        self.internal_errors: list[str] = []
        """What went wrong with the watching itself: our own fault."""

    def start(self) -> None:
        """Begin to watch."""
        if not self._base_url:
            return
        self._greenlet = gevent.spawn(self._watch)
        self._greenlet.link_exception(
            lambda watch: self.internal_errors.append(f"watching the target: {watch.exception!r}")
        )

    def stop(self) -> None:
        """Watch no longer."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def snapshot(self) -> Snapshot:
        """What was seen so far."""
        return self._registry.snapshot()

    def sandbox_state(self) -> Any | None:
        """What the sandbox holds, by its own account; None when the target is not a sandbox or cannot answer."""
        return fetch_json(f"{self._base_url}/__sandbox/state")[1] if self._is_sandbox else None

    def _watch(self) -> None:
        success = self._registry.rate("health_success")
        latency = self._registry.trend("health_latency")
        memory = self._registry.gauge("target_memory_mb")
        next_s = time.monotonic()
        while True:
            used_mb = self._memory.poll() if self._memory is not None else None
            if used_mb is not None:
                self._peak_mb = max(self._peak_mb, used_mb)
                memory.set(self._peak_mb)
            answer = self._health.poll()
            success.add(answer.ok)
            if answer.ok:
                latency.add(answer.latency_us)
            self._is_sandbox = self._is_sandbox or answer.sandbox is not None
            next_s += PROBE_EVERY_S
            gevent.sleep(max(0.0, next_s - time.monotonic()))
