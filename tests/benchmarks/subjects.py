"""What is measured, each in a process of its own: `python -m tests.benchmarks.subjects NAME PORT` prints JSON.

The actors are the real ones with everything that a run switches on: Locust's runner, its statistics listener on the
request event, metrics, ledgers, answers and their time-outs, timers, the lag probe, and a report every two seconds.
The plain peers are websocket-client on gevent as one would write it in ten lines, and do no bookkeeping at all.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import gc
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import gevent
import psutil
import websocket
from locust import events
from locust.env import Environment

from pika_locust.platforms.pika.dancer import Dancer, Reactions
from pika_locust.platforms.pika.scenarios import DANCERS
from pika_locust.process import raise_open_file_limit, tune_gc
from pika_locust.runtime import messages
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.messages import RunStart
from pika_locust.runtime.options import LOAD_SETTINGS
from pika_locust.runtime.startup import forget_spawning_stacks
from pika_locust.runtime.worker import WorkerSide
from pika_locust.scenario import Scenario
from pika_locust.settings import read_settings

CONNECTIONS = 100
SETTLE_S, SECONDS = 2.0, 5.0
MEMORY_STEPS = (500, 1000, 2000, 3000, 4000)

TEXT = json.dumps(
    {
        "type": "SEND_TEMPO_REQUEST",
        "sessionId": "load-test-session",
        "clientId": "client_0123456789ab_0_0_0123456789abcdef",
        "preference": "perfect",
        "messageId": "0.123",
    }
)


class Tally:
    """How many events there were, counted by whoever is measured."""

    def __init__(self) -> None:
        self.count = 0


def cpu_us_per_event(tally: Tally) -> float:
    """Processor time of this whole process per event, after things have settled."""
    gevent.sleep(SETTLE_S)
    count, cpu_s = tally.count, time.process_time()
    gevent.sleep(SECONDS)
    return (time.process_time() - cpu_s) / (tally.count - count) * 1e6


def plain_echo(port: int) -> float:
    tally = Tally()

    def user() -> None:
        connection = websocket.create_connection(f"ws://127.0.0.1:{port}/echo")
        while True:
            connection.send(TEXT)
            json.loads(connection.recv())
            tally.count += 1

    for _ in range(CONNECTIONS):
        gevent.spawn(user)
    return cpu_us_per_event(tally)


def plain_broadcast(port: int) -> float:
    tally = Tally()

    def user() -> None:
        connection = websocket.create_connection(f"ws://127.0.0.1:{port}/broadcast")
        while True:
            json.loads(connection.recv())
            tally.count += 1

    for _ in range(CONNECTIONS):
        gevent.spawn(user)
    return cpu_us_per_event(tally)


class ActorRun:
    """A local run of real users, without its coordinator, which costs the users nothing.

    `is_there` says of a user whether it is where the measurement begins.
    """

    def __init__(self, scenario: Scenario, target: str, actor: type[Any], is_there: Callable[[Any], bool]) -> None:
        raise_open_file_limit()
        forget_spawning_stacks()
        settings, _ = read_settings((*LOAD_SETTINGS, *scenario.settings), {}, scenario.platform)
        self.environment = Environment(user_classes=[actor], events=events)
        self.environment.stop_timeout = 30.0
        self.runner = self.environment.create_local_runner()
        self.environment.pika_locust = self  # type: ignore[attr-defined]
        for kind in (messages.HELLO, messages.DRAINED):
            self.runner.register_message(kind, lambda environment, msg: None)
        self.runner.register_message(messages.REPORT, self._take_report)
        self.runner.register_message(messages.PUBLISH, self._publish)
        self.worker = WorkerSide(self.environment, scenario, settings)
        self.worker.attach(self.runner)
        begin = RunStart("0123456789ab", 7, target, settings.public(), None, False, 0, 30.0)
        self.runner.send_message(messages.BEGIN, begin.to_wire())
        tune_gc()
        self.actor = actor
        self._is_there = is_there

    def _take_report(self, environment: Any, msg: Any) -> None:
        """Reports go to the master over a socket in a real run; there, too, their making is the worker's cost."""

    def _publish(self, environment: Any, msg: Any) -> None:
        """News for all processes are read in all of them, this one included."""
        self.runner.send_message(messages.NEWS, msg.data)

    def wait_for_context(self, timeout_s: float) -> WorkerContext | None:
        return self.worker.wait_for_context(timeout_s)

    def join(self, users: int) -> None:
        """Bring the number of users who are there up to `users`."""
        context = self.worker.context
        assert context is not None
        while len(context.actors("primary")) < users:
            self.runner.spawn_users({self.actor.__name__: min(100, users - len(context.actors("primary")))})
            gevent.sleep(0.2)
        while sum(map(self._is_there, context.actors("primary"))) < users:
            gevent.sleep(0.1)


def dancer_run(port: int, actor: type[Dancer]) -> ActorRun:
    """A run of dancers, who are there when their session is live."""
    return ActorRun(DANCERS, f"ws://127.0.0.1:{port}/ws", actor, lambda dancer: bool(dancer.is_live))


class EagerReactions(Reactions):
    """Asks for another tempo as soon as the last request is answered."""

    tally = Tally()

    def again(self) -> None:
        self._timers.start("tempo", 0.0, self.ask_tempo, "perfect")

    def _on_tempo_reply(self, message_id: str, song: int, ok: bool, why: str) -> None:
        super()._on_tempo_reply(message_id, song, ok, why)
        self.tally.count += 1
        self.again()


class EagerDancer(Dancer):
    def begin(self) -> None:
        super().begin()
        self.reactions = EagerReactions(self)

    def joined(self) -> None:
        self.reactions.again()  # type: ignore[attr-defined]


class Counted:
    """Reads how many frames the dancers have received."""

    def __init__(self, run: ActorRun) -> None:
        assert run.worker.context is not None
        self._handle = run.worker.context.metrics.counter("ws_messages_received")

    @property
    def count(self) -> int:
        return int(self._handle.own_value().count)


def actor_ack(port: int) -> float:
    dancer_run(port, EagerDancer).join(CONNECTIONS)
    return cpu_us_per_event(EagerReactions.tally)


def actor_broadcast(port: int) -> float:
    run = dancer_run(port, Dancer)
    run.join(CONNECTIONS)
    return cpu_us_per_event(Counted(run))  # type: ignore[arg-type]


def memory_kb(port: int) -> float:
    """What a connected dancer takes."""
    return slope_kb(dancer_run(port, Dancer))


def slope_kb(run: ActorRun) -> float:
    """Slope of resident memory over the number of users who are there, by least squares, in kB (1,000 bytes)."""
    process = psutil.Process()
    points = []
    for users in MEMORY_STEPS:
        run.join(users)
        gevent.sleep(1.0)
        gc.collect()
        points.append((users, process.memory_info().rss / 1000))
    mean_n = sum(n for n, _ in points) / len(points)
    mean_kb = sum(kb for _, kb in points) / len(points)
    return sum((n - mean_n) * (kb - mean_kb) for n, kb in points) / sum((n - mean_n) ** 2 for n, _ in points)


SUBJECTS = {
    subject.__name__: subject for subject in (plain_echo, actor_ack, plain_broadcast, actor_broadcast, memory_kb)
}

if __name__ == "__main__":
    print(json.dumps(SUBJECTS[sys.argv[1]](int(sys.argv[2]))), flush=True)
    # Nobody is to be drained: the numbers are out.
    sys.stdout.flush()
    import os

    os._exit(0)
