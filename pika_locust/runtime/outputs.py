"""The outputs of a run (`--out`), fed by the coordinator: neither the load nor the end of the run waits for them.

Every output has a buffer of its own, from which a greenlet delivers. What takes computing, and what writes to files,
happens in a thread beside Locust's. Where a buffer is full, the oldest points are dropped and counted.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIServer
from gevent.threadpool import ThreadPool

from pika_locust.clock import monotonic
from pika_locust.errors import ConfigurationError
from pika_locust.judge import Reason
from pika_locust.judge.report import OutputReport
from pika_locust.metrics import Metric, Snapshot
from pika_locust.outputs.points import Window
from pika_locust.outputs.sinks import Sink, UndeliveredError
from pika_locust.outputs.targets import Encoder, OutputTarget, listening_address, make_output
from pika_locust.runtime.options import RunOptions

logger = logging.getLogger(__name__)

BUFFERED = 30
"""Intervals that an output may be behind, of two seconds each."""
SEND_WITHIN_S = 10.0
"""For one interval, over a network."""
RETRY_AFTER_S = 1.0
FLUSH_WITHIN_S = 5.0
"""At the end of a run, for all outputs together."""
LAST_SCRAPE_WITHIN_S = 20.5
"""How long the end of a run waits for one more scrape: enough for a Prometheus that comes every 15 s."""
SCRAPE_LATE_S = 2.0
"""How late that one may come, on a busy machine."""


class OutputWriter:
    """One output that takes points: a file or a server."""

    def __init__(self, name: str, encoder: Encoder, sink: Sink) -> None:
        self._name = name
        self._encoder = encoder
        self._sink = sink
        self._waiting: deque[Window] = deque()
        self._sending: Window | None = None
        self._news = Event()
        self._is_ending = self._is_over = False
        self._has_failed = False
        self._points = self._dropped = 0
        self._problem = ""
        self.internal_error = ""
        """An exception of this package's own; empty while there was none."""
        self._thread = ThreadPool(1)
        self._greenlet = gevent.spawn(self._run)

    def put(self, window: Window) -> None:
        """Deliver this when all before it is delivered."""
        self._waiting.append(window)
        while len(self._waiting) > BUFFERED:
            self._drop(self._waiting.popleft(), f"more than {BUFFERED} intervals behind")
        self._news.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._is_ending = True
        self._news.set()

    def wait(self, seconds: float) -> None:
        """Wait until everything is delivered; what is not by then is dropped."""
        if self._is_over:
            return
        self._greenlet.join(max(0.0, seconds))
        self._is_over = True
        if self._greenlet.dead:
            return
        self.stop()
        why = f"not done within {FLUSH_WITHIN_S:g} s of the end of the run"
        self._has_failed = self._has_failed or self._sink.is_file
        self._problem = self._problem or why
        if self._sending is not None:
            self._drop(self._sending, why)
        while self._waiting:
            self._drop(self._waiting.popleft(), why)

    def stop(self) -> None:
        """Deliver nothing more."""
        self._greenlet.kill(block=False)

    def report(self) -> OutputReport:
        """What became of it."""
        return OutputReport(self._name, self._points, self._dropped, self._problem)

    @property
    def failure(self) -> str:
        """Why a file is not what it should be; empty where it is. A server that is away is not the run's fault."""
        return self._problem or "it was not written" if self._has_failed else ""

    def _run(self) -> None:
        try:
            if self._sink.is_file:
                self._in_thread(self._sink.send, self._encoder.header())
            while (window := self._next()) is not None:
                self._sending = window
                self._deliver(window)
                self._sending = None
            self._in_thread(self._sink.close)
        except UndeliveredError as error:
            self._fail(str(error))
        except Exception as error:
            logger.exception("--out %s", self._name)
            self.internal_error = f"--out {self._name}: {type(error).__name__}: {error}"
            self._fail(self.internal_error)

    def _next(self) -> Window | None:
        while not self._waiting:
            if self._is_ending:
                return None
            self._news.wait()
            self._news.clear()
        return self._waiting.popleft()

    def _deliver(self, window: Window) -> None:
        data = self._in_thread(lambda: self._encoder.encode(window.interval()))
        while True:
            try:
                if self._sink.is_file:
                    self._in_thread(self._sink.send, data)
                else:
                    self._send(data)
            except UndeliveredError as error:
                self._note(str(error))
                if self._sink.is_file:
                    raise
                if not error.again or len(self._waiting) >= BUFFERED:
                    self._drop(window, str(error))
                    return
                gevent.sleep(RETRY_AFTER_S)
            else:
                self._points += window.size
                return

    def _send(self, data: bytes) -> None:
        in_time = gevent.Timeout(SEND_WITHIN_S)
        try:
            with in_time:
                self._sink.send(data)
        except gevent.Timeout as late:
            if late is not in_time:
                raise
            raise UndeliveredError(f"not done within {SEND_WITHIN_S:g} s", again=True) from None

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._thread.apply(function, arguments)

    def _fail(self, why: str) -> None:
        """No more can be delivered: what comes is dropped."""
        self._has_failed = True
        self._note(why)
        if self._sending is not None:
            self._drop(self._sending, why)
            self._sending = None
        while (window := self._next()) is not None:
            self._drop(window, why)

    def _drop(self, window: Window, why: str) -> None:
        self._dropped += window.size
        self._note(why)

    def _note(self, why: str) -> None:
        if not self._problem:
            logger.warning("--out %s: %s", self._name, why)
            self._problem = why


