"""A world that speaks Socket.IO: namespaces and who is let in, rooms, events, acknowledgements, heartbeat, faults."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from pika_locust.sandbox.app import Call, route
from pika_locust.sandbox.faults import Cover
from pika_locust.sandbox.schema import optional, text
from pika_locust.sandbox.socketio import (
    BAD_PACKET,
    GONE,
    LEFT,
    OUT_OF_TURN,
    PUT_OUT,
    SILENT,
    Ack,
    Client,
    SocketIoApp,
    event,
    event_packet,
)
from pika_locust.sandbox.world import Close
from pika_locust.testing.world_driver import Closed, SocketIoWorldDriver
from tests.sandbox.conftest import Served

FAULTS = ("drop", "lose-fanout", "throttle")


class Orders(SocketIoApp):
    """Orders are announced to those who look at them; a token of one letter or more lets into /orders."""

    name, about = "orders", "a shop that announces its orders"
    covers = tuple(Cover(fault, fault, "orders", "orders") for fault in FAULTS)
    namespaces = ("/orders",)

    def start(self) -> None:
        self.left: list[tuple[str, Any, str]] = []

    def admit(self, client: Client, auth: Any) -> str | Mapping[str, Any] | None:
        if auth == "old":
            return {"message": "expired", "data": {"at": 5}}
        return None if client.namespace == "/" or auth else "unauthorized"

    def on_enter(self, client: Client, auth: Any) -> None:
        client.data = auth
        if auth == "kicked":
            client.kick()
        if auth == "put out":
            client.disconnect()

    def on_leave(self, client: Client, reason: str) -> None:
        assert not client.rooms
        assert not client.is_connected
        self.left.append((client.namespace, client.data, reason))

    @event("look", namespace="/orders")
    def look(self, client: Client, room: str) -> list[str]:
        client.join(room)
        return list(client.rooms)

    @event("look away", namespace="/orders")
    def look_away(self, client: Client, room: str) -> None:
        client.leave(room)

    @event("buy", namespace="/orders")
    def buy(self, client: Client, *values: Any) -> Any:
        self.emit_to("/orders", "all", "bought", *values)
        return {"by": client.data}

    @event("fail", namespace="/orders")
    def fail(self, client: Client) -> None:
        raise LookupError("planted")

    @event("hello")
    def hello(self, client: Client) -> None:
        client.emit("hello", "you")

    @event("price", body={"of": text(1), "in": optional(text(3, 3), "EUR")})
    def price(self, client: Client, body: dict[str, Any]) -> Any:
        return [len(body["of"]), body["in"]]

    @event("two")
    def two(self, client: Client, first: Any, second: Any) -> Any:
        return [first, second]

    @event("wait", later=True)
    def wait(self, client: Client, ack: Ack, seconds: float) -> None:
        client.emit("waiting")
        self.after(seconds, ack, "first", 1)
        self.after(seconds, ack, "second")

    @event("tell")
    def tell(self, client: Client, room: str | None) -> None:
        self.emit_to("/", room, "told", without=client)

    @route("GET", "/orders")
    def page(self, call: Call) -> Any:
        return {"looking": len(self.clients("/orders", "all"))}


@pytest.fixture
def driver() -> SocketIoWorldDriver:
    return SocketIoWorldDriver(Orders.platform())


def entered(driver: SocketIoWorldDriver, *tokens: str) -> list[int]:
    """Sockets in /orders with these tokens; what came on them so far is forgotten."""
    sockets = [driver.open() for _ in tokens]
    for socket, token in zip(sockets, tokens, strict=True):
        driver.join(socket, "/orders", token)
        driver.take(socket)
    return sockets


def without_sid(packets: list[Any]) -> list[Any]:
    return [re.sub(r'"sid":"[\w-]{20}"', '"sid":"?"', one) if isinstance(one, str) else one for one in packets]


def test_a_connection_begins_with_the_intervals_of_the_heartbeat(driver: SocketIoWorldDriver) -> None:
    first, second = (json.loads(driver.take(driver.open())[0][1:]) for _ in range(2))
    assert first.pop("sid") != second.pop("sid")
    assert first == {"upgrades": [], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000000}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/socket.io/?EIO=3&transport=websocket", 400),
        ("/socket.io/?EIO=4&transport=polling", 400),
        ("/ws?EIO=4&transport=websocket", 404),
    ],
)
def test_other_protocols_and_transports_are_refused(driver: SocketIoWorldDriver, path: str, status: int) -> None:
    refusal = driver.refusal(path)
    assert refusal is not None
    assert refusal.status == status


def test_polling_is_not_offered_and_routes_are_those_of_any_app(driver: SocketIoWorldDriver) -> None:
    assert driver.ask("GET", "/socket.io/?EIO=4&transport=polling") == (
        400,
        {"code": 0, "message": "Transport unknown"},
    )
    assert driver.ask("GET", "/orders") == (200, {"looking": 0})


def test_who_is_admitted_may_leave_and_come_again(driver: SocketIoWorldDriver) -> None:
    socket = driver.open()
    assert without_sid(driver.join(socket, "/orders", "a")) == ['40/orders,{"sid":"?"}']
    assert driver.leave(socket, "/orders") == []
    assert driver.world.left == [("/orders", "a", LEFT)]
    assert without_sid(driver.join(socket, "/orders", "b")) == ['40/orders,{"sid":"?"}']


def test_who_is_not_admitted_gets_the_reason_and_stays_connected(driver: SocketIoWorldDriver) -> None:
    socket = driver.open()
    assert driver.join(socket, "/orders") == ['44/orders,{"message":"unauthorized"}']
    assert driver.join(socket, "/orders", "old") == ['44/orders,{"message":"expired","data":{"at":5}}']
    assert driver.join(socket, "/nowhere") == ['44/nowhere,{"message":"Invalid namespace"}']
    assert driver.sockets == [socket]
    assert driver.world.left == []


def test_who_is_kicked_leaves_all_namespaces_and_is_closed(driver: SocketIoWorldDriver) -> None:
    socket = driver.open()
    driver.join(socket)
    packets = without_sid(driver.join(socket, "/orders", "kicked"))
    assert packets == ['40/orders,{"sid":"?"}', "41", "41/orders,", Closed(1005, "")]
    assert [(namespace, reason) for namespace, _, reason in driver.world.left] == [("/", PUT_OUT), ("/orders", PUT_OUT)]


def test_who_is_put_out_of_a_namespace_stays_in_the_others(driver: SocketIoWorldDriver) -> None:
    socket = driver.open()
    driver.join(socket)
    assert without_sid(driver.join(socket, "/orders", "put out")) == ['40/orders,{"sid":"?"}', "41/orders,"]
    assert driver.world.left == [("/orders", "put out", PUT_OUT)]
    assert driver.emit(socket, "/", "hello") == ['42["hello","you"]']


def test_a_namespace_can_be_entered_once(driver: SocketIoWorldDriver) -> None:
    (socket,) = entered(driver, "a")
    assert driver.join(socket, "/orders", "a") == [Closed(1005, "")]
    assert driver.world.left == [("/orders", "a", OUT_OF_TURN)]


def test_events_of_a_room_go_to_those_who_are_in_it(driver: SocketIoWorldDriver) -> None:
    first, second, third = entered(driver, "a", "b", "c")
    for socket in (first, first, second):
        driver.emit(socket, "/orders", "look", "all")
    driver.emit(third, "/orders", "buy", {"x": 1}, 2)
    assert [driver.take(one) for one in (first, second, third)] == [['42/orders,["bought",{"x":1},2]']] * 2 + [[]]
    driver.emit(first, "/orders", "look away", "all")
    driver.close(second)
    assert driver.world.left == [("/orders", "b", GONE)]
    assert driver.ask("GET", "/orders")[1] == {"looking": 0}
    driver.emit(third, "/orders", "buy")
    assert driver.take(first) == []


def test_an_event_is_acknowledged_if_that_was_asked_for(driver: SocketIoWorldDriver) -> None:
    (socket,) = entered(driver, "a")
    driver.join(socket)
    assert driver.emit(socket, "/orders", "buy", ack=12) == ['43/orders,12[{"by":"a"}]']
    assert driver.emit(socket, "/orders", "buy") == []
    assert driver.emit(socket, "/", "hello", ack=0) == ['42["hello","you"]']
    assert driver.emit(socket, "/", "two", 1, 2, 3, ack=1) == ["431[[1,2]]"]
    assert driver.emit(socket, "/", "two", 1, ack=1) == ["431[[1,null]]"]


def test_an_event_may_be_acknowledged_later_and_once(driver: SocketIoWorldDriver) -> None:
    socket = driver.open()
    driver.join(socket)
    assert driver.emit(socket, "/", "wait", 2, ack=7) == ['42["waiting"]']
    driver.take(socket)
    driver.wait(1.9)
    assert driver.take(socket) == []
    driver.wait(0.2)
    assert driver.take(socket) == ['437["first",1]']
    driver.emit(socket, "/", "wait", 1)
    driver.emit(socket, "/", "wait", 1, ack=8)
    driver.leave(socket)
    driver.take(socket)
    driver.wait(1.1)
    assert driver.take(socket) == []


def test_the_first_value_of_an_event_is_checked_by_its_schema(driver: SocketIoWorldDriver) -> None:
    socket = driver.open()
    driver.join(socket)
    assert driver.emit(socket, "/", "price", {"of": "tea", "for": "me"}, ack=1) == ['431[[3,"EUR"]]']
    refused = driver.events(driver.emit(socket, "/", "price", {"in": 5}, ack=2))
    assert [name for name, _ in refused] == ["error"]
    assert all(word in refused[0][1]["message"] for word in ("of", "in"))
    assert [name for name, _ in driver.events(driver.emit(socket, "/", "price"))] == ["error"]


def test_an_event_can_go_to_a_whole_namespace_but_one(driver: SocketIoWorldDriver) -> None:
    first, second, elsewhere = driver.open(), driver.open(), driver.open()
    driver.join(first)
    driver.join(second)
    driver.join(elsewhere, "/orders", "a")
    for socket in (first, second, elsewhere):
        driver.take(socket)
    assert driver.emit(first, "/", "tell", None) == []
    assert [driver.take(one) for one in (second, elsewhere)] == [['42["told"]'], []]


def test_events_without_a_handler_have_no_effect(driver: SocketIoWorldDriver) -> None:
    (socket,) = entered(driver, "a")
    assert driver.emit(socket, "/orders", "hello", ack=1) == []
    assert driver.send(socket, "43/orders,1[]") == driver.send(socket, "6") == []
    assert driver.sockets == [socket]


@pytest.mark.parametrize("packet", ['42["hello"]', "41", "431[]", '42/nowhere,["hello"]'])
def test_who_is_not_in_a_namespace_must_not_speak_in_it(driver: SocketIoWorldDriver, packet: str) -> None:
    (socket,) = entered(driver, "a")
    assert driver.send(socket, packet) == [Closed(1005, "")]
    assert driver.world.left == [("/orders", "a", OUT_OF_TURN)]


def test_who_enters_no_namespace_is_closed_after_45_seconds(driver: SocketIoWorldDriver) -> None:
    idle, in_one = driver.open(), driver.open()
    driver.join(in_one)
    driver.wait(44.9)
    assert driver.sockets == [idle, in_one]
    driver.wait(0.2)
    assert driver.sockets == [in_one]


@pytest.mark.parametrize("packet", ["42", "42{}", "42[]", "42[5]", "42[", "421", "1", "", "hello", "5", "49", b"\x04"])
def test_what_is_no_packet_ends_the_connection(driver: SocketIoWorldDriver, packet: str | bytes) -> None:
    socket = driver.open()
    driver.join(socket)
    assert driver.send(socket, packet) == [Closed(1005, "")]
    assert driver.world.left == [("/", None, BAD_PACKET)]


def test_a_packet_beyond_a_million_ends_the_connection(driver: SocketIoWorldDriver) -> None:
    assert driver.send(driver.open(), "4" + "2" * 1_000_000) == [Closed(1009, "")]


def test_a_ping_comes_25_seconds_after_the_last_pong_and_the_end_20_seconds_later() -> None:
    driver = SocketIoWorldDriver(Orders.platform(), answers_pings=False)
    socket = driver.open()
    driver.join(socket)
    driver.take(socket)
    for _ in range(2):
        driver.wait(24.9)
        assert driver.take(socket) == []
        driver.wait(0.2)
        assert driver.take(socket) == ["2"]
        driver.wait(19.8)
        driver.send(socket, "3")
    driver.wait(44.9)
    assert driver.take(socket) == ["2"]
    driver.wait(0.2)
    assert driver.take(socket) == [Closed(1005, "")]
    assert driver.world.left == [("/", None, SILENT)]
    assert driver.world.due == float("inf")


def test_who_has_gone_is_not_pinged(driver: SocketIoWorldDriver) -> None:
    driver.close(driver.open())
    assert driver.world.due == float("inf")


def test_drop_takes_away_what_the_sender_is_sent_and_nothing_else() -> None:
    driver = SocketIoWorldDriver(Orders.platform(), "drop=0.5")
    (socket,) = entered(driver, "a")
    driver.emit(socket, "/orders", "look", "all")
    answers = [driver.emit(socket, "/orders", "buy", ack=n) for n in range(4)]
    assert [len(packets) for packets in answers] == [1, 2, 1, 2]
    assert {packets[0] for packets in answers} == {'42/orders,["bought"]'}
    driver.join(socket)
    hellos = [driver.emit(socket, "/", "hello", ack=n) for n in range(4)]
    assert [len(packets) for packets in hellos] == [0, 1, 0, 1]
    waits = [driver.emit(socket, "/", "wait", 0.5, ack=n) for n in range(4)]
    driver.wait(1)
    assert [len(packets) for packets in waits] == [0, 1, 0, 1]
    assert driver.take(socket).count('431["first",1]') == 1


def test_lose_fanout_takes_a_share_of_each_event_and_goes_round() -> None:
    driver = SocketIoWorldDriver(Orders.platform(), "lose-fanout=0.5")
    first, second, third = entered(driver, "a", "b", "c")
    for socket in (first, second):
        driver.emit(socket, "/orders", "look", "all")
    for _ in range(4):
        driver.emit(third, "/orders", "buy")
    assert [len(driver.take(one)) for one in (first, second)] == [2, 2]
    assert driver.faults.counts()["lose-fanout"]["by_kind"] == {"bought": {"eligible": 8, "hit": 4}}


def test_throttle_limits_connections() -> None:
    driver = SocketIoWorldDriver(Orders.platform(), "throttle=1/60s")
    driver.open()
    refusal = driver.refusal("/socket.io/?EIO=4&transport=websocket")
    assert refusal is not None
    assert refusal.status == 429


def test_a_packet_is_the_text_that_socket_io_sends() -> None:
    assert event_packet("/chat", "message:new", {"text": "é\n"}) == '42/chat,["message:new",{"text":"é\\n"}]'
    assert event_packet("/", "news", 5) == '42["news",5]'


def test_it_is_served_like_any_world(serve: Callable[..., Served]) -> None:
    served = serve(Orders.platform())
    path = "/socket.io/?EIO=4&transport=websocket"
    one, two = served.socket(path), served.socket(path)
    for socket in (one, two):
        assert str(socket.recv(timeout=5)).startswith("0{")
        socket.send('40/orders,"a"')
        assert str(socket.recv(timeout=5)).startswith('40/orders,{"sid":')
    one.send('42/orders,0["look","all"]')
    assert one.recv(timeout=5) == '43/orders,0[["all"]]'
    two.send('42/orders,3["buy","tea"]')
    assert two.recv(timeout=5) == '43/orders,3[{"by":"a"}]'
    assert one.recv(timeout=5) == '42/orders,["bought","tea"]'
    two.send("42[")
    with pytest.raises(ConnectionClosed) as ended:
        two.recv(timeout=5)
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1005
    one.send('42/orders,["fail"]')
    with pytest.raises(ConnectionClosed):
        one.recv(timeout=5)
    assert served.state()["internal_errors"] == 1


def test_packets_of_a_connection_that_is_being_closed_are_ignored() -> None:
    driver = SocketIoWorldDriver(Orders.platform())
    world, (socket,) = driver.world, entered(driver, "a")
    # with the fault `latency` the close frame is on its way for a while
    assert list(world.received(socket, "42[", driver.now, 0)) == [Close(socket, 1005)]
    assert list(world.received(socket, '42/orders,1["buy"]', driver.now, 0)) == []
    assert list(world.received(socket, "40", driver.now, 0)) == []
    assert list(world.tick(driver.now + 50)) == []
