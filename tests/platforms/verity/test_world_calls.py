from __future__ import annotations

import pytest

from pika_locust.platforms.verity.world_calls import Call, ReplySender
from pika_locust.platforms.verity.world_model import User
from pika_locust.sandbox.faults import FaultSwitches, parse_faults
from pika_locust.sandbox.socketio import Outbox
from pika_locust.sandbox.world import Answer, Reply, Request

REQUEST = Request("GET", "/a", "", {})


def call(route: str = "GET /a", **changes: object) -> Call:
    return Call(1, route, REQUEST, {}, 0.0, **changes)  # type: ignore[arg-type]


def test_an_answer_gets_the_headers_of_its_call_before_its_own() -> None:
    hub = Outbox(FaultSwitches())
    ReplySender(hub, FaultSwitches()).reply(call(headers=(("x", "1"),)), Answer(200, b"{}", (("y", "2"),)))
    assert hub.take() == [Reply(1, Answer(200, b"{}", (("x", "1"), ("y", "2"))))]


def test_dropped_answers_are_a_share_of_each_route() -> None:
    hub = Outbox(FaultSwitches())
    desk = ReplySender(hub, FaultSwitches(faults=parse_faults(["drop=0.5"])))
    for route in ("GET /a", "GET /b") * 4:
        desk.reply(call(route), Answer(200))
    assert len(hub.take()) == 4


def test_only_a_guarded_call_has_a_user() -> None:
    user = User("u", 0.0)
    assert call(someone=user).user is user
    with pytest.raises(AssertionError):
        _ = call().user
