"""The driver of worlds: what goes into a world, what comes out of it, and what fails a test."""

from __future__ import annotations

from typing import Any

import pytest

from pika_locust.errors import ConfigurationError
from pika_locust.sandbox import app
from pika_locust.sandbox.app import App, Call, Socket, message, route
from pika_locust.sandbox.faults import Cover
from pika_locust.sandbox.world import Answer, Close, Effects, Platform, Reply, Request, Send
from pika_locust.testing import world_driver
from pika_locust.testing.world_driver import PING, START_S, Closed, SocketIoWorldDriver, WorldDriver
from tests.sandbox.echo_world import EchoWorld, echo_platform
from tests.testing.examples import run_example


class Chat(App):
    """Sockets that speak to each other, and pages that answer at once, later and never."""

    name, about = "chat", "a chat"
    covers = (Cover("lose-write", "lose-write=1", "chat", "chat"),)

    def start(self) -> None:
        self.gone: list[int] = []
        self.pongs = 0
        self.requests: list[Request] = []
        self.started_at = self.now

    def state(self, now: float) -> dict[str, Any]:
        return {"now": now, "gone": self.gone, "pongs": self.pongs}

    @route("GET", "/echo")
    @route("POST", "/echo")
    def echo(self, call: Call) -> Any:
        self.requests.append(call.request)
        return {"query": call.query, "body": call.body, "room": self.settings.get("ROOM")}

    @route("GET", "/empty")
    def empty(self, call: Call) -> Answer:
        return Answer(204)

    @route("GET", "/late")
    def late(self, call: Call) -> None:
        self.after(3.0, call.answer, {"at": self.now})

    @route("GET", "/never")
    def never(self, call: Call) -> None:
        self.every(1.0, lambda: None)

    @message("say")
    def say(self, socket: Socket, body: dict[str, Any]) -> None:
        socket.send({"type": "said", "queued": socket.queued_bytes, "copies": self.copies("say")})
        self.broadcast(body, without=socket)

    @message("ping")
    def ping_all(self, socket: Socket, body: dict[str, Any]) -> None:
        for one in self.sockets.values():
            one.ping()

    @message("kick")
    def kick(self, socket: Socket, body: dict[str, Any]) -> None:
        socket.close(4001, "as asked")
        self.sockets[body["who"]].close(None)

    def accept(self, request: Request) -> Answer | None:
        return Answer.text("no", 403) if request.headers.get("x-banned") else super().accept(request)

    def on_pong(self, socket: Socket) -> None:
        self.pongs += 1

    def on_close(self, socket: Socket) -> None:
        self.gone.append(socket.id)

    def on_shutdown(self) -> None:
        self.broadcast({"type": "bye"})


CHAT = Chat.platform()


def test_the_example_of_the_module_holds() -> None:
    names = {name: getattr(app, name) for name in ("App", "Call", "route")}
    tests = run_example(world_driver, {**names, "Cover": Cover})
    assert tests == [
        "test_an_order_is_kept_and_acknowledged_after_a_while",
        "test_a_lost_write_is_acknowledged_all_the_same",
    ]


# HTTP


def test_a_request_arrives_as_a_server_would_hand_it_over() -> None:
    driver = WorldDriver(CHAT, settings={"ROOM": "a"})
    assert driver.ask("POST", "/echo?a=1", {"b": 2}, "10.0.0.1", x_key="k") == (
        200,
        {"query": {"a": "1"}, "body": {"b": 2}, "room": "a"},
    )
    headers = {"x-key": "k", "content-type": "application/json"}
    assert driver.world.requests == [Request("POST", "/echo", "a=1", headers, b'{"b": 2}', "10.0.0.1")]
    driver.ask("GET", "/echo")
    assert driver.world.requests[-1] == Request("GET", "/echo", "", {}, b"", "127.0.0.1")
    driver.ask("POST", "/echo", b"\xff", content_type="image/png")
    assert driver.world.requests[-1].body == b"\xff"
    assert driver.world.requests[-1].headers == {"content-type": "image/png"}


def test_an_answer_without_a_body_has_no_value() -> None:
    assert WorldDriver(CHAT).ask("GET", "/empty") == (204, None)


def test_a_late_answer_moves_the_clock_to_its_moment() -> None:
    driver = WorldDriver(CHAT)
    assert driver.http("GET", "/late").body == b'{"at":%.1f}' % START_S
    assert driver.now == START_S + 3.0


