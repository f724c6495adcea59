from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from pika_locust.wire import socketio
from pika_locust.wire.socketio import SocketIo
from pika_locust.wire.socketio_protocol import all_of, arguments
from pika_locust.wire.websocket import Close, Limits
from pika_locust.wire.websocket_handshake import ConnectError
from tests.wire.socketio_doubles import RecordingHandler
from tests.wire.socketio_servers import Servers, running


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running() as both:
        yield both


def until(condition: Callable[[], Any], within_s: float = 3.0) -> float:
    """Wait for it; how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "it did not come about"
        gevent.sleep(0.005)
    return time.monotonic() - began


@pytest.fixture
def handler() -> RecordingHandler:
    return RecordingHandler()


@pytest.fixture
def dial(servers: Servers, handler: RecordingHandler) -> Iterator[Callable[..., SocketIo]]:
    """Connects to a script by its name, or to the real server by none."""
    clients: list[SocketIo] = []

    def connect(script: str = "", **options: Any) -> SocketIo:
        url = f"{servers.scripted}/{script}" if script else servers.real
        clients.append(socketio.connect(url, handler, **options))
        return clients[-1]

    yield connect
    for client in clients:
        client.abort()
    assert len(handler.closes) == len(clients), "each connection ends once"


def test_a_bad_token_is_accepted_then_kicked_then_cut(dial: Callable[..., SocketIo], handler: RecordingHandler) -> None:
    client = dial("kick")
    client.open("/queue", {"token": "bad"})
    client.open("/video", {"token": "bad"})
    until(lambda: handler.closes)
    assert sorted(handler.calls[:-1]) == [
        ("connect", "/queue"),
        ("connect", "/video"),
        ("kicked", "/queue"),
        ("kicked", "/video"),
    ]
    assert handler.closes == [Close(1000)]
    assert not client.is_open
    assert (client.counts.connects, client.counts.kicks) == (2, 2)


def test_two_namespaces_share_a_connection(dial: Callable[..., SocketIo], handler: RecordingHandler) -> None:
    client = dial("two", counts=socketio.Counts())
    client.open("/queue")
    client.open("/video")
    until(lambda: client.counts.connects == 2)
    assert client.emit("/video", "a", 1)
    assert client.emit("/queue", "b", {"x": "é"})
    until(lambda: client.counts.events == 2)
    before = time.monotonic_ns()
    events = [call for call in handler.calls if call[0] == "event"]
    assert [(namespace, name, arguments(payload)) for _, namespace, name, payload, _ in events] == [
        ("/video", b"said", ['42/video,["a",1]']),
        ("/queue", b"said", ['42/queue,["b",{"x":"é"}]']),
    ]
    assert before - 10**9 < events[0][-1] <= events[1][-1] == client.received_ns <= before
    client.close()
    until(lambda: handler.closes)
    assert handler.closes == [Close(1000, by_us=True)]
    assert client.counts.sent == 6, "CONNECT, an event and DISCONNECT in each"


def test_a_server_that_says_nothing_at_all(dial: Callable[..., SocketIo], handler: RecordingHandler) -> None:
    client = dial("silent", limits=Limits(connect_s=0.1))
    client.open("/")
    until(lambda: handler.closes)
    assert handler.closes == [Close(1006, by_us=True, error="the server sent no open packet")]
    assert client.counts.ping_timeouts == 0


@pytest.mark.alone
def test_events_do_not_keep_a_connection_alive_without_pings(
    dial: Callable[..., SocketIo], handler: RecordingHandler
) -> None:
    client = dial("no_ping")
    client.open("/")
    took_s = until(lambda: handler.closes)
    assert handler.closes == [Close(1006, by_us=True, error="the server sent no ping for 0.12 s")]
    assert 0.11 < took_s < 2
    assert client.counts.events > 3
    assert client.counts.ping_timeouts == 1


def test_a_connection_lives_as_long_as_its_pings_come(dial: Callable[..., SocketIo], handler: RecordingHandler) -> None:
    client = dial("pings")
    client.open("/")
    until(lambda: client.counts.events == 1)
    assert [call[3] for call in handler.calls if call[0] == "event"] == [b'["answered",6]']
    assert client.counts.pings == 6
    assert client.is_open
    assert client.received_ns - client.opened_ns > 150_000_000, "the pings are no open packets"
    # The pings have ended; the last of them counts.
    until(lambda: handler.closes)
    assert "no ping for 0.44 s" in handler.closes[0].error


def test_a_close_packet_is_the_servers_end(dial: Callable[..., SocketIo], handler: RecordingHandler) -> None:
    dial("dismiss")
    until(lambda: handler.closes)
    assert handler.closes == [Close(1000)]


def test_a_binary_event_does_not_disturb_the_others(dial: Callable[..., SocketIo], handler: RecordingHandler) -> None:
    client = dial("binary")
    client.open("/")
    until(lambda: client.counts.events)
    assert handler.names() == ["connect", "trouble", "event"]
    assert client.counts.unsupported == 1


def test_an_acknowledgement_that_the_servers_death_has_lost(
    dial: Callable[..., SocketIo], handler: RecordingHandler
) -> None:
    client = dial("die")
    client.open("/")
    until(lambda: client.is_connected())
    answers: list[bytes | None] = []
    client.emit("/", "a", on_ack=lambda payload, at_ns: answers.append(payload))
    until(lambda: handler.closes)
    assert answers == [None]
    assert (handler.closes[0].code, handler.closes[0].by_us) == (1006, False)
    assert not client.emit("/", "a")
    assert not client.open("/queue")
    assert (client.counts.acks_lost, client.counts.unsent) == (1, 2)


def test_what_a_handler_does_wrong_is_told_as_such(dial: Callable[..., SocketIo], handler: RecordingHandler) -> None:
    handler.stumble = "connect"
    client = dial("two")
    client.open("/queue")
    client.open("/video")
    until(lambda: client.counts.connects == 2)
    assert [str(error) for error in handler.errors] == ["connect", "connect"]
    assert client.is_connected("/video")


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(ConnectError, match="connection refused"):
        socketio.connect("http://127.0.0.1:9", RecordingHandler())


def test_a_client_that_was_never_connected() -> None:
    client = SocketIo(RecordingHandler())
    assert (client.is_open, client.received_ns) == (False, 0)
    assert not client.open("/")
    client.close()
    client.abort()


# With python-socketio's own server


def test_the_real_server_accepts_and_refuses(dial: Callable[..., SocketIo], handler: RecordingHandler) -> None:
    client = dial()
    client.open("/queue", {"token": "bad"})
    client.open("/nowhere")
    client.open("/video", {"token": "good"})
    until(lambda: client.counts.connect_errors == 2 and client.counts.events == client.counts.connects == 1)
    assert {call[:2]: call[2] for call in handler.calls if call[0] == "connect_error"} == {
        ("connect_error", "/queue"): b'{"message":"no such user"}',
        ("connect_error", "/nowhere"): b'"Unable to connect"',
    }
    hello = next(call for call in handler.calls if call[0] == "event")
    assert (hello[1:3], arguments(hello[3])) == (("/video", b"hello"), [{"to": {"token": "good"}}])
    assert client.open("/queue", {"token": "good"}), "the connection is still good"
    until(lambda: client.is_connected("/queue"))


def test_the_real_server_acknowledges_and_is_acknowledged(
    dial: Callable[..., SocketIo], handler: RecordingHandler
) -> None:
    client = dial()
    client.open("/queue")
    until(lambda: client.is_connected("/queue"))
    answers: list[Any] = []
    client.emit(
        "/queue", "add", 1, 2, 39, on_ack=lambda payload, at_ns: answers.append((all_of(payload or b""), at_ns))
    )
    until(lambda: answers)
    assert answers[0][0] == [42]
    assert 0 < answers[0][1] <= time.monotonic_ns()
    client.emit("/queue", "ask", "why?")
    until(lambda: client.counts.calls)
    call = next(call for call in handler.calls if call[0] == "call")
    assert (call[1], call[2], arguments(call[3])) == ("/queue", b"question", ["why?"])
    assert client.ack("/queue", call[4], "because", 7)
    until(lambda: client.counts.events)
    assert arguments(handler.calls[-1][3]) == ["because", 7]


def test_the_real_server_kicks_and_is_left(dial: Callable[..., SocketIo], handler: RecordingHandler) -> None:
    client = dial()
    client.open("/queue")
    client.open("/video")
    until(lambda: client.counts.connects == 2)
    client.emit("/queue", "kick me")
    until(lambda: client.counts.kicks)
    assert ("kicked", "/queue") in handler.calls
    assert client.leave("/video")
    # Its pings come every second; without our answer to the first it would end the connection half a second later.
    until(lambda: client.counts.pings >= 2)
    assert client.is_open
    assert client.counts.ping_timeouts == 0


@pytest.mark.parametrize(
    ("url", "at"),
    [
        pytest.param("ws://host:1", "ws://host:1/socket.io/?EIO=4&transport=websocket", id="an origin"),
        pytest.param("http://host:1/", "ws://host:1/socket.io/?EIO=4&transport=websocket", id="HTTP's scheme"),
        pytest.param("https://host", "wss://host/socket.io/?EIO=4&transport=websocket", id="TLS"),
        pytest.param("ws://host/verity", "ws://host/verity/socket.io/?EIO=4&transport=websocket", id="below a path"),
        pytest.param(
            "ws://host/?key=7", "ws://host/socket.io/?EIO=4&transport=websocket&key=7", id="a query of its own"
        ),
        pytest.param("https://h/x/?EIO=3&a=b", "wss://h/x/?EIO=3&a=b", id="a whole address is taken as it is"),
    ],
)
def test_where_the_server_is(url: str, at: str) -> None:
    assert socketio.endpoint(url) == at


def test_another_path() -> None:
    assert socketio.endpoint("ws://host", "/io/") == "ws://host/io/?EIO=4&transport=websocket"
