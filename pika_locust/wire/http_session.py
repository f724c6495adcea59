"""One kept connection and its fate: opened when needed, looked at after a rest, replaced, retried once, closed."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Protocol

from pika_locust.wire.http_connection import Connection
from pika_locust.wire.http_dial import Connector
from pika_locust.wire.http_errors import ErrorKind, TransportError
from pika_locust.wire.http_origin import Origin
from pika_locust.wire.http_response import Response
from pika_locust.wire.http_timeouts import Timeouts

if TYPE_CHECKING:
    from pika_locust.wire.http_tls import Trust

IDLE_CHECK_NS = 100_000_000
"""A connection that was idle for so long is looked at before it is used: the server may have closed it, or spoken."""
RETRY_WITHIN_US = 1_000_000
"""An idle connection that the server has closed shows it at once. A later end is the server's answer to the request."""


class RequestObserver(Protocol):
    """Who is told of every finished request, in the greenlet that made it, before the caller gets the response."""

    def __call__(self, name: str, method: str, response: Response, /) -> None: ...


class ConcurrentUseError(RuntimeError):
    """A second greenlet used a client whose request was not finished, or somebody used one that was closed."""


class _Requests:
    """Takes requests as bytes, one at a time, to one origin.

    `connections` opened, `retries` (requests sent twice) and `abandoned` (requests whose greenlet was killed) are
    counted. `HttpClient` says what the arguments mean.
    """

    __slots__ = (
        "_busy",
        "_closed",
        "_connection",
        "_timeouts",
        "_trust",
        "abandoned",
        "connections",
        "max_body_bytes",
        "observer",
        "origin",
        "retries",
        "source_address",
    )

    def __init__(
        self,
        origin: Origin,
        timeouts: Timeouts,
        source_address: str | None,
        trust: Trust,
        observer: RequestObserver | None,
        max_body_bytes: int,
    ) -> None:
        self.origin = origin
        self._timeouts = timeouts
        self._trust = trust
        self.source_address = source_address
        self.observer = observer
        self.max_body_bytes = max_body_bytes
        self.connections = 0
        self.retries = 0
        self.abandoned = 0
        self._connection: Connection | None = None
        self._busy = False
        self._closed = False

    def _exchange(self, payload: bytes, name: str, method: str, timeouts: Timeouts) -> Response:
        """One request, one answer, one call of the observer."""
        if self._busy or self._closed:
            raise ConcurrentUseError("the client is closed" if self._closed else "another request is under way")
        self._busy = True
        try:
            started = monotonic_ns()
            bodiless = method == "HEAD"
            connection = self._connection
            if connection is None or (started - connection.last_used_ns > IDLE_CHECK_NS and not connection.is_clean()):
                response = self._exchange_anew(payload, started, bodiless, timeouts)
            else:
                response = connection.exchange(payload, started, started, bodiless, timeouts)
                if response.error is not None:
                    response = self._recover(response, payload, bodiless, timeouts)
                elif self._closed or not connection.reusable:
                    self._drop()
        except BaseException:
            self._drop()
            self.abandoned += 1
            raise
        finally:
            self._busy = False
        observer = self.observer
        if observer is not None:
            observer(name, method, response)
        return response

    def _exchange_anew(self, payload: bytes, started: int, bodiless: bool, timeouts: Timeouts) -> Response:
        """An exchange on a new connection."""
        self._drop()
        dial = Connector(self.origin, self._trust, self.source_address)
        left_s = timeouts.total_s - (monotonic_ns() - started) / 1e9
        try:
            connection = dial.connect(timeouts, left_s, self.max_body_bytes)
        except TransportError as error:
            return dial.failed(error, started)
        if self._closed:
            connection.close()
            return dial.failed(TransportError(ErrorKind.CLOSED, "the client was closed meanwhile"), started)
        self._connection = connection
        self.connections += 1
        ready = monotonic_ns()
        response = connection.exchange(payload, started, ready, bodiless, timeouts, dial.connecting_ns, dial.tls_ns)
        response.bytes_sent += dial.bytes_sent
        response.bytes_received += dial.bytes_received
        if self._closed or not connection.reusable:
            self._drop()
        return response

    def _recover(self, failed: Response, payload: bytes, bodiless: bool, timeouts: Timeouts) -> Response:
        """After a failure on a kept connection: the request again, where the connection had been closed before it."""
        connection, error = self._connection, failed.error
        self._drop()
        if (
            self._closed
            or connection is None
            or not connection.unanswered
            or error is None
            or error.kind not in (ErrorKind.CLOSED, ErrorKind.RESET)
            or failed.duration_us > RETRY_WITHIN_US
        ):
            return failed
        self.retries += 1
        response = self._exchange_anew(payload, failed.started_ns, bodiless, timeouts)
        response.bytes_sent += failed.bytes_sent
        response.retried = True
        return response

    def _drop(self) -> None:
        connection = self._connection
        if connection is not None:
            self._connection = None
            connection.close()

    def close(self) -> None:
        """Close the connection; the client takes no further request. More than once does no harm.

        A request that is under way in another greenlet ends at once, as failed.
        """
        self._closed = True
        if not self._busy:
            self._drop()
        elif self._connection is not None:
            self._connection.interrupt()
