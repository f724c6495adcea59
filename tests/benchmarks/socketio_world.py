"""The other end of the Socket.IO benchmark: answers a join by Ghost Greeter's event, or acknowledges it."""

from __future__ import annotations

from typing import Any

from pika_locust.platforms.greeter.world_model import WIDGET
from pika_locust.sandbox.faults import Cover
from pika_locust.sandbox.socketio import Client, SocketIoApp, event


class Greeting(SocketIoApp):
    name, about = "greeting", "answers joins"
    covers = (Cover("latency", "latency=1", "widget", "widget_join_time"),)

    @event("visitor:join")
    def join(self, client: Client, said: Any) -> Any:
        answer = {"visitorId": said["visitorId"], "widgetSettings": WIDGET, "poolId": None}
        if said.get("byEvent", True):
            client.emit("agent:unavailable", answer)
            return None
        return answer


PLATFORM = Greeting.platform()
