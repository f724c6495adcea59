"""Recorded flows replayed over real sockets against a sandbox process: the world and everything around it.

Time is compressed: an event is sent as soon as what was recorded before it has arrived, and webhooks are signed for
now. The matching worker rests in these flows, because its moments cannot be chosen here; two members are matched for
real at the end of this file. Flows that depend on the time of day are left to the pure world.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from pika_locust.sandbox import SandboxProcess, start_sandbox
from pika_locust.testing.transcripts import Transcript, TranscriptReplay, normalised
from tests.platforms.verity.transcripts import KEPT_HEADERS, SECRETS, TRANSCRIPTS, VerityIds, normalise
from tests.platforms.verity.world_driver import purchase, signed

PATIENCE_S = 5.0
FLOWS = {
    "01-signup": (),
    "04-join-leave": ("no-match",),
    "05-join-no-tokens": ("no-match",),
    "11-bad-socket-token": (),
    "12-throttle": (),
    "13-validation": ("no-match",),
    "14-refresh": (),
    "15-health": (),
}


@pytest.fixture(scope="module")
def process() -> Iterator[SandboxProcess]:
    with start_sandbox(["verity"], env=SECRETS) as process:
        yield process


class SocketReplay(TranscriptReplay):
    """Plays the recorded clients and checks what the server does against the recording, event by event."""

    def __init__(self, process: SandboxProcess, transcript: Transcript, stack: ExitStack) -> None:
        super().__init__(transcript)
        self._process = process
        self._stack = stack
        self._ids = VerityIds()
        self._sockets: dict[str, ClientConnection] = {}
        self._lines: dict[str, http.client.HTTPConnection] = {}
        self._got: dict[str, Any] = {}

    # what the clients did

    def sent_open(self, who: str, data: dict[str, Any]) -> None:
        headers = {name: self._ids.to_ours(value) for name, value in data.get("headers", {}).items()}
        url = f"ws://127.0.0.1:{self._process.port}{data['path']}"
        client = connect(url, additional_headers=headers, compression=None, ping_interval=None, max_queue=None)
        self._sockets[who] = self._stack.enter_context(client)
        self._got[who] = {"status": 101}

    def sent_text(self, who: str, data: str) -> None:
        self._sockets[who].send(self._ids.to_ours(data))

    def sent_close(self, who: str, data: dict[str, Any]) -> None:
        client = self._sockets.pop(who)
        if data["code"] == 1006:
            client.socket.shutdown(socket.SHUT_RDWR)
            return
        client.close(data["code"])
        assert list(client) == []
        echo = client.protocol.close_rcvd
        assert echo is not None
        self._got[who] = {"code": echo.code, "reason": echo.reason}

    def sent_http(self, who: str, data: dict[str, Any]) -> None:
        line = self._lines.get(who)
        if line is None:
            source = (f"127.0.31.{len(self._lines) + 1}", 0)
            line = self._lines[who] = http.client.HTTPConnection("127.0.0.1", self._process.port, 5.0, source)
            self._stack.callback(line.close)
        body = self._ids.to_ours(data["body"] or "")
        headers = {name: self._ids.to_ours(value) for name, value in data["headers"].items()}
        if "stripe-signature" in headers:
            headers["stripe-signature"] = signed(body.encode(), time.time(), SECRETS["STRIPE_WEBHOOK_SECRET"])
        line.request(data["method"], self._ids.to_ours(data["path"]), body.encode() or None, headers)
        answer = line.getresponse()
        kept: dict[str, Any] = {name: value for name, value in answer.getheaders() if name in KEPT_HEADERS}
        if (cookie := answer.getheader("set-cookie")) is not None:
            kept["set-cookie"] = [self._ids.learn_cookie(cookie)]
        self._got[who] = {"status": answer.status, "headers": kept, "body": answer.read().decode()}

    # what the server did

    def received_http(self, who: str, data: dict[str, Any]) -> None:
        got = self._got.pop(who)
        if "body" in data:
            self._ids.learn(data["body"], got["body"])
            got["body"] = self._ids.to_recorded(got["body"])
        assert _plain(got) == _plain(data)

    received_open = received_http

    def received_text(self, who: str, data: str) -> None:
        got = str(self._sockets[who].recv(PATIENCE_S))
        assert normalise(self._ids.to_recorded(got)) == normalise(data)

    def received_close(self, who: str, data: dict[str, Any]) -> None:
        if who not in self._got:
            with pytest.raises(ConnectionClosed) as ended:
                self._sockets.pop(who).recv(PATIENCE_S)
            assert ended.value.rcvd is not None
            self._got[who] = {"code": ended.value.rcvd.code, "reason": ended.value.rcvd.reason}
        assert self._got.pop(who) == data


def _plain(told: Any) -> Any:
    """Without the seconds until a limit ends: time is compressed."""
    plain = dict(normalised(told, normalise))
    if "headers" in plain:
        plain["headers"] = {name: value for name, value in plain["headers"].items() if name != "x-ratelimit-reset"}
    return plain


@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_a_recorded_flow_goes_the_same_way_over_real_sockets(flow: str, process: SandboxProcess) -> None:
    process.reset()
    process.set_faults({"throttle": "120/60s", **dict.fromkeys(FLOWS[flow], True)})
    # the sandbox's own figures are at /metrics, where the real server has nothing
    events = [event for event in TRANSCRIPTS[flow].events if "/metrics" not in str(event.data)]
    with ExitStack() as stack:
        SocketReplay(process, replace(TRANSCRIPTS[flow], events=tuple(events)), stack).play()
    assert process.state()["internal_errors"] == 0


class WireMember:
    """A member with real sockets."""

    def __init__(self, process: SandboxProcess, stack: ExitStack) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", process.port, 5.0)
        stack.callback(self._line.close)
        self.token = ""
        account = self.ask("POST", "/auth/signup-anonymous", {})
        self.id, self.token = account["user"]["id"], account["accessToken"]
        url = f"ws://127.0.0.1:{process.port}/socket.io/?EIO=4&transport=websocket"
        self.socket = stack.enter_context(connect(url, compression=None, ping_interval=None))
        assert str(self.socket.recv(PATIENCE_S)).startswith("0{")
        for namespace in ("/queue", "/video", "/chat"):
            self.socket.send(f'40{namespace},{{"token":"{self.token}"}}')
            assert str(self.socket.recv(PATIENCE_S)).startswith(f"40{namespace},")

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {"content-type": "application/json", "authorization": f"Bearer {self.token}"}
        data = json.dumps(body) if body is not None else None
        self._line.request(method, path, data, sent | {k.replace("_", "-"): v for k, v in headers.items()})
        return json.loads(self._line.getresponse().read())

    def buy(self, tokens: int) -> None:
        event = purchase(self.id, tokens, f"evt_{self.id}")
        signature = signed(json.dumps(event).encode(), time.time(), SECRETS["STRIPE_WEBHOOK_SECRET"])
        assert self.ask("POST", "/webhooks/stripe", event, stripe_signature=signature) == {"received": True}

    def receive(self, name: str) -> Any:
        """The payload of the next event of that name; others are passed over."""
        while True:
            event, payload = json.loads(str(self.socket.recv(PATIENCE_S)).partition(",")[2])
            if event == name:
                return payload


@pytest.mark.alone
def test_two_members_are_matched_and_choose_each_other() -> None:
    with ExitStack() as stack:
        process = stack.enter_context(start_sandbox(["verity"], env={**SECRETS, "SESSION_HOLD_SECONDS": "1"}))
        members = [WireMember(process, stack) for _ in range(2)]
        for member in members:
            member.buy(3)
            assert member.ask("POST", "/queue/join", {})["status"] == "queued"
        met = {member.receive("match")["sessionId"] for member in members}
        started = [member.receive("session:start") for member in members]
        begun = time.monotonic()
        ended = [member.receive("session:end") for member in members]
        assert 0.9 <= time.monotonic() - begun <= 1.3
        (session,) = met | {told["sessionId"] for told in (*started, *ended)}
        for member in members:
            member.ask("POST", f"/sessions/{session}/choice", {"choice": "MATCH"})
        assert len({member.receive("match:mutual")["matchId"] for member in members}) == 1
        state = process.state()
        assert state["matches"] == {member.id: 1 for member in members}
        assert state["balances"] == {member.id: 2 for member in members}
        assert state["tokens"] == {"credited": 6, "held": 4, "spent": 2}
        assert (state["sessions"]["mutual"], state["internal_errors"]) == (1, 0)
        assert {"balances", "credits", "matches"}.isdisjoint(process.state(users=False))
