"""Dancers as Locust runs them, over real sockets, against a server that does what a test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from pika_locust.platforms.pika import dancer
from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.platforms.pika.scenarios import DANCERS
from pika_locust.testing.worker import make_context, make_user
from tests.platforms.pika.harness import SESSION, now_playing

HISTORY = f"/api/session/{SESSION}/history"

Script = Callable[["ScriptedServer", ServerConnection, int], None]


class ScriptedServer:
    """A server in a thread of its own; `script` says what happens on the n-th connection."""

    def __init__(self, script: Script) -> None:
        self.heard: list[list[dict[str, Any]]] = []
        self.opened_s: list[float] = []
        self.asked: list[str] = []
        self._script = script
        self._server: Server = serve(
            self._welcome, "127.0.0.1", 0, process_request=self._answer, ping_interval=None, compression=None
        )
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/ws":
            return None
        self.asked.append(request.path)
        return connection.respond(200, "[]")

    def _welcome(self, connection: ServerConnection) -> None:
        self.opened_s.append(time.monotonic())
        self.heard.append([])
        self._script(self, connection, len(self.heard))

    def hear(self, connection: ServerConnection) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(connection.recv(timeout=20))
        self.heard[-1].append(message)
        return message

    def tell(self, connection: ServerConnection, **message: Any) -> None:
        connection.send(json.dumps(message, separators=(",", ":")))

    def ack(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        self.tell(connection, type="ACK", messageId=message["messageId"], status="ok", timestamp="t")


class Dancers:
    """Dancers in greenlets, as Locust has them."""

    def __init__(self, port: int) -> None:
        self.worker = make_context(DANCERS, target=f"ws://127.0.0.1:{port}/ws")
        self.greenlets: list[Any] = []

    def start(self) -> Dancer:
        user = make_user(Dancer, self.worker)
        self.greenlets.append(gevent.spawn(user.run))
        return user

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + 15.0
        while not condition():
            assert time.monotonic() < deadline_s, self.worker.errors
            gevent.sleep(0.01)

    def drain(self) -> None:
        self.worker.drain("primary", 10.0)
        gevent.joinall(self.greenlets, timeout=5.0, raise_error=True)
        self.worker.end()


@pytest.fixture
def serve_script() -> Iterator[Callable[[Script], ScriptedServer]]:
    built: list[ScriptedServer] = []

    def build(script: Script) -> ScriptedServer:
        built.append(ScriptedServer(script))
        return built[-1]

    yield build
    for each in built:
        each.close()


def test_who_is_cut_off_comes_back_as_the_same_and_brings_its_likes(
    serve_script: Callable[[Script], ScriptedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dancer, "LIKE_CHANCE", 1.0)
    monkeypatch.setattr(dancer, "LIKE_WITHIN_S", 0.5)
    monkeypatch.setattr(dancer, "TEMPO_CHANCE", 0.0)
    monkeypatch.setattr(dancer, "THANKS_CHANCE", 0.0)
    cut_s: list[float] = []

    def script(server: ScriptedServer, connection: ServerConnection, number: int) -> None:
        joined = server.hear(connection)
        server.tell(connection, type="SESSIONS_LIST", sessions=[])
        server.ack(connection, joined)
        if number == 1:
            server.tell(connection, **now_playing("Sway"))
            cut_s.append(time.monotonic())
            connection.socket.shutdown(2)
            return
        for message in connection:
            server.heard[-1].append(json.loads(message))
            server.ack(connection, server.heard[-1][-1])

    server = serve_script(script)
    dancers = Dancers(server.port)
    dancers.start()
    dancers.wait_for(lambda: len(server.heard) == 2 and len(server.heard[1]) > 1)
    dancers.drain()
    first, second = server.heard
    assert 1.0 <= server.opened_s[1] - cut_s[0] < 3.0
    assert [message["type"] for message in second][:2] == ["SUBSCRIBE", "SEND_BULK_LIKE"]
    assert {message["clientId"] for message in (*first, *second)} == {first[0]["clientId"]}
    assert second[1]["payload"]["tracks"] == [{"title": "Sway", "artist": "Kenny Dorham"}]
    assert server.asked.count("/api/sessions/active") == 2
    assert server.asked.count(HISTORY) >= 1
    assert dancers.worker.ledger_of("likes") == {"sent": 1, "acked": 1}
    for name, requests in (("sessions_active", 2), ("session_history", server.asked.count(HISTORY))):
        assert dancers.worker.count_of("http_reqs", name=name) == requests
    assert dancers.worker.rate_of("http_req_failed")[0] == 0
    assert dancers.worker.trend_of("http_req_duration").count == len(server.asked)
    assert dancers.worker.errors_of("connection") != []
    assert dancers.worker.internal_errors == []


def test_frames_that_come_with_the_upgrade_or_all_at_once_are_all_taken(
    serve_script: Callable[[Script], ScriptedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dancer, "THANKS_CHANCE", 0.0)
    frames = 500

    def script(server: ScriptedServer, connection: ServerConnection, number: int) -> None:
        server.tell(connection, type="LISTENER_COUNT", sessionId=SESSION, count=1)
        joined = server.hear(connection)
        for count in range(frames):
            server.tell(connection, type="LISTENER_COUNT", sessionId=SESSION, count=count)
        connection.send("this is not JSON")
        connection.send(b"\x00")
        server.tell(connection, type="SESSIONS_LIST", sessions=[])
        server.ack(connection, joined)
        for message in connection:
            server.ack(connection, json.loads(message))

    server = serve_script(script)
    dancers = Dancers(server.port)
    user = dancers.start()
    dancers.wait_for(lambda: user.is_live)
    dancers.drain()
    assert dancers.worker.count_of("ws_messages_received") >= frames + 4
    assert set(dancers.worker.errors_of("receive")) == {
        "a message that is not a JSON object",
        "a binary message, which the protocol does not have",
    }
    assert dancers.worker.internal_errors == []
    assert dancers.worker.rate_of("ws_connection_kept")[1] == 0
