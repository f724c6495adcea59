"""The messages between master and workers. In a local run the same ones are handed over within the process.

To workers: BEGIN a test, DRAIN the users of a role, NEWS a piece of news, CLOCK_REPLY (what the clocks say), REFUSE (go
away, and why). To the master: HELLO (a worker is ready for tests, and of what kind), REPORT (cumulative: the newest of
a worker replaces its earlier ones, so a lost one loses nothing), DRAINED, PUBLISH (news for all), CLOCK_REQUEST.
"""

from __future__ import annotations

from collections.abc import Mapping

from pika_locust import __version__

BEGIN = "pika_locust_begin"
DRAIN = "pika_locust_drain"
NEWS = "pika_locust_hear"
CLOCK_REPLY = "pika_locust_tell_time"
REFUSE = "pika_locust_refuse"
HELLO = "pika_locust_hello"
REPORT = "pika_locust_report"
DRAINED = "pika_locust_drained"
PUBLISH = "pika_locust_tell"
CLOCK_REQUEST = "pika_locust_ask_time"

REPORT_EVERY_S = 2.0


def hello(scenario: str) -> dict[str, str]:
    """What a worker says of itself: what all processes of a test must have in common, or its figures are of nothing."""
    return {"scenario": scenario, "version": __version__}


def refusal(said: Mapping[str, str], scenario: str) -> str | None:
    """Why a worker that said this cannot take part in a test of the scenario; None when it can."""
    ours = hello(scenario)
    if said == ours:
        return None
    theirs = {"scenario": "no scenario", "version": "an unknown version", **said}
    return (
        f"it runs {theirs['scenario']} with pika_locust {theirs['version']}, and the master {ours['scenario']} with "
        f"{ours['version']}; start it with the same locustfile and the same version"
    )
