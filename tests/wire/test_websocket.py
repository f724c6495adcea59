from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Iterator

import gevent
import gevent.event
import pytest
from gevent import get_hub
from greenlet import greenlet

from pika_locust.wire.websocket import Close, Limits, WebSocket, connect
from tests.wire.http_servers import Certificates, Peer, serving
from tests.wire.websocket_servers import (
    Script,
    Seen,
    another_process,
    close_frame,
    echoing,
    frame,
    not_reading,
    open_files,
    sending,
    silent,
    switching,
    talking,
    until,
)

pytestmark = pytest.mark.usefixtures("patience")


@pytest.mark.parametrize("by", ["one script", "one packet"])
def test_what_comes_with_the_answer_to_the_upgrade_is_not_lost(by: str) -> None:
    def script(peer: Peer) -> None:
        answer = switching(peer.request())
        if by == "one packet":
            peer.send(answer + frame(b"first") + frame(b"second"))
        else:
            peer.send(answer, frame(b"first"), frame(b"second"))
        peer.wait_for_end()

    with serving(script) as server:
        seen = Seen()
        opened = connect(f"ws://127.0.0.1:{server.port}/", seen)
        assert seen.order == [], "nothing is handed over before the caller waits"
        until(lambda: len(seen.texts) == 2)
        opened.abort()
    assert seen.texts == [b"first", b"second"]


# What a connection costs


def greenlets() -> int:
    gc.collect()
    return sum(isinstance(thing, greenlet) for thing in gc.get_objects())


CROWD = """
    import socket, sys
    from tests.wire.websocket_servers import close_frame, frame, switching

    wanted = int(sys.argv[1])
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    connections = []
    while len(connections) < wanted:
        connection, _ = listener.accept()
        connection.sendall(switching(connection.recv(65536)))
        connections.append(connection)
    for line in sys.stdin:
        data = close_frame(1000) if line == "close\\n" else frame(line.strip().encode())
        for connection in connections:
            try:
                connection.sendall(data)
            except OSError:
                pass
"""


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_two_thousand_connections_without_a_greenlet_and_without_a_trace() -> None:
    crowd = 2000
    with another_process(CROWD, str(crowd)) as (port, say):
        gevent.sleep(0)
        before = greenlets(), open_files(), get_hub().loop.activecnt
        handlers = [Seen() for _ in range(crowd)]
        began = time.monotonic()
        opened = [connect(f"ws://127.0.0.1:{port}/ws", handler) for handler in handlers]
        connecting_s = time.monotonic() - began
        # The last one that dialled ends when the loop runs next.
        gevent.sleep(0)
        assert greenlets() <= before[0]
        until(lambda: open_files() <= before[1] + crowd)
        assert get_hub().loop.activecnt <= before[2] + crowd, "one watcher each"
        say("first")
        say("second")
        until(lambda: all(len(handler.texts) == 2 for handler in handlers))
        assert greenlets() <= before[0]
        half = crowd // 2
        for connection in opened[:half]:
            connection.abort()
        say("close")
        until(lambda: all(handler.closes for handler in handlers))
        gevent.sleep(0)
        # What earlier tests left may end meanwhile; nothing may come on top.
        assert greenlets() <= before[0]
        until(lambda: open_files() <= before[1])
        until(lambda: get_hub().loop.activecnt <= before[2])
    assert all(handler.texts == [b"first", b"second"] for handler in handlers)
    assert {handler.closes[0].code for handler in handlers[:half]} == {1006}
    assert [handler.closes for handler in handlers[half:]] == [[Close(1000)]] * half
    assert connecting_s < 8


ENDS: dict[str, tuple[Script, Callable[[WebSocket], object]]] = {
    "the server's close": (sending(close_frame(1000)), lambda opened: None),
    "the server's end": (lambda talk: None, lambda opened: None),
    "our close": (echoing, lambda opened: opened.close()),
    "an abort": (silent, lambda opened: opened.abort()),
    "a violation": (sending(b"\xff\xff"), lambda opened: None),
    "silence": (silent, lambda opened: None),
    "an incomplete message": (sending(b"\x81"), lambda opened: None),
    "an unanswered close": (silent, lambda opened: opened.close()),
    "a server that does not read": (not_reading, lambda opened: [opened.send(bytes(1 << 20)) for _ in range(40)]),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(("script", "act"), ENDS.values(), ids=ENDS)
def test_no_end_leaves_anything_behind(
    certificates: Certificates, script: Script, act: Callable[[WebSocket], object], tls: bool
) -> None:
    limits = Limits(idle_s=0.15, read_s=0.05, close_s=0.05)
    gevent.sleep(0)
    before = open_files(), get_hub().loop.activecnt
    with talking(script, limits=limits, certificates=certificates if tls else None) as (opened, seen):
        act(opened)
        until(lambda: seen.closes)
        assert (opened._sock, opened._read_watcher, opened._send_buffer, opened._timers._timer) == (None,) * 4
        gevent.sleep(0.2)
        assert seen.order.count("close") == 1
        assert seen.order[-1] == "close"
    until(lambda: open_files() <= before[0])
    until(lambda: get_hub().loop.activecnt <= before[1])


def test_a_closed_connection_is_not_kept_alive_by_anything() -> None:
    with talking(echoing, limits=Limits(idle_s=5, read_s=5)) as (opened, seen):
        opened.send(b"hello")
        until(lambda: seen.texts)
        opened.close()
        until(lambda: seen.closes)
    del opened
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, WebSocket)]