def test_an_answer_that_does_not_come_fails_the_test() -> None:
    driver = WorldDriver(CHAT)
    with pytest.raises(AssertionError, match=r"GET /late has no answer within 2 s"):
        driver.http("GET", "/late", within_s=2)
    assert driver.now == START_S
    with pytest.raises(AssertionError, match=r"GET /never has no answer within 10 s"):
        driver.http("GET", "/never")


def test_several_requests_are_under_way_at_once() -> None:
    driver = WorldDriver(CHAT)
    first = driver.request("GET", "/late")
    driver.wait(1.0)
    second = driver.request("GET", "/late")
    driver.wait(2.5)
    assert set(driver.answers) == {first}
    driver.wait(0.5)
    assert set(driver.answers) == {first, second}


def test_an_abandoned_request_gets_no_answer() -> None:
    driver = WorldDriver(echo_platform())
    number = driver.request("GET", "/later")
    driver.abandon(number)
    assert driver.world.log == [("abandoned", number)]
    driver.wait(1.0)
    assert driver.answers == {}


def test_a_stream_is_seen_as_it_grows_and_whole_at_its_end() -> None:
    driver = WorldDriver(echo_platform())
    number = driver.request("GET", "/stream")
    driver.wait(0.025)
    assert driver.streams[number].status == 200
    assert driver.streams[number].chunks == [b"data: 3\n\n", b"data: 2\n\n"]
    assert driver.answers == {}
    driver.wait(0.1)
    assert driver.streams == {}
    assert driver.answers[number].body == b"data: 3\n\ndata: 2\n\ndata: 1\n\n"


def test_a_stream_whose_client_gives_up_ends_there() -> None:
    driver = WorldDriver(echo_platform())
    number = driver.request("GET", "/stream")
    driver.wait(0.015)
    driver.abandon(number)
    driver.wait(1.0)
    assert driver.streams == driver.answers == {}


def twice(count: int) -> Platform:
    """A world that answers everything so many times."""

    class Twice(EchoWorld):
        def request(self, exchange: int, request: Request, now: float) -> Effects:
            return [Reply(exchange, Answer(200))] * count

    return Platform("twice", "answers too often", lambda faults, settings, now: Twice(now), ())


def test_a_world_that_answers_twice_fails_the_test() -> None:
    WorldDriver(twice(1)).request("GET", "/")
    with pytest.raises(AssertionError, match="exchange 1 is answered twice"):
        WorldDriver(twice(2)).request("GET", "/")


# Sockets


def test_messages_come_as_values_to_whom_they_are_sent() -> None:
    driver = WorldDriver(CHAT)
    sockets = first, second, third = driver.open(), driver.open(), driver.open()
    assert driver.sockets == list(sockets)
    driver.close(third)
    assert driver.send(first, {"type": "say"}, queued_bytes=9) == [{"type": "said", "queued": 9, "copies": 1}]
    assert driver.take(second) == [{"type": "say"}]
    assert driver.take(second) == driver.messages[third] == []
    assert driver.send(first, '{"type":"say","a":1}') == [{"type": "said", "queued": 0, "copies": 1}]
    assert driver.take(second) == [{"type": "say", "a": 1}]
    assert len(driver.take(first)) == 2


def test_sockets_may_share_a_list() -> None:
    driver, mailbox = WorldDriver(CHAT), []
    driver.open(into=mailbox)
    driver.open(into=mailbox)
    driver.send(driver.open(), {"type": "say"})
    assert mailbox == [{"type": "say"}] * 2


def test_a_refused_socket_is_an_answer_or_fails_the_test() -> None:
    driver = WorldDriver(CHAT)
    assert driver.refusal() is None
    refusal = driver.refusal("/elsewhere")
    assert refusal is not None
    assert refusal.status == 404
    with pytest.raises(AssertionError, match=r"refused with 403: b'no'"):
        driver.open(x_banned="yes")
    assert driver.sockets == []


def test_sockets_that_the_world_ends_say_how() -> None:
    driver = WorldDriver(CHAT)
    first, second = driver.open(), driver.open()
    assert driver.send(first, {"type": "kick", "who": second}) == [Closed(4001, "as asked")]
    assert driver.take(second) == [Closed(None, "")]
    assert driver.sockets == []
    assert driver.state()["gone"] == [first, second]


def test_what_is_for_a_socket_that_is_gone_is_dropped() -> None:
    class Late(EchoWorld):
        def received(self, socket: int, data: str | bytes, now: float, queued: int) -> Effects:
            return [Close(socket, 1000), Send(socket, '"too late"'), Close(socket, 1001)]

    driver = WorldDriver(Platform("late", "speaks after the end", lambda faults, settings, now: Late(now), ()))
    assert driver.send(driver.open(), "x") == [Closed(1000, "")]


