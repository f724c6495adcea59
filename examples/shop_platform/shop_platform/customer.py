"""Customers who order over HTTP."""

from __future__ import annotations

from pika_locust.kit import HttpActor, trend


class Customer(HttpActor):
    """Orders, and pauses."""

    meters = {"order_latency": trend("round trip of an order that was accepted")}
    ledgers = ("orders",)

    def act(self) -> None:
        order = {"id": self.new_id(), "item": "tea"}
        self.call("POST", "/orders", order, name="order", trend="order_latency", ledger="orders", item=order["id"])
        self.think()
