"""A world behind the sandbox server: counts, faults of connections, slow clients, reset, internal errors."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pika_locust.sandbox.fanout import SLOW_LIMIT_BYTES
from tests.sandbox.conftest import Served
from tests.sandbox.echo_world import echo_platform

Serve = Callable[..., Served]


def test_a_world_is_notified_of_clients_that_do_not_wait(serve: Serve) -> None:
    served = serve(echo_platform())
    with socket.create_connection(("127.0.0.1", served.port)) as raw:
        raw.sendall(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
        assert raw.recv(10) == b"HTTP/1.1 2"
    deadline = time.monotonic() + 2
    while not served.state()["log"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert served.state()["log"] == [["abandoned", 1]]


def test_frames_are_counted_by_group_also_for_sockets_that_are_gone(serve: Serve) -> None:
    served = serve(echo_platform())
    one, two, three = served.socket(), served.socket(), served.socket()
    for _ in range(5):
        one.send("all x")
        one.recv(2)
    three.close()
    for _ in range(6):
        two.recv(2)
    state = served.state()
    # odd: 5 answers and the notice that 3 left to 1, 5 broadcasts to 3; even: 5 broadcasts and the notice to 2
    assert (state["frames_to_odd"], state["frames_to_even"], state["frames_sent"]) == (11, 6, 17)
    assert (state["connections_open"], state["connections_total"], state["frames_received"]) == (2, 3, 5)


@pytest.mark.alone
def test_latency_delays_answers_and_broadcasts_and_keeps_their_order(serve: Serve) -> None:
    served = serve(echo_platform(), faults=("latency=150",))
    one, two = served.socket(), served.socket()
    started = time.monotonic()
    for n in range(20):
        one.send(f"all {n}")
    assert [two.recv(2) for _ in range(20)] == [str(n) for n in range(20)]
    assert 0.15 <= time.monotonic() - started < 0.4
    served.http("DELETE", "/__sandbox/faults")
    started = time.monotonic()
    assert served.http("GET", "/x")[0] == 200
    assert time.monotonic() - started < 0.1
    served.http("PUT", "/__sandbox/faults", {"latency": 150})
    started = time.monotonic()
    assert served.http("GET", "/x")[0] == 200
    assert time.monotonic() - started >= 0.15


def test_error_hits_each_kind_of_request_at_its_rate_and_does_not_process_them(serve: Serve) -> None:
    served = serve(echo_platform(), faults=("error=0.25",))
    statuses = Counter((path, served.http("GET", path)[0]) for _ in range(20) for path in ("/a", "/b"))
    assert statuses == {("/a", 200): 15, ("/a", 500): 5, ("/b", 200): 15, ("/b", 500): 5}


def test_refuse_answers_upgrades_503(serve: Serve) -> None:
    served = serve(echo_platform(), faults=("refuse=0.5",))
    statuses: Counter[int] = Counter()
    for _ in range(10):
        try:
            served.socket()
            statuses[101] += 1
        except InvalidStatus as refused:
            statuses[refused.response.status_code] += 1
    assert statuses == {101: 5, 503: 5}
    assert (served.state()["connections_refused"], served.state()["connections_open"]) == (5, 5)


def test_a_world_may_refuse_an_upgrade(serve: Serve) -> None:
    served = serve(echo_platform())
    with pytest.raises(InvalidStatus) as refused:
        served.socket("/closed")
    assert refused.value.response.status_code == 403
    assert served.state()["connections_refused"] == 1


def test_close_after_cuts_each_socket_in_its_time_also_those_already_open(serve: Serve) -> None:
    served = serve(echo_platform(), faults=("close-after=0.2",))
    started = time.monotonic()
    one = served.socket()
    with pytest.raises(ConnectionClosed) as ended:
        one.recv(2)
    assert ended.value.rcvd is None
    assert 0.2 <= time.monotonic() - started < 2.0
    served.http("DELETE", "/__sandbox/faults")
    two = served.socket()
    time.sleep(0.3)
    two.send("still here")
    assert two.recv(2) == "still here"
    served.http("PUT", "/__sandbox/faults", {"close-after": 0.1})
    with pytest.raises(ConnectionClosed):
        two.recv(2)
    assert served.state()["fault_hits"]["close-after"]["hit"] == 1


def test_a_client_that_does_not_read_is_cut_and_counted(serve: Serve) -> None:
    served = serve(echo_platform())
    raw = socket.create_connection(("127.0.0.1", served.port))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.sendall(
        b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    sender = served.socket()
    text = "all " + "x" * 500_000
    sent = 0
    while served.state()["dropped_slow_clients"] == 0 and sent < 100:
        sender.send(text)
        assert sender.recv(5) == "ok"
        sent += 1
    assert SLOW_LIMIT_BYTES / 500_000 < sent < 100
    state = served.state()
    assert (state["dropped_slow_clients"], state["connections_open"]) == (1, 1)
    raw.close()


def test_reset_cuts_sockets_and_starts_everything_afresh_but_leaves_faults(serve: Serve) -> None:
    served = serve(echo_platform(), faults=("lose-fanout=0.5",))
    one, two = served.socket(), served.socket()
    one.send("all x")
    assert one.recv(2) == "ok"
    assert served.http("POST", "/__sandbox/reset")[:2] == (200, '{"reset":["echo"]}')
    with pytest.raises(ConnectionClosed):
        two.recv(2)
    state = served.state()
    assert (state["log"], state["connections_total"], state["frames_sent"], state["frames_received"]) == ([], 0, 0, 0)
    assert state["faults"] == {"lose-fanout": "0.5"}
    assert state["fault_hits"]["lose-fanout"]["eligible"] == 0
    with served.socket() as three:
        three.send("hi")
        assert three.recv(2) == "hi"


def test_an_internal_error_is_counted_and_named_and_ends_only_its_connection(serve: Serve) -> None:
    served = serve(echo_platform())
    one, two = served.socket(), served.socket()
    one.send("break")
    with pytest.raises(ConnectionClosed):
        one.recv(2)
    assert two.recv(2) == "1 left"
    state = served.state()
    assert (state["internal_errors"], state["internal_error_messages"]) == (1, ["RuntimeError: planted"])
