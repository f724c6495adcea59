"""From which address of this machine a user sends, over HTTP and on WebSockets alike: the setting SOURCE_ADDRESSES."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pika_locust.runtime.context import WorkerContext
from pika_locust.settings import SourceAddresses
from pika_locust.wire.http import HttpClient, Origin, Timeouts
from pika_locust.wire.websocket_handshake import ConnectError


class TargetClients:
    """Connections to a target outside the load, for set-ups and audits: from the addresses that its users have.

    Arguments:
        target: the base URL.
        settings: those of the run; SOURCE_ADDRESSES may name a pool.
        timeouts: of requests that say none.

    Raises ValueError for a target that is no base URL.
    """

    def __init__(self, target: str, settings: Mapping[str, Any], timeouts: Timeouts | None = None) -> None:
        pool = settings.get("SOURCE_ADDRESSES")
        self._pool = SourceAddresses(pool) if pool else None
        self._origin = Origin(target)
        self._timeouts = timeouts

    @property
    def keep(self) -> bool:
        """Whether one connection may serve for several users: none of them has an address of its own."""
        return self._pool is None

    def client(self, number: int) -> HttpClient:
        """Another connection, for the user of this number."""
        address = self._pool[number] if self._pool is not None else None
        return HttpClient(self._origin, timeouts=self._timeouts, source_address=address)


class UserAddresses:
    """The addresses of a process's users; get it with `worker.shared(UserAddresses)`."""

    def __init__(self, worker: WorkerContext) -> None:
        self._worker = worker
        self._known = "SOURCE_ADDRESSES" in worker.settings
        text = worker.settings.get("SOURCE_ADDRESSES")
        self._pool = SourceAddresses(text) if text else None

    @property
    def has_pool(self) -> bool:
        """Whether users have addresses of their own."""
        return self._pool is not None

    def of(self, number: int) -> str | None:
        """The address of the user with this number in this process: its own, where there is a pool."""
        return self._pool[self._worker.global_number(number)] if self._pool is not None else None

    @property
    def throttled(self) -> str:
        """What an answer of 429 is called, with what helps."""
        if not self._known:
            return "answered 429"
        if self._pool is None:
            return "answered 429 (SOURCE_ADDRESSES gives each user an address of its own)"
        return f"answered 429 (SOURCE_ADDRESSES has {self._pool.size:,} for all users)"

    def failure(self, error: ConnectError) -> str:
        """What a connection failed of, in words that are of few kinds; with what helps where the target throttles."""
        if error.status == HTTPStatus.TOO_MANY_REQUESTS:
            return self.throttled
        if error.status is not None:
            return f"answered {error.status}"
        return "not answered as a WebSocket" if error.kind == "protocol" else str(error)
