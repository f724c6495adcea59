"""The processes that run users, seen from the one that leads: who they are, who is lost, who has drained."""

from __future__ import annotations

import logging
import time
from typing import Any

import gevent

from pika_locust.runtime import messages
from pika_locust.runtime.collector import Collector

MISSING = "missing"
"""Locust's word for a worker whose heartbeats have stopped."""

logger = logging.getLogger(__name__)


class Workers:
    """All workers of a master's runner, or the one process of a local run."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner

    def participants(self) -> list[tuple[str, int]]:
        """Id and index of everybody who is connected."""
        if not hasattr(self._runner, "clients"):
            return [(self._runner.client_id, 0)]
        return [(client.id, self._runner.get_worker_index(client.id)) for client in self._runner.clients.all]

    def with_users(self) -> list[str]:
        """Ids of those who are connected and have said that they run users."""
        if not hasattr(self._runner, "clients"):
            return [self._runner.client_id]
        return [client.id for client in self._runner.clients.all if client.state != MISSING and client.user_count]

    def is_lost(self, worker: str) -> bool:
        """Whether a worker is not heard of any more."""
        if not hasattr(self._runner, "clients"):
            return False
        client = self._runner.clients.get(worker)
        return client is None or client.state == MISSING

    def note_lost(self, collector: Collector, at_s: float) -> None:
        """Note who is lost since when, `at_s` seconds after the start; one that is back is not lost."""
        for record in collector.records():
            lost = not record.final and self.is_lost(record.worker)
            if lost and record.lost_at_s is None:
                record.lost_at_s = at_s
                logger.error("%s is lost; its last report was %.0f s ago", record, at_s - record.seen_at_s)
            elif not lost:
                record.lost_at_s = None

    def send_drain(self, role: str, timeout_s: float) -> None:
        """Ask everybody to let the users of a role finish within so many seconds."""
        self._runner.send_message(messages.DRAIN, {"role": role, "timeout_s": timeout_s})

    def wait_until_drained(self, collector: Collector, role: str, timeout_s: float) -> None:
        """Wait until everybody who is not lost has said that the role's users have ended."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if all(role in record.drained or self.is_lost(record.worker) for record in collector.records()):
                return
            gevent.sleep(0.05)
