"""The messages between master and workers, and what they carry; a local run passes the same ones within its process.

To workers: BEGIN a test, DRAIN the users of a role, NEWS (what a process published), CLOCK_REPLY (times and offsets),
REFUSE (the worker must end, and why), REPORT_WHOLE (what has changed since the last report says nothing here). To the
master: HELLO (a worker is ready, and its scenario and version), REPORT (cumulative: a whole one replaces all before it,
and the last one is whole, so a lost one loses nothing), DRAINED, PUBLISH (news for all processes), CLOCK_REQUEST,
FAILURE (of a listener, a plugin or Locust itself in a worker), LEFT (its last message).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pika_locust.version import __version__


@dataclass(frozen=True, slots=True)
class RunStart:
    """BEGIN: what a process must know to take part in a test; sent by the master, so without secrets."""

    run_id: str
    seed: int
    target: str
    settings: Mapping[str, Any]
    planned_s: float | None
    spread: bool
    """Whether users that Locust starts together, once a second, are to be spread over that second."""
    supporters: int
    stop_timeout_s: float
    drops_ramp: bool = False
    """Whether the figures start anew when the ramp-up is over (`--reset-stats`)."""
    users_peak: int = 0
    """The most primary users that there will be."""
    workers: int = 1
    """How many processes run users, at the beginning."""
    stripes: Mapping[str, int] = field(default_factory=dict)
    """Which part of the arrivals each of them takes, by its id; who comes later takes none."""
    arrivals: Mapping[str, Any] | None = None
    """The open model: users prepared, when arrivals begin, and for how long they come."""
    iterations: Mapping[str, Any] | None = None
    """A fixed number of iterations, if there is one."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """What the scenario's set-up made for all users."""
    thresholds: Sequence[str] = ()
    """What must hold, as the command line would have it."""
    is_called_off: bool = False
    """Whether the set-up has failed: no user is to act, the test only ends and is reported as any other."""

    def to_wire(self) -> dict[str, Any]:
        """As plain values; `RunStart(**wire)` reads them."""
        return {**asdict(self), "settings": dict(self.settings)}


BEGIN = "pika_locust_begin"
DRAIN = "pika_locust_drain"
NEWS = "pika_locust_news"
CLOCK_REPLY = "pika_locust_clock_reply"
REFUSE = "pika_locust_refuse"
REPORT_WHOLE = "pika_locust_report_whole"
HELLO = "pika_locust_hello"
REPORT = "pika_locust_report"
DRAINED = "pika_locust_drained"
PUBLISH = "pika_locust_publish"
CLOCK_REQUEST = "pika_locust_clock_request"
FAILURE = "pika_locust_failure"
LEFT = "pika_locust_left"

REPORT_EVERY_S = 2.0


def hello(scenario: str, token: str = "") -> dict[str, str]:
    """HELLO: the scenario and the version, which all processes of a test must have in common, and the token of the run
    whose master has forked this process; empty for one that was started by itself."""
    return {"scenario": scenario, "version": __version__, "token": token}


def refusal(said: Mapping[str, str], ours: Mapping[str, str]) -> str | None:
    """Why a worker that said this cannot take part in the test of a master whose own HELLO is `ours`; None when it
    can."""
    if said == ours:
        return None
    theirs = {"scenario": "no scenario", "version": "an unknown version", "token": "", **said}
    if any(theirs[name] != ours[name] for name in ("scenario", "version")):
        return (
            f"it runs {theirs['scenario']} with pika_locust {theirs['version']}, and the master {ours['scenario']} "
            f"with {ours['version']}; start it with the same locustfile and the same version"
        )
    if theirs["token"]:
        return "it was forked by another run (--processes), whose master is not here; choose another port for one"
    return "the master has forked its own workers (--processes); for workers started by hand, start it with --master"


ROLES = ("primary", "supporter")
"""In the order in which they drain: those who act, then those who make it possible."""

SUPPORTER_DRAIN_S = 15.0
"""What supporters have to finish in."""


ITERATIONS_WANTED = "iterations_wanted"
"""News: a worker has users that are free, and no iteration for them: how many they could begin."""

ITERATIONS_GRANTED = "iterations_granted"
"""News: who may begin how many more, by the worker's id."""
