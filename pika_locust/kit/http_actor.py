"""`HttpActor`: a virtual user with an HTTP connection of its own, whose calls are checked, measured and booked."""

from __future__ import annotations

from typing import Any, ClassVar

from pika_locust.kit.meters import BoundMeters, named
from pika_locust.metrics.builtin import HTTP_METRICS
from pika_locust.runtime.actor import Actor
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.http_meter import HttpMeter
from pika_locust.wire.http import HttpClient, Origin, Response, SourceAddresses, Timeouts


class HttpContext:
    """What the HTTP users of a process share; get it with `worker.shared(HttpContext)`."""

    def __init__(self, worker: WorkerContext) -> None:
        pool = worker.settings.get("SOURCE_ADDRESSES")
        self.addresses = SourceAddresses(pool) if pool else None
        self.origin = Origin(worker.scenario.http_base(worker.begin.target))
        self._worker = worker
        self._meter = worker.shared(HttpMeter)

    def client(self, number: int, timeouts: Timeouts | None = None, *, metered: bool = True) -> HttpClient:
        """A connection for a user's number; with a pool of source addresses, from an address of the user's own.

        What goes over one that is not metered stays out of the HTTP metrics.
        """
        address = None
        if self.addresses is not None:
            address = self.addresses[self._worker.global_number(number)]
        observer = self._meter if metered else None
        return HttpClient(self.origin, timeouts=timeouts, observer=observer, source_address=address)


class HttpActor(Actor):
    """`call` sends, checks, measures and books; `think` pauses. Override `act`, and `begin` (which calls this one's)
    where there is more to prepare."""

    abstract = True

    meters: Any = named(HTTP_METRICS)
    """Metrics of this class by name, see `kit.meters`; of an instance, their handles."""
    ledgers: ClassVar[tuple[str, ...]] = ()
    """Ledgers that `call` writes to."""
    think_s: ClassVar[tuple[float, float]] = (0.5, 2.0)
    """Shortest and longest pause in seconds, where the settings THINK_TIME_MIN and THINK_TIME_MAX say nothing else."""
    timeouts: ClassVar[Timeouts] = Timeouts()

    http: HttpClient | None = None

    def begin(self) -> None:
        self.meters = self.worker.shared(BoundMeters(type(self)))
        self.http = self.worker.shared(HttpContext).client(self.number, self.timeouts)

    def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        name: str,
        ok: tuple[int, ...] = (200, 201),
        trend: str | None = None,
        ledger: str | None = None,
        item: str = "",
    ) -> Response:
        """One request; it never raises for what the target does.

        Arguments:
            json: the body, if there is one.
            name: under which the request is counted; its outcome is the check `<name> ok`.
            ok: the statuses of success.
            trend: the metric that a success's round trip in microseconds goes to, without making the connection.
            ledger: where `item` is booked: as sent, then as acked, as refused (the status is the reason), or as
                uncertain, when no answer came or a 5xx.
            item: the id of what is sent.

        Raises KeyError for a trend or ledger that the scenario does not have.
        """
        worker, http = self.worker, self.http
        assert http is not None
        book = worker.ledgers[ledger] if ledger is not None else None
        if book is not None:
            book.sent(item)
        try:
            response = http.request(method, path, json=json, name=name)
        except BaseException:
            # Cut off in the middle: the target may have got it.
            if book is not None:
                book.uncertain(item)
            raise
        good = response.error is None and response.status in ok
        worker.check(f"{name} ok", good)
        if good and trend is not None:
            worker.metrics.trend(trend).add(response.duration_us)
        if book is not None:
            if good:
                book.acked(item)
            elif response.error is None and 400 <= response.status < 500:
                book.refused(item, str(response.status))
            else:
                book.uncertain(item)
        return response

    def new_id(self) -> str:
        """An id that no other user of any test has."""
        number = self.worker.global_number(self.number)
        return f"{self.worker.begin.run_id}-{number}-{self.dice.bits():016x}"

    def think(self, low_s: float | None = None, high_s: float | None = None) -> None:
        """Pause for a random time, which ends at once when the user is to finish.

        Without bounds they are the settings' (THINK_TIME_MIN, THINK_TIME_MAX), else the class's `think_s`; with one
        bound, or bounds the wrong way round, the pause is the lower one.
        """
        settings = self.worker.settings
        if low_s is None:
            low_s = settings.get("THINK_TIME_MIN", self.think_s[0])
            high_s = settings.get("THINK_TIME_MAX", self.think_s[1]) if high_s is None else high_s
        high_s = low_s if high_s is None else high_s
        self.pause(self.dice.uniform(low_s, high_s) if high_s > low_s else low_s)

    def on_stop(self) -> None:
        if self.http is not None:
            self.http.close()
        super().on_stop()