class MetricsEndpoint:
    """`--out prometheus=ADDRESS`: answers scrapes, from the start of this process to its end."""

    def __init__(self, target: OutputTarget) -> None:
        """Raises ConfigurationError when the address cannot be listened on."""
        # Loaded where it is asked for: it is an extra.
        from pika_locust.outputs.prometheus import Exposition, make_app

        self.name = str(target)
        self._exposition = Exposition()
        self._app = make_app(self._exposition)
        self._scrapes_s: deque[float] = deque(maxlen=2)
        self._shown = 0
        """How often there was something new to see."""
        self._scraped = Event()
        # What thousands of lines cost to write, the load is not to wait for.
        self._thread = ThreadPool(1)
        self._server = WSGIServer(listening_address(target.where), self._answer, log=None, error_log=logger)
        try:
            self._server.start()
        except OSError as error:
            raise ConfigurationError([f"--out {target}: it cannot be listened on ({error.strerror})"]) from None

    def show(self, snapshot: Snapshot, declared: Collection[str], run: Mapping[str, str]) -> None:
        """What scrapes are answered with from now on."""
        self._exposition.show(snapshot, declared, dict(run))
        self._shown += 1
        self._scraped.clear()

    def wait_for_scrape(self) -> None:
        """Wait until what is shown was fetched once, by a Prometheus that has come before and is to come soon."""
        if len(self._scrapes_s) == 2:
            every_s = self._scrapes_s[1] - self._scrapes_s[0]
            due_in_s = self._scrapes_s[1] + 1.2 * every_s + SCRAPE_LATE_S - monotonic()
            if due_in_s <= LAST_SCRAPE_WITHIN_S:
                self._scraped.wait(max(0.0, due_in_s))

    def unscraped(self) -> str:
        """That nobody has fetched what is shown, as a note; empty where somebody has."""
        if self._scraped.is_set():
            return ""
        if not self._scrapes_s:
            return f"--out {self.name}: nobody has scraped it"
        ago_s = monotonic() - self._scrapes_s[-1]
        return (
            f"--out {self.name}: the last figures were not scraped, the last scrape was {ago_s:.0f} s before the end; "
            "a run waits for one more by whoever has come twice, every 15 s or more often"
        )

    def _answer(self, environ: Any, start_response: Any) -> Any:
        head: list[Any] = []
        shown = self._shown
        pages = self._thread.apply(lambda: list(self._app(environ, lambda *said: head.extend(said))))
        start_response(*head)
        self._scrapes_s.append(monotonic())
        # It is on its way then.
        gevent.spawn_later(0.1, self._note_scraped, shown)
        return pages

    def _note_scraped(self, shown: int) -> None:
        # One that was answered before the last figures were there has not fetched them.
        if shown == self._shown:
            self._scraped.set()


