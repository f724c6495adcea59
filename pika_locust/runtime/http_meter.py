"""Counts the requests of `wire.http` clients in k6's HTTP metrics and Locust's statistics, as their observer."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus

from pika_locust.metrics import Counter, Rate, Trend
from pika_locust.metrics.metric import FAILURE
from pika_locust.runtime.context import WorkerContext
from pika_locust.wire.http import Response
from pika_locust.wire.http_models import ErrorKind, Stamps

BATCH = 100
"""How many requests of a name wait to be counted at most; what is kept of them takes 25 KB."""


class _Named:
    """The bound handles of one request name, and what is still to be counted: requests' stamps, and answers' sizes."""

    __slots__ = (
        "aside",
        "duration",
        "expected",
        "failed",
        "failed_duration",
        "limited",
        "method",
        "name",
        "reqs",
        "sizes_bytes",
    )

    def __init__(
        self, worker: WorkerContext, name: str, method: str, expected: Collection[int], throttled: str
    ) -> None:
        metrics = worker.metrics
        self.name = name
        self.method = method
        self.expected = expected
        self.aside: list[Stamps] = []
        self.sizes_bytes: list[int] = []
        self.reqs: Counter = metrics.counter("http_reqs").tagged(name=name)
        self.failed: Rate = metrics.rate("http_req_failed").tagged(name=name)
        self.duration: Trend = metrics.trend("http_req_duration").tagged(name=name)
        self.failed_duration: Trend = metrics.trend("http_req_failed_duration").tagged(name=name)
        self.limited: Counter = metrics.counter("http_rate_limited").tagged(**{"name": name, FAILURE: throttled})


class HttpMeter:
    """Counts every finished request under its name; get it with `worker.shared(HttpMeter)`.

    Successes on a kept connection, which nearly all requests are, wait to be counted together: a hundred at a time, or
    when somebody reads the metrics, as the report of every two seconds does. One by one, each would find the
    processor's caches full of what the kernel did to send the request, and counting would cost three times as much.
    Locust's statistics wait with them; a listener of its `request` event hears of every request at once.
    """

    def __init__(self, worker: WorkerContext) -> None:
        metrics = worker.metrics
        self.expected: dict[str, Collection[int]] = {}
        """Statuses outside 200 to 399 that are no failure, by the name of the request: k6's `expectedStatuses`. To be
        set before the first request of that name."""
        self.throttled = "answered 429"
        """What such an answer is called where it is counted; for who knows what helps against it."""
        self._worker = worker
        self._named: dict[tuple[str, str], _Named] = {}
        self._is_settled = True
        self._tells_later = False
        self._blocked = metrics.trend("http_req_blocked")
        self._connecting = metrics.trend("http_req_connecting")
        self._tls = metrics.trend("http_req_tls_handshaking")
        self._sending = metrics.trend("http_req_sending")
        self._waiting = metrics.trend("http_req_waiting")
        self._receiving = metrics.trend("http_req_receiving")
        self._retries = metrics.counter("http_retries")
        self._sent_bytes = self._received_bytes = 0
        self._data_sent = metrics.counter("data_sent")
        self._data_received = metrics.counter("data_received")
        metrics.on_collect(self._settle)

    def __call__(self, name: str, method: str, response: Response) -> None:
        named = self._named.get((name, method))
        if named is None:
            named = self._named[name, method] = _Named(
                self._worker, name, method, self.expected.get(name, ()), self.throttled
            )
        worker = self._worker
        tells_later = worker.may_tell_later
        if tells_later is not self._tells_later:
            # Whoever begins to listen hears of what comes, and not of what was.
            self._settle()
            self._tells_later = tells_later
        self._sent_bytes += response.bytes_sent
        self._received_bytes += response.bytes_received
        if response.retried:
            self._retries.add()
        started, ready, _, _, done, _, _ = stamps = response.stamps
        error = None
        if started == ready and 200 <= response.status < 400:
            aside = named.aside
            aside.append(stamps)
            self._is_settled = False
            if tells_later:
                named.sizes_bytes.append(len(response.content))
            if len(aside) >= BATCH:
                self._count_batch(named)
            if tells_later:
                return
        elif response.error is not None and response.error.kind is ErrorKind.CUT and worker.cuts_at_once:
            # Nobody waited for this one, as somebody wanted the end at once: it is neither a success nor a failure.
            return
        else:
            error = self._count_one(named, name, response)
        worker.request(method, name, (done - ready) / 1e6, len(response.content), error)

    def _settle(self) -> None:
        self._data_sent.add(self._sent_bytes)
        self._data_received.add(self._received_bytes)
        self._sent_bytes = self._received_bytes = 0
        if not self._is_settled:
            self._is_settled = True
            for named in self._named.values():
                if named.aside:
                    self._count_batch(named)

    def _count_batch(self, named: _Named) -> None:
        aside, sizes_bytes = named.aside, named.sizes_bytes
        # The phases as `response.timings` has them, without an object for each request.
        sent_us = [(sent - ready) // 1000 for _, ready, sent, _, _, _, _ in aside]
        first_us = [(first_byte - ready) // 1000 for _, ready, _, first_byte, _, _, _ in aside]
        done_us = [(done - ready) // 1000 for _, ready, _, _, done, _, _ in aside]
        named.reqs.add(len(aside))
        named.failed.add(False, len(aside))
        named.duration.add_all(done_us)
        self._sending.add_all([us or 1 for us in sent_us])
        self._waiting.add_all([first - sent or 1 for sent, first in zip(sent_us, first_us, strict=True)])
        # An answer usually comes in one read: that took less than a microsecond, and not nothing.
        self._receiving.add_all([done - first or 1 for first, done in zip(first_us, done_us, strict=True)])
        if sizes_bytes:
            times_ms = [(done - ready) / 1e6 for _, ready, _, _, done, _, _ in aside]
            self._worker.requests(named.method, named.name, times_ms, sum(sizes_bytes))
            sizes_bytes.clear()
        aside.clear()

    def _count_one(self, named: _Named, name: str, response: Response) -> RuntimeError | None:
        """Count a failure, or an answer on a new connection; what Locust is to hear as its error."""
        timings = response.timings
        failed = response.failed and response.status not in named.expected
        named.reqs.add()
        named.failed.add(failed)
        if response.error is None:
            self._sending.add(timings.sending_us or 1)
            self._waiting.add(timings.waiting_us or 1)
            self._receiving.add(timings.receiving_us or 1)
            if timings.connecting_us:
                # k6 records zeros for a kept connection, which bury the cost of those that were made.
                self._blocked.add(timings.blocked_us)
                self._connecting.add(timings.connecting_us)
                if timings.tls_handshaking_us:
                    self._tls.add(timings.tls_handshaking_us)
        if not failed:
            named.duration.add(timings.duration_us)
            return None
        if timings.duration_us:
            # Zero means that no connection came to be: nothing was sent that could have taken any time.
            named.failed_duration.add(timings.duration_us)
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            named.limited.add()
        if response.error is not None and response.error.kind is ErrorKind.LOCAL:
            self._worker.generator_errors.add()
        return RuntimeError(self._worker.error(name, response.outcome, response.says))
