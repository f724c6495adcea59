"""The sandbox's metrics in Prometheus' text format, and the faults that are legal."""

from __future__ import annotations

import re
from collections.abc import Callable

from pika_locust.sandbox.faults import FaultKind, Form
from pika_locust.sandbox.server import legal_faults
from pika_locust.sandbox.world import Platform
from tests.sandbox.conftest import Served
from tests.sandbox.echo_world import echo_platform


def values(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^([a-z][^ ]*) (\S+)$", text, re.MULTILINE)}


def test_metrics_are_prometheus_text_with_the_true_values(serve: Callable[..., Served]) -> None:
    served = serve(echo_platform(), faults=("lose-fanout=0.5",))
    one, two = served.socket(), served.socket()
    for _ in range(4):
        one.send("all x")
        one.recv(2)
    two.send("hi")
    two.recv(2)
    served.http("GET", "/x")
    status, text, headers = served.http("GET", "/metrics")
    metrics = values(text)
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert metrics['sandbox_connections{platform="echo"}'] == 2
    assert metrics['sandbox_connections_total{platform="echo"}'] == 2
    assert metrics['sandbox_frames_received_total{platform="echo"}'] == 5
    assert metrics['sandbox_frames_sent_total{platform="echo"}'] == 7
    assert metrics['sandbox_http_requests_total{platform="echo"}'] == 1
    assert metrics['sandbox_fault_hits_total{platform="echo",fault="lose-fanout"}'] == 2
    assert metrics["process_resident_memory_bytes"] > 5_000_000
    assert metrics["process_cpu_seconds_total"] > 0
    assert len(re.findall("^# TYPE", text, re.MULTILINE)) == len(re.findall("^# HELP", text, re.MULTILINE)) == 11


def test_legal_are_the_faults_that_a_platform_supports_its_own_ones_included() -> None:
    own = FaultKind("stale-reads", Form.RATE, "reads are old")
    base = echo_platform("one", "error", "stale-reads")
    platform = Platform(base.name, base.about, base.create, base.covers, named=(own,))
    assert [kind.name for kind in legal_faults([platform])] == ["error", "stale-reads"]
    assert [kind.name for kind in legal_faults([echo_platform("a", "drop"), echo_platform("b", "drop", "leak")])] == [
        "drop",
        "leak",
    ]
