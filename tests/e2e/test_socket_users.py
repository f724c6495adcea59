"""WebSocketUser and SocketIOUser in locustfiles of one's own, as real `locust` processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pika_locust.sandbox import start_sandbox
from tests.e2e.support import LOCAL_AND_WORKERS, ROOT, Finished, run
from tests.wire.socketio_servers import running

pytestmark = pytest.mark.e2e

USERS = ROOT / "tests" / "e2e" / "socket_users"


def use(locustfile: Path, host: str, directory: Path, *extra: str) -> Finished:
    load = ["-u", "6", "-r", "6", "-t", "4s", "-s", "5"]
    return run(["--headless", "--only-summary", "-f", str(locustfile), "-H", host, *load, *extra], directory)


def chat(directory: Path, *extra: str, faults: tuple[str, ...] = ()) -> Finished:
    """The WebSocket users, against the chat of the examples."""
    with start_sandbox(["chat_world:PLATFORM"], faults=faults, path=[str(ROOT / "examples")]) as server:
        return use(USERS / "chat.py", f"http://127.0.0.1:{server.port}", directory, *extra)


@LOCAL_AND_WORKERS
def test_websocket_users_are_measured_and_what_was_acknowledged_is_held(extra: list[str], tmp_path: Path) -> None:
    finished = chat(tmp_path, *extra)
    assert finished.exit_code == 0, finished.output
    audit = finished.audit("messages")
    assert audit["status"] == "pass"
    asked = finished.metric("http_reqs{method:WSC,name:greeting}")["count"]
    # Users that are stopped in the middle of a message may have sent it.
    assert 60 < asked <= audit["actual"] <= asked + 6
    assert finished.metric("http_reqs{method:WS,name:connect}")["count"] == 6
    assert finished.metric("http_reqs{method:WSR,name:ACK}")["count"] >= asked
    # Everybody hears everybody.
    assert finished.metric("http_reqs{method:WSR,name:SAID}")["count"] > 4 * asked
    assert finished.metric("http_req_failed")["passes"] == 0
    assert finished.metric("http_req_duration{method:WSC,name:greeting}")["count"] == asked
    assert finished.metric("greeting_time")["count"] >= asked


def test_lost_messages_turn_a_run_of_websocket_users_red(tmp_path: Path) -> None:
    finished = chat(tmp_path, faults=("lose-write=0.1",))
    assert finished.exit_code == 99, finished.output
    assert finished.subjects == {"messages"}


def test_a_server_that_cuts_connections_turns_a_run_of_websocket_users_red(tmp_path: Path) -> None:
    finished = chat(tmp_path, faults=("close-after=1",))
    assert finished.exit_code == 99, finished.output
    assert ("threshold", "http_req_failed") in finished.reasons
    assert finished.metric("http_req_failed{method:WS,name:close}")["passes"] == 6


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running() as servers:
        yield servers.real


def names(finished: Finished) -> set[str]:
    assert finished.summary is not None, finished.output
    return {name for name in finished.summary["metrics"] if name.startswith("http_reqs{")}


@LOCAL_AND_WORKERS
def test_locust_s_socketio_users_change_one_import(extra: list[str], server: str, tmp_path: Path) -> None:
    original = USERS / "adders.py"
    changed = tmp_path / "adders.py"
    text = original.read_text()
    changed.write_text(text.replace("from locust.contrib.socketio import", "from pika_locust import"))
    assert changed.read_text() != text
    (tmp_path / "theirs").mkdir()
    theirs = use(original, server, tmp_path / "theirs", *extra)
    ours = use(changed, server, tmp_path, *extra)
    for finished in (theirs, ours):
        assert finished.exit_code == 0, finished.output
        assert finished.metric("http_reqs{method:WSC,name:add}")["count"] > 20
        assert finished.metric("http_req_failed")["passes"] == 0
    # Locust's own reports a call, and a message, a second time as the emit that it is made of.
    twice = {"http_reqs{method:WSE,name:add}", "http_reqs{method:WSE,name:message}"}
    assert names(ours) == names(theirs) - twice
