"""Users on a WebSocket, against a real server on a real socket."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gevent
import pytest
from locust.exception import StopUser

from pika_locust.kit import WebSocketActor, counter, on, on_raw, scenario
from pika_locust.kit.json_messages import JsonMessages
from pika_locust.load.pauses import Backoff
from pika_locust.metrics.builtin import PROTOCOL_METRICS
from pika_locust.testing.worker import RecordingContext, live, make_context, make_user, wait_until
from pika_locust.wire.tracing import TraceSampler
from tests.wire.http_servers import Peer, Server, serving
from tests.wire.websocket_servers import CLOSE, Talk, close_frame, frame, sending, silent, upgraded

SOON = Backoff(first_s=0.03, jitter_s=0.0, factor=2.0, cap_s=1.0)


class Chatter(WebSocketActor):
    meters: Any = {"greetings": counter("messages that greeted")}
    ledgers = ("posts",)
    spelling = JsonMessages(kind="kind", id="id", error="reason", ack="yes", nack="no")
    ignored = ("typing",)
    reply_within_s = 0.3
    backoff = SOON
    ping = b'{"kind":"ping"}'
    pong = "pong"
    ping_every_s = 0.05
    pong_within_s = 0.12

    def begin(self) -> None:
        super().begin()
        self.heard: list[Any] = []
        self.times_ns: list[int] = []

    @on("hello")
    def on_hello(self, message: dict[str, Any], at_ns: int) -> None:
        self.heard.append(message)
        self.times_ns.append(at_ns)
        self.meters.greetings.add()

    @on("moved", fields={"place": str})
    def on_moved(self, message: dict[str, Any], at_ns: int) -> None:
        self.heard.append(message["place"])

    @on_raw("noise")
    def on_noise(self, payload: bytes, at_ns: int) -> None:
        self.heard.append(payload)

    @on("fail")
    def on_fail(self, message: dict[str, Any], at_ns: int) -> None:
        raise LookupError("a mistake of the handler")


CHAT = scenario("chat", Chatter, target="ws", thresholds={"ack_success": "rate>0.99"})


def text(**message: Any) -> bytes:
    return frame(json.dumps(message, separators=(",", ":")).encode())


def replying(talk: Talk) -> None:
    """Acknowledge what has an id, answer pings, and refuse what is rude."""
    while (received := talk.frame()) is not None:
        opcode, payload = received
        if opcode == CLOSE:
            talk.send(frame(payload, CLOSE))
            return
        message = json.loads(payload)
        if message["kind"] == "ping":
            talk.send(text(kind="pong"))
        elif message.get("rude"):
            talk.send(text(kind="no", id=message["id"], reason="be nice"))
        elif "id" in message:
            talk.send(text(kind="yes", id=message["id"]))


class Chat:
    """A server with these scripts, one for each connection, the last one for all others; and users on it."""

    def __init__(self, server: Server, actor: type[Chatter] = Chatter, **environ: str) -> None:
        self.server = server
        self.actor = actor
        self.worker: RecordingContext = make_context(CHAT, environ, target=f"ws://127.0.0.1:{server.port}/ws")
        self.users: list[Any] = []
        self.greenlets: list[Any] = []

    def user(self) -> Any:
        """One that has begun, and does only what it is told."""
        self.users.append(user := make_user(self.actor, self.worker))
        user.on_start()
        return user

    def live(self) -> Any:
        """One that lives as Locust lets it."""
        self.users.append(user := make_user(self.actor, self.worker))
        self.greenlets.append(gevent.spawn(live, user))
        return user

    def errors(self) -> dict[tuple[str, str], int]:
        return self.worker.errors


Open = Callable[..., Chat]


@pytest.fixture
def chat() -> Iterator[Open]:
    opened: list[Any] = []

    def start(*scripts: Callable[[Talk], None], actor: type[Chatter] = Chatter, **environ: str) -> Chat:
        context = serving(*map(upgraded, scripts))
        opened.append((context, made := Chat(context.__enter__(), actor, **environ)))
        return made

    yield start
    for context, made in opened:
        gevent.killall(made.greenlets)
        for user in made.users:
            user.on_stop()
        made.worker.end()
        context.__exit__(None, None, None)


# Connecting


def test_each_user_connects_from_an_address_of_its_own(chat: Open) -> None:
    made = chat(replying, SOURCE_ADDRESSES="127.0.8.10-127.0.8.20")
    for _ in range(3):
        assert made.user().connect()
    assert [peer.address[0] for peer in made.server.peers] == ["127.0.8.10", "127.0.8.11", "127.0.8.12"]


REFUSED = {
    "without a pool": ({}, 429, "answered 429 (SOURCE_ADDRESSES gives each user an address of its own)"),
    "with a pool": ({"SOURCE_ADDRESSES": "127.0.8.0/24"}, 429, "answered 429 (SOURCE_ADDRESSES has 254 for all users)"),
    "not for that": ({}, 503, "answered 503"),
}


@pytest.mark.parametrize(("environ", "status", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_upgrade_says_what_helps(environ: dict[str, str], status: int, words: str) -> None:
    def refuse(peer: Peer) -> None:
        peer.answer(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())

    with serving(refuse) as server:
        made = Chat(server, **environ)
        assert not made.user().connect()
        assert made.worker.metrics.snapshot().failures("ws_connection_success") == {words: 1}
        made.users[0].on_stop()
        made.worker.end()


def test_a_connection_is_counted_from_its_upgrade_to_its_end(chat: Open) -> None:
    harness = chat(replying)
    user = harness.user()
    assert user.connect()
    assert user.is_open
    user.disconnect()
    worker = harness.worker
    assert not user.is_open
    assert worker.rate_of("ws_connection_success") == (1, 0)
    assert worker.rate_of("ws_connection_kept") == (1, 0)
    assert worker.rate_of("checks", check="WebSocket connected") == (1, 0)
    assert worker.trend_of("ws_connecting").count == worker.trend_of("ws_session_duration").count == 1
    assert worker.count_of("ws_connection_errors") == worker.count_of("ws_reconnects") == 0
    assert [event["name"] for event in worker.request_events] == ["connect"]
    assert worker.errors == {}


def test_sampled_upgrades_carry_a_trace_id_and_those_that_fail_are_remembered(chat: Open) -> None:
    harness = chat(replying)
    worker = harness.worker
    worker.tracer = TraceSampler(1.0)
    assert harness.user().connect()
    (request,) = harness.server.peers[0].requests
    worker.begin = replace(worker.begin, target="ws://127.0.0.1:9/ws")
    assert not harness.user().connect()
    answered, failed = worker.tracer.kept
    assert f"traceparent: 00-{answered.trace_id}-".encode() in request
    assert (answered.name, answered.error) == ("connect", "")
    assert "refused" in failed.error


@pytest.mark.alone
def test_a_connection_that_cannot_be_made_is_counted_and_followed_by_growing_pauses(chat: Open) -> None:
    harness = chat(silent)
    worker = harness.worker = make_context(CHAT, target="ws://127.0.0.1:9/ws")
    user = harness.user()
    began_s = time.monotonic()
    assert [user.connect() for _ in range(4)] == [False] * 4
    assert 0.03 + 0.06 + 0.12 <= time.monotonic() - began_s < 2.0
    assert user.failures == 4
    assert worker.rate_of("ws_connection_success") == (0, 4)
    assert worker.rate_of("checks", check="WebSocket connected") == (0, 4)
    assert worker.count_of("ws_connection_errors") == 4
    assert len(worker.errors_of("connect")) == 1
    assert [type(event["exception"]).__name__ for event in worker.request_events] == ["ConnectError"] * 4


def test_a_lost_connection_is_an_error_and_opened_again(chat: Open) -> None:
    harness = chat(lambda talk: gevent.sleep(0.02), sending(close_frame(1012, b"restart")), replying)
    user = harness.live()
    wait_until(lambda: len(harness.server.peers) == 3 and user.is_open)
    worker = harness.worker
    assert worker.rate_of("ws_connection_kept") == (0, 2)
    assert worker.rate_of("ws_connection_success") == (3, 0)
    assert worker.count_of("ws_connection_errors") == worker.count_of("ws_reconnects") == 2
    assert worker.errors_of("connection") == [
        "the server ended the connection without a close frame",
        "closed by the server: 1012 restart",
    ]


def test_who_is_to_finish_stops_waiting_for_the_next_attempt(chat: Open) -> None:
    harness = chat(silent)
    user = harness.user()
    user.backoff, user.failures = Backoff(first_s=30.0, jitter_s=0.0, factor=1.0, cap_s=30.0), 1
    gevent.spawn_later(0.02, user.release)
    began_s = time.monotonic()
    assert not user.connect()
    assert time.monotonic() - began_s < 5.0
    assert harness.server.peers == []


def test_a_second_connection_at_a_time_is_a_mistake(chat: Open) -> None:
    user = chat(replying).user()
    user.connect()
    with pytest.raises(RuntimeError, match="still open"):
        user.connect()


class Cautious(Chatter):
    """Whose connections are a success when somebody has said hello."""

    confirmed_by_upgrade = False

    def on_hello(self, message: dict[str, Any], at_ns: int) -> None:
        super().on_hello(message, at_ns)
        self.confirm()


def test_a_connection_may_have_to_be_confirmed(chat: Open) -> None:
    harness = chat(silent, sending(text(kind="hello"), text(kind="hello")), actor=Cautious)
    user = harness.user()
    user.failures = 1
    user.connect()
    user.abort("never mind")
    assert harness.worker.rate_of("ws_connection_success") == (0, 1)
    user.connect()
    assert user.failures == 2
    wait_until(lambda: len(user.heard) == 2)
    assert user.failures == 0
    user.abort("never mind")
    assert harness.worker.rate_of("ws_connection_success") == (1, 1)


def test_what_the_last_message_says_of_a_connection_that_is_over_comes_too_late(chat: Open) -> None:
    def parting(talk: Talk) -> None:
        message = json.loads(talk.frame()[1])
        talk.send(text(kind="yes", id=message["id"]) + close_frame(1012, b"restart"))

    harness = chat(parting, actor=Cautious)
    user = harness.user()
    user.connect()
    assert user.ask("post", {"kind": "post"}).ok
    user.confirm()
    assert harness.worker.rate_of("ws_connection_success") == (0, 1)
    assert user.failures == 1


# Waiting for what handlers hear


def test_what_a_handler_has_heard_of_is_waited_for(chat: Open) -> None:
    harness = chat(sending(text(kind="hello"), text(kind="hello"), pause_s=0.01))

    class Waiting(Chatter):
        def on_hello(self, message: dict[str, Any], at_ns: int) -> None:
            super().on_hello(message, at_ns)
            self.notify()

    harness.actor = Waiting
    user = harness.user()
    user.connect()
    assert user.wait_for(lambda: len(user.heard) == 2, 5.0)
    assert not user.wait_for(lambda: len(user.heard) == 3, 0.01)
    assert user.is_open


def test_the_wait_is_over_with_the_connection(chat: Open) -> None:
    user = chat(lambda talk: gevent.sleep(0.02)).user()
    user.connect()
    began_s = time.monotonic()
    assert not user.wait_for(lambda: False, 60.0)
    assert not user.is_open
    assert time.monotonic() - began_s < 30.0


@pytest.mark.parametrize(
    "event", [lambda user: user.confirm(), lambda user: user.release()], ids=["confirmed", "to finish"]
)
def test_who_waits_looks_again_when_the_user_is(event: Callable[[Any], None], chat: Open) -> None:
    user = chat(silent, actor=Cautious).user()
    user.connect()
    gevent.spawn_later(0.01, event, user)
    assert user.wait_for(lambda: user.confirmed or user.released.is_set(), 60.0)


# What arrives


def test_messages_go_to_the_handlers_of_their_kinds(chat: Open) -> None:
    noise = b'{"kind":"noise", not looked into'
    said = [text(kind="hello", to="all"), text(kind="typing"), frame(noise), text(kind="moved", place="kitchen")]
    harness = chat(sending(*said))
    user = harness.user()
    before_ns = time.monotonic_ns()
    user.connect()
    wait_until(lambda: len(user.heard) == 3)
    assert user.heard == [{"kind": "hello", "to": "all"}, noise, "kitchen"]
    assert before_ns < user.times_ns[0] < time.monotonic_ns()
    assert harness.worker.count_of("ws_messages_received") == 4
    assert harness.worker.count_of("greetings") == 1
    assert harness.worker.errors == {}


NOT_UNDERSTOOD = {
    "no JSON": (frame(b"hello there"), "a message that is not a JSON object"),
    "no object": (frame(b"[1,2]"), "a message that is not a JSON object"),
    "an unknown kind": (text(kind="waltz"), "a message of the unknown type waltz"),
    "no kind": (text(id="1"), "a message whose kind is no text"),
    "a field that is none": (text(kind="moved", place=5), "moved without place, or with one that is no str"),
    "a binary message": (frame(b"\0", 2), "a binary message, which the protocol does not have"),
}


@pytest.mark.parametrize(("piece", "error"), NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_what_is_not_understood_is_an_error_and_ends_nothing(piece: bytes, error: str, chat: Open) -> None:
    harness = chat(sending(piece, text(kind="hello")))
    user = harness.user()
    user.connect()
    wait_until(lambda: user.heard)
    assert harness.worker.errors_of("receive") == [error]
    assert user.is_open


def test_the_share_of_errors_is_that_of_all_messages_however_many_classes_share_the_counter(chat: Open) -> None:
    class Listening(Chatter):
        pass

    class Judged(Chatter):
        pass

    harness = chat(sending(text(kind="waltz"), *[text(kind="hello")] * 4))
    harness.worker = make_context(
        scenario("chat", Chatter, target="ws", metrics=PROTOCOL_METRICS), target=harness.worker.begin.target
    )
    for actor in (Listening, Judged):
        harness.actor = actor
        user = harness.user()
        user.connect()
        wait_until(lambda user=user: len(user.heard) == 4)
    assert harness.worker.rate_of("protocol_errors") == (2, 8)


def test_a_message_in_another_spelling_is_understood_and_counted_once(chat: Open) -> None:
    harness = chat(sending(frame(b' { "to": "all", "kind" : "hello" }'), frame(b'{ "level" : 3, "kind" : "noise" }')))
    user = harness.user()
    user.connect()
    wait_until(lambda: len(user.heard) == 2)
    assert user.heard == [{"kind": "hello", "to": "all"}, b'{"kind":"noise","level":3}']
    assert harness.worker.count_of("ws_messages_received") == 2
    assert harness.worker.errors == {}


def test_a_handler_that_raises_is_our_mistake_and_the_next_message_is_taken(chat: Open) -> None:
    harness = chat(sending(text(kind="fail") + text(kind="hello")))
    user = harness.user()
    user.connect()
    wait_until(lambda: user.heard)
    assert harness.worker.internal_errors == ["LookupError: a mistake of the handler"]


# Messages that want a reply


def test_a_question_is_answered_booked_and_timed(chat: Open) -> None:
    harness = chat(replying)
    user = harness.user()
    user.connect()
    yes = user.ask("post", {"kind": "post", "words": "hi"}, ledger="posts")
    heard: list[tuple[bool, str]] = []
    rude = {"kind": "post", "rude": True}
    no = user.ask("post", rude, ledger="posts", items=2, on_reply=lambda *reply: heard.append(reply))
    assert (yes.ok, yes.why) == (True, "")
    assert heard == [(no.ok, no.why)] == [(False, "be nice")]
    worker = harness.worker
    assert worker.ledger_of("posts") == {"sent": 3, "acked": 1, "refused": 2}
    assert worker.rate_of("ack_success", kind="post") == (1, 1)
    assert worker.trend_of("ack_latency", kind="post").count == 1
    assert worker.trend_of("ws_message_latency").count == 2
    assert worker.count_of("nacks", error="be nice") == 1
    assert worker.count_of("ws_messages_sent") == 2
    assert user.unanswered == 0


def test_what_is_posted_is_answered_in_the_event_loop(chat: Open) -> None:
    harness = chat(replying)
    user = harness.user()
    user.connect()
    replies: list[tuple[bool, str]] = []
    ids = [
        user.post("post", {"kind": "post"}, on_reply=lambda *reply: replies.append(reply)),
        user.post("post", lambda id: json.dumps({"kind": "post", "id": id, "rude": 1}).encode(), on_reply=None),
    ]
    assert user.unanswered == 2
    wait_until(lambda: not user.unanswered)
    assert replies == [(True, "")]
    assert len(set(ids)) == 2


def test_no_reply_in_time_is_a_failure(chat: Open) -> None:
    harness = chat(silent)
    user = harness.user()
    user.ping_every_s = 60.0
    user.connect()
    reply = user.ask("post", {"kind": "post"}, ledger="posts")
    assert (reply.ok, reply.why) == (False, "no answer within 0.3 s")
    assert harness.worker.ledger_of("posts") == {"sent": 1, "timed_out": 1}


def test_a_connection_that_is_lost_takes_the_reply_with_it(chat: Open) -> None:
    harness = chat(lambda talk: talk.frame() and None)
    user = harness.user()
    user.connect()
    reply = user.ask("post", {"kind": "post"}, ledger="posts")
    assert (reply.ok, reply.why) == (False, "the connection was lost before the answer")
    assert harness.worker.ledger_of("posts") == {"sent": 1, "uncertain": 1}


def test_without_a_connection_nothing_is_sent_or_counted(chat: Open) -> None:
    harness = chat(silent)
    user = harness.user()
    assert not user.send(b"hi")
    assert not user.send_json({"kind": "post"})
    user.send_ping()
    user.close()
    user.leave()
    user.abort("never mind")
    user.disconnect()
    assert harness.worker.count_of("ws_messages_sent") == 0


def test_nobody_waits_for_the_end_of_a_connection_that_never_was() -> None:
    with gevent.Timeout(10):
        user = make_user(Chatter, worker := make_context(CHAT, target="ws://127.0.0.1:9/ws"))
        user.on_start()
        assert not user.connect()
        assert user.wait_closed()
        worker.end()


def test_without_a_connection_nobody_is_asked_and_nothing_is_booked(chat: Open) -> None:
    harness = chat(silent)
    user = harness.user()
    user.reply_within_s = 60.0
    heard: list[tuple[bool, str]] = []
    with gevent.Timeout(10):
        reply = user.ask("post", {"kind": "post"}, ledger="posts", on_reply=lambda *reply: heard.append(reply))
    assert (reply.ok, reply.why) == (False, "not connected")
    assert heard == [(False, "not connected")]
    assert user.unanswered == 0
    worker = harness.worker
    assert worker.ledger_of("posts") == {}
    assert worker.rate_of("ack_success") == (0, 0)
    assert worker.errors == {}


def test_whoever_asks_again_and_again_without_a_connection_lets_others_run(chat: Open) -> None:
    user = chat(silent).user()

    def insist() -> None:
        while not user.released.is_set():
            user.ask("post", {"kind": "post"})

    asking = gevent.spawn(insist)
    gevent.sleep(0.05)
    user.release()
    asking.join(timeout=5.0)
    assert asking.dead


def test_what_is_posted_while_the_connection_closes_never_went_out(chat: Open) -> None:
    def parting(talk: Talk) -> None:
        while (received := talk.frame()) is not None:
            if received[0] == CLOSE:
                talk.send(text(kind="hello") + frame(received[1], CLOSE))

    class Greeting(Chatter):
        def on_hello(self, message: dict[str, Any], at_ns: int) -> None:
            super().on_hello(message, at_ns)
            self.heard.append(self.post("post", {"kind": "post"}, ledger="posts"))

    harness = chat(parting, actor=Greeting)
    user = harness.user()
    user.connect()
    user.disconnect()
    assert user.heard == [{"kind": "hello"}, ""]
    worker = harness.worker
    assert worker.ledger_of("posts") == {}
    assert worker.rate_of("ack_success") == (0, 0)
    assert worker.rate_of("ws_connection_kept") == (1, 0)
    assert worker.errors == {}


# Heartbeat


def test_pongs_are_timed_and_keep_a_connection(chat: Open) -> None:
    harness = chat(replying)
    user = harness.user()
    user.connect()
    assert not user.wait_closed(0.5)
    assert harness.worker.trend_of("ping_latency").count >= 3
    assert harness.worker.count_of("ws_messages_sent") == 0


def test_a_connection_without_a_pong_is_dropped(chat: Open) -> None:
    harness = chat(silent)
    user = harness.user()
    user.connect()
    assert user.wait_closed(5.0)
    assert harness.worker.errors_of("connection") == ["no pong for 0.12 s"]
    assert harness.worker.rate_of("ws_connection_kept") == (0, 1)


# Leaving


def test_who_is_to_finish_leaves_as_soon_as_nothing_is_unanswered(chat: Open) -> None:
    def slowly(talk: Talk) -> None:
        while (received := talk.frame()) is not None:
            opcode, payload = received
            if opcode == CLOSE:
                talk.send(frame(payload, CLOSE))
                return
            message = json.loads(payload)
            if message["kind"] == "ping":
                talk.send(text(kind="pong"))
            elif "id" in message:
                gevent.spawn_later(0.1, talk.send, text(kind="yes", id=message["id"]))

    harness = chat(slowly)
    user = harness.live()
    wait_until(lambda: user.is_open)
    user.post("post", {"kind": "post"}, ledger="posts")
    harness.worker.drain("primary", 5.0)
    assert harness.worker.ledger_of("posts") == {"sent": 1, "acked": 1}
    assert harness.worker.rate_of("ws_connection_kept") == (1, 0)
    assert harness.worker.actors("primary") == []
    assert harness.worker.errors == {}


def test_who_is_released_while_it_connects_leaves_at_once(chat: Open) -> None:
    def late(peer: Peer) -> None:
        gevent.sleep(0.1)
        upgraded(replying)(peer)

    with serving(late) as server:
        harness = Chat(server)
        user = harness.live()
        wait_until(lambda: server.peers)
        user.release()
        gevent.joinall(harness.greenlets, timeout=5.0, raise_error=True)
        assert harness.worker.rate_of("ws_connection_kept") == (1, 0)
        assert harness.greenlets[0].dead


class Brief(Chatter):
    """One whose iteration ends with the connection open, as soon as it is to finish."""

    ping = b""

    def act(self) -> None:
        if self.is_open or self.connect():
            while not self.released.is_set():
                self.ask("post", {"kind": "post"}, ledger="posts")
                self.pause(60.0)


def test_who_ends_by_itself_closes_in_good_order(chat: Open) -> None:
    harness = chat(replying, actor=Brief)
    user = harness.live()
    wait_until(lambda: harness.worker.ledger_of("posts").get("acked"))
    harness.worker.drain("primary", 5.0)
    assert not user.is_open
    assert harness.worker.actors("primary") == []
    assert harness.worker.rate_of("ws_connection_kept") == (1, 0)
    assert harness.worker.errors == {}


def test_who_has_done_all_its_iterations_closes_in_good_order(chat: Open) -> None:
    class Once(Brief):
        def act(self) -> None:
            self.connect()
            raise StopUser

    harness = chat(replying, actor=Once)
    user = harness.live()
    gevent.joinall(harness.greenlets, timeout=5.0, raise_error=True)
    assert not user.is_open
    assert harness.worker.rate_of("ws_connection_kept") == (1, 0)
    assert harness.worker.errors == {}


def test_who_is_killed_while_the_end_is_waited_for_has_been_killed(chat: Open) -> None:
    harness = chat(silent, actor=Brief)
    user = harness.live()
    wait_until(lambda: user.unanswered)
    user.reply_within_s = 60.0
    user.release()
    wait_until(lambda: not user.unanswered)
    gevent.sleep(0.1)
    assert not harness.greenlets[0].dead
    gevent.killall(harness.greenlets)
    assert not user.is_open
    assert harness.worker.actors("primary") == []
    assert "the user was killed" in harness.worker.errors_of("connection")


def test_who_is_killed_drops_its_connection(chat: Open) -> None:
    harness = chat(silent)
    user = harness.live()
    wait_until(lambda: user.is_open)
    gevent.killall(harness.greenlets)
    assert not user.is_open
    assert harness.worker.errors_of("connection") == ["the user was killed"]


def test_who_is_to_have_no_time_to_finish_has_lost_neither_connection_nor_reply(chat: Open) -> None:
    harness = chat(silent)
    user = harness.user()
    assert user.dial()
    answers: list[Any] = []
    user.post("post", {"kind": "post"}, ledger="posts", on_reply=lambda ok, why: answers.append(ok))
    harness.worker.drain("supporter", 0.0)
    user.on_stop()
    assert not user.is_open
    assert harness.worker.errors == {}
    assert harness.worker.rate_of("ws_connection_kept") == (1, 0)
    assert harness.worker.rate_of("ack_success") == (0, 0)
    assert harness.worker.ledger_of("posts") == {"sent": 1, "uncertain": 1}
    assert answers == [False]


class Polite(Chatter):
    def finish(self) -> None:
        self.heard.append("it is over")
        super().finish()


def test_nobody_finishes_before_it_has_begun(chat: Open) -> None:
    harness = chat(silent, actor=Polite)
    make_user(Polite, None).release()
    user = harness.user()
    user.release()
    assert user.heard == ["it is over"]


# Classes of users


class Quiet(Chatter):
    """One of another sort, whose messages are counted as greetings, and nothing else is."""

    connect_check = ""
    lost_as = "quiet connection"

    @classmethod
    def connection_metrics(cls, meters: Any) -> Any:
        return type(super().connection_metrics(meters))(received=meters.greetings, errors=meters.ws_connection_errors)

    def on_unknown(self, payload: bytes, at_ns: int) -> None:
        self.heard.append("?")


def test_a_class_may_be_counted_elsewhere(chat: Open) -> None:
    harness = chat(sending(text(kind="waltz")), actor=Quiet)
    user = harness.user()
    user.connect()
    wait_until(lambda: user.heard)
    user.send(b'{"kind":"post"}')
    user.abort("enough")
    worker = harness.worker
    assert user.heard == ["?"]
    assert worker.count_of("greetings") == 1
    assert worker.count_of("ws_connection_errors") == 1
    assert worker.errors_of("quiet connection") == ["enough"]
    assert worker.errors_of("receive") == []
    assert worker.request_events == []
    for name in ("ws_messages_received", "ws_messages_sent", "ws_reconnects"):
        assert worker.count_of(name) == 0
    for name in ("ws_connection_success", "ws_connection_kept", "checks"):
        assert worker.rate_of(name) == (0, 0)


def test_ids_differ_between_users_and_between_spellings(chat: Open) -> None:
    class Other(Chatter):
        spelling = JsonMessages()

    harness = chat(replying)
    first = harness.user()
    harness.actor = Other
    second, third = harness.user(), harness.user()
    assert second.pending is third.pending is not first.pending
    assert len({user.expect("post") for user in (first, second, third, first)}) == 4


@pytest.mark.parametrize(("time_to_finish", "failed"), [(True, 1), (False, 0)])
def test_a_connection_whose_user_is_killed_before_it_is_there_has_failed(time_to_finish: bool, failed: int) -> None:
    with gevent.Timeout(10), serving(lambda peer: peer.wait_for_end()) as server:
        harness = Chat(server)
        user = harness.user()
        harness.worker.cuts_at_once = not time_to_finish
        dialling = gevent.spawn(user.dial)
        gevent.sleep(0.05)
        dialling.kill()
        user.on_stop()
    worker = harness.worker
    assert worker.rate_of("ws_connection_success") == (0, failed)
    assert worker.count_of("ws_connection_errors") == failed
    assert worker.errors_of("connect") == ["cut off before the connection was there"] * failed
