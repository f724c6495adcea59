"""Any locustfile: k6's HTTP metrics, thresholds and a verdict from Locust's own request event.

The users are whatever the locustfile has, and the load is Locust's own (`-u`, `-r`, `-t`, its shapes, the web form).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pika_locust.judge import Threshold
from pika_locust.measure import counter, rate, trend
from pika_locust.runtime.share import Share
from pika_locust.scenario import Scenario

NAME = "locustfile"

METRICS = (
    counter("http_reqs", "requests of Locust's request event"),
    rate("http_req_failed", "requests that the locustfile or its client counted as failures"),
    trend("http_req_duration", "response times of requests that did not fail"),
    trend("http_req_failed_duration", "response times of those that did"),
    counter("data_received", "bytes of all answers", "B"),
)

ThresholdSpec = str | Mapping[str, Any]


def scenario_of(thresholds: Mapping[str, ThresholdSpec | Iterable[ThresholdSpec]]) -> Scenario:
    """A scenario that knows nothing of the users it judges. Raises ValueError for thresholds that cannot be read."""
    return Scenario(
        name=NAME,
        platform="locust",
        about="the locustfile's own users",
        primary="",
        normalise_target=str,
        target_settings=(),
        metrics=METRICS,
        thresholds=tuple(_thresholds(thresholds)),
        thinks=False,
    )


def _thresholds(thresholds: Mapping[str, ThresholdSpec | Iterable[ThresholdSpec]]) -> Iterable[Threshold]:
    for metric, specs in thresholds.items():
        several = [specs] if isinstance(specs, str | Mapping) else list(specs)
        for spec in several:
            yield Threshold.of(metric, spec)


class RequestMeter:
    """Turns Locust's request events into k6's metrics; one-way messages (no response time) are only counted."""

    def __init__(self, share: Share) -> None:
        metrics = share.metrics
        self._share = share
        self._metrics = metrics
        self._bytes = metrics.counter("data_received")
        self._handles: dict[tuple[str, str], tuple[Any, ...]] = {}

    def on_request(
        self,
        request_type: str,
        name: str,
        response_time: float | None,
        response_length: int | None,
        exception: Any = None,
        **_: Any,
    ) -> None:
        """Locust's `request` event."""
        handles = self._handles.get((request_type, name))
        if handles is None:
            tags = {"name": name, "method": request_type}
            handles = self._handles[request_type, name] = (
                self._metrics.counter("http_reqs").tagged(**tags),
                self._metrics.rate("http_req_failed").tagged(**tags),
                self._metrics.trend("http_req_duration").tagged(**tags),
                self._metrics.trend("http_req_failed_duration").tagged(**tags),
            )
        requests, failed, duration, failed_duration = handles
        requests.add()
        failed.add(bool(exception))
        if response_length:
            self._bytes.add(response_length)
        if response_time is not None:
            (failed_duration if exception else duration).add(round(response_time * 1000))
        if exception:
            self._share.error(name, str(exception) or type(exception).__name__)
