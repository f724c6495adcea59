"""WebSocketUser, against servers that send the frames a test asks for."""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from locust.exception import LocustError
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING

from pika_locust import WebSocketUser
from pika_locust.kit.websocket_user import MAX_UNREAD
from pika_locust.wire.tracing import TraceSampler
from pika_locust.wire.websocket_handshake import ConnectError
from tests.kit.locust_user import LoneUser
from tests.wire.http_servers import Certificates, Peer, Server, content, serving
from tests.wire.websocket_servers import (
    BINARY,
    CLOSE,
    TEXT,
    Received,
    Script,
    Talk,
    close_frame,
    echoing,
    frame,
    sending,
    silent,
    switching,
    until,
    upgraded,
)


class Trial(LoneUser):
    def __init__(self, url: str, kind: type[WebSocketUser] = WebSocketUser) -> None:
        super().__init__(url, kind)
        self.client = self.user.client


@contextmanager
def trial(*scripts: Script, kind: type[WebSocketUser] = WebSocketUser) -> Iterator[tuple[Trial, Server]]:
    """A user, and a server whose connections follow these scripts, one each."""
    with gevent.Timeout(20), serving(*map(upgraded, scripts)) as server:
        started = Trial(server.url, kind)
        try:
            yield started, server
        finally:
            started.client.close()


def test_a_connection_and_its_messages_are_requests() -> None:
    with trial(echoing) as (one, server):
        assert one.client.connect("/chat", headers={"X-Client": "load"}, name="connect")
        assert one.client.is_open
        assert one.client.send("grüße", name="greeting")
        assert one.client.receive(timeout=5) == "grüße"
        assert one.names == [("WS", "connect"), ("WSS", "greeting"), ("WSR", "receive")]
        connected, sent, received = one.events
        assert connected["url"] == f"ws://127.0.0.1:{server.port}/chat"
        assert 0 < connected["response_time"] < 5000
        assert (sent["response_time"], sent["response_length"]) == (None, 7)
        assert (received["response_time"], received["response_length"]) == (None, 7)
        assert one.failures == []
        assert b"GET /chat HTTP/1.1\r\n" in server.requests[0]
        assert b"X-Client: load\r\n" in server.requests[0]


def test_what_a_path_is_below() -> None:
    class Elsewhere(WebSocketUser):
        abstract = True

    one = Trial("https://example.org/api/", Elsewhere)
    assert one.client._whole_url("/ws") == "wss://example.org/api/ws"
    one.user.host = "ws://example.org"
    assert one.client._whole_url("/ws") == "ws://example.org/ws"
    assert one.client._whole_url("wss://other.org/x") == "wss://other.org/x"
    one.user.host = None
    with pytest.raises(LocustError, match="--host"):
        one.client.connect("/ws")


def test_a_subprotocol() -> None:
    def choosing(peer: Peer) -> None:
        peer.send(switching(peer.request(), "Sec-WebSocket-Protocol: v2"))
        peer.wait_for_end()

    with gevent.Timeout(20), serving(choosing) as server:
        one = Trial(server.url)
        assert one.client.subprotocol is None
        assert one.client.connect("/", subprotocols=["v1", "v2"])
        assert one.client.subprotocol == "v2"
        assert b"Sec-WebSocket-Protocol: v1, v2\r\n" in server.requests[0]


def test_headers_of_the_class_go_with_every_connection() -> None:
    class Named(WebSocketUser):
        abstract = True
        default_headers = {"Authorization": "Bearer a", "X-Kept": "1"}

    with trial(echoing, kind=Named) as (one, server):
        one.client.connect("/", headers={"Authorization": "Bearer b"})
        assert b"Authorization: Bearer b\r\n" in server.requests[0]
        assert b"Bearer a" not in server.requests[0]
        assert b"X-Kept: 1\r\n" in server.requests[0]


