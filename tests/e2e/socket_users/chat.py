"""A locustfile of ordinary users on WebSockets, against the server of `examples/chat_world.py`."""

from __future__ import annotations

import json

from locust import constant, task

import pika_locust
from pika_locust import WebSocketUser

judge = pika_locust.install(
    metrics=[pika_locust.trend("greeting_time")],
    thresholds={"greeting_time": "p(95)<500", "http_req_failed": "rate<0.01"},
    ledgers=["messages"],
)


@judge.audit("messages")
def held(run):
    return run.get_json(f"{run.host}/messages/count")["count"]


class Visitor(WebSocketUser):
    wait_time = constant(0.2)
    said = 0

    def on_start(self):
        self.client.connect("/ws", name="connect")

    @task
    def greet(self):
        self.said += 1
        item = f"{id(self)}-{self.said}"
        message = {"type": "SAY", "messageId": item, "text": item}
        with judge.sending("messages", item) as sent, judge.timer("greeting_time"):
            answer = self.client.ask(
                json.dumps(message),
                name="greeting",
                until=lambda text: json.loads(text).get("messageId") == item,
                timeout=5,
            )
            if answer is not None:
                sent.acked()

    def name_of(self, text):
        return json.loads(text)["type"]
