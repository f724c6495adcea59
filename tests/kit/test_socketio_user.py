"""SocketIOUser, against servers that say what a test asks for and against python-socketio's own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from locust.exception import LocustError

from pika_locust import SocketIOUser
from pika_locust.wire.tracing import TraceSampler
from tests.kit.locust_user import LoneUser
from tests.wire.http_servers import serving
from tests.wire.socketio_servers import Servers, running
from tests.wire.websocket_servers import Talk, close_frame, frame, until, upgraded

OPENING = b'0{"sid":"e","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running() as both:
        yield both


class Trial(LoneUser):
    def __init__(self, url: str, kind: type[Any] = SocketIOUser) -> None:
        super().__init__(url, kind)
        self.sio = self.user.sio


@pytest.fixture
def trial() -> Iterator[Callable[..., Trial]]:
    started: list[Trial] = []

    def start(url: str, kind: type[Any] = SocketIOUser) -> Trial:
        started.append(Trial(url, kind))
        return started[-1]

    with gevent.Timeout(20):
        yield start
    for one in started:
        one.sio.disconnect()


Start = Callable[..., Trial]


def test_a_connection_and_what_is_said_on_it_are_requests(servers: Servers, trial: Start) -> None:
    one = trial(servers.real)
    assert one.sio.connect("/", namespaces="/queue", auth={"token": "good"})
    assert one.sio.connected
    assert one.sio.call("add", (1, 2, 3), namespace="/queue") == 6
    assert one.sio.emit("ask", "tea?", namespace="/queue")
    assert one.sio.receive("question") == ["question", "tea?"]
    assert one.names[:3] == [("WS", "connect"), ("WSC", "add"), ("WSE", "ask")]
    assert ("WSR", "question") in one.names
    connected, called, emitted = one.events[:3]
    assert 0 < connected["response_time"] < 5000
    assert 0 < called["response_time"] < 5000
    assert (called["response_length"], emitted["response_length"]) == (3, len('["ask","tea?"]'))
    assert emitted["response_time"] is None
    assert one.failures == []


def test_what_a_handler_returns_acknowledges(servers: Servers, trial: Start) -> None:
    one = trial(servers.real)
    asked, answered = [], []

    @one.sio.on("question", namespace="/queue")
    def question(text: str) -> tuple[str, int]:
        asked.append(text)
        return "green", 2

    one.sio.on("answered", lambda *words: answered.append(words), namespace="/queue")
    assert one.sio.connect(servers.real)
    one.sio.emit("ask", "which tea?", namespace="/queue")
    until(lambda: answered)
    assert (asked, answered) == (["which tea?"], [("green", 2)])
    assert ("WSR", "question") not in one.names


def test_namespaces_are_those_with_handlers(servers: Servers, trial: Start) -> None:
    one = trial(servers.real)
    hellos: list[Any] = []
    one.sio.on("hello", hellos.append, namespace="/video")
    one.sio.on("connect", lambda: hellos.append("connected"), namespace="/video")
    assert one.sio.connect(servers.real, auth=lambda: {"token": "t"})
    until(lambda: len(hellos) == 2)
    assert {"to": {"token": "t"}} in hellos
    assert "connected" in hellos
    assert not one.sio.emit("a", namespace="/queue")
    assert one.failures == ["the namespace /queue is not connected"]


def test_a_callback_hears_what_is_acknowledged(servers: Servers, trial: Start) -> None:
    one = trial(servers.real)
    sums: list[int] = []
    one.sio.connect(servers.real, namespaces=["/queue"])
    one.sio.emit("add", (20, 22), namespace="/queue", callback=sums.append)
    until(lambda: sums)
    assert sums == [42]


def test_a_namespace_that_is_refused_is_a_failed_request(servers: Servers, trial: Start) -> None:
    one = trial(servers.real)
    refused: list[Any] = []
    one.sio.on("connect_error", refused.append, namespace="/queue")
    assert not one.sio.connect(servers.real, namespaces=["/queue"], auth={"token": "bad"})
    assert not one.sio.connected
    assert refused == [{"message": "no such user"}]
    assert one.names == [("WS", "connect")]
    assert one.failures == ["the server refused the namespace /queue: no such user"]
    assert one.sio.receive(timeout=1) is None
    assert one.failures[1:] == ["there is no connection"]


def test_a_refusal_that_nobody_waits_for_is_reported_all_the_same(servers: Servers, trial: Start) -> None:
    one = trial(servers.real)
    assert one.sio.connect(servers.real, namespaces=["/queue"], auth={"token": "bad"}, wait=False)
    until(lambda: one.failures)
    assert one.failures == ["the server refused the namespace /queue: no such user"]


def test_a_namespace_that_is_not_answered_in_time(trial: Start) -> None:
    def script(talk: Talk) -> None:
        talk.send(frame(OPENING))
        while talk.frame() is not None:
            pass

    with serving(upgraded(script)) as server:
        one = trial(server.url)
        assert not one.sio.connect("/", wait_timeout=0.1)
        assert one.failures == ["the server did not accept / within 0.1 s"]
        assert 100 <= one.events[0]["response_time"] < 2000


def test_a_server_that_is_gone(trial: Start) -> None:
    with serving(lambda peer: None) as server:
        url = server.url
    one = trial(url)
    assert not one.sio.connect(url)
    assert one.sio.call("add", 1) is None
    assert not one.sio.send("hello")
    assert one.names == [("WS", "connect"), ("WSC", "add"), ("WSS", "Unnamed")]
    assert one.failures == ["connection refused", *["the namespace / is not connected"] * 2]


def test_a_kick_is_told(servers: Servers, trial: Start) -> None:
    one = trial(servers.real)
    reasons: list[str] = []
    one.sio.on("disconnect", reasons.append, namespace="/queue")
    one.sio.connect(servers.real)
    one.sio.emit("kick me", namespace="/queue")
    until(lambda: reasons)
    assert reasons == ["server disconnect"]
    assert not one.sio.emit("a", namespace="/queue")


def test_an_end_without_a_word_is_a_failure_and_ends_what_is_waited_for(servers: Servers, trial: Start) -> None:
    one = trial(servers.scripted)
    ended = []
    one.sio.on("disconnect", lambda: ended.append("/"))
    one.sio.connect("/die")
    assert one.sio.call("anything") is None
    assert one.names[-2:] == [("WS", "close"), ("WSC", "anything")]
    assert one.failures[-1] == "the connection ended before the acknowledgement"
    assert ended == ["/"]


@pytest.mark.parametrize(
    "last", [b"", frame(b'44{"message":"no"}') + close_frame(1011)], ids=["at once", "after a refusal"]
)
def test_a_connection_that_ends_before_its_namespaces_are_there_has_failed_once(last: bytes, trial: Start) -> None:
    def script(talk: Talk) -> None:
        talk.send(frame(OPENING))
        talk.frame()
        talk.send(last)

    with serving(upgraded(script)) as server:
        one = trial(server.url)
        assert not one.sio.connect("/")
    assert one.names == [("WS", "connect")]
    (failure,) = one.failures
    assert ("refused" if last else "the connection is over") in failure


def scripted(*packets: bytes) -> Callable[[Talk], None]:
    """A server that accepts `/`, says this, and echoes what it hears as the event `heard`."""

    def script(talk: Talk) -> None:
        talk.send(frame(OPENING))
        talk.frame()
        talk.send(frame(b'40{"sid":"s"}'), *map(frame, packets))
        while (received := talk.frame()) is not None and received[0] == 1:
            talk.send(frame(b'42["heard",%d]' % len(received[1])))
        talk.send(close_frame(1000))

    return script


def test_what_is_no_json_is_the_server_s_failure_not_the_locustfile_s(trial: Start) -> None:
    with serving(upgraded(scripted(b'42["broken",}', b'42["whole",1]'))) as server:
        one = trial(server.url)
        one.sio.connect("/")
        assert one.sio.receive("whole") == ["whole", 1]
        assert one.failures == ["the server sent a payload that is not JSON"]
        assert one.mistakes == []


def test_receiving_in_order_by_name_and_in_time(trial: Start) -> None:
    with serving(upgraded(scripted(b'42["a",1]', b'42["b",2,3]', b'42["c"]'))) as server:
        one = trial(server.url)
        one.sio.connect("/")
        assert one.sio.receive() == ["a", 1]
        assert one.sio.receive("c") == ["c"]
        assert one.sio.receive(timeout=0.05) is None
        assert one.sio.receive("d", timeout=0.05) is None
        assert one.names[1:] == [("WSR", "a"), ("WSR", "b"), ("WSR", "c"), ("WSR", "receive"), ("WSR", "d")]
        assert one.events[2]["response_length"] == len('["b",2,3]')


def test_a_mistake_in_a_handler_is_named_and_the_next_event_is_taken(
    trial: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), serving(upgraded(scripted(b'42["a",1]', b'42["b",2]'))) as server:
        one = trial(server.url)
        one.sio.on("a", lambda number: number / 0)
        one.sio.connect("/")
        assert one.sio.receive() == ["b", 2]
        assert [type(error) for error in one.mistakes] == [ZeroDivisionError]
        assert "ZeroDivisionError" in caplog.text


def test_no_acknowledgement_in_time_is_a_failure(trial: Start) -> None:
    with serving(upgraded(scripted())) as server:
        one = trial(server.url)
        one.sio.connect("/")
        assert one.sio.call("add", 1, timeout=0.05) is None
        assert one.failures == ["no acknowledgement within 0.05 s"]


def test_headers_and_a_path_of_its_own(trial: Start) -> None:
    class Named(SocketIOUser):
        abstract = True
        default_headers = {"X-Client": "load"}

    with serving(upgraded(scripted())) as server:
        one = trial(server.url, Named)
        assert one.sio.connect("/api", headers={"X-Two": "2"}, socketio_path="/live/")
        assert server.requests[0].startswith(b"GET /api/live/?EIO=4&transport=websocket HTTP/1.1\r\n")
        assert b"X-Client: load\r\n" in server.requests[0]
        assert b"X-Two: 2\r\n" in server.requests[0]


def test_a_sampled_connection_carries_a_trace_id_under_the_name_of_the_request(
    samples: TraceSampler, trial: Start
) -> None:
    with serving(upgraded(scripted())) as server:
        one = trial(server.url)
        assert one.sio.connect("/", name="join")
        one.sio.emit("hello")
    (trace,) = samples.kept
    assert f"traceparent: 00-{trace.trace_id}-".encode() in server.requests[0]
    assert (trace.name, trace.error) == ("join", "")


def test_a_user_that_is_stopped_leaves_its_namespaces_and_closes(trial: Start) -> None:
    class Waiting(SocketIOUser):
        abstract = True

        def on_start(self) -> None:
            self.sio.connect("/")
            self.sio.sleep(20)

    heard: list[tuple[int, bytes]] = []

    def script(talk: Talk) -> None:
        talk.send(frame(OPENING))
        talk.frame()
        talk.send(frame(b'40{"sid":"s"}'))
        while (received := talk.frame()) is not None:
            heard.append(received)

    with serving(upgraded(script)) as server:
        one = trial(server.url, Waiting)
        greenlet = gevent.spawn(one.user.run)
        until(lambda: one.names)
        greenlet.kill()
        until(lambda: len(heard) == 2)
        assert heard == [(1, b"41"), (8, b"\x03\xe9")]
        assert one.failures == []


def test_polling_and_options_are_refused_by_name(servers: Servers, trial: Start) -> None:
    with pytest.raises(LocustError, match="WebSocket only"):
        trial(servers.real).sio.connect(servers.real, transports=["polling"])
    with pytest.raises(LocustError, match="Mine: SocketIOUser has no options \\(reconnection_attempts\\)"):
        type("Mine", (SocketIOUser,), {"options": {"reconnection_attempts": 1}})
