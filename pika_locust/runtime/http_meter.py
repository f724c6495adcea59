"""k6's HTTP metrics, fed by `wire.http` clients: give an instance to them as their observer."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from pika_locust.measure import Counter, Rate, Trend, counter, rate, trend
from pika_locust.runtime.share import Share
from pika_locust.wire.http import Response

HTTP_METRICS = (
    counter("http_reqs", "HTTP requests"),
    rate("http_req_failed", "HTTP requests that failed or were not answered 2xx or 3xx"),
    trend("http_req_duration", "sending, waiting and receiving of requests that were answered 2xx or 3xx"),
    trend("http_req_failed_duration", "the same of all others, which are often faster than an answer"),
    trend("http_req_blocked", "until the connection began to be made, name look-up included"),
    trend("http_req_connecting", "making the TCP connection"),
    trend("http_req_tls_handshaking", "TLS handshake"),
    trend("http_req_sending", "writing the request"),
    trend("http_req_waiting", "from the last byte sent to the first received"),
    trend("http_req_receiving", "from the first byte received to the last"),
    counter("http_rate_limited", "requests that were answered 429"),
    counter("http_retries", "requests sent twice, because the kept connection turned out to be closed"),
)

Listener = Callable[[str, Response], None]


class _Named:
    """The bound handles of one request name."""

    __slots__ = ("duration", "failed", "failed_duration", "limited", "reqs")

    def __init__(self, share: Share, name: str) -> None:
        metrics = share.metrics
        self.reqs: Counter = metrics.counter("http_reqs").tagged(name=name)
        self.failed: Rate = metrics.rate("http_req_failed").tagged(name=name)
        self.duration: Trend = metrics.trend("http_req_duration").tagged(name=name)
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
        blocked, connecting, tls, sending, waiting, receiving = response.timings
        duration_us = sending + waiting + receiving
        named.reqs.add()
        if response.retried:
            self._retries.add()
        if response.error is None:
            self._sending(sending or 1)
            self._waiting(waiting or 1)
            # An answer usually comes in one read: that took less than a microsecond, and not nothing.
            self._receiving(receiving or 1)
            if connecting:
                # k6 records zeros for a kept connection, which bury the cost of those that were made.
                self._blocked(blocked)
                self._connecting(connecting)
                if tls:
                    self._tls(tls)
        if response.failed:
            self._on_failure(named, name, method, response, duration_us)
            return
        named.failed.add(False)
        named.duration.add(duration_us)
        self._share.request(method, name, duration_us / 1000, len(response.content))

    def _on_failure(self, named: _Named, name: str, method: str, response: Response, duration_us: int) -> None:
        named.failed.add(True)
        if duration_us:
            # Zero means that no connection came to be: nothing was sent that could have taken any time.
            named.failed_duration.add(duration_us)
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            named.limited.add()
        why = str(response.error) if response.error is not None else f"{response.status} {response.reason}"
        self._share.error(name, why)
        self._share.request(method, name, duration_us / 1000, len(response.content), RuntimeError(why))
