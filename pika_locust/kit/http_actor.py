"""`HttpActor`: a virtual user with an HTTP connection of its own, whose calls are checked, measured and recorded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pika_locust.kit.actor import PlatformActor
from pika_locust.kit.meters import named
from pika_locust.kit.source_addresses import UserAddresses
from pika_locust.metrics.builtin import HTTP_METRICS
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.http_meter import HttpMeter
from pika_locust.wire.http import HttpClient, Origin, Response, Timeouts


class HttpContext:
    """What the HTTP users of a process share; get it with `worker.shared(HttpContext)`."""

    def __init__(self, worker: WorkerContext) -> None:
        self.addresses = worker.shared(UserAddresses)
        self.origin = Origin(worker.scenario.http_base(worker.begin.target))
        self._meter = worker.shared(HttpMeter)
        self._tracer = worker.tracer
        self._meter.throttled = self.addresses.throttled

    def client(self, number: int, timeouts: Timeouts | None = None, *, metered: bool = True) -> HttpClient:
        """A connection for a user's number; with a pool of source addresses, from an address of the user's own.

        What goes over one that is not metered stays out of the HTTP metrics.
        """
        observer = self._meter if metered else None
        address = self.addresses.of(number)
        tracer = self._tracer if metered else None
        return HttpClient(self.origin, timeouts=timeouts, observer=observer, source_address=address, tracer=tracer)


class HttpActor(PlatformActor):
    """`call` sends, checks, measures and records; `think` pauses. Override `act`, and `begin` (which calls this one's)
    where there is more to prepare."""

    abstract = True

    meters: Any = named(HTTP_METRICS)
    timeouts: ClassVar[Timeouts] = Timeouts()
    expected: ClassVar[Mapping[str, Collection[int]]] = {}
    """Statuses that are neither success nor failure, by the name of the request: whoever calls goes on from there."""

    http: HttpClient
    _apart: HttpClient | None = None

    def begin(self) -> None:
        super().begin()
        self.worker.shared(HttpMeter).expected.update(self.expected)
        self.http = self.new_client()

    def new_client(self, *, metered: bool = True) -> HttpClient:
        """Another connection of this user's; what goes over one that is not metered stays out of the HTTP metrics."""
        return self.worker.shared(HttpContext).client(self.number, self.timeouts, metered=metered)

    @property
    def apart(self) -> HttpClient:
        """A second connection, for deliberate negatives: their answers stay out of the HTTP metrics."""
        if self._apart is None:
            self._apart = self.new_client(metered=False)
        return self._apart

    def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        name: str,
        check: str = "",
        ok: tuple[int, ...] = (200, 201),
        trend: str | None = None,
        ledger: str | None = None,
        item: str = "",
    ) -> Response:
        """One request; it never raises for what the target does.

        Arguments:
            json: the body, if there is one.
            name: under which the request is counted.
            check: the check that its outcome is; `<name> ok` where none is named. A status that is `expected` is none.
            ok: the statuses of success.
            trend: the metric that a success's round trip in microseconds goes to, without making the connection.
            ledger: where `item` is booked: as sent, then as acked, as refused (the status is the reason, or the error
                where no connection came to be), or as uncertain: when no answer came or a 5xx, or a 4xx to what was
                sent twice, as a kept connection was closed before an answer to it.
            item: the id of what is sent.

        Raises KeyError for a trend or ledger that the scenario does not have.
        """
        worker, http = self.worker, self.http
        book = worker.ledgers[ledger] if ledger is not None else None
        if book is not None:
            book.sent(item)
        try:
            response = http.request(method, path, json=json, name=name)
        except BaseException:
            # Cut off in the middle: the target may have got it.
            if book is not None:
                book.uncertain(item)
            if not worker.cuts_at_once:
                self.checked(check or f"{name} ok", False)
            raise
        good = response.error is None and response.status in ok
        if good or response.status not in self.expected.get(name, ()):
            self.checked(check or f"{name} ok", good)
            if not good and not response.failed:
                # What has failed is told already.
                worker.error(name, response.outcome, response.says)
        if good and trend is not None:
            worker.metrics.trend(trend).add(response.duration_us)
        if book is not None:
            if good:
                book.acked(item)
            elif response.refused:
                book.refused(item, str(response.status))
            elif response.unsent and response.error is not None:
                # Known to have failed: the target has never heard of it.
                book.refused(item, str(response.error.kind))
            else:
                book.uncertain(item)
        return response

    def on_stop(self) -> None:
        if hasattr(self, "http"):
            self.http.close()
        if self._apart is not None:
            self._apart.close()
        super().on_stop()
