"""Counts the requests of `wire.http` clients in k6's HTTP metrics and Locust's statistics, as their observer."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from operator import sub

from pika_locust.metrics import Counter, Rate, Trend
from pika_locust.metrics.metric import FAILURE
from pika_locust.runtime.context import WorkerContext
from pika_locust.wire.http import Response
from pika_locust.wire.http_models import ErrorKind, Stamps

BATCH = 100
"""How many requests of a name wait to be counted at most; what is kept of them takes 35 KB."""

_Waiting = tuple[Stamps, int, int, int]
"""A request's stamps, what was sent and received, and the length of the answer's body."""


class _Named:
    """The bound handles of one request name, and the requests that are still to be counted."""

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
    )

    def __init__(
        self, worker: WorkerContext, name: str, method: str, expected: Collection[int], throttled: str
    ) -> None:
        metrics = worker.metrics
        self.name = name
        self.method = method
        self.expected = expected
        self.aside: list[_Waiting] = []
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
        self._latest: dict[str, _Named] = {}
        """Of the method last used with each name; `_all` has those of all methods."""
        self._all: dict[tuple[str, str], _Named] = {}
        self._may_tell_later = worker.may_tell_later
        self._tells_later = False
        self._blocked = metrics.trend("http_req_blocked")
        self._connecting = metrics.trend("http_req_connecting")
        self._tls = metrics.trend("http_req_tls_handshaking")
        self._sending = metrics.trend("http_req_sending")
        self._waiting = metrics.trend("http_req_waiting")
        self._receiving = metrics.trend("http_req_receiving")
        self._retries = metrics.counter("http_retries")
        self._data_sent = metrics.counter("data_sent")
        self._data_received = metrics.counter("data_received")
        metrics.on_collect(self._settle)

    def __call__(self, name: str, method: str, response: Response) -> None:
        named = self._latest.get(name)
        if named is None or named.method != method:
            named = self._find(name, method)
        tells_later = self._may_tell_later()
        if tells_later is not self._tells_later:
            # Whoever begins to listen hears of what comes, and not of what was.
            self._settle()
            self._tells_later = tells_later
        stamps = response.stamps
        if stamps[0] != stamps[1] or response.retried or not 200 <= response.status < 400:
            self._count_one(named, response)
            return
        aside = named.aside
        aside.append((stamps, response.bytes_sent, response.bytes_received, len(response.content)))
        if len(aside) >= BATCH:
            self._count_batch(named)
        if not tells_later:
            self._worker.request(method, name, (stamps[4] - stamps[1]) / 1e6, len(response.content))

    def _find(self, name: str, method: str) -> _Named:
        named = self._all.get((name, method))
        if named is None:
            named = _Named(self._worker, name, method, self.expected.get(name, ()), self.throttled)
            self._all[name, method] = named
        self._latest[name] = named
        return named

    def _settle(self) -> None:
        for named in self._all.values():
            if named.aside:
                self._count_batch(named)

    def _count_batch(self, named: _Named) -> None:
        stamps, sent_bytes, received_bytes, sizes_bytes = zip(*named.aside, strict=True)
        named.aside.clear()
        self._data_sent.add(sum(sent_bytes))
        self._data_received.add(sum(received_bytes))
        # The phases as `response.timings` has them, without an object for each request.
        _, ready, sent, first, done, _, _ = zip(*stamps, strict=True)
        sent_us = [(at - since) // 1000 for at, since in zip(sent, ready, strict=True)]
        first_us = [(at - since) // 1000 for at, since in zip(first, ready, strict=True)]
        done_us = [(at - since) // 1000 for at, since in zip(done, ready, strict=True)]
        named.reqs.add(len(done_us))
        named.failed.add(False, len(done_us))
        named.duration.add_all(done_us)
        self._sending.add_all([us or 1 for us in sent_us])
        self._waiting.add_all([us or 1 for us in map(sub, first_us, sent_us)])
        # An answer usually comes in one read: that took less than a microsecond, and not nothing.
        self._receiving.add_all([us or 1 for us in map(sub, done_us, first_us)])
        if self._tells_later:
            times_ms = [(at - since) / 1e6 for at, since in zip(done, ready, strict=True)]
            self._worker.requests(named.method, named.name, times_ms, sum(sizes_bytes))

    def _count_one(self, named: _Named, response: Response) -> None:
        """Count a failure, or an answer on a new connection, and tell Locust of it at once."""
        self._data_sent.add(response.bytes_sent)
        self._data_received.add(response.bytes_received)
        if response.retried:
            self._retries.add()
        if response.error is not None and response.error.kind is ErrorKind.CUT and self._worker.cuts_at_once:
            # Nobody waited for this one, as somebody wanted the end at once: it is neither a success nor a failure.
            return
        error = self._outcome(named, response)
        self._worker.request(
            named.method, named.name, (response.stamps[4] - response.stamps[1]) / 1e6, len(response.content), error
        )

    def _outcome(self, named: _Named, response: Response) -> RuntimeError | None:
        """Count what has come of a request; what Locust is to hear as its error."""
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
        return RuntimeError(self._worker.error(named.name, response.outcome, response.says))
