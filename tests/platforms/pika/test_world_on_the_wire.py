"""Recorded flows replayed over real sockets against a sandbox process: the world and everything around it.

Time is compressed: an event is sent as soon as what was recorded before it has arrived. A heartbeat may land anywhere
and is skipped where the recording does not have one.
"""

from __future__ import annotations

import base64
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from pika_locust.sandbox import SandboxProcess, start_sandbox
from pika_locust.testing.transcripts import Transcript, TranscriptReplay, normalised
from tests.platforms.pika.transcripts import TRANSCRIPTS, ids, normalise

PATIENCE_S = 5.0
SETTINGS = {
    "max_sessions": {"PIKA_SANDBOX_MAX_SESSIONS": "1"},
    "upgrade_rate_limit": {"PIKA_SANDBOX_WS_RATE_LIMIT": "3"},
}


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxProcess]:
    with start_sandbox(["pika"]) as process:
        yield process


class SocketReplay(TranscriptReplay):
    """Plays the recorded clients and checks what the server does against the recording, event by event."""

    def __init__(self, process: SandboxProcess, transcript: Transcript, stack: ExitStack) -> None:
        super().__init__(transcript)
        self._process = process
        self._stack = stack
        self._ids = ids()
        self._sockets: dict[str, ClientConnection] = {}
        self._got: dict[str, Any] = {}

    # what the client did

    def sent_open(self, who: str, data: dict[str, Any]) -> None:
        url = f"ws://127.0.0.1:{self._process.port}{data['path']}"
        try:
            client = connect(
                url, additional_headers=data.get("headers", {}), compression=None, ping_interval=None, max_queue=None
            )
            self._sockets[who] = self._stack.enter_context(client)
            self._got[who] = {"status": 101}
        except InvalidStatus as refused:
            response = refused.response
            headers = {"content-type": response.headers["content-type"]}
            body = bytes(response.body or b"").decode()
            self._got[who] = {"status": response.status_code, "headers": headers, "body": body}

    def sent_text(self, who: str, data: str) -> None:
        self._sockets[who].send(self._ids.to_ours(data))

    def sent_binary(self, who: str, data: dict[str, str]) -> None:
        self._sockets[who].send(base64.b64decode(data["base64"]))

    def sent_ping(self, who: str, data: str) -> None:
        assert self._sockets[who].ping(data).wait(PATIENCE_S)
        self._got[who] = data

    def sent_close(self, who: str, data: dict[str, Any]) -> None:
        client = self._sockets.pop(who, None)
        if client is None:
            return
        if data["code"] == 1006:
            client.socket.shutdown(socket.SHUT_RDWR)
            return
        client.close(data["code"])
        assert [text for text in client if "LISTENER_COUNT" not in str(text)] == []
        echo = client.protocol.close_rcvd
        assert echo is not None
        self._got[who] = {"code": echo.code, "reason": echo.reason}

    def sent_http(self, who: str, data: dict[str, Any]) -> None:
        body = data["body"].encode() if data["body"] is not None else None
        url, headers = self._process.url + data["path"], data.get("headers", {})
        request = urllib.request.Request(url, body, headers, method=data["method"])
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            kept = {k: v for k, v in answer.headers.items() if k in ("content-type", "retry-after")}
            self._got[who] = {"status": answer.status, "headers": kept, "body": answer.read().decode()}

    # what the server did

    def received_http(self, who: str, data: Any) -> None:
        assert normalised(self._got.pop(who), normalise) == normalised(data, normalise)

    received_open = received_pong = received_http

    def received_text(self, who: str, data: str) -> None:
        got = str(self._sockets[who].recv(PATIENCE_S))
        while "LISTENER_COUNT" in got and "LISTENER_COUNT" not in data:
            got = str(self._sockets[who].recv(PATIENCE_S))
        self._ids.learn(data, got)
        assert normalise(self._ids.to_recorded(got)) == normalise(data)

    def received_close(self, who: str, data: dict[str, Any]) -> None:
        if who in self._got:
            assert self._got.pop(who) == data
            return
        with pytest.raises(ConnectionClosed) as ended:
            self._sockets.pop(who).recv(PATIENCE_S)
        assert ended.value.rcvd is not None
        assert {"code": ended.value.rcvd.code, "reason": ended.value.rcvd.reason} == data


@pytest.mark.parametrize(
    "flow",
    [
        "announcement",
        "bad_messages",
        "dj_gone",
        "http_idle",
        "likes_ten_then_eleventh",
        "max_sessions",
        "ping_and_queries",
        "poll_manual",
        "takeover_with_poll",
        "unknown_session",
        "upgrade_rate_limit",
    ],
)
def test_a_recorded_flow_goes_the_same_way_over_real_sockets(flow: str, shared: SandboxProcess) -> None:
    with ExitStack() as stack:
        process = shared
        if flow in SETTINGS:
            process = stack.enter_context(start_sandbox(["pika"], env=SETTINGS[flow]))
        process.reset()
        SocketReplay(process, TRANSCRIPTS[flow], stack).play()
        assert process.state()["internal_errors"] == 0
