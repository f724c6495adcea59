"""What the sandbox says about itself: legal faults, figures of the process, metrics in Prometheus text."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

from pika_locust.sandbox.faults import COMMON, FaultKind
from pika_locust.sandbox.site import WorldHost
from pika_locust.sandbox.world import Platform

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def legal_faults(platforms: Iterable[Platform]) -> tuple[FaultKind, ...]:
    """The faults that at least one of these platforms supports."""
    kinds: dict[str, FaultKind] = {}
    for platform in platforms:
        for kind in (*COMMON, *platform.named):
            if kind.name in platform.supports:
                kinds[kind.name] = kind
    return tuple(kinds.values())


def process_figures() -> dict[str, float]:
    """Memory and processor time of this process."""
    return {"rss_bytes": psutil.Process().memory_info().rss, "cpu_seconds": round(time.process_time(), 3)}


def metrics_text(sites: Iterable[WorldHost]) -> str:
    """The Prometheus text format, version 0.0.4."""
    states = [site.state() for site in sites]
    figures = process_figures()
    lines: list[str] = []

    def family(name: str, kind: str, about: str, samples: Iterable[tuple[str, float]]) -> None:
        lines.extend((f"# HELP {name} {about}", f"# TYPE {name} {kind}"))
        lines.extend(f"{name}{labels} {value}" for labels, value in samples)

    def by_platform(key: str) -> list[tuple[str, float]]:
        return [(f'{{platform="{state["platform"]}"}}', state[key]) for state in states if key in state]

    family("sandbox_connections", "gauge", "WebSockets open now.", by_platform("connections_open"))
    family("sandbox_connections_total", "counter", "WebSockets ever opened.", by_platform("connections_total"))
    family("sandbox_refused_total", "counter", "WebSockets refused.", by_platform("connections_refused"))
    family("sandbox_slow_clients_total", "counter", "Clients cut: too slow.", by_platform("dropped_slow_clients"))
    family("sandbox_frames_received_total", "counter", "Messages received.", by_platform("frames_received"))
    family("sandbox_frames_sent_total", "counter", "Frames written to sockets.", by_platform("frames_sent"))
    family("sandbox_http_requests_total", "counter", "Plain HTTP requests.", by_platform("http_requests"))
    family("sandbox_sessions", "gauge", "Sessions live now.", by_platform("sessions_live"))
    family(
        "sandbox_fault_hits_total",
        "counter",
        "Events hit by a fault.",
        [
            (f'{{platform="{state["platform"]}",fault="{name}"}}', counts["hit"])
            for state in states
            for name, counts in state["fault_hits"].items()
        ],
    )
    family("process_resident_memory_bytes", "gauge", "Resident memory size.", [("", figures["rss_bytes"])])
    family("process_cpu_seconds_total", "counter", "User and system time.", [("", figures["cpu_seconds"])])
    return "\n".join(lines) + "\n"