def test_a_sampled_connection_carries_a_trace_id_under_the_name_of_the_request(samples: TraceSampler) -> None:
    with trial(echoing) as (one, server):
        one.client.connect("/chat?user=7", name="/chat")
        one.client.send("hello")
    (trace,) = samples.kept
    assert f"traceparent: 00-{trace.trace_id}-".encode() in server.requests[0]
    assert (trace.name, trace.error) == ("/chat", "")


def test_certificates_are_verified_unless_told_otherwise(tmp_path: Path) -> None:
    class Trusting(WebSocketUser):
        abstract = True
        insecure = True

    certificates = Certificates(tmp_path)
    knowing = type("Knowing", (WebSocketUser,), {"abstract": True, "ca_file": str(certificates.authority)})
    with gevent.Timeout(20), serving(upgraded(echoing), tls=certificates.server_context()) as server:
        for kind, trusted in ((WebSocketUser, False), (Trusting, True), (knowing, True)):
            one = Trial(server.url, kind)
            assert one.client.connect("/") is trusted
            if trusted:
                assert one.client.ask("over TLS", name="ask") == "over TLS"
            else:
                (error,) = (told["exception"] for told in one.events)
                assert isinstance(error, ConnectError)
                assert error.kind == "tls"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("/", "the upgrade was answered 403: members only"),
        ("ftp://127.0.0.1/", "not a URL that begins with ws:// or wss://"),
    ],
    ids=["refused", "no WebSocket's URL"],
)
def test_a_connection_that_fails_is_a_failed_request_and_no_exception(url: str, says: str) -> None:
    with gevent.Timeout(20), serving(lambda peer: peer.answer(content(b"members only", "403 Forbidden"))) as server:
        one = Trial(server.url)
        assert not one.client.connect(url, name="connect")
        assert not one.client.is_open
        assert not one.client.send("a")
        assert one.client.receive() is None
        assert one.client.ask("b", name="question") is None
        assert one.names == [("WS", "connect"), ("WSS", "send"), ("WSR", "receive"), ("WSC", "question")]
        assert one.failures[0].startswith(says)
        assert one.failures[1:] == [
            "the connection is not open",
            "there is no connection",
            "the connection is not open",
        ]


def test_the_handshake_has_its_time() -> None:
    class Hasty(WebSocketUser):
        abstract = True
        connection_timeout = 0.1

    with gevent.Timeout(20), serving(lambda peer: (peer.request(), peer.wait_for_end())) as server:
        one = Trial(server.url, Hasty)
        assert not one.client.connect("/")
        assert one.failures == ["no answer to the upgrade within 0.1 s"]
        assert 100 <= one.events[0]["response_time"] < 2000


def test_a_second_connection_beside_the_first_is_a_mistake() -> None:
    with trial(echoing) as (one, _):
        one.client.connect("/")
        with pytest.raises(LocustError, match="connected already"):
            one.client.connect("/")
        assert len(one.events) == 1


def test_receiving_has_its_time() -> None:
    with trial(silent) as (one, _):
        one.client.connect("/")
        assert one.client.receive(timeout=0.05, name="welcome") is None
        assert one.client.receive(timeout=0, name="welcome") is None
        assert one.names[1:] == [("WSR", "welcome")] * 2
        assert one.failures == ["no such message within 0.05 s", "no such message within 0 s"]


def test_receiving_what_is_wanted() -> None:
    with trial(sending(frame(b"1"), frame(b"2"), frame(b"30"), frame(b"4"))) as (one, _):
        one.client.connect("/")
        assert one.client.receive(until=lambda text: len(text) == 2) == "30"
        assert one.client.receive() == "4"
        assert one.names.count(("WSR", "receive")) == 4
        assert one.failures == []


