"""The flow of `locustfiles/queue.py` as one would write it with Locust's FastHttpUser; THINK_TIME_MIN and _MAX in s."""

from __future__ import annotations

import os
import random
from uuid import uuid4

import gevent
from locust import FastHttpUser, constant, task

THINK_MIN_S, THINK_MAX_S = float(os.environ["THINK_TIME_MIN"]), float(os.environ["THINK_TIME_MAX"])


class PlainQueueUser(FastHttpUser):
    wait_time = constant(0)

    def on_start(self) -> None:
        answer = self.client.post("/auth/signup-anonymous", json={}).json()
        self.headers = {"Authorization": f"Bearer {answer['accessToken']}"}
        event = {"type": "checkout.session.completed", "id": str(uuid4()), "user": answer["user"]["id"], "tokens": 2}
        self.client.post("/webhooks/stripe", json=event)

    @task
    def visit(self) -> None:
        body = {"region": "australiacentral", "preferences": {"seed": str(uuid4())}}
        joined = self.client.post("/queue/join", json=body, headers=self.headers, name="queue_join")
        self.think()
        if joined.status_code in (200, 201):
            with self.client.delete(
                "/queue/leave", headers=self.headers, name="queue_leave", catch_response=True
            ) as left:
                if left.json().get("refunded") is not True:
                    left.failure("not refunded")
        self.think()

    def think(self) -> None:
        if THINK_MAX_S > 0:
            gevent.sleep(random.uniform(THINK_MIN_S, THINK_MAX_S))
