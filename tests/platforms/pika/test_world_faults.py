"""Every fault of the Pika world, planted in a sandbox process and seen over real sockets by an independent client."""

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

from pika_locust.platforms.pika.world import PLATFORM
from pika_locust.sandbox import SandboxProcess, start_sandbox

SESSION = "friday-social"
TRACK = {"title": "Blue Bossa", "artist": "Kenny Dorham"}
DANCERS = 40


class Sandbox:
    """A sandbox with a DJ and dancers, reset before each test."""

    def __init__(self, process: SandboxProcess, stack: ExitStack) -> None:
        self.process = process
        self._stack = stack

    def open(self) -> ClientConnection:
        url = f"ws://127.0.0.1:{self.process.port}/ws"
        return self._stack.enter_context(connect(url, compression=None, max_queue=None, ping_interval=None))

    def dj(self) -> ClientConnection:
        socket = self.open()
        say(socket, "REGISTER_SESSION", sessionId=SESSION, messageId="r")
        hear_until(socket, "ACK")
        say(socket, "BROADCAST_TRACK", sessionId=SESSION, track=TRACK, messageId="t")
        hear_until(socket, "ACK")
        return socket

    def dancers(self, number: int = DANCERS) -> list[ClientConnection]:
        sockets = [self.open() for _ in range(number)]
        for n, socket in enumerate(sockets):
            say(socket, "SUBSCRIBE", sessionId=SESSION, clientId=f"client_{n:03}", messageId="s")
            hear_until(socket, "ACK")
        return sockets

    def http(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"{self.process.url}{path}") as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture(scope="module")
def process() -> Iterator[SandboxProcess]:
    with start_sandbox(["pika"]) as process:
        yield process


@pytest.fixture
def sandbox(process: SandboxProcess) -> Iterator[Sandbox]:
    process.clear_faults()
    process.reset()
    with ExitStack() as stack:
        yield Sandbox(process, stack)
        process.clear_faults()


def say(socket: ClientConnection, type_: str, **fields: Any) -> None:
    socket.send(json.dumps({"type": type_, **fields}))


def hear_until(socket: ClientConnection, type_: str) -> Counter[str]:
    """Types heard up to and with the first of that type."""
    heard: Counter[str] = Counter()
    while not heard[type_]:
        heard[json.loads(socket.recv(5))["type"]] += 1
    return heard


def hear_all(socket: ClientConnection) -> Counter[str]:
    """Types heard so far: everything up to the answer to a PING."""
    say(socket, "PING")
    heard = hear_until(socket, "PONG")
    del heard["PONG"]
    return heard


def act(sandbox: Sandbox) -> Counter[str]:
    """Every dancer likes, votes for a tempo and votes on the poll; returns the answers to these."""
    dj, dancers = sandbox.dj(), sandbox.dancers()
    say(dj, "START_POLL", sessionId=SESSION, question="?", options=["a", "b"], messageId="p")
    hear_until(dj, "ACK")
    answers: Counter[str] = Counter()
    for n, dancer in enumerate(dancers):
        hear_all(dancer)
        say(dancer, "SEND_LIKE", sessionId=SESSION, payload={"track": TRACK}, messageId="l")
        say(dancer, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="faster", messageId="f")
        say(dancer, "VOTE_ON_POLL", pollId=1, optionIndex=0, clientId=f"client_{n:03}", messageId="v")
        answers += hear_all(dancer)
    return answers


def held(sandbox: Sandbox) -> tuple[int, int, int]:
    state = sandbox.process.state()
    return state["likes_held"], state["tempo_held"], state["poll_votes_held"]


def test_without_faults_everything_acknowledged_is_held(sandbox: Sandbox) -> None:
    assert act(sandbox)["ACK"] == 3 * DANCERS
    assert held(sandbox) == (DANCERS, DANCERS, DANCERS)


def test_lose_write_acknowledges_everything_and_keeps_less_of_each_kind(sandbox: Sandbox) -> None:
    sandbox.process.set_faults({"lose-write": 0.1})
    answers = act(sandbox)
    assert (answers["ACK"], answers["NACK"]) == (3 * DANCERS, 0)
    assert held(sandbox) == (36, 36, 36)
    hits = sandbox.process.state()["fault_hits"]["lose-write"]["by_kind"]
    assert hits == {kind: {"eligible": 40, "hit": 4} for kind in ("like", "tempo", "vote")}


def test_double_acknowledges_once_and_keeps_twice(sandbox: Sandbox) -> None:
    sandbox.process.set_faults({"double": 0.25})
    assert act(sandbox)["ACK"] == 3 * DANCERS
    assert held(sandbox) == (50, 50, 50)
    with urllib.request.urlopen(f"{sandbox.process.url}/api/session/{SESSION}/recap") as answer:
        assert json.load(answer)["totalLikes"] == 50


def test_drop_processes_but_does_not_answer(sandbox: Sandbox) -> None:
    dj, (one,) = sandbox.dj(), sandbox.dancers(1)
    hear_all(dj)
    sandbox.process.set_faults({"drop": 0.2})
    for n in range(50):
        say(one, "SEND_TEMPO_REQUEST", sessionId=SESSION, preference="faster", messageId=f"m{n}")
    assert hear_all(one)["ACK"] == 40
    assert hear_all(dj)["TEMPO_FEEDBACK"] == 50


