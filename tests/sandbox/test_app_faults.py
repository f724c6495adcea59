"""The faults that a world written with App has without a line of its own, each on a real socket."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from pika_locust.sandbox import SandboxProcess, start_sandbox
from pika_locust.sandbox.app import App, Call, Socket, message, route
from pika_locust.sandbox.fault_effects import CRASH_EXIT_CODE
from pika_locust.sandbox.faults import COMMON, Cover
from pika_locust.sandbox.socketio import Client, SocketIoApp, event
from tests.sandbox.conftest import Served

Serve = Callable[..., Served]


class Orders(App):
    """Takes orders by HTTP and by WebSocket, and announces the latter."""

    name, about = "orders", "a shop"
    covers = tuple(Cover(kind.name, kind.usage, "orders", "orders") for kind in COMMON)

    def start(self) -> None:
        self.orders = 0

    def state(self, now: float) -> dict[str, Any]:
        return {"orders": self.orders}

    @route("POST", "/orders")
    def order(self, call: Call) -> Any:
        self.orders += self.copies("order")
        return {"taken": True}

    @message("order")
    def order_by_socket(self, socket: Socket, body: dict[str, Any]) -> None:
        self.orders += self.copies("order")
        socket.send("taken")
        self.broadcast("one more", without=socket, kind="order")


class Announcements(SocketIoApp):
    """The same by Socket.IO."""

    name, about = "announcements", "a shop"
    covers = Orders.covers

    def start(self) -> None:
        self.orders = 0

    def state(self, now: float) -> dict[str, Any]:
        return {"orders": self.orders}

    @event("order")
    def order(self, client: Client) -> Any:
        self.orders += self.copies("order")
        self.emit_to("/", None, "one more", without=client)
        return "taken"


def statuses(served: Served, times: int) -> Counter[int]:
    return Counter(served.http("POST", "/orders", {})[0] for _ in range(times))


def joined(served: Served) -> Any:
    """A client of `Announcements`."""
    client = served.socket("/socket.io/?EIO=4&transport=websocket")
    client.recv(timeout=5)
    client.send("40")
    client.recv(timeout=5)
    return client


def test_latency_delays_what_is_sent(serve: Serve) -> None:
    served = serve(Orders.platform(), faults=("latency=200",))
    began = time.monotonic()
    assert statuses(served, 1) == {200: 1}
    assert 0.2 <= time.monotonic() - began < 2
    client = served.socket()
    began = time.monotonic()
    client.send('{"type":"order"}')
    assert client.recv(timeout=5) == "taken"
    assert time.monotonic() - began >= 0.2


def test_error_answers_500_and_processes_nothing(serve: Serve) -> None:
    served = serve(Orders.platform(), faults=("error=0.5",))
    assert statuses(served, 8) == {200: 4, 500: 4}
    assert served.state()["orders"] == 4
    assert served.state()["internal_errors"] == 0


def test_throttle_answers_429_also_to_upgrades(serve: Serve) -> None:
    served = serve(Orders.platform(), faults=("throttle=2/60s",))
    assert statuses(served, 5) == {200: 2, 429: 3}
    for _ in range(2):
        served.socket()
    with pytest.raises(InvalidStatus) as refused:
        served.socket()
    assert refused.value.response.status_code == 429


@pytest.mark.parametrize(("fault", "kept"), [("lose-write=0.25", 6), ("double=0.25", 10)])
def test_writes_are_acknowledged_but_lost_or_kept_twice(serve: Serve, fault: str, kept: int) -> None:
    served = serve(Orders.platform(), faults=(fault,))
    assert statuses(served, 8) == {200: 8}
    assert served.state()["orders"] == kept


def test_drop_answers_nothing_but_processes(serve: Serve) -> None:
    served = serve(Orders.platform(), faults=("drop=0.5",))
    one, two = served.socket(), served.socket()
    for _ in range(4):
        one.send('{"type":"order"}')
    assert [two.recv(timeout=5) for _ in range(4)] == ["one more"] * 4
    assert [one.recv(timeout=5) for _ in range(2)] == ["taken"] * 2
    with pytest.raises(TimeoutError):
        one.recv(timeout=0.1)
    assert served.state()["orders"] == 4


def test_drop_by_socket_io(serve: Serve) -> None:
    served = serve(Announcements.platform(), faults=("drop=0.5",))
    one, two = joined(served), joined(served)
    for number in range(4):
        one.send(f'42{number}["order"]')
    assert [two.recv(timeout=5) for _ in range(4)] == ['42["one more"]'] * 4
    assert {one.recv(timeout=5)[:3] for _ in range(2)} <= {"430", "431", "432", "433"}
    with pytest.raises(TimeoutError):
        one.recv(timeout=0.1)


@pytest.mark.parametrize("world", [Orders, Announcements])
def test_lose_fanout_keeps_broadcasts_from_some(serve: Serve, world: type[App]) -> None:
    served = serve(world.platform(), faults=("lose-fanout=0.5",))
    is_raw = world is Orders
    sender, *others = [served.socket() if is_raw else joined(served) for _ in range(3)]
    for _ in range(4):
        sender.send('{"type":"order"}' if is_raw else '420["order"]')
        sender.recv(timeout=5)
    received = 0
    for other in others:
        try:
            while True:
                other.recv(timeout=0.5)
                received += 1
        except TimeoutError:
            pass
    assert received == 4
    assert served.state()["fault_hits"]["lose-fanout"]["hit"] == 4


@pytest.mark.parametrize("world", [Orders, Announcements])
def test_refuse_and_close_after_act_on_connections(serve: Serve, world: type[App]) -> None:
    path = world.socket_path + ("" if world is Orders else "?EIO=4&transport=websocket")
    served = serve(world.platform(), faults=("refuse=0.5",))
    outcomes: Counter[int] = Counter()
    for _ in range(4):
        try:
            served.socket(path)
            outcomes[101] += 1
        except InvalidStatus as refused:
            outcomes[refused.response.status_code] += 1
    assert outcomes == {101: 2, 503: 2}
    served.http("PUT", "/__sandbox/faults", {"close-after": 0.2})
    client, began = served.socket(path), time.monotonic()
    if world is Announcements:
        assert str(client.recv(timeout=5)).startswith("0{")
    with pytest.raises(ConnectionClosed) as ended:
        client.recv(timeout=5)
    assert ended.value.rcvd is None
    assert 0.15 <= time.monotonic() - began < 3


def test_max_sockets_refuses_upgrades_while_as_many_are_open(serve: Serve) -> None:
    served = serve(Orders.platform(), faults=("max-sockets=3",))
    first, *_ = [served.socket() for _ in range(3)]
    with pytest.raises(InvalidStatus) as refused:
        served.socket()
    assert refused.value.response.status_code == 503
    first.close()
    deadline = time.monotonic() + 5
    while served.state()["connections_open"] == 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    served.socket()
    state = served.state()
    assert (state["connections_open"], state["connections_refused"]) == (3, 1)
    assert state["fault_hits"]["max-sockets"]["hit"] == 1


WORLD = """
from pika_locust.sandbox.app import App
from pika_locust.sandbox.faults import Cover

class Plain(App):
    name = "plain"
    covers = (Cover("leak", "leak=9000", "plain", "memory"), Cover("crash-after", "crash-after=1", "plain", "health"))

PLATFORM = Plain.platform()
"""


@pytest.fixture
def plain(tmp_path: Path) -> Callable[..., SandboxProcess]:
    (tmp_path / "plain_world.py").write_text(WORLD)
    return lambda *faults: start_sandbox(["plain_world:PLATFORM"], faults=faults, path=[str(tmp_path)])


def test_leak_makes_the_process_grow(plain: Callable[..., SandboxProcess]) -> None:
    with plain() as process:
        before = process.state()["rss_bytes"]
        process.set_faults({"leak": 2400})
        deadline = time.monotonic() + 10
        while process.state()["rss_bytes"] - before < 20_000_000:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_crash_after_ends_the_process(plain: Callable[..., SandboxProcess]) -> None:
    with plain("crash-after=0.2") as process:
        deadline = time.monotonic() + 10
        with connect(f"ws://127.0.0.1:{process.port}/ws") as client, pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        while process.exit_code is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert process.exit_code == CRASH_EXIT_CODE
