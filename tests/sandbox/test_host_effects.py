"""Effects of a world: carried out on the sockets and exchanges they are for."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from websockets.exceptions import ConnectionClosed

from pika_locust.sandbox.faults import FaultSwitches
from pika_locust.sandbox.host import EffectExecutor
from pika_locust.sandbox.world import Answer, Begin, Chunk, Close, End, Ping, Publish, Reply, Send
from tests.sandbox.conftest import Served
from tests.sandbox.echo_world import echo_platform

Serve = Callable[..., Served]


def test_effects_reach_the_sockets_they_are_for(serve: Serve) -> None:
    served = serve(echo_platform())
    one, two = served.socket(), served.socket()
    one.send("all hello")
    assert one.recv(2) == "ok"
    assert two.recv(2) == "hello"
    two.send(b"\x00\x01")
    assert two.recv(2) == b"\x00\x01"


def test_closing_and_cutting(serve: Serve) -> None:
    served = serve(echo_platform())
    one, two = served.socket(), served.socket()
    one.send("bye")
    assert one.recv(2) == "goodbye"
    with pytest.raises(ConnectionClosed) as ended:
        one.recv(2)
    assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (4001, "as asked")  # type: ignore[union-attr]
    two.send("cut")
    assert two.recv(2) == "1 left"
    with pytest.raises(ConnectionClosed) as ended:
        two.recv(2)
    assert ended.value.rcvd is None
    assert served.state()["log"] == [["opened", 1, "/ws"], ["opened", 2, "/ws"], ["closed", 1], ["closed", 2]]


def test_a_world_may_answer_later_and_in_pieces(serve: Serve) -> None:
    served = serve(echo_platform())
    assert served.http("GET", "/later")[:2] == (200, "later")
    assert served.http("GET", "/stream")[:2] == (200, "data: 3\n\ndata: 2\n\ndata: 1\n\n")
    assert served.http("POST", "/now", {"a": 1})[:2] == (200, 'POST /now {"a": 1}')


def test_lose_fanout_withholds_its_share_of_frames_spread_over_the_recipients(serve: Serve) -> None:
    served = serve(echo_platform(), faults=("lose-fanout=0.1",))
    sender, *others = [served.socket() for _ in range(11)]
    for n in range(50):
        sender.send(f"all {n}")
        assert sender.recv(2) == "ok"
    got = []
    for other in others:
        other.send("end")
        seen = 0
        while other.recv(2) != "end":
            seen += 1
        got.append(seen)
    assert got == [45] * 10
    assert served.state()["fault_hits"]["lose-fanout"]["by_kind"] == {"all": {"eligible": 500, "hit": 50}}


def test_an_effect_on_a_connection_that_is_gone_has_no_effect() -> None:
    loop = SimpleNamespace(call_soon=lambda call: None)
    executor = EffectExecutor("echo", FaultSwitches(), loop)  # type: ignore[arg-type]
    executor.perform([Send(1, "hello"), Ping(1), Close(1, 1000), Publish("to nobody", 1, "all")])
    executor.perform([Begin(7, 200, ()), Chunk(7, b"x"), End(7), Reply(7, Answer.text("too late"))])
    assert executor.sockets == {}
    assert not executor.abandoned(7)
