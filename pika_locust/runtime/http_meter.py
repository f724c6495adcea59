"""Feeds `http_metrics` from `wire.http` clients: give an instance to them as their observer."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from pika_locust.measure import Counter, Trend
from pika_locust.runtime.share import Share
from pika_locust.wire.http import Response, Timings

Listener = Callable[[str, Response], None]


class _Named:
    """The bound handles of one request name."""

    __slots__ = ("add_duration", "add_failed", "count", "failed_duration", "limited")

    def __init__(self, share: Share, name: str) -> None:
        metrics = share.metrics
        self.count = metrics.counter("http_reqs").tagged(name=name).add
        self.add_failed = metrics.rate("http_req_failed").tagged(name=name).add
        self.add_duration = metrics.trend("http_req_duration").tagged(name=name).add
        self.failed_duration: Trend = metrics.trend("http_req_failed_duration").tagged(name=name)
        self.limited: Counter = metrics.counter("http_rate_limited").tagged(name=name)


class HttpMeter:
    """Counts every finished request under its name; get it with `share.shared(HttpMeter)`."""

    def __init__(self, share: Share) -> None:
        metrics = share.metrics
        self._share = share
        self._named: dict[str, _Named] = {}
        self._blocked = metrics.trend("http_req_blocked").add
        self._connecting = metrics.trend("http_req_connecting").add
        self._tls = metrics.trend("http_req_tls_handshaking").add
        self._sending = metrics.trend("http_req_sending").add
        self._waiting = metrics.trend("http_req_waiting").add
        self._receiving = metrics.trend("http_req_receiving").add
        self._retries = metrics.counter("http_retries")

    def __call__(self, name: str, method: str, response: Response) -> None:
        named = self._named.get(name)
        if named is None:
            named = self._named[name] = _Named(self._share, name)
        # As in `response.timings`, which makes an object of them.
        _, ready, sent, first_byte, done, connecting_ns, _ = response.stamps
        sent_us = (sent - ready) // 1000
        first_us = (first_byte - ready) // 1000
        duration_us = (done - ready) // 1000
        named.count()
        if response.retried:
            self._retries.add()
        if response.error is None:
            self._sending(sent_us or 1)
            self._waiting(first_us - sent_us or 1)
            # An answer usually comes in one read: that took less than a microsecond, and not nothing.
            self._receiving(duration_us - first_us or 1)
            if connecting_ns:
                self._on_new_connection(response.timings)
            if 200 <= response.status < 400:
                named.add_failed(False)
                named.add_duration(duration_us)
                self._share.request(method, name, duration_us / 1000, len(response.content))
                return
        self._on_failure(named, name, method, response, duration_us)

    def _on_new_connection(self, timings: Timings) -> None:
        # k6 records zeros for a kept connection, which bury the cost of those that were made.
        self._blocked(timings.blocked_us)
        self._connecting(timings.connecting_us or 1)
        if timings.tls_handshaking_us:
            self._tls(timings.tls_handshaking_us)

    def _on_failure(self, named: _Named, name: str, method: str, response: Response, duration_us: int) -> None:
        named.add_failed(True)
        if duration_us:
            # Zero means that no connection came to be: nothing was sent that could have taken any time.
            named.failed_duration.add(duration_us)
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            named.limited.add()
        why = str(response.error) if response.error is not None else f"{response.status} {response.reason}"
        self._share.error(name, why)
        self._share.request(method, name, duration_us / 1000, len(response.content), RuntimeError(why))
