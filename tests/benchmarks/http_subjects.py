"""What `tests.benchmarks.http` measures, each in a process of its own: NAME PORT -> CPU µs per request, as JSON.

`actor`, `fast_user` and `fast_http_user` run as real users of Locust's local runner: JSON out, JSON in, k6's HTTP
metrics by name, Locust's request event with its own statistics. `bare_floor` is the least that a request costs on
gevent, and keeps nothing. 50 users each, who never pause; `thinking_100` and `thinking_2000` are so many actors who
think for 0.5 to 1 s after each request.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json
import os
import sys
import time
from typing import Any

import gevent
from locust import FastHttpUser, constant, events
from locust.env import Environment

from pika_locust.kit.fast_user import FastUser
from pika_locust.metrics.builtin import HTTP_METRICS
from pika_locust.process import raise_open_file_limit, tune_gc
from pika_locust.runtime import messages
from pika_locust.runtime.actor import Actor
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.http_meter import HttpMeter
from pika_locust.runtime.messages import RunStart
from pika_locust.runtime.modes import locustfile_scenario
from pika_locust.runtime.worker import WorkerSide
from pika_locust.scenario import Scenario
from pika_locust.settings import Settings
from pika_locust.wire.http import HttpClient
from tests.benchmarks.http_floor import BODY, floor

USERS, THINK_S = 50, (0.5, 1.0)
SETTLE_S, SECONDS = 1.5, 5.0
SETTINGS = Settings({}, {})
SCENARIO = Scenario(
    name="posting",
    platform="benchmark",
    about="posts as fast as it can",
    primary="tests.benchmarks.http_subjects:PostingActor",
    normalise_target=str,
    target_settings=(),
    metrics=HTTP_METRICS,
)
done = 0


def cpu_us_per_request() -> float:
    gevent.sleep(SETTLE_S)
    count, cpu_s = done, time.process_time()
    gevent.sleep(SECONDS)
    return (time.process_time() - cpu_s) / (done - count) * 1e6


class PostingActor(Actor):
    """What a scenario's actor does with its client, as `HttpActor.call` does it."""

    def begin(self) -> None:
        self.http = HttpClient(self.worker.begin.target, observer=self.worker.shared(HttpMeter))

    def act(self) -> None:
        global done
        response = self.http.request("POST", "/queue/join", json=BODY, name="queue_join")
        assert response.json()["position"] == 17
        done += 1


class ThinkingActor(PostingActor):
    """The same, with a pause after each request."""

    def act(self) -> None:
        super().act()
        self.pause(self.dice.uniform(*THINK_S))


def post(user: Any) -> None:
    """The same task for both of Locust's ways to send."""
    global done
    response = user.client.post("/queue/join", json=BODY, name="queue_join")
    assert response.json()["position"] == 17
    done += 1


class PostingFastHttpUser(FastHttpUser):
    wait_time = constant(0)
    tasks = [post]


class PostingFastUser(FastUser):
    wait_time = constant(0)
    tasks = [post]


class Bench:
    """A local run of one user class, without its engine: the leading side costs the users nothing."""

    def __init__(self, port: int, user: type[Any], users: int = USERS, scenario: Scenario = SCENARIO) -> None:
        raise_open_file_limit()
        self.environment = Environment(user_classes=[user], events=events, host=f"http://127.0.0.1:{port}")
        self.runner = self.environment.create_local_runner()
        self.environment.pika_locust = self  # type: ignore[attr-defined]
        for kind in (messages.HELLO, messages.DRAINED, messages.REPORT):
            self.runner.register_message(kind, lambda environment, msg: None)
        self.worker = WorkerSide(self.environment, scenario, SETTINGS)
        self.worker.attach(self.runner)
        begin = RunStart("0123456789ab", 7, f"http://127.0.0.1:{port}", {}, None, False, 0, 30.0)
        self.runner.send_message(messages.BEGIN, begin.to_wire())
        user.host = self.environment.host
        tune_gc()
        self.runner.spawn_users({user.__name__: users})

    def wait_for_context(self, timeout_s: float) -> WorkerContext | None:
        return self.worker.wait_for_context(timeout_s)


def actor(port: int) -> float:
    Bench(port, PostingActor)
    return cpu_us_per_request()


def thinking_100(port: int) -> float:
    Bench(port, ThinkingActor, 100)
    return cpu_us_per_request()


def thinking_2000(port: int) -> float:
    Bench(port, ThinkingActor, 2000)
    return cpu_us_per_request()


def fast_http_user(port: int) -> float:
    return of_a_locustfile(port, PostingFastHttpUser)


def fast_user(port: int) -> float:
    return of_a_locustfile(port, PostingFastUser)


def of_a_locustfile(port: int, user: type[Any]) -> float:
    """Users of a locustfile's own, watched as `install()` watches them."""
    Bench(port, user, scenario=locustfile_scenario({}))
    return cpu_us_per_request()


def bare_floor(port: int) -> float:
    def user() -> None:
        global done
        run = floor(port)
        while True:
            run(1)
            done += 1

    for _ in range(USERS):
        gevent.spawn(user)
    return cpu_us_per_request()


SUBJECT_FUNCTIONS = (actor, thinking_100, thinking_2000, fast_user, fast_http_user, bare_floor)
SUBJECTS = {subject.__name__: subject for subject in SUBJECT_FUNCTIONS}

if __name__ == "__main__":
    print(json.dumps(SUBJECTS[sys.argv[1]](int(sys.argv[2]))), flush=True)
    # Nobody is to be drained: the numbers are out.
    os._exit(0)