def test_an_ask_is_one_request_timed_until_its_answer() -> None:
    def slow(talk: Talk) -> None:
        talk.send(frame(b"news before the question"))
        talk.frame()
        talk.send(frame(b"news"))
        gevent.sleep(0.08)
        talk.send(frame(b"answer"))
        silent(talk)

    with trial(slow) as (one, _):
        one.client.connect("/")
        until(lambda: len(one.events) == 2)
        answer = one.client.ask("question", name="question", until=lambda text: text.startswith("a"))
        assert answer == "answer"
        told = one.events[-1]
        assert (told["request_type"], told["name"], told["response_length"]) == ("WSC", "question", 6)
        assert 80 <= told["response_time"] < 1000
        assert one.failures == []


def test_an_ask_without_an_answer_is_a_failure() -> None:
    with trial(silent) as (one, _):
        one.client.connect("/")
        assert one.client.ask("question", name="question", timeout=0.05) is None
        assert one.names[1:] == [("WSC", "question")]
        assert one.failures == ["no such message within 0.05 s"]
        assert one.events[1]["response_time"] >= 50


def test_news_before_a_question_is_not_its_answer() -> None:
    def script(talk: Talk) -> None:
        talk.send(frame(b"old"))
        talk.frame()
        talk.send(frame(b"new"))
        silent(talk)

    with trial(script) as (one, _):
        one.client.connect("/")
        until(lambda: len(one.events) == 2)
        assert one.client.ask("question", name="question") == "new"


def test_a_user_may_take_messages_as_they_come_and_name_them() -> None:
    class Listening(WebSocketUser):
        abstract = True

        def name_of(self, text: str) -> str:
            return text.partition(" ")[0]

        def on_message(self, text: str, at_ns: int) -> None:
            self.heard = [*getattr(self, "heard", []), text]
            if text == "ping 1":
                self.client.send("pong 1", name="pong")

    received = Received(frame(b"ping 1") + frame(b"news 2"))
    with trial(received, kind=Listening) as (one, _):
        one.client.connect("/", name="connect")
        until(lambda: received.frames)
        assert received.frames == [(TEXT, b"pong 1")]
        assert one.user.heard == ["ping 1", "news 2"]
        assert one.names == [("WS", "connect"), ("WSR", "ping"), ("WSS", "pong"), ("WSR", "news")]
        assert one.client.receive(timeout=0) is None


def test_a_mistake_of_the_locustfile_is_named_and_the_next_message_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(WebSocketUser):
        abstract = True

        def on_message(self, text: str, at_ns: int) -> None:
            if text == "1":
                raise KeyError("shelf")
            super().on_message(text, at_ns)

    with caplog.at_level(logging.ERROR), trial(sending(frame(b"1"), frame(b"2")), kind=Clumsy) as (one, _):
        one.client.connect("/")
        assert one.client.receive() == "2"
        assert [repr(error) for error in one.mistakes] == ["KeyError('shelf')"]
        assert "Visitor, while it took a message: KeyError('shelf')" in caplog.text
        assert "Traceback" in caplog.text


def test_a_binary_message_is_a_failure() -> None:
    with trial(sending(frame(b"\0", BINARY), frame(b"text"))) as (one, _):
        one.client.connect("/")
        assert one.client.receive() == "text"
        assert one.failures == ["a binary message came; WebSocketUser has only text"]


@pytest.mark.parametrize(
    ("script", "failures"),
    [
        (sending(close_frame(1000)), []),
        (sending(close_frame(1001, b"restart")), []),
        (sending(close_frame(1011, b"overloaded")), ["close code 1011, overloaded"]),
        (lambda talk: talk.peer.close(), ["the server ended the connection without a close frame"]),
    ],
    ids=["1000", "1001", "1011", "no close frame"],
)
def test_an_end_that_the_server_began_is_a_failure_unless_it_is_proper(script: Script, failures: list[str]) -> None:
    closes = []

    class Watching(WebSocketUser):
        abstract = True

        def on_close(self, close: Any) -> None:
            closes.append(close)

    with trial(script, kind=Watching) as (one, _):
        one.client.connect("/")
        until(lambda: closes)
        assert one.failures == failures
        assert not one.client.is_open
        assert one.client.receive(timeout=None) is None
        assert one.client.receive(timeout=None) is None
        assert one.failures[-1].startswith("the connection is over: ")


