"""A platform in forty lines: customers order over HTTP, and every order that was acknowledged must be held at the end.

locust --headless -f examples/orders.py                                    # against the world in orders_world.py
locust --headless -f examples/orders.py --sandbox-fault lose-write=0.05    # 5 of 100 orders are lost: exit code 99
locust --headless -f examples/orders.py -H http://127.0.0.1:3000           # against a server of one's own
"""

import pika_locust
from pika_locust.judge.audit import balance
from pika_locust.kit import HttpActor, scenario, trend
from pika_locust.observe.target import read_json


class Customer(HttpActor):
    meters = {"order_latency": trend("round trip of an order that was accepted")}
    ledgers = ("orders",)

    def act(self):
        order = {"id": self.new_id(), "item": "tea", "count": 1}
        self.call("POST", "/orders", order, name="order", trend="order_latency", ledger="orders", item=order["id"])
        self.think()


def audit(context):
    """On the master, after the last answer: what the target holds of this run against what the customers were told."""
    held = read_json(f"{context.target}/orders/count?run={context.run_id}")["count"]
    expected = context.ledgers["orders"].expect()
    return [balance("orders", expected.acknowledged, held, expected.unanswered)]


ORDERS = scenario(
    "orders",
    Customer,
    world="orders_world:PLATFORM",
    profiles={"standard": "10s:20,30s:20,5s:0", "stress": "30s:200,2m:200,10s:0"},
    thresholds={"order_latency": "p(95)<200", "http_req_failed": "rate<0.01", "checks{check:order ok}": "rate>0.99"},
    audit=audit,
)
pika_locust.install(ORDERS)
