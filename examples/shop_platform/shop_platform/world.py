"""The server that the scenarios are tried on where no target is named."""

from __future__ import annotations

from pika_locust.sandbox.app import App, Call, route
from pika_locust.sandbox.faults import Cover
from pika_locust.sandbox.schema import text


class Shop(App):
    """Takes orders and counts them."""

    name, about = "shop", "a server that takes orders"
    covers = (
        Cover("lose-write", "lose-write=0.05", "shop_orders", "orders"),
        Cover("latency", "latency=900", "shop_orders", "order_latency"),
    )
    """The faults that it can be given: each with the scenario and the threshold or audit that must notice it."""

    def start(self) -> None:
        self.orders: list[str] = []

    @route("POST", "/orders", body={"id": text(1, 80), "item": text(1)})
    def order(self, call: Call) -> None:
        self.orders += [call.body["id"]] * self.copies("order")
        self.after(0.005, call.answer, {"id": call.body["id"]}, 201)

    @route("GET", "/orders/count", exempt=True)
    def count(self, call: Call) -> dict[str, int]:
        """Those of one run, `?run=…`, or all."""
        run = call.query.get("run", "")
        return {"count": sum(order.startswith(run) for order in self.orders)}


PLATFORM = Shop.platform()