def test_a_connection_after_another_hears_nothing_of_the_first() -> None:
    def late(talk: Talk) -> None:
        while (received := talk.frame()) is not None and received[0] != CLOSE:
            pass
        gevent.sleep(0.05)
        talk.send(frame(b"late"), close_frame(1000))

    with trial(late, sending(frame(b"first"))) as (one, server):
        one.client.connect("/")
        one.client.close()
        one.client.connect("/")
        assert one.client.receive() == "first"
        gevent.sleep(0.1)
        assert one.client.is_open
        assert one.client.receive(timeout=0) is None
        assert len(server.peers) == 2


def test_what_is_kept_is_bounded_and_the_latest() -> None:
    with trial(sending(*(frame(b"%d" % number) for number in range(MAX_UNREAD + 5)))) as (one, _):
        one.client.connect("/")
        until(lambda: len(one.events) == MAX_UNREAD + 6)
        assert one.client.receive() == "5"


@pytest.mark.parametrize("killed", [False, True], ids=["that ended", "that was stopped"])
def test_a_user_closes_its_connection_properly(killed: bool) -> None:
    class Brief(WebSocketUser):
        abstract = True

        def on_start(self) -> None:
            self.client.connect("/")
            if killed:
                gevent.sleep(20)
            raise gevent.GreenletExit

    received = Received(answers={CLOSE: close_frame(1001)})
    with trial(received, kind=Brief) as (one, _):
        greenlet = gevent.spawn(one.user.run)
        until(lambda: one.client.is_open or greenlet.dead)
        greenlet.kill()
        until(lambda: received.ended)
        assert received.frames == [(CLOSE, struct.pack("!H", 1001))]
        assert one.failures == []


def test_a_user_that_is_stopped_while_it_connects_reports_nothing() -> None:
    with gevent.Timeout(20), serving(lambda peer: (peer.request(), peer.wait_for_end())) as server:
        one = Trial(server.url)
        greenlet = gevent.spawn(one.client.connect, "/")
        until(lambda: server.peers)
        greenlet.kill()
        assert one.events == []


def test_a_server_that_hangs_up_on_our_close_frame_is_no_failure() -> None:
    with trial(lambda talk: (talk.frame(), talk.peer.close())) as (one, server):
        one.client.connect("/")
        one.client.close()
        until(lambda: one.client._unread.qsize())
        assert one.failures == []
        assert len(server.peers) == 1


def test_an_answer_s_time_ends_when_it_is_read_not_when_the_user_gets_its_turn() -> None:
    class Slow(WebSocketUser):
        abstract = True

        def on_message(self, text: str, at_ns: int) -> None:
            super().on_message(text, at_ns)
            time.sleep(0.3)

    with trial(echoing, kind=Slow) as (one, _):
        one.client.connect("/")
        assert one.client.ask("a", name="question") == "a"
        assert one.events[-1]["response_time"] < 250


@pytest.mark.parametrize(
    ("state", "told"),
    [(LOCUST_STATE_STOPPING, ["cut: cut off before the answer was complete"]), (LOCUST_STATE_RUNNING, [])],
)
def test_a_connection_whose_user_is_killed_before_it_is_there_has_failed_if_it_was_waited_for(
    state: str, told: list[str]
) -> None:
    with gevent.Timeout(20), serving(lambda peer: peer.wait_for_end()) as server:
        one = Trial(server.url)
        one.user._state = state
        connecting = gevent.spawn(one.client.connect, "/chat")
        gevent.sleep(0.05)
        connecting.kill()
        assert isinstance(connecting.value, gevent.GreenletExit)
    assert one.failures == told
