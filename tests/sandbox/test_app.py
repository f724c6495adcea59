"""A world written as routes, messages and timers: requests and messages in, effects out, and faults."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from itertools import count
from socket import create_connection
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from pika_locust.errors import ConfigurationError
from pika_locust.sandbox.app import App, Call, Socket, message, route
from pika_locust.sandbox.faults import Cover, FaultSwitches, parse_faults
from pika_locust.sandbox.schema import Schema, text, whole
from pika_locust.sandbox.world import Answer, Close, Ping, Publish, Reply, Request, Send
from tests.sandbox.conftest import Served

FAULTS = ("lose-write", "double", "drop", "throttle", "lose-fanout")


class Shop(App):
    """Orders over HTTP; sockets that speak to each other."""

    name, about = "shop", "a shop"
    covers = tuple(Cover(fault, fault, "shop", "orders") for fault in FAULTS)

    def start(self) -> None:
        self.orders: list[str] = []
        self.events: list[Any] = []

    def state(self, now: float) -> dict[str, Any]:
        return {"orders": len(self.orders)}

    def authenticate(self, call: Call) -> str | None:
        return call.bearer or None

    @route("POST", "/orders", body={"id": text(1), "count": whole(1)})
    def order(self, call: Call) -> Answer:
        self.orders += [call.body["id"]] * self.copies("order")
        return Answer.json({"id": call.body["id"]}, 201)

    @route("GET", "/orders", exempt=True)
    def listed(self, call: Call) -> Any:
        return {"orders": len(self.orders)}

    @route("GET", "/orders/{id}/parts/{part}")
    def part(self, call: Call) -> Any:
        return {**call.params, **call.query}

    @route("POST", "/slow")
    def slow(self, call: Call) -> None:
        self.after(0.5, call.answer, {"at": self.now}, 202)

    @route("POST", "/login", limit=2, window_s=10)
    @route("GET", "/me", auth=True)
    def me(self, call: Call) -> Any:
        call.headers = (("set-cookie", "a=b"),)
        return {"user": call.user, **call.body}

    @message("say", body={"text": text(1)})
    def say(self, socket: Socket, body: dict[str, Any]) -> None:
        socket.send({"type": "said"})
        self.broadcast({"text": body["text"]}, without=socket, kind="say")

    @message("room")
    def room(self, socket: Socket, body: dict[str, Any]) -> None:
        self.emit(self.sockets.values(), body, kind="room")

    @message("bye")
    def bye(self, socket: Socket, body: dict[str, Any]) -> None:
        socket.close(4001, "as asked")

    def on_open(self, socket: Socket) -> None:
        socket.data["number"] = len(self.sockets)
        socket.send(f"hello {socket.data['number']}")

    def on_close(self, socket: Socket) -> None:
        self.events.append(("closed", socket.id, socket.is_open))

    def on_unknown(self, socket: Socket, data: str | bytes) -> None:
        self.events.append(data)


class Harness:
    """A world, its switches, and the exchanges with it; the clock is moved by hand."""

    def __init__(self, kind: type[App] = Shop, *faults: str) -> None:
        self.now = 100.0
        self.switches = FaultSwitches(faults=parse_faults(faults))
        self.world: Any = kind(self.switches, {}, self.now)
        self._numbers = count(1)

    def ask(self, method: str, path: str, body: Any = None, peer: str = "1.1.1.1", **headers: str) -> Answer | None:
        """The answer that a request gets at once, if it does."""
        path, _, query = path.partition("?")
        number = next(self._numbers)
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        effects = self.world.request(number, Request(method, path, query, headers, data, peer), self.now)
        assert all(isinstance(effect, Reply) and effect.exchange == number for effect in effects)
        assert len(effects) <= 1
        return effects[0].answer if effects else None

    def status(self, *request: Any, **more: Any) -> int | None:
        answer = self.ask(*request, **more)
        return None if answer is None else answer.status

    def later(self, seconds: float) -> list[Any]:
        """What the world does by itself, that much later."""
        self.now += seconds
        return list(self.world.tick(self.now)) if self.world.due <= self.now else []

    def open(self, *numbers: int) -> None:
        for number in numbers:
            self.world.opened(number, Request("GET", "/ws", "", {}), self.now)

    def receive(self, socket: int, data: Any) -> list[Any]:
        text = data if isinstance(data, str | bytes) else json.dumps(data)
        return list(self.world.received(socket, text, self.now, 0))


def value(answer: Answer | None) -> Any:
    assert answer is not None
    return json.loads(answer.body)


def order(number: int) -> tuple[str, str, dict[str, Any]]:
    return "POST", "/orders", {"id": f"o{number}", "count": 1}


# Plain HTTP


def test_a_route_answers_and_the_world_keeps_the_order() -> None:
    harness = Harness()
    assert harness.status(*order(1)) == 201
    assert value(harness.ask("GET", "/orders")) == {"orders": 1}
    assert harness.status("HEAD", "/orders") == 200
    assert value(harness.ask("GET", "/health")) == {"status": "ok"}


def test_parts_of_the_path_and_the_query_are_decoded() -> None:
    answer = Harness().ask("GET", "/orders/a%2Fb/parts/2?c=d+e&f=")
    assert value(answer) == {"id": "a/b", "part": "2", "c": "d e", "f": ""}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("DELETE", "/orders"),
        ("GET", "/orders/1"),
        ("GET", "/orders//parts/1"),
        ("GET", "/orders/1/parts"),
    ],
)
def test_what_no_route_is_for_is_404(method: str, path: str) -> None:
    assert Harness().status(method, path) == 404


def test_a_body_that_the_schema_refuses_is_400_with_every_problem() -> None:
    harness = Harness()
    answer = harness.ask("POST", "/orders", {"count": 0})
    assert answer is not None
    assert answer.status == 400
    assert value(answer) == {"error": "id must be a string of 1 to 10000 characters; count must be at least 1"}
    assert harness.status("POST", "/orders", b"{") == 400
    assert harness.world.orders == []


def test_a_route_with_auth_is_401_without_a_user_and_knows_the_user() -> None:
    harness = Harness()
    assert harness.status("GET", "/me") == 401
    answer = harness.ask("GET", "/me", authorization="bearer anna")
    assert value(answer) == {"user": "anna"}
    assert answer is not None
    assert answer.headers[-1] == ("set-cookie", "a=b")


def test_what_routes_have_in_common_comes_before_everything_else() -> None:
    class Guarded(Shop):
        def on_call(self, call: Call) -> Answer | None:
            call.headers = (("x-frame-options", "DENY"),)
            return None if "x-csrf-token" in call.request.headers else Answer.text("no token", 403)

    harness = Harness(Guarded)
    assert [harness.status("POST", "/login") for _ in range(3)] == [403] * 3
    answer = harness.ask("GET", "/me")
    assert answer is not None
    assert (answer.status, answer.headers[-1]) == (403, ("x-frame-options", "DENY"))
    headers = {"x-csrf-token": "5"}
    assert [harness.status("POST", "/login", **headers) for _ in range(3)] == [200, 200, 429]
    assert harness.status("GET", "/me", **headers) == 401
    assert harness.status("GET", "/nowhere") == 404


def test_a_handler_may_have_several_routes_and_gets_a_body_without_schema_as_it_is() -> None:
    assert value(Harness().ask("POST", "/login", {"x": 1})) == {"user": None, "x": 1}


def test_more_than_the_limit_of_a_window_is_429_for_that_client() -> None:
    harness = Harness()
    assert [harness.status("POST", "/login") for _ in range(3)] == [200, 200, 429]
    answer = harness.ask("POST", "/login")
    assert answer is not None
    assert ("retry-after", "10") in answer.headers
    assert harness.status("POST", "/login", peer="2.2.2.2") == 200
    harness.now += 9.5
    refused = harness.ask("POST", "/login")
    assert refused is not None
    assert ("retry-after", "1") in refused.headers
    harness.now += 0.5
    assert harness.status("POST", "/login") == 200


def test_an_answer_may_come_later_and_only_once() -> None:
    harness = Harness()
    assert harness.ask("POST", "/slow") is None
    assert harness.world.due == 100.5
    assert harness.later(0.4) == []
    (reply,) = harness.later(0.1)
    assert (reply.exchange, reply.answer.status, value(reply.answer)) == (1, 202, {"at": 100.0})

    class Twice(App):
        @route("GET", "/")
        def twice(self, call: Call) -> Any:
            call.answer(1)
            return 2

    assert value(Harness(Twice).ask("GET", "/")) == 1


# Timers


def test_timers_are_called_in_the_order_of_their_time_and_may_be_cancelled() -> None:
    harness, said = Harness(), []
    harness.world.after(2, said.append, "c")
    never = harness.world.after(0.5, said.append, "never")
    harness.world.after(1, said.append, "a")
    harness.world.after(1, said.append, "b")
    never.cancel()
    assert harness.world.due == 101.0
    harness.later(1)
    assert said == ["a", "b"]
    harness.later(1)
    assert said == ["a", "b", "c"]
    assert harness.world.due == float("inf")


def test_a_timer_may_set_the_next() -> None:
    harness, seen = Harness(), []

    def again() -> None:
        seen.append(harness.world.now)
        harness.world.after(1, again)

    harness.world.after(1, again)
    for _ in range(3):
        harness.later(1)
    assert seen == [101.0, 102.0, 103.0]


def test_a_timer_with_a_period_keeps_its_beat_skips_what_was_missed_and_may_be_cancelled() -> None:
    harness, seen = Harness(), []
    beat = harness.world.every(2, lambda: seen.append(harness.world.now))
    for seconds in (2, 2.5, 1.5, 5, 1):
        harness.later(seconds)
    assert seen == [102.0, 104.5, 106.0, 111.0, 112.0]
    beat.cancel()
    assert harness.world.due == float("inf")


def test_a_timer_with_a_period_may_end_itself() -> None:
    harness, seen = Harness(), []

    def once() -> None:
        seen.append(harness.world.now)
        beat.cancel()

    beat = harness.world.every(1, once)
    harness.later(1)
    harness.later(1)
    assert seen == [101.0]


# WebSockets


def test_sockets_are_accepted_at_their_path_only() -> None:
    world = Harness().world
    assert world.upgrade(Request("GET", "/ws", "", {}), 1.0) is None
    assert world.upgrade(Request("GET", "/elsewhere", "", {}), 1.0).status == 404


def test_a_message_is_answered_and_passed_on() -> None:
    harness = Harness()
    assert harness.world.opened(7, Request("GET", "/ws", "", {}), 1.0) == [Send(7, "hello 1")]
    harness.open(8)
    assert harness.receive(7, {"type": "say", "text": "hi"}) == [
        Send(7, '{"type":"said"}'),
        Publish('{"text":"hi"}', 7, "say"),
    ]
    assert harness.receive(7, {"type": "room"}) == [Send(7, '{"type":"room"}'), Send(8, '{"type":"room"}')]
    assert harness.receive(8, {"type": "bye"}) == [Close(8, 4001, "as asked")]


def test_a_message_that_its_schema_refuses_is_answered_with_what_is_wrong() -> None:
    harness = Harness()
    harness.open(1)
    (sent,) = harness.receive(1, {"type": "say"})
    assert json.loads(sent.data) == {"type": "error", "error": "text must be a string of 1 to 10000 characters"}


def test_a_message_of_no_known_kind_is_passed_to_on_unknown() -> None:
    harness = Harness()
    harness.open(1)
    messages = ["{", "[]", '{"type":"what"}', b"\xff"]
    assert [harness.receive(1, data) for data in messages] == [[]] * 4
    assert harness.world.events == messages


def test_a_platform_sees_what_came_before_it_is_read_and_may_leave_it_unread() -> None:
    class TextOnly(Shop):
        def on_data(self, socket: Socket, data: str | bytes) -> bool:
            if len(data) > 30:
                socket.close(1009)
            return isinstance(data, str)

    harness = Harness(TextOnly)
    harness.open(1)
    bye = {"type": "bye"}
    assert harness.receive(1, bye) == [Close(1, 4001, "as asked")]
    assert harness.receive(1, json.dumps(bye).encode()) == []
    assert harness.receive(1, b" " * 31) == [Close(1, 1009)]
    assert harness.world.events == []


def test_a_socket_is_pinged_and_has_its_queued_bytes_and_shutting_down_sends_a_last_message() -> None:
    class Watching(App):
        def on_open(self, socket: Socket) -> None:
            socket.data = ["open"]
            socket.ping()

        def on_pong(self, socket: Socket) -> None:
            socket.send(socket.data)

        def on_shutdown(self) -> None:
            self.broadcast("over")

        @message("queued")
        def queued(self, socket: Socket, body: Any) -> None:
            socket.send({"queued": socket.queued_bytes})

    world = Watching(FaultSwitches(), {}, 1.0)
    assert world.opened(1, Request("GET", "/ws", "", {}), 1.0) == [Ping(1)]
    assert world.ponged(1, 1.0) == [Send(1, '["open"]')]
    assert world.received(1, '{"type":"queued"}', 1.0, 77) == [Send(1, '{"queued":77}')]
    assert world.shutdown(1.0) == [Publish("over")]


def test_a_closed_socket_is_forgotten() -> None:
    harness = Harness()
    harness.open(1, 2)
    harness.world.closed(1, 2.0)
    harness.world.closed(1, 2.0)
    assert harness.world.events == [("closed", 1, False)]
    assert list(harness.world.sockets) == [2]


# Faults


@pytest.mark.parametrize(("fault", "kept"), [("lose-write=0.25", 15), ("double=0.25", 25)])
def test_a_write_is_acknowledged_but_lost_or_kept_twice(fault: str, kept: int) -> None:
    harness = Harness(Shop, fault)
    assert {harness.status(*order(number)) for number in range(20)} == {201}
    assert harness.world.state(0.0) == {"orders": kept}


def test_drop_processes_and_does_not_answer_and_spares_what_is_exempt() -> None:
    harness = Harness(Shop, "drop=0.5")
    assert [harness.status(*order(number)) for number in range(4)] == [None, 201, None, 201]
    assert [value(harness.ask("GET", "/orders")) for _ in range(4)] == [{"orders": 4}] * 4
    harness.ask("POST", "/slow")
    assert harness.later(1) == []


def test_drop_keeps_the_answer_to_a_message_from_its_sender_only() -> None:
    harness = Harness(Shop, "drop=1")
    harness.open(1, 2)
    assert harness.receive(1, {"type": "say", "text": "x"}) == [Publish('{"text":"x"}', 1, "say")]


def test_drop_takes_away_only_what_is_an_answer() -> None:
    class Picky(Shop):
        def is_answer(self, data: str | bytes) -> bool:
            return data == '{"type":"said"}'

    harness = Harness(Picky, "drop=0.5")
    harness.open(1)
    answers = [
        harness.receive(1, {"type": kind, **({"text": "x"} if kind == "say" else {})}) for kind in ("say", "room") * 2
    ]
    assert [[effect for effect in effects if isinstance(effect, Send)] for effects in answers] == [
        [],
        [Send(1, '{"type":"room"}')],
        [Send(1, '{"type":"said"}')],
        [Send(1, '{"type":"room"}')],
    ]


def test_throttle_limits_the_websockets_of_a_client_and_a_platform_says_who_that_is() -> None:
    class Proxied(App):
        def client_of(self, request: Request) -> str:
            return request.headers.get("x-client", request.peer)

    def status(world: App, **headers: str) -> int:
        refusal = world.upgrade(Request("GET", "/ws", "", headers, peer="1.1.1.1"), 100.0)
        return 101 if refusal is None else refusal.status

    harness = Harness(Proxied, "throttle=2/10s")
    assert [status(harness.world) for _ in range(3)] == [101, 101, 429]
    assert [status(harness.world, **{"x-client": "2.2.2.2"}) for _ in range(3)] == [101, 101, 429]
    assert harness.switches.counts()["throttle"]["hit"] == 2


def test_a_platform_counts_attempts_and_reads_bodies_in_its_own_way() -> None:
    class Own(Shop):
        def read_body(self, request: Request, schema: Schema | None) -> dict[str, Any]:
            return {"id": request.body.decode(), "count": 1}

        def over_limit(self, call: Call) -> int | None:
            return 7 if call.body or len(self.orders) > 1 else None

        def upgrade_over_limit(self, request: Request) -> int | None:
            return 9 if request.query else None

    harness = Harness(Own, "throttle=1/10s")
    assert [harness.status("POST", "/orders", b"no JSON") for _ in range(3)] == [201, 201, 429]
    assert harness.world.upgrade(Request("GET", "/ws", "", {}), 100.0) is None
    refused = harness.world.upgrade(Request("GET", "/ws", "again", {}), 100.0)
    assert refused is not None
    assert ("retry-after", "9") in refused.headers


def test_what_is_set_for_one_instant_is_done_in_the_order_it_was_set() -> None:
    harness = Harness(Shop)
    harness.world.at(102.0, harness.world.orders.append, "third")
    for word in ("first", "second"):
        harness.world.at(101.0, harness.world.orders.append, word)
    assert harness.world.due == 101.0
    harness.world.tick(103.0)
    assert harness.world.orders == ["first", "second", "third"]


def test_throttle_limits_each_kind_of_request_of_a_client_until_it_is_off() -> None:
    harness = Harness(Shop, "throttle=2/10s")
    assert [harness.status(*order(number)) for number in range(3)] == [201, 201, 429]
    assert harness.status("POST", "/login") == 200
    assert harness.status(*order(4), peer="2.2.2.2") == 201
    assert [harness.status("GET", "/health") for _ in range(4)] == [200] * 4
    assert harness.switches.counts()["throttle"]["hit"] == 1
    harness.switches.replace(())
    assert harness.status(*order(5)) == 201
    harness.switches.replace(parse_faults(["throttle=1/10s"]))
    assert [harness.status(*order(number)) for number in (6, 7)] == [201, 429]


def test_throttle_may_shut_out_for_a_whole_window_and_leave_a_lower_limit_to_the_route() -> None:
    class Blocking(Shop):
        throttle_blocks = True

        def over_limit(self, call: Call) -> int | None:
            return self.over_throttle(call.route.kind, call.request, call.route.limit)

    harness = Harness(Blocking, "throttle=3/10s")
    assert [harness.status("POST", "/login") for _ in range(3)] == [200, 200, 429]
    window = harness.world.throttle_window("POST /login")
    assert (window.limit, window.resets_in("1.1.1.1", harness.now)) == (2, 10)
    harness.now += 9
    assert harness.status("POST", "/login") == 429
    assert [harness.status("GET", "/orders") for _ in range(4)] == [200, 200, 200, 429]
    harness.switches.replace(parse_faults(["throttle=3/10s", "drop=0.001"]))
    assert harness.status("GET", "/orders") == 429
    harness.switches.replace(parse_faults(["throttle=4/10s"]))
    assert harness.status("GET", "/orders") == 200
    harness.world.reset(harness.now)
    assert [harness.status("GET", "/orders") for _ in range(5)] == [200] * 4 + [429]


def test_lose_fanout_loses_some_recipients_of_emit_in_turn() -> None:
    harness = Harness(Shop, "lose-fanout=0.25")
    harness.open(1, 2, 3, 4)
    missed = [{1, 2, 3, 4} - {sent.socket for sent in harness.receive(1, {"type": "room"})} for _ in range(4)]
    assert missed == [{1}, {2}, {3}, {4}]


# The class


def test_a_subclass_replaces_routes_and_overrides_handlers() -> None:
    class Other(Shop):
        @route("GET", "/orders")
        def mine(self, call: Call) -> Any:
            return "mine"

        @route("GET", "/orders/{number}")
        def one(self, call: Call) -> Any:
            return call.params["number"]

        def health(self, call: Call) -> Any:
            return "well"

        def not_found(self, request: Request) -> Answer:
            return Answer.text("nothing here", 410)

    harness = Harness(Other)
    assert [value(harness.ask("GET", path)) for path in ("/orders", "/orders/3", "/health")] == ["mine", "3", "well"]
    assert harness.status("GET", "/orders/1/2") == 410
    assert value(Harness().ask("GET", "/orders")) == {"orders": 0}


def test_a_reset_makes_a_fresh_world() -> None:
    harness = Harness(Shop, "throttle=1/10s")
    harness.ask(*order(1))
    harness.ask("POST", "/slow")
    harness.open(1)
    harness.world.reset(200.0)
    assert harness.world.state(0.0) == {"orders": 0}
    assert (harness.world.due, harness.world.sockets) == (float("inf"), {})
    assert harness.status(*order(1)) == 201


def test_a_world_needs_a_name_to_be_a_platform() -> None:
    class Nameless(App):
        pass

    with pytest.raises(ValueError, match="Nameless has no name"):
        Nameless.platform()
    platform = Shop.platform()
    assert (platform.name, platform.supports, platform.create) == ("shop", frozenset(FAULTS), Shop)


def test_it_is_served_like_any_world(serve: Callable[..., Served]) -> None:
    served = serve(Shop.platform(), faults=("lose-write=0.5",))
    assert [served.http(*order(number))[0] for number in range(4)] == [201] * 4
    assert served.http("GET", "/orders")[1] == '{"orders":2}'
    assert served.http("POST", "/slow")[0] == 202
    assert served.http("GET", "/nothing")[0] == 404
    one, two = served.socket(), served.socket()
    assert [one.recv(timeout=5), two.recv(timeout=5)] == ["hello 1", "hello 2"]
    one.send('{"type":"say","text":"hi"}')
    assert two.recv(timeout=5) == '{"text":"hi"}'
    assert served.state()["orders"] == 2


# A world that fails


class Faulty(App):
    """Fails wherever it is asked to."""

    name, about = "faulty", "a world with defects of its own"

    @route("GET", "/now")
    def at_once(self, call: Call) -> Any:
        raise LookupError("planted")

    @route("GET", "/later")
    def later(self, call: Call) -> None:
        self.after(0.01, self.after, 0.01, self.at_once, call)

    @route("GET", "/slow")
    def slow(self, call: Call) -> None:
        self.after(0.05, call.answer, "fine")

    @route("GET", "/answered")
    def answered(self, call: Call) -> Any:
        self.after(0.01, self.at_once, call)
        return "fine"

    @message("fail")
    def fail(self, socket: Socket, body: dict[str, Any]) -> None:
        self.broadcast("before it failed", without=socket)
        raise LookupError("planted")

    def on_close(self, socket: Socket) -> None:
        if socket.data:
            raise LookupError("planted")

    @message("close all")
    def close_all(self, socket: Socket, body: dict[str, Any]) -> None:
        for one in self.sockets.values():
            one.data = {"fails": True}
            one.close()


def test_a_failing_handler_is_an_internal_error_and_ends_its_connection(serve: Callable[..., Served]) -> None:
    served = serve(Faulty.platform())
    with pytest.raises(ConnectionError):
        served.http("GET", "/now")
    assert served.state()["internal_errors"] == 1
    assert served.http("GET", "/health")[0] == 200


def test_a_failing_timer_answers_its_call_500_and_the_world_goes_on(serve: Callable[..., Served]) -> None:
    served = serve(Faulty.platform())
    assert [served.http("GET", "/later")[:2] for _ in range(2)] == [(500, "Internal Server Error")] * 2
    assert served.http("GET", "/answered")[:2] == (200, '"fine"')
    while served.state()["internal_errors"] < 3:
        time.sleep(0.01)


def test_a_failing_handler_of_a_request_that_had_to_wait_answers_500(serve: Callable[..., Served]) -> None:
    served = serve(Faulty.platform())
    head = b" HTTP/1.1\r\nHost: h\r\n"
    with create_connection(("127.0.0.1", served.port), timeout=5) as client:
        client.sendall(b"GET /slow" + head + b"\r\nGET /now" + head + b"Connection: close\r\n\r\n")
        received = b""
        while data := client.recv(10_000):
            received += data
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"500"]
    assert served.state()["internal_errors"] == 1


def test_what_a_handler_did_before_it_failed_reaches_the_others(serve: Callable[..., Served]) -> None:
    served = serve(Faulty.platform())
    one, two = served.socket(), served.socket()
    one.send('{"type":"fail"}')
    assert two.recv(timeout=5) == "before it failed"
    with pytest.raises(ConnectionClosed):
        one.recv(timeout=5)
    assert served.state()["internal_errors"] == 1


def test_a_failure_at_the_end_of_a_connection_leaves_the_others_alone(serve: Callable[..., Served]) -> None:
    served = serve(Faulty.platform())
    one, two = served.socket(), served.socket()
    one.send('{"type":"close all"}')
    for socket in (one, two):
        with pytest.raises(ConnectionClosed) as ended:
            socket.recv(timeout=5)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1000
    assert served.state()["internal_errors"] == 2


# What a world must not take the place of


def fresh(world: type[App]) -> App:
    return world(FaultSwitches([]), {}, 0.0)


@pytest.mark.parametrize("name", ["closed", "opened", "received", "request", "tick", "shutdown", "emit", "copies"])
def test_a_start_that_overwrites_a_method_of_the_world_is_an_error_that_says_so(name: str) -> None:
    class Careless(App):
        def start(self) -> None:
            setattr(self, name, [])

    with pytest.raises(TypeError, match=rf"Careless\.start sets self\.{name}, .* has a method .* such as {name}_items"):
        fresh(Careless)


@pytest.mark.parametrize("name", ["sockets", "now", "faults", "settings", "_timers"])
def test_so_is_one_that_overwrites_what_the_world_keeps(name: str) -> None:
    class Careless(App):
        def start(self) -> None:
            setattr(self, name, {})

    with pytest.raises(TypeError, match=rf"Careless\.start sets self\.{name}, .* has an attribute of its own"):
        fresh(Careless)


def test_so_is_one_that_overwrites_a_handler_of_its_own() -> None:
    class Careless(App):
        def start(self) -> None:
            self.orders = 3  # type: ignore[assignment, method-assign]

        @route("GET", "/orders")
        def orders(self, call: Call) -> Any:
            return []

    with pytest.raises(TypeError, match=r"Careless\.start sets self\.orders"):
        fresh(Careless)


def test_a_handler_and_a_value_under_the_name_of_a_method_are_refused_where_they_are_written() -> None:
    with pytest.raises(TypeError, match=r"Careless\.received handles a route or message, .* such as received_items"):

        class Careless(App):
            @message("received")
            def received(self, socket: Socket, body: Any) -> None:  # type: ignore[override]
                pass

    with pytest.raises(TypeError, match=r"Hasty\.closed is no method"):

        class Hasty(App):
            closed = 0  # type: ignore[assignment]


def test_overriding_is_still_what_a_world_is_written_by() -> None:
    class Careful(App):
        def start(self) -> None:
            self.closed_sockets: list[int] = []

        @route("GET", "/health", exempt=True)
        def health(self, call: Call) -> Any:
            return {"status": "fine"}

        def on_close(self, socket: Socket) -> None:
            self.closed_sockets.append(socket.id)

    world = fresh(Careful)
    world.reset(1.0)
    world.reset(2.0)
    assert world.closed_sockets == []  # type: ignore[attr-defined]


class Configured(App):
    name = "bakery"

    def start(self) -> None:
        self.read = (
            self.setting("OVENS", 2),
            self.setting("BAKE_S", 0.5),
            self.setting("FLOUR", "wheat"),
            self.setting("OPEN", True),
        )


@pytest.mark.parametrize(
    ("environment", "read"),
    [
        ({}, (2, 0.5, "wheat", True)),
        ({"OVENS": "3", "BAKE_S": "1e1", "FLOUR": " rye ", "OPEN": "0"}, (3, 10.0, "rye", False)),
        ({"OVENS": "3", "BAKERY_OVENS": "4"}, (4, 0.5, "wheat", True)),
        ({"OVENS": "3", "BAKERY_OVENS": "", "FLOUR": " "}, (3, 0.5, "wheat", True)),
    ],
    ids=str,
)
def test_a_world_reads_its_settings_under_its_platform_s_name_first(environment: dict[str, str], read: Any) -> None:
    world = Configured(FaultSwitches([]), environment, 0.0)
    assert world.read == read
    world.reset(1.0)
    assert world.read == read


def test_every_setting_that_a_world_cannot_read_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Configured(FaultSwitches([]), {"BAKERY_OVENS": "1.5", "BAKE_S": "soon", "FLOUR": "rye"}, 0.0)
    assert refused.value.problems == (
        "BAKERY_OVENS=1.5: not a whole number; it must be at least 0",
        "BAKE_S=soon: not a number; it must be at least 0",
    )
