"""A locustfile with a scenario of its own, whose users measure with the handle."""

from __future__ import annotations

import pika_locust
from pika_locust.kit import HttpActor, scenario


class Reader(HttpActor):
    def act(self) -> None:
        answer = self.call("GET", "/articles", name="list", trend="list_time")
        judge.check("articles", answer.error is None and answer.status == 200)
        self.think(0.1, 0.2)


judge = pika_locust.install(
    scenario(
        "reader",
        Reader,
        target="http",
        profiles={"standard": "1s:4,2s:4"},
        metrics=[pika_locust.trend("list_time")],
        thresholds={"list_time": "p(95)<2000", "checks{check:articles}": "rate==1"},
    )
)
