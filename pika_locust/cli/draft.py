"""A load test that is to be filled in, as `pika-locust new` makes it of a k6 script or a recorded visit: plain values.

`cli.draft_files` writes them as Python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pika_locust.metrics.builtin import BASE_METRICS, HTTP_METRICS, TARGET_METRICS

Protocol = Literal["http", "websocket", "socketio"]
Kind = Literal["counter", "gauge", "rate", "trend"]

_MEASURED_ANYWAY: Mapping[Protocol, frozenset[str]] = {
    "http": frozenset(metric.name for metric in (*BASE_METRICS, *TARGET_METRICS, *HTTP_METRICS)),
    "websocket": frozenset(metric.name for metric in (*BASE_METRICS, *TARGET_METRICS))
    | {"ws_connection_success", "ws_connection_kept", "ws_connection_errors", "ws_connecting", "ws_session_duration"},
    "socketio": frozenset(metric.name for metric in (*BASE_METRICS, *TARGET_METRICS)),
}
"""Metrics that have samples whatever users do."""


HOLE = re.compile("\ue000([^\ue001]*)\ue001")
"""A part of a text that is not known: its name between two characters for private use."""


class Unknown:
    """A value that the source does not tell; `name` says what it is."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    @property
    def hole(self) -> str:
        """It, inside of a text."""
        return f"\ue000{self.name}\ue001"


class EnvText(str):
    """The default of a variable of the environment."""

    env: str


class EnvNumber(float):
    """The same, as a number."""

    env: str


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Parts of the path in braces are not known, nor are values of the body that are `Unknown`."""

    method: str
    path: str
    name: str
    body: Any = None
    statuses: tuple[int, ...] = ()
    """Of success, where they are others than 200 and 201."""
    check: str = ""
    trend: str = ""
    rates: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    """Metrics that its success goes to."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message over a socket: its kind (of Socket.IO, the event), and its value or values."""

    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds between two steps; None: as long as users think."""

    seconds: float | None = None


Step = Request | Message | Pause


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The open model: `rate` and `duration_s`, or `start_rate` and `stages` of seconds and rates. Numbers and lengths
    may be defaults of the environment (`EnvNumber`, `EnvText`), which then become settings."""

    time_unit_s: float
    pre_allocated_vus: int
    max_vus: int
    rate: float = 0.0
    duration_s: Any = 0.0
    start_rate: float = 0.0
    stages: tuple[tuple[Any, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """One load test."""

    name: str
    source: str
    """The file that it was made of."""
    protocol: Protocol = "http"
    steps: Sequence[Step] = ()
    profiles: Mapping[str, str] = field(default_factory=dict)
    arrivals: Arrivals | None = None
    thresholds: Sequence[tuple[str, Any]] = ()
    """Metric, with tags -> an expression, or a mapping."""
    meters: Mapping[str, Kind] = field(default_factory=dict)
    """The source's own metrics."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Variables of the environment and their defaults, without the target's."""
    target_setting: str = ""
    """The variable that names the target; empty: the usual one."""
    socket_path: str = ""
    socket_query: str = ""
    hears: Sequence[str] = ()
    """Kinds of messages that users react to."""
    hold_s: float | None = None
    """How long a connection lasts; None: not known."""
    connect_rate: str = ""
    connect_trend: str = ""
    notes: Sequence[str] = ()
    """What was not taken over, a sentence each."""

    @property
    def measured(self) -> frozenset[str]:
        """Metrics that have samples as soon as the test runs."""
        found = {self.connect_rate, self.connect_trend}
        for step in self.steps:
            if isinstance(step, Request):
                found |= {step.trend, *step.rates, *step.counters}
        if any(isinstance(step, Message) for step in self.steps) and self.protocol == "websocket":
            found.add("ws_messages_sent")
        return _MEASURED_ANYWAY[self.protocol] | (found - {""})

    def is_judged(self, metric: str) -> bool:
        """Whether a threshold on this metric has samples: one of the tags that are known here, or without tags."""
        name, _, tags = metric.partition("{")
        known = {step.name for step in self.steps if isinstance(step, Request)}
        checks = {step.check or f"{step.name} ok" for step in self.steps if isinstance(step, Request)}
        tag, _, value = tags.rstrip("}").partition(":")
        tagged = not tags or (tag == "name" and value in known) or (tag == "check" and value in checks)
        return name in self.measured and tagged
