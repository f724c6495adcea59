"""A locustfile with a ledger of what its users send, and an audit of what the target holds."""

from __future__ import annotations

import os

from locust import HttpUser, constant, task

import pika_locust
from pika_locust.kit.audits import AuditedRun

judge = pika_locust.install(thresholds={"http_req_duration": "p(95)<2000"}, ledgers=["orders"])
for mistake in os.environ.get("SHOP_MISTAKES", "").split():
    judge.audit(mistake)(lambda run: None)


@judge.audit("orders")
def held(run: AuditedRun) -> int | list[str] | None:
    if os.environ.get("SHOP_AUDIT") == "ids":
        ids: list[str] = run.get_json(f"{run.host}/orders")["ids"]
        return [order for order in ids if order.startswith(run.run_id)]
    if os.environ.get("SHOP_AUDIT") == "none":
        return None
    count: int = run.get_json(f"{run.host}/orders/count")["count"]
    return count


class Buyer(HttpUser):
    wait_time = constant(0.1)

    @task
    def buy(self) -> None:
        item = judge.new_id()
        with judge.sending("orders", item) as order:
            answer = self.client.post("/orders", json={"id": item})
            if answer.status_code == 201:
                order.acked()
            elif 400 <= answer.status_code < 500:
                order.refused(str(answer.status_code))
