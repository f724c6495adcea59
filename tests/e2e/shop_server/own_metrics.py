"""A locustfile with metrics, checks and thresholds of its own."""

from __future__ import annotations

from locust import HttpUser, constant, task

import pika_locust

judge = pika_locust.install(
    metrics=[pika_locust.trend("checkout_time", "from the basket to the receipt"), pika_locust.rate("in_stock")],
    thresholds={
        "checkout_time": "p(95)<2000",
        "in_stock": "rate>0.99",
        "checks{check:receipt}": "rate==1",
        "http_req_failed": "rate<=1",
    },
)


class Shopper(HttpUser):
    wait_time = constant(0.1)

    @task
    def buy(self) -> None:
        with judge.timer("checkout_time"):
            answer = self.client.post("/orders", json={"id": judge.new_id()})
        judge.check("receipt", answer.ok and "id" in answer.json())
        judge.rate("in_stock").add(answer.status_code != 409)
