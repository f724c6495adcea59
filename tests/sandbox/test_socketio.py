"""A Socket.IO server by itself: rooms, events, acknowledgements, and who is let into a namespace."""

from __future__ import annotations

from typing import Any

import pytest

from pika_locust.sandbox.faults import FaultSwitches, parse_faults
from pika_locust.sandbox.socketio import Event, Outbox, SocketIoServer, event_packet
from pika_locust.sandbox.timers import Timers
from pika_locust.sandbox.world import Answer, Close, Reply, Request, Send

HANDSHAKE = Request("GET", "/socket.io/", "EIO=4&transport=websocket", {})


def test_effects_are_handed_out_once_and_in_order() -> None:
    outbox, answer = Outbox(FaultSwitches()), Answer(200)
    outbox.send(1, "2")
    outbox.reply(7, answer)
    outbox.close(1)
    assert outbox.take() == [Send(1, "2"), Reply(7, answer), Close(1, 1005)]
    assert outbox.take() == []


def test_events_go_to_the_sockets_of_a_room_of_a_namespace() -> None:
    outbox = Outbox(FaultSwitches())
    outbox.join("/queue", "u", 1)
    outbox.join("/queue", "u", 2)
    outbox.join("/video", "u", 1)
    outbox.join("/queue", "o", 3)
    assert (outbox.listeners("/queue"), outbox.listeners("/video"), outbox.listeners("/chat")) == (3, 1, 0)
    outbox.leave("/queue", "u", 2)
    outbox.emit("/queue", "u", "e", {"a": 1})
    outbox.emit("/chat", "u", "e", {})
    outbox.emit_to_all("/queue", ["u", "o", "nobody"], "f", {})
    first, second = '42/queue,["e",{"a":1}]', '42/queue,["f",{}]'
    assert outbox.take() == [Send(1, first), Send(1, second), Send(3, second)]
    assert outbox.listeners("/queue") == 2


def test_events_that_are_lost_are_a_share_of_each_kind() -> None:
    outbox = Outbox(FaultSwitches(faults=parse_faults(["lose-fanout=0.5"])))
    outbox.join("/queue", "u", 1)
    for event in ("match", "match", "end", "match", "match"):
        outbox.emit("/queue", "u", event, {})
    kept = [effect.data for effect in outbox.take() if isinstance(effect, Send)]
    assert kept.count('42/queue,["match",{}]') == 2


def test_a_packet_is_the_text_that_socket_io_sends() -> None:
    assert event_packet("/chat", "message:new", {"text": "é\n"}) == '42/chat,["message:new",{"text":"é\\n"}]'
    assert event_packet("/", "news", 5) == '42["news",5]'


class Server:
    """A server with the namespace /orders, into which a token of one letter or more lets, and one open socket."""

    def __init__(self) -> None:
        self.outbox, self.timers = Outbox(FaultSwitches()), Timers()
        self.events: list[Event] = []
        self.left: list[tuple[str, str, float]] = []
        self.socketio = SocketIoServer(
            self.outbox,
            self.timers,
            new_sid=lambda: "sid",
            namespaces=["/orders"],
            admit=self.admit,
            left=lambda *left: self.left.append(left),
            on_event=lambda event, now: self.events.append(event),
        )
        self.socketio.opened(1, HANDSHAKE, 0.0)
        self.outbox.take()

    def admit(self, namespace: str, auth: Any, request: Request, now: float) -> str | None:
        return "" if namespace == "/" else auth or None

    def said(self, packet: str | bytes) -> list[Any]:
        """What goes out when the socket says something."""
        self.socketio.received(1, packet, 1.0)
        return [effect.data if isinstance(effect, Send) else effect for effect in self.outbox.take()]


def test_who_is_admitted_gets_what_is_emitted_to_the_room_until_leaving() -> None:
    server = Server()
    assert server.said('40/orders,"a"') == ['40/orders,{"sid":"sid"}']
    server.outbox.emit("/orders", "a", "e", 1)
    assert server.outbox.take() == [Send(1, '42/orders,["e",1]')]
    assert server.said("41/orders,") == []
    server.outbox.emit("/orders", "a", "e", 1)
    assert server.outbox.take() == []
    assert server.left == [("/orders", "a", 1.0)]


def test_who_is_refused_is_put_out_of_all_namespaces_and_closed() -> None:
    server = Server()
    server.said("40")
    assert server.said("40/orders,") == ['40/orders,{"sid":"sid"}', "41", "41/orders,", Close(1, 1005)]
    server.socketio.closed(1, 2.0)
    assert server.left == []


def test_the_end_of_a_socket_leaves_all_its_rooms() -> None:
    server = Server()
    server.said('40/orders,"a"')
    server.socketio.closed(1, 2.0)
    assert server.left == [("/orders", "a", 2.0)]
    assert server.outbox.listeners("/orders") == 0


def test_an_event_is_told_with_its_arguments_and_acknowledged_if_asked_for() -> None:
    server = Server()
    server.said("40")
    server.said('40/orders,"a"')
    server.said('42/orders,12["buy",{"x":1},2]')
    server.said('42["hello"]')
    first, second = server.events
    assert first == Event(1, "/orders", "a", "buy", [{"x": 1}, 2], "12")
    assert second == Event(1, "/", "", "hello", [])
    server.socketio.acknowledge(first, {"ok": True})
    server.socketio.acknowledge(second, 1)
    assert server.outbox.take() == [Send(1, '43/orders,12[{"ok":true}]')]


def test_events_of_a_namespace_that_was_not_joined_are_dropped() -> None:
    server = Server()
    assert server.said('42/orders,["buy"]') == []
    assert server.events == []


@pytest.mark.parametrize("packet", ["42", "42{}", "42[]", "42[5]", "42[", "421"])
def test_an_event_that_is_none_ends_the_connection(packet: str) -> None:
    server = Server()
    server.said("40")
    assert server.said(packet) == [Close(1, 1005)]
    assert server.events == []


def test_a_ping_without_a_pong_ends_the_connection_after_45_seconds() -> None:
    server = Server()
    server.timers.run(24.9)
    assert server.outbox.take() == []
    server.timers.run(25.0)
    assert server.outbox.take() == [Send(1, "2")]
    assert server.timers.due == 45.0
    server.timers.run(45.0)
    assert server.outbox.take() == [Close(1, 1005)]
