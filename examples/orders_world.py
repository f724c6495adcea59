"""The server that `orders.py` is tried on: it takes orders and counts them, and has faults that can be switched on."""

from pika_locust.sandbox.app import App, Call, route
from pika_locust.sandbox.faults import Cover
from pika_locust.sandbox.schema import text, whole


class Orders(App):
    name, about = "orders", "a server that takes orders"
    covers = (
        Cover("lose-write", "lose-write=0.05", "orders", "orders"),
        Cover("double", "double=0.05", "orders", "orders"),
        Cover("throttle", "throttle=10/10s", "orders", "http_req_failed"),
        Cover("error", "error=0.05", "orders", "http_req_failed"),
        Cover("latency", "latency=400", "orders", "order_latency"),
    )

    def start(self) -> None:
        self.orders: list[str] = []

    @route("POST", "/orders", body={"id": text(1, 80), "item": text(1), "count": whole(1, 99)})
    def order(self, call: Call) -> None:
        self.orders += [call.body["id"]] * self.copies("order")
        self.after(0.005, call.answer, {"id": call.body["id"]}, 201)

    @route("GET", "/orders/count", exempt=True)
    def count(self, call: Call) -> dict[str, int]:
        """Those of one run, `?run=…`, or all."""
        run = call.query.get("run", "")
        return {"count": sum(order.startswith(run) for order in self.orders)}


PLATFORM = Orders.platform()