class RunOutputs:
    """All outputs of one test."""

    def __init__(
        self,
        writers: Sequence[OutputWriter] = (),
        declared: Collection[str] = (),
        run: Mapping[str, str] | None = None,
        endpoint: MetricsEndpoint | None = None,
    ) -> None:
        """`declared` are the metrics that the run measures, `run` says which one it is."""
        self._writers = writers
        self._declared = declared
        self._run = run or {}
        self._endpoint = endpoint
        self._unscraped = ""
        """The endpoint's note on its last figures, once the end has waited for them to be fetched."""
        self._before = Snapshot()
        self._began_ms = self._before_ms = _now_ms()

    def observe(self, snapshot: Snapshot) -> None:
        """Deliver what was measured since the last time. The snapshot must not change any more."""
        if self._endpoint is not None:
            self._endpoint.show(snapshot, self._declared, self._run)
        if not self._writers:
            return
        # Two points of a series at the same time would be one, in a database.
        now_ms = max(_now_ms(), self._before_ms + 1)
        window = Window(self._before, snapshot, self._declared, (self._began_ms, self._before_ms, now_ms))
        for writer in self._writers:
            writer.put(window)
        self._before, self._before_ms = snapshot, now_ms

    def end(self) -> None:
        """All is measured: let the outputs come to their end, and do not wait for it yet."""
        for writer in self._writers:
            writer.end()

    def wait(self) -> None:
        """Wait for the outputs, but not for long. Interrupted, it ends at once and raises on."""
        give_up_s = monotonic() + FLUSH_WITHIN_S
        try:
            for writer in self._writers:
                writer.wait(give_up_s - monotonic())
            if self._endpoint is not None:
                self._endpoint.wait_for_scrape()
        finally:
            # Interrupted, what is not delivered by now is dropped.
            for writer in self._writers:
                writer.wait(0.0)
            if self._endpoint is not None:
                self._unscraped = self._endpoint.unscraped()

    def stop(self) -> None:
        """Whatever happens, nothing is delivered any more."""
        for writer in self._writers:
            writer.stop()

    def reports(self) -> tuple[OutputReport, ...]:
        """What became of each."""
        return tuple(writer.report() for writer in self._writers)

    def reasons(self) -> list[Reason]:
        """Why the run is no pass: a file of results is not whole, or an output has failed by itself."""
        found = []
        for writer in self._writers:
            name = writer.report().output
            if why := writer.internal_error or writer.failure:
                found.append(Reason("internal", f"--out {name}", f"--out {name} could not be written: {why}"))
        return found

    def notes(self) -> list[str]:
        """What never arrived."""
        dropped = [
            f"--out {one.output}: {one.dropped:,} of {one.points + one.dropped:,} points were dropped: {one.problem}"
            for one in self.reports()
            if one.dropped
        ]
        return [*dropped, *filter(None, [self._unscraped])]


def start_outputs(
    options: RunOptions,
    metrics: Sequence[Metric],
    run: Mapping[str, str],
    number: int,
    endpoint: MetricsEndpoint | None,
) -> RunOutputs:
    """Begin to deliver the points of the test `number` of this process, counted from 1; `metrics` are those that it
    measures."""
    thresholds: dict[str, list[str]] = {}
    for threshold in options.thresholds:
        thresholds.setdefault(threshold.metric, []).append(str(threshold.expression))
    targets = [target.numbered(number) for target in options.outputs]
    made = [(str(target), make_output(target, options.settings, thresholds, run)) for target in targets]
    declared = {metric.name: metric for metric in metrics}
    if endpoint is not None:
        # A scrape before the first samples sees them all begin at zero.
        endpoint.show(Snapshot(metrics=declared), declared, run)
    return RunOutputs([OutputWriter(name, *one) for name, one in made if one is not None], declared, run, endpoint)


def open_endpoint(options: RunOptions) -> MetricsEndpoint | None:
    """What answers scrapes from now on, if that is asked for. Raises ConfigurationError where it cannot listen."""
    targets = [target for target in options.outputs if target.kind == "prometheus"]
    return MetricsEndpoint(targets[0]) if targets else None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
