from __future__ import annotations

from pika_locust.platforms.verity.world_hub import Outbox, packet_of
from pika_locust.platforms.verity.world_model import User
from pika_locust.sandbox.faults import FaultSwitches, parse_faults
from pika_locust.sandbox.world import Answer, Close, Reply, Send


def test_effects_are_handed_out_once_and_in_order() -> None:
    hub, answer = Outbox(FaultSwitches()), Answer(200)
    hub.send(1, "2")
    hub.reply(7, answer)
    hub.close(1)
    assert hub.take() == [Send(1, "2"), Reply(7, answer), Close(1, 1005)]
    assert hub.take() == []


def test_events_go_to_the_sockets_that_a_user_has_in_a_namespace() -> None:
    hub, user, other = Outbox(FaultSwitches()), User("u", 0.0), User("o", 0.0)
    hub.join("/queue", user, 1)
    hub.join("/queue", user, 2)
    hub.join("/video", user, 1)
    hub.join("/queue", other, 3)
    assert (hub.listeners("/queue"), hub.listeners("/video"), hub.listeners("/chat")) == (3, 1, 0)
    hub.leave("/queue", user, 2)
    hub.emit("/queue", user, "e", {"a": 1})
    hub.emit("/chat", user, "e", {})
    hub.emit_to_all("/queue", ["u", "o", "nobody"], "f", {})
    first, second = '42/queue,["e",{"a":1}]', '42/queue,["f",{}]'
    assert hub.take() == [Send(1, first), Send(1, second), Send(3, second)]
    assert hub.listeners("/queue") == 2


def test_events_that_are_lost_are_a_share_of_each_kind() -> None:
    hub, user = Outbox(FaultSwitches(faults=parse_faults(["lose-fanout=0.5"]))), User("u", 0.0)
    hub.join("/queue", user, 1)
    for event in ("match", "match", "end", "match", "match"):
        hub.emit("/queue", user, event, {})
    kept = [effect.data for effect in hub.take() if isinstance(effect, Send)]
    assert kept.count('42/queue,["match",{}]') == 2


def test_a_packet_is_the_text_that_socket_io_sends() -> None:
    assert packet_of("/chat", "message:new", {"text": "é\n"}) == '42/chat,["message:new",{"text":"é\\n"}]'
