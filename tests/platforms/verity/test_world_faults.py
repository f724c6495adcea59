"""Every fault of the Verity world that needs the server around it, planted in a sandbox process and seen over real
sockets; the others are tested with the part of the world they belong to."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from pika_locust.platforms.verity.world import PLATFORM
from pika_locust.sandbox import SandboxProcess, start_sandbox
from tests.platforms.verity.world_driver import purchase, signed


class SandboxClient:
    """A sandbox, and the ways to talk to it."""

    def __init__(self, process: SandboxProcess, stack: ExitStack) -> None:
        self.process = process
        self._stack = stack

    def ask(self, method: str, path: str, body: Any = None, timeout_s: float = 5.0, **headers: str) -> tuple[int, Any]:
        data = json.dumps(body).encode() if body is not None else None
        sent = {"content-type": "application/json", **{name.replace("_", "-"): v for name, v in headers.items()}}
        request = urllib.request.Request(f"{self.process.url}{path}", data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def member(self, tokens: int = 0) -> tuple[str, dict[str, str]]:
        """The user's id, and the header that stands for them."""
        account = self.ask("POST", "/auth/signup-anonymous", {})[1]
        user_id = account["user"]["id"]
        if tokens:
            event = purchase(user_id, tokens, f"evt_{user_id}")
            signature = signed(json.dumps(event).encode(), time.time())
            assert self.ask("POST", "/webhooks/stripe", event, stripe_signature=signature)[0] == 200
        return user_id, {"authorization": f"Bearer {account['accessToken']}"}

    def open(self) -> ClientConnection:
        url = f"ws://127.0.0.1:{self.process.port}/socket.io/?EIO=4&transport=websocket"
        return self._stack.enter_context(connect(url, compression=None, ping_interval=None))


def end_of(socket: ClientConnection) -> int | None:
    """The code with which the server ends a socket; None when it just cuts it."""
    try:
        while True:
            socket.recv(3)
    except ConnectionClosed as ended:
        return ended.rcvd.code if ended.rcvd is not None else None


@pytest.fixture(scope="module")
def process() -> Iterator[SandboxProcess]:
    with start_sandbox(["verity"], env={}) as process:
        yield process


@pytest.fixture
def client(process: SandboxProcess) -> Iterator[SandboxClient]:
    process.clear_faults()
    process.reset()
    with ExitStack() as stack:
        yield SandboxClient(process, stack)
        process.clear_faults()


@pytest.mark.alone
def test_latency_delays_answers_and_packets(client: SandboxClient) -> None:
    client.process.set_faults({"latency": 200})
    started = time.monotonic()
    assert client.ask("POST", "/auth/refresh")[0] == 401
    assert 0.2 <= time.monotonic() - started < 0.5
    socket = client.open()
    started = time.monotonic()
    assert str(socket.recv(5)).startswith("0{")
    assert time.monotonic() - started < 0.5


def test_error_answers_500_and_processes_nothing(client: SandboxClient) -> None:
    user_id, header = client.member(10)
    client.process.set_faults({"error": 0.5})
    answers = Counter()
    for _ in range(4):
        answers[client.ask("POST", "/queue/join", {"preferences": {"alone": user_id}}, **header)[0]] += 1
        answers[client.ask("DELETE", "/queue/leave", **header)[0]] += 1
    assert answers == {500: 4, 201: 2, 200: 2}
    assert client.process.state()["webhooks"]["received"] == 1


def test_drop_never_answers_what_it_has_done(client: SandboxClient) -> None:
    user_id, header = client.member(1)
    client.process.set_faults({"drop": 1})
    with pytest.raises(TimeoutError):
        client.ask("POST", "/queue/join", {}, timeout_s=0.3, **header)
    assert client.process.state()["balances"] == {user_id: 0}


def test_throttle_limits_each_route(client: SandboxClient) -> None:
    client.process.set_faults({"throttle": "6/60s"})
    assert Counter(client.ask("GET", "/health")[0] for _ in range(10)) == {200: 6, 429: 4}
    assert client.ask("POST", "/auth/refresh")[0] == 401


def test_refuse_turns_a_share_of_the_upgrades_away(client: SandboxClient) -> None:
    client.process.set_faults({"refuse": 0.3})
    seen: Counter[int] = Counter()
    for _ in range(10):
        try:
            client.open()
            seen[101] += 1
        except InvalidStatus as error:
            seen[error.response.status_code] += 1
    assert seen == {101: 7, 503: 3}


def test_close_after_cuts_the_socket_and_so_leaves_the_queue(client: SandboxClient) -> None:
    user_id, header = client.member(1)
    client.process.set_faults({"close-after": 0.3})
    socket = client.open()
    socket.send(f'40/queue,{{"token":"{header["authorization"].partition(" ")[2]}"}}')
    assert client.ask("POST", "/queue/join", {}, **header)[0] == 201
    assert end_of(socket) is None
    assert client.process.state()["balances"] == {user_id: 1}


def test_a_kicked_socket_ends_with_a_close_frame_without_a_code(client: SandboxClient) -> None:
    socket = client.open()
    socket.send('40/queue,{"token":"bad"}')
    assert end_of(socket) == 1005


def test_there_is_a_test_for_every_fault_of_the_platform() -> None:
    elsewhere = {"leak", "crash-after", "max-sockets"}  # tests/sandbox
    payments = {"forged-500", "forget-signature", "forget-event", "redelivery-500", "lose-write", "double"}
    worker, sessions = {"no-match", "late-match", "ghost"}, {"dead-session", "end-early", "kept-token"}
    events = {"lose-fanout", "swallow-starts", "swallow-ends", "swallow-outcomes", "swallow-statuses"}
    events |= {"double-matches", "wrong-outcomes", "miscount-searching"}
    here = {"latency", "error", "drop", "throttle", "refuse", "close-after"}
    assert PLATFORM.supports == elsewhere | payments | worker | sessions | events | here
