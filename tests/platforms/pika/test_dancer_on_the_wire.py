"""Dancers as Locust runs them, over real sockets, against a server that does what a test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from locust.event import Events
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from pika_locust.platforms.pika import dancer as habits
from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.platforms.pika.scenarios import DANCERS
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.messages import RunStart
from pika_locust.settings import read_settings
from tests.platforms.pika.evening import SESSION, now_playing, outcomes

HISTORY = f"/api/session/{SESSION}/history"

Play = Callable[["Stage", ServerConnection, int], None]


class Stage:
    """A server in a thread of its own; `play` says what happens on the n-th connection."""

    def __init__(self, play: Play) -> None:
        self.heard: list[list[dict[str, Any]]] = []
        self.opened_s: list[float] = []
        self.asked: list[str] = []
        self._play = play
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
        self._play(self, connection, len(self.heard))

    def hear(self, connection: ServerConnection) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(connection.recv(timeout=20))
        self.heard[-1].append(message)
        return message

    def tell(self, connection: ServerConnection, **message: Any) -> None:
        connection.send(json.dumps(message, separators=(",", ":")))

    def ack(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        self.tell(connection, type="ACK", messageId=message["messageId"], status="ok", timestamp="t")


class Floor:
    """Dancers in greenlets, as Locust has them."""

    def __init__(self, port: int) -> None:
        settings, _ = read_settings(DANCERS.settings, {}, "pika")
        begin = RunStart("0123456789ab", 7, f"ws://127.0.0.1:{port}/ws", settings.public(), None, False, 0, 30.0)
        events = Events()
        self.worker = WorkerContext(begin, DANCERS, settings, 0, lambda topic, data: None, events.request)
        self.environment = SimpleNamespace(
            events=events, pika_locust=SimpleNamespace(wait_for_context=lambda timeout_s: self.worker)
        )
        self.greenlets: list[Any] = []

    def enter(self) -> Dancer:
        dancer = Dancer(self.environment)
        self.greenlets.append(gevent.spawn(dancer.run))
        return dancer

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
def stage() -> Iterator[Callable[[Play], Stage]]:
    built: list[Stage] = []

    def build(play: Play) -> Stage:
        built.append(Stage(play))
        return built[-1]

    yield build
    for each in built:
        each.close()


def test_who_is_cut_off_comes_back_as_the_same_and_brings_its_likes(
    stage: Callable[[Play], Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(habits, "LIKE_CHANCE", 1.0)
    monkeypatch.setattr(habits, "LIKE_WITHIN_S", 0.5)
    monkeypatch.setattr(habits, "TEMPO_CHANCE", 0.0)
    monkeypatch.setattr(habits, "THANKS_CHANCE", 0.0)
    cut_s: list[float] = []

    def play(server: Stage, connection: ServerConnection, number: int) -> None:
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

    server = stage(play)
    floor = Floor(server.port)
    floor.enter()
    floor.wait_for(lambda: len(server.heard) == 2 and len(server.heard[1]) > 1)
    floor.drain()
    first, second = server.heard
    assert 1.0 <= server.opened_s[1] - cut_s[0] < 3.0
    assert [message["type"] for message in second][:2] == ["SUBSCRIBE", "SEND_BULK_LIKE"]
    assert {message["clientId"] for message in (*first, *second)} == {first[0]["clientId"]}
    assert second[1]["payload"]["tracks"] == [{"title": "Sway", "artist": "Kenny Dorham"}]
    assert server.asked.count("/api/sessions/active") == 2
    assert server.asked.count(HISTORY) >= 1
    assert outcomes(floor.worker.ledgers["likes"]) == {"sent": 1, "acked": 1}
    for name, requests in (("sessions_active", 2), ("session_history", server.asked.count(HISTORY))):
        assert floor.worker.metrics.counter("http_reqs").tagged(name=name).own_value().count == requests
    assert floor.worker.metrics.rate("http_req_failed").read().passes == 0  # type: ignore[union-attr]
    assert floor.worker.metrics.trend("http_req_duration").read().count == len(server.asked)  # type: ignore[union-attr]
    assert [text for name, text in floor.worker.errors if name == "connection"] != []
    assert floor.worker.internal_errors == []


def test_frames_that_come_with_the_upgrade_or_all_at_once_are_all_taken(
    stage: Callable[[Play], Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(habits, "THANKS_CHANCE", 0.0)
    frames = 500

    def play(server: Stage, connection: ServerConnection, number: int) -> None:
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

    server = stage(play)
    floor = Floor(server.port)
    dancer = floor.enter()
    floor.wait_for(lambda: hasattr(dancer, "line") and dancer.subscription.is_live)
    floor.drain()
    assert floor.worker.metrics.counter("ws_messages_received").own_value().count >= frames + 4
    assert {text for name, text in floor.worker.errors if name == "receive"} == {
        "a message that is not a JSON object",
        "a binary message, which the protocol does not have",
    }
    assert floor.worker.internal_errors == []
    assert floor.worker.metrics.rate("ws_connection_kept").own_value().fails == 0
