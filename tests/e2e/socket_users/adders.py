"""A locustfile of Locust's own Socket.IO users; the test changes its import and nothing else."""

from __future__ import annotations

from locust import constant, task
from locust.contrib.socketio import SocketIOUser

import pika_locust

pika_locust.install(thresholds={"http_req_failed": "rate==0"})


class Adder(SocketIOUser):
    wait_time = constant(0.2)

    def on_start(self):
        self.sio.on("question", self.on_question, namespace="/queue")
        self.sio.on("answered", lambda *words: None, namespace="/queue")
        self.sio.connect(self.host, namespaces=["/queue"], transports=["websocket"])

    def on_question(self, question):
        self.sio.on_message("question", question)
        return "green"

    @task
    def add(self):
        assert self.sio.call("add", (1, 2, 3), namespace="/queue") == 6
        self.sio.emit("ask", "which tea?", namespace="/queue")
        self.sio.send("hello", namespace="/queue", name="greeting")
