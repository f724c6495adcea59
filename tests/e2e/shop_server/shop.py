"""A locustfile like any other: it knows nothing of this package but the one line."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import gevent
from locust import FastHttpUser, HttpUser, constant, events, task
from locust.runners import WorkerRunner

import pika_locust

time.sleep(float(os.environ.get("SHOP_IMPORT_S", "0")))
pika_locust.install(thresholds=json.loads(os.environ.get("SHOP_THRESHOLDS", '{"http_req_duration": "p(95)<2000"}')))


class Visitor(HttpUser):
    wait_time = constant(0.1)

    def on_start(self) -> None:
        self.client.get("/start")

    @task
    def look(self) -> None:
        self.client.get("/look")

    @task
    def search(self) -> None:
        self.client.get("/search?q=shoes", name="/search")


class Buyer(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def buy(self) -> None:
        self.client.post("/buy", json={"shoes": 1})

    @task
    def enough(self) -> None:
        if "SHOP_ENOUGH" in os.environ and self.environment.stats.total.num_requests > int(os.environ["SHOP_ENOUGH"]):
            self.environment.runner.quit()

    def on_stop(self) -> None:
        self.client.get("/goodbye")


@events.test_start.add_listener
def warm_up(environment: Any, **_: Any) -> None:
    if os.environ.get("SHOP_WARM_UP_FAILS"):
        raise ConnectionError("the test data could not be made")
    if os.environ.get("SHOP_TASK_FAILS"):

        def broken(user: Any) -> None:
            raise ValueError("no such shoe")

        def late(user: Any) -> None:
            with gevent.Timeout(0.01):
                gevent.sleep(1)

        Visitor.tasks, Buyer.tasks = [broken], [late]


def put_away(environment: Any, **_: Any) -> None:
    if isinstance(environment.runner, WorkerRunner):
        raise ConnectionError("the test data could not be put away")


if "SHOP_WORKERS_FAIL_AT" in os.environ:
    getattr(events, os.environ["SHOP_WORKERS_FAIL_AT"]).add_listener(put_away)


def leave(**_: Any) -> None:
    sys.exit(0)


if "SHOP_EXITS_AT" in os.environ:
    getattr(events, os.environ["SHOP_EXITS_AT"]).add_listener(leave)


@events.quitting.add_listener
def judge(environment: Any, **_: Any) -> None:
    """What Locust's manual shows: a locustfile that sets the exit code itself."""
    if "SHOP_EXIT_CODE" in os.environ:
        environment.process_exit_code = int(os.environ["SHOP_EXIT_CODE"])
