"""The port of a sandbox: platforms by path, control endpoints, the end."""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.sandbox.conftest import Served
from tests.sandbox.echo_world import echo_platform

Serve = Callable[..., Served]


def test_one_platform_is_served_at_the_root(serve: Serve) -> None:
    served = serve(echo_platform("solo"))
    status, body, headers = served.http("GET", "/health")
    assert (status, body, headers["x-pika-sandbox"]) == (200, "GET /health ", "solo")
    socket_ = served.socket("/any/path")
    socket_.send("hi")
    assert socket_.recv(2) == "hi"
    assert served.state()["platform"] == "solo"


def test_several_platforms_are_served_each_under_its_name(serve: Serve) -> None:
    served = serve(echo_platform("one"), echo_platform("two"))
    assert served.http("GET", "/one/a/b")[1] == "GET /a/b "
    assert served.http("GET", "/two")[1] == "GET / "
    assert served.http("GET", "/two/health")[2]["x-pika-sandbox"] == "two"
    assert served.http("GET", "/health")[2]["x-pika-sandbox"] == "one,two"
    assert json.loads(served.http("GET", "/")[1]) == {"platforms": {"one": "/one", "two": "/two"}}
    assert served.http("GET", "/three")[0] == 404
    socket_ = served.socket("/two/ws")
    assert served.state("/two")["log"] == [["opened", 1, "/ws"]]
    assert served.state("/one")["log"] == []
    assert served.state()["two"]["connections_open"] == 1
    socket_.close()
    with pytest.raises(InvalidStatus) as refused:
        served.socket("/three/ws")
    assert refused.value.response.status_code == 404


def test_faults_of_several_platforms_are_switched_for_all_or_for_one(serve: Serve) -> None:
    served = serve(echo_platform("one", "error", "refuse"), echo_platform("two", "error"), faults=("error=0.5",))
    assert (served.state("/one")["faults"], served.state("/two")["faults"]) == ({"error": "0.5"}, {"error": "0.5"})
    served.http("PUT", "/__sandbox/faults", {"error": 0.25, "refuse": 0.5})
    assert served.state("/one")["faults"] == {"error": "0.25", "refuse": "0.5"}
    assert served.state("/two")["faults"] == {"error": "0.25"}
    served.http("DELETE", "/one/__sandbox/faults")
    assert (served.state("/one")["faults"], served.state("/two")["faults"]) == ({}, {"error": "0.25"})
    assert served.http("PUT", "/two/__sandbox/faults", {"refuse": 0.5})[0] == 400


def test_faults_are_read_switched_and_cleared(serve: Serve) -> None:
    served = serve(echo_platform("echo", "error", "leak"))
    status, body, _ = served.http("PUT", "/__sandbox/faults", {"error": 0.5})
    assert (status, json.loads(body)["faults"]) == (200, {"error": "0.5"})
    assert json.loads(served.http("GET", "/__sandbox/faults")[1]) == {
        "faults": {"error": "0.5"},
        "legal": {
            "error=RATE": "HTTP requests are answered 500 and not processed",
            "leak=MB/min": "the process really grows by MB each minute",
        },
    }
    assert json.loads(served.http("DELETE", "/__sandbox/faults")[1])["faults"] == {}


@pytest.mark.parametrize(
    "body", [{"error": 2}, {"nope": 1}, {"drop": 0.5}, [], None], ids=["value", "name", "unsupported", "list", "empty"]
)
def test_a_wrong_fault_is_answered_400_with_the_legal_ones_and_changes_nothing(serve: Serve, body: object) -> None:
    served = serve(echo_platform("echo", "error"), faults=("error=0.5",))
    status, answer, _ = served.http("PUT", "/__sandbox/faults", body)
    assert status == 400
    assert list(json.loads(answer)["legal"]) == ["error=RATE"]
    assert served.state()["faults"] == {"error": "0.5"}


def test_the_control_endpoints_are_no_traffic_and_are_not_hit_by_faults(serve: Serve) -> None:
    served = serve(echo_platform(), faults=("error=1", "latency=2000"))
    assert served.http("GET", "/__sandbox/faults")[0] == 200
    assert served.http("GET", "/metrics")[0] == 200
    assert served.state()["http_requests"] == 0
    status, body, _ = served.http("PATCH", "/__sandbox/state")
    assert status == 404
    assert "POST reset" in json.loads(body)["error"]


def test_the_state_has_the_figures_of_the_process(serve: Serve) -> None:
    state = serve(echo_platform()).state()
    assert state["rss_bytes"] > 5_000_000
    assert state["cpu_seconds"] > 0
    assert state["internal_errors"] == 0


def test_the_parts_of_the_state_by_user_can_be_left_out(serve: Serve) -> None:
    served = serve(dataclasses.replace(echo_platform("solo"), per_user=("log",)))
    served.socket()
    assert served.state()["log"] == [["opened", 1, "/ws"]]
    state = json.loads(served.http("GET", "/__sandbox/state?users=0")[1])
    assert "log" not in state
    assert state["connections_open"] == 1


def test_shutting_down_sends_what_the_world_sends_last_and_no_close_frame(serve: Serve) -> None:
    served = serve(echo_platform())
    one = served.socket()
    served.call(served.sandbox.shut_down())
    assert one.recv(2) == "shutting down"
    with pytest.raises(ConnectionClosed) as ended:
        one.recv(2)
    assert ended.value.rcvd is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", served.port))


UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MALFORMED = b"\x83\x80\0\0\0\0"


@pytest.mark.parametrize(("path", "status"), [(b"/closed", b"403"), (b"/ws", b"101")], ids=["refused", "accepted"])
def test_an_upgrade_is_answered_before_the_mistake_that_came_with_it(serve: Serve, path: bytes, status: bytes) -> None:
    served = serve(echo_platform())
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as client:
        client.sendall(UPGRADE % path + MALFORMED)
        assert client.recv(4096).startswith(b"HTTP/1.1 " + status)
    assert served.state()["internal_errors"] == 0
