"""What is measured of Socket.IO, each in a process of its own, which prints JSON: `socketio_subjects NAME URL`."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json
import os
import sys
from typing import Any

import gevent
import socketio

from pika_locust.kit import SocketIoActor
from pika_locust.platforms.greeter.agent import Agent
from pika_locust.platforms.greeter.scenarios import WIDGET
from pika_locust.platforms.greeter.visitor import JoiningActor
from tests.benchmarks.subjects import ActorRun, Tally, cpu_us_per_event, slope_kb

CONNECTIONS = 50
PAYLOAD = {
    "visitorId": "5d0f6a52-0c3b-4f0e-8a55-1f6a2c9b7d10",
    "orgId": "test-org-load-test",
    "pageUrl": "https://example.com/pricing",
    "referrer": "https://google.com",
}


def python_socketio(url: str) -> float:
    tally = Tally()

    def user() -> None:
        client = socketio.Client(reconnection=False)
        client.connect(url, transports=["websocket"])
        while True:
            client.call("visitor:join", {**PAYLOAD, "byEvent": False})
            tally.count += 1

    for _ in range(CONNECTIONS):
        gevent.spawn(user)
    return cpu_us_per_event(tally)


class Eager(JoiningActor):
    """Joins again as soon as the last join is answered."""

    meters: Any = {metric.name: metric for metric in WIDGET.metrics}
    tally = Tally()

    def act(self) -> None:
        if self.connect():
            while self.join("/pricing", "https://google.com").ok:
                self.tally.count += 1


class Staying(JoiningActor):
    """Joins once and stays."""

    meters: Any = {metric.name: metric for metric in WIDGET.metrics}

    def act(self) -> None:
        if self.connect() and self.join("/pricing", "https://google.com").ok:
            self.stay()


def visitor_join(url: str) -> float:
    _run(url, Eager).join(CONNECTIONS)
    return cpu_us_per_event(Eager.tally)


def visitor_kb(url: str) -> float:
    return slope_kb(_run(url, Staying))


class PrimaryAgent(Agent):
    role = "primary"


def agent_kb(url: str) -> float:
    return slope_kb(_run(url, PrimaryAgent))


def _run(url: str, actor: type[SocketIoActor]) -> ActorRun:
    return ActorRun(WIDGET, url, actor, lambda user: user.is_connected)


SUBJECTS = {subject.__name__: subject for subject in (python_socketio, visitor_join, visitor_kb, agent_kb)}

if __name__ == "__main__":
    print(json.dumps(SUBJECTS[sys.argv[1]](sys.argv[2])), flush=True)
    # Nobody is to be drained: the numbers are out.
    os._exit(0)