def test_lose_fanout_spreads_the_losses_of_each_kind_over_everyone(sandbox: Sandbox) -> None:
    dj, dancers = sandbox.dj(), sandbox.dancers(10)
    for socket in (dj, *dancers):
        hear_all(socket)
    sandbox.process.set_faults({"lose-fanout": 0.1})
    for n in range(20):
        say(dj, "SEND_ANNOUNCEMENT", sessionId=SESSION, message=f"n{n}", messageId="a")
        hear_until(dj, "ACK")
        say(dj, "SEND_REACTION", sessionId=SESSION, reaction="thank_you", messageId="b")
        hear_until(dj, "ACK")
    heard = [hear_all(dancer) for dancer in dancers]
    assert [h["ANNOUNCEMENT_RECEIVED"] for h in heard] == [18] * 10
    assert [h["REACTION_RECEIVED"] for h in heard] == [18] * 10
    by_kind = sandbox.process.state()["fault_hits"]["lose-fanout"]["by_kind"]
    assert by_kind["ANNOUNCEMENT_RECEIVED"] == {"eligible": 200, "hit": 20}


def test_frames_to_dancers_are_exactly_those_that_arrived(sandbox: Sandbox) -> None:
    dj, dancers = sandbox.dj(), [sandbox.open() for _ in range(5)]
    sandbox.process.set_faults({"lose-fanout": 0.15, "drop": 0.3})
    arrived: Counter[str] = Counter()
    for n, dancer in enumerate(dancers):
        say(dancer, "SUBSCRIBE", sessionId=SESSION, clientId=f"client_{n:03}", messageId="s")
        say(dancer, "SEND_LIKE", sessionId=SESSION, payload={"track": TRACK}, messageId="l")
        arrived += hear_all(dancer)
    say(dj, "END_SESSION", sessionId=SESSION)
    hear_all(dj)
    for dancer in dancers:
        arrived += hear_all(dancer)
    # the answers to the PINGs of `hear_all` are frames as well
    assert sandbox.process.state()["frames_to_dancers"] == arrived.total() + 10


@pytest.mark.alone
def test_latency_delays_answers_and_broadcasts(sandbox: Sandbox) -> None:
    dj, (one,) = sandbox.dj(), sandbox.dancers(1)
    hear_all(one)
    sandbox.process.set_faults({"latency": 200})
    started = time.monotonic()
    say(dj, "SEND_REACTION", sessionId=SESSION, reaction="thank_you", messageId="m")
    hear_until(one, "REACTION_RECEIVED")
    assert 0.2 <= time.monotonic() - started < 0.5
    started = time.monotonic()
    assert sandbox.http("/health") == 200
    assert 0.2 <= time.monotonic() - started < 0.5


def test_error_answers_http_with_500(sandbox: Sandbox) -> None:
    sandbox.process.set_faults({"error": 0.5})
    paths = ("/health", "/api/sessions/active")
    answers = Counter((path, sandbox.http(path)) for _ in range(10) for path in paths)
    assert answers == {(path, status): 5 for path in paths for status in (200, 500)}


@pytest.mark.parametrize(
    ("fault", "value", "status", "refused"),
    [("refuse", 0.3, 503, 3), ("throttle", "6/60s", 429, 4)],
    ids=["refuse", "throttle"],
)
def test_upgrades_are_refused(sandbox: Sandbox, fault: str, value: object, status: int, refused: int) -> None:
    sandbox.process.set_faults({fault: value})
    seen: Counter[int] = Counter()
    for _ in range(10):
        try:
            sandbox.open()
            seen[101] += 1
        except InvalidStatus as error:
            seen[error.response.status_code] += 1
    assert seen == {101: 10 - refused, status: refused}
    assert sandbox.process.state()["connections_refused"] == refused


def test_a_dead_session_registers_but_is_not_there_for_dancers(sandbox: Sandbox) -> None:
    sandbox.process.set_faults({"dead-session": True})
    sandbox.dj()
    one = sandbox.open()
    say(one, "SUBSCRIBE", sessionId=SESSION, clientId="client_one", messageId="s")
    heard = hear_until(one, "ACK")
    assert (heard["SESSION_ENDED"], heard["NOW_PLAYING"]) == (1, 0)
    sandbox.process.clear_faults()
    say(one, "SUBSCRIBE", sessionId=SESSION, messageId="s")
    assert hear_until(one, "ACK")["NOW_PLAYING"] == 1


@pytest.mark.alone
def test_close_after_cuts_every_socket(sandbox: Sandbox) -> None:
    sandbox.process.set_faults({"close-after": 0.2})
    started = time.monotonic()
    one = sandbox.open()
    with pytest.raises(ConnectionClosed) as ended:
        one.recv(3)
    assert ended.value.rcvd is None
    assert 0.2 <= time.monotonic() - started < 0.6


def test_there_is_a_test_for_every_fault_of_the_platform() -> None:
    elsewhere = {"leak", "crash-after", "max-sockets"}  # tests/sandbox
    elsewhere |= {fault.name for fault in PLATFORM.named}  # test_world.py
    here = {"latency", "error", "drop", "lose-write", "lose-fanout", "double", "throttle", "refuse", "close-after"}
    assert PLATFORM.supports == elsewhere | here | {"dead-session"}
