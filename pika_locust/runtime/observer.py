"""Has a Prometheus asked before the first user and after the last, where one is named."""

from __future__ import annotations

import logging

import gevent

from pika_locust.judge import Observed, Reading, compare, left_out
from pika_locust.observe.prometheus import Prometheus, no_answer
from pika_locust.observe.queries import split_queries
from pika_locust.outputs import redact
from pika_locust.settings import Settings

logger = logging.getLogger(__name__)

TIMEOUT_S = 5.0
"""For all queries together, which are asked at once: no run waits longer for a Prometheus that hangs."""


class PrometheusMonitor:
    """What a Prometheus shows of the target in one test. Without `PROMETHEUS_URL` it does nothing."""

    def __init__(self, settings: Settings) -> None:
        self._url: str | None = settings.get("PROMETHEUS_URL")
        self._token: str | None = settings.get("PROMETHEUS_BEARER_TOKEN")
        self._queries = split_queries(settings["PROMETHEUS_QUERIES"]) if self._url is not None else ()
        self._start: list[Reading] | None = None
        self._end: list[Reading] | None = None

    def before(self) -> None:
        """Ask now, before the first user."""
        self._start = self._ask("before the load")

    def after(self) -> None:
        """Ask now, after the load has drained; not where the test ended before `before` had: nothing was loaded."""
        if self._start is not None:
            self._end = self._ask("after the load")

    def found(self) -> tuple[Observed, ...]:
        """Rows for the report."""
        return tuple(row for start, end in self._pairs() for row in compare(start, end))

    def notes(self) -> tuple[str, ...]:
        """Which queries have more series than rows."""
        return tuple(note for start, end in self._pairs() if (note := left_out(start, end)) is not None)

    def _pairs(self) -> list[tuple[Reading, Reading]]:
        unasked = [Reading(query, problem="the test ended before it was asked") for query in self._queries]
        return list(zip(self._start or unasked, self._end or unasked, strict=True))

    def _ask(self, when: str) -> list[Reading]:
        if self._url is None:
            return []
        prometheus = Prometheus(self._url, self._token, TIMEOUT_S)
        asking = [gevent.spawn(prometheus.poll, query) for query in self._queries]
        problem = no_answer(TIMEOUT_S)
        try:
            gevent.joinall(asking, timeout=TIMEOUT_S)
        except KeyboardInterrupt:
            # What was measured is still to be told.
            problem = "interrupted"
        finally:
            gevent.killall(asking, block=False)
        # One that fell over has no value, and gevent has printed why.
        late = [problem if answer.exception is None else "asking failed, as the log tells" for answer in asking]
        readings = [
            answer.value if isinstance(answer.value, Reading) else Reading(query, problem=why)
            for query, answer, why in zip(self._queries, asking, late, strict=True)
        ]
        self._tell(when, readings)
        return readings

    def _tell(self, when: str, readings: list[Reading]) -> None:
        server = redact.text(str(self._url))
        silent: dict[str, list[str]] = {}
        for reading in readings:
            if not reading.series:
                silent.setdefault(reading.why_nothing, []).append(reading.query)
        count = sum(len(reading.series) for reading in readings)
        logger.info("Prometheus at %s, %s: %d series of %d queries", server, when, count, len(readings))
        for why, queries in silent.items():
            words = redact.one_line(f"{', '.join(queries)}: not observed: {why}")
            logger.warning("Prometheus at %s, %s: %s", server, when, words)