def test_pings_are_answered_or_seen() -> None:
    driver = WorldDriver(CHAT)
    first, second = driver.open(), driver.open()
    assert driver.send(first, {"type": "ping"}) == []
    assert driver.state()["pongs"] == 2
    driver.answers_pings = False
    assert driver.send(first, {"type": "ping"}) == driver.take(second) == [PING]
    assert driver.state()["pongs"] == 2
    driver.ping(first)
    assert driver.state()["pongs"] == 3


# Faults, time, the end


def test_faults_are_switched_as_on_the_command_line() -> None:
    driver = WorldDriver(CHAT, "lose-write=1")
    socket = driver.open()
    assert driver.send(socket, {"type": "say"})[0]["copies"] == 0
    driver.switch()
    assert driver.send(socket, {"type": "say"})[0]["copies"] == 1
    with pytest.raises(ConfigurationError, match="double"):
        driver.switch("double=1")


def test_the_world_does_each_thing_at_its_own_time() -> None:
    class Clockwork(App):
        name = "clockwork"

        def start(self) -> None:
            self.ticks: list[float] = []
            self.every(1.0, lambda: self.ticks.append(self.now))

    driver = WorldDriver(Clockwork.platform(), now=100.0)
    driver.wait(2.5)
    assert driver.world.ticks == [101.0, 102.0]
    assert driver.now == 102.5
    driver.wait(0.5)
    assert driver.world.ticks == [101.0, 102.0, 103.0]


def test_a_world_that_stays_due_fails_the_test() -> None:
    class Stuck(EchoWorld):
        def tick(self, now: float) -> Effects:
            return ()

    driver = WorldDriver(Platform("stuck", "never done", lambda faults, settings, now: Stuck(now), ()))
    driver.world.due = START_S + 1
    with pytest.raises(AssertionError, match=r"after 10000 ticks at 1795230001\.0 the world is still due"):
        driver.wait(2)


def test_at_the_end_the_world_says_its_last() -> None:
    driver = WorldDriver(CHAT)
    socket, late = driver.open(), driver.request("GET", "/late")
    driver.shutdown()
    assert driver.take(socket) == [{"type": "bye"}, Closed(None, "")]
    assert driver.sockets == []
    driver.wait(5)
    assert late not in driver.answers


def test_a_reset_breaks_connections_and_starts_afresh() -> None:
    driver = WorldDriver(CHAT)
    socket = driver.open()
    driver.request("GET", "/late")
    driver.wait(1)
    driver.reset()
    assert driver.take(socket) == [Closed(None, "")]
    assert driver.world.started_at == START_S + 1
    assert driver.state()["gone"] == []
    driver.wait(5)
    assert driver.answers == {}
    assert driver.send(driver.open(), {"type": "say"}) != []


# Socket.IO


class Packets(EchoWorld):
    """Sends packets back as they are; `2` after a while."""

    def received(self, socket: int, data: str | bytes, now: float, queued: int) -> Effects:
        self.log.append(data)
        return [Send(socket, "2")] if data == '42["ping me"]' else [] if data == "3" else [Send(socket, data)]


PACKETS = Platform("packets", "sends packets back", lambda faults, settings, now: Packets(now), ())


def test_packets_are_written_as_socket_io_has_them() -> None:
    driver = SocketIoWorldDriver(PACKETS)
    socket = driver.open()
    assert driver.world.log == [("opened", socket, "/socket.io/")]
    assert driver.join(socket) == ["40"]
    assert driver.join(socket, "/chat", {"token": "t"}) == ['40/chat,{"token": "t"}']
    assert driver.leave(socket, "/chat") == ["41/chat,"]
    assert driver.emit(socket, "/", "a", 1, {"b": 2}) == ['42["a", 1, {"b": 2}]']
    assert driver.emit(socket, "/chat", "say", ack=7) == ['42/chat,7["say"]']
    assert driver.events([*driver.take(socket), '43/chat,7["ok"]', b"binary", PING]) == [("a", 1, {"b": 2}), ("say",)]


def test_pings_of_engine_io_are_answered_or_seen() -> None:
    driver = SocketIoWorldDriver(PACKETS)
    socket = driver.open()
    assert driver.emit(socket, "/", "ping me") == []
    assert driver.world.log[-1] == "3"
    driver.answers_pings = False
    assert driver.emit(socket, "/", "ping me") == ["2"]
