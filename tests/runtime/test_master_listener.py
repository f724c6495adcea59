from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import msgpack
import pytest
import zmq.green as zmq
from locust import User
from locust.env import Environment
from locust.exception import RPCReceiveError
from locust.rpc.protocol import Message

from pika_locust.runtime.master_listener import keep_listening
from pika_locust.testing.worker import wait_until


class Master:
    """A master of Locust's own on a port of its own, and whoever connects to it."""

    def __init__(self) -> None:
        self.environment = Environment(user_classes=[User])
        self.runner: Any = self.environment.create_master_runner("127.0.0.1", 0)
        self.heard: list[str] = []
        self.runner.register_message("heard", lambda environment, msg: self.heard.append(msg.node_id))
        self.unreadable: list[tuple[str, str]] = []
        self._context = zmq.Context()

    def protect(self) -> None:
        keep_listening(self.runner, lambda worker, problem: self.unreadable.append((worker, problem)))

    def connect(self, name: str) -> Any:
        peer = self._context.socket(zmq.DEALER)
        peer.setsockopt(zmq.IDENTITY, name.encode())
        peer.setsockopt(zmq.LINGER, 0)
        peer.connect(f"tcp://127.0.0.1:{self.runner.server.port}")
        return peer

    def close(self) -> None:
        self.runner.greenlet.kill()
        self.runner.server.close(linger=0)
        self._context.destroy(linger=0)


@pytest.fixture
def master() -> Iterator[Master]:
    master = Master()
    master.protect()
    yield master
    master.close()


def deep(levels: int) -> bytes:
    """A list in a list in a list, as msgpack has it."""
    return b"\x91" * levels + b"\xc0"


GARBAGE = {
    "no msgpack": b"\xc1",
    "cut short": Message("heard", {"some": "data"}, "x").serialize()[:-3],
    "too deep": deep(100_000),
    "no message": msgpack.packb([1]),
    "not even a list": msgpack.packb(7),
    "bad text": b"\xa1\xff",
    "nothing": b"",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_after_garbage_the_master_hears_its_workers(garbage: bytes, master: Master) -> None:
    foreign, worker = master.connect("foreign"), master.connect("worker")
    foreign.send(garbage)
    gevent.sleep(0.05)
    worker.send(Message("heard", None, "worker").serialize())
    wait_until(lambda: master.heard)
    assert master.heard == ["worker"]


def test_after_a_message_of_locust_s_own_that_says_nonsense_the_sender_is_known(master: Master) -> None:
    worker = master.connect("worker")
    worker.send(Message("client_ready", -1, "worker").serialize())
    worker.send(Message("heartbeat", {"state": "ready"}, "worker").serialize())
    worker.send(Message("heard", None, "worker").serialize())
    wait_until(lambda: master.heard)
    assert master.unreadable == [("worker", "heartbeat: KeyError: 'current_cpu_usage'")]


def test_a_connection_that_is_made_anew_is_protected_as_well(master: Master) -> None:
    master.runner.greenlet.kill()
    master.runner.reset_connection()
    master.connect("foreign").send(deep(100_000))
    with pytest.raises(RPCReceiveError, match="not a message"):
        master.runner.server.recv_from_client()
