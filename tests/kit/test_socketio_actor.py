from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any

import gevent
import pytest

from pika_locust.kit import SocketIoActor, counter, on, rate, scenario, socketio_actor, trend
from pika_locust.load.pauses import Backoff
from pika_locust.metrics.builtin import PROTOCOL_METRICS
from pika_locust.testing.worker import RecordingContext, live, make_context, make_user, wait_until
from pika_locust.wire.tracing import TraceSampler
from pika_locust.wire.websocket import Close, Limits
from tests.wire.http_servers import Peer, serving
from tests.wire.socketio_servers import Servers, opening, running
from tests.wire.websocket_servers import CLOSE, Talk, frame, switching, upgraded


class Caller(SocketIoActor):
    meters = {
        "upgrade_time": trend("the WebSocket"),
        "open_time": trend("the open packet"),
        "connect_time": trend("the namespaces"),
        "connect_success": rate("connections"),
        "order_time": trend("from an order to its acceptance"),
        "orders_accepted": rate("orders that were accepted"),
        "sent": counter("messages that went out"),
        "received": counter("messages that came in"),
    }
    ledgers = ("orders",)
    namespaces = ("/queue", "/video")
    upgrade_trend, open_trend, connect_trend = "upgrade_time", "open_time", "connect_time"
    connect_rate = "connect_success"
    sent_counter, received_counter = "sent", "received"
    backoff = Backoff(first_s=0.05, jitter_s=0.0, factor=2.0, cap_s=1.0)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.heard: list[tuple[str, Any]] = []
        self.ends: list[bool] = []

    @on("said")
    def note_said(self, data: Any, at_ns: int) -> None:
        self.heard.append(("said", data))

    @on("order:ended", fields={"id": str})
    def note_end(self, data: dict[str, Any], at_ns: int) -> None:
        self.heard.append(("order:ended", data["id"]))

    @on("stumble")
    def stumble(self, data: Any, at_ns: int) -> None:
        raise ZeroDivisionError("stumbled")

    def closed(self, kept: bool) -> None:
        self.ends.append(kept)

    def order(self, *events: list[Any], within_s: float = 5.0) -> Any:
        """Have the server say these events, and take the first that answers an order."""
        return self.ask(
            "say",
            *events,
            first_of=("order:accepted", "order:later"),
            refused_by=("order:refused",),
            within_s=within_s,
            name="order",
            ledger="orders",
            item="o1",
            trend="order_time",
            rate="orders_accepted",
        )


class Clerk(Caller):
    """One of those who come on top of the users."""

    role = "supporter"


class Plain(Caller):
    """In the default namespace, where the scripted servers speak."""

    namespaces = ("/",)


CALLS = scenario("calls", Caller, metrics=PROTOCOL_METRICS)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running() as both:
        yield both


@pytest.fixture
def begun() -> Iterator[Callable[..., Any]]:
    """Makes a user that is ready to act; at the end, nothing may have gone wrong in any of them."""
    users: list[Caller] = []

    def make(target: str, kind: type[Caller] = Caller, worker: RecordingContext | None = None) -> Caller:
        users.append(user := make_user(kind, worker or make_context(CALLS, target=target)))
        user.on_start()
        return user

    yield make
    for user in users:
        user.on_stop()
        assert user.worker.internal_errors == []


@pytest.fixture
def user(servers: Servers, begun: Callable[..., Caller]) -> Caller:
    """Connected with python-socketio's own server."""
    user = begun(servers.real)
    assert user.connect({"token": "good"})
    return user


# Connecting


def test_connecting_opens_all_namespaces_and_times_each_step_apart(user: Caller) -> None:
    worker = user.worker
    assert user.is_connected
    assert {name: worker.trend_of(name).count for name in ("upgrade_time", "open_time", "connect_time")} == {
        "upgrade_time": 1,
        "open_time": 1,
        "connect_time": 1,
    }
    assert worker.rate_of("connect_success") == worker.rate_of("checks", check="Socket.IO connected") == (1, 0)
    assert worker.errors == {}


def test_the_steps_follow_one_another(servers: Servers, begun: Callable[..., Caller]) -> None:
    user = begun(f"{servers.scripted}/slow_open", Plain)
    assert user.connect()
    limits_us = {name: user.worker.trend_of(name).maximum for name in ("upgrade_time", "open_time", "connect_time")}
    # The server waits 200 ms, and then 400 ms; what a busy machine adds to one step it may take from the next.
    assert limits_us["upgrade_time"] < limits_us["open_time"] < limits_us["connect_time"]
    assert sum(limits_us.values()) > 590_000


@pytest.mark.parametrize(("time_to_finish", "failed"), [(True, 1), (False, 0)])
def test_a_connection_whose_user_is_killed_before_it_is_there_has_failed(
    begun: Callable[..., Any], time_to_finish: bool, failed: int
) -> None:
    with serving(lambda peer: peer.wait_for_end()) as server:
        user = begun(server.url)
        user.worker.cuts_at_once = not time_to_finish
        connecting = gevent.spawn(user.connect)
        gevent.sleep(0.05)
        connecting.kill()
    worker = user.worker
    assert worker.rate_of("connect_success") == (0, failed)
    assert worker.rate_of("checks", check="Socket.IO connected") == (0, failed)
    assert worker.errors_of("connect") == ["cut off before the connection was there"] * failed


def test_a_connection_that_is_there_is_kept(user: Caller) -> None:
    client = user.client
    assert user.connect()
    assert user.client is client
    assert user.worker.rate_of("connect_success") == (1, 0)


def test_messages_of_all_connections_of_a_process_are_counted(servers: Servers, user: Caller, begun: Any) -> None:
    other = begun(servers.real, worker=user.worker)
    other.connect({"token": "good"})
    assert user.counts is other.counts
    # Each asks for two namespaces; each gets an open packet, two consents, and a hello.
    wait_until(lambda: user.worker.count_of("received") == 8)
    assert user.worker.count_of("sent") == 4
    assert user.worker.count_of("sent") == 4


def test_namespaces_may_be_named_without_their_slash_and_with_a_query(servers: Servers, begun: Any) -> None:
    class Loose(Caller):
        namespaces = ("queue", "/video?x=1")

    user = begun(servers.real, Loose)
    with gevent.Timeout(5):
        assert user.connect({"token": "good"})
    assert user.ask("add", 1, 2).data == user.ask("add", 1, 2, namespace="queue").data == 3
    assert user.emit("add", 1, 2, namespace="queue")


def test_a_refused_namespace_is_no_connection(servers: Servers, begun: Callable[..., Caller]) -> None:
    user = begun(servers.real)
    began_s = monotonic()
    assert not user.connect({"token": "bad"})
    assert monotonic() - began_s < 5.0, "what is refused is not waited for"
    assert (
        user.worker.rate_of("connect_success") == user.worker.rate_of("checks", check="Socket.IO connected") == (0, 1)
    )
    assert user.worker.errors_of("connect") == ['/queue was refused: {"message":"no such user"}']
    assert user.worker.errors_of("connection") == ["the namespaces were not opened"]
    assert user.worker.trend_of("connect_time").count == 0
    assert user.worker.trend_of("open_time").count == 1
    assert user.ends == [False]


def test_whoever_is_kicked_while_connecting_hears_the_servers_own_end(servers: Servers, begun: Any) -> None:
    user = begun(f"{servers.scripted}/kick")
    assert not user.connect({"token": "bad"})
    wait_until(lambda: user.ends)
    assert user.ends == [False]
    assert user.worker.errors_of("connect") == ["kicked out of /queue", "kicked out of /video"]
    assert user.worker.errors_of("connection") == ["closed by the server: 1000"]


def test_a_server_that_is_not_there_is_tried_less_and_less_often(begun: Callable[..., Caller]) -> None:
    user = begun("http://127.0.0.1:9")
    pauses_s = []
    for _ in range(3):
        began_s = monotonic()
        assert not user.connect()
        pauses_s.append(monotonic() - began_s)
    assert user.failures == 3
    assert pauses_s[0] >= 0.05
    assert pauses_s[1] >= 0.1
    assert pauses_s[2] >= 0.2
    assert user.worker.trend_of("upgrade_time").count == 0
    assert user.worker.rate_of("connect_success") == (0, 3)
    (error,) = user.worker.errors_of("connect")
    assert "refused" in error
    assert [str(event["exception"]) for event in user.worker.request_events] == [error] * 3


def test_where_arrivals_set_the_pace_no_connection_is_paused_after(
    begun: Callable[..., Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Caller, "backoff", Backoff(first_s=5.0, jitter_s=0.0, factor=1.0, cap_s=5.0))
    user = begun("http://127.0.0.1:9")
    user.worker.arrivals = object()
    began_s = monotonic()
    assert not user.connect()
    assert monotonic() - began_s < 4.0


def test_arrivals_set_no_pace_for_those_who_come_on_top(begun: Callable[..., Caller]) -> None:
    user = begun("http://127.0.0.1:9", Clerk)
    user.worker.arrivals = object()
    began_s = monotonic()
    assert not user.connect()
    assert monotonic() - began_s >= 0.05


def test_a_server_that_says_nothing_is_given_up(
    servers: Servers, begun: Callable[..., Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Plain, "connect_within_s", 0.2)
    user = begun(f"{servers.scripted}/silent", Plain)
    assert not user.connect()
    assert user.worker.rate_of("connect_success") == (0, 1)
    assert user.worker.trend_of("open_time").count == 0
    assert len(user.worker.errors_of("connection")) == 1


def test_after_an_end_a_new_connection_is_made(user: Caller) -> None:
    user.disconnect()
    assert not user.is_connected
    assert user.connect({"token": "good"})
    gevent.sleep(0.05)
    assert user.is_connected, "the end of the first connection is not the second one's"
    assert user.ends == [True]
    assert user.worker.errors == {}


# Asking


ORDERS: dict[str, tuple[list[list[Any]], str, str, dict[str, int]]] = {
    # what the server says, the answer, what is counted as an error, the ledger
    "accepted": ([["order:accepted", {"id": "o1"}]], "order:accepted", "", {"sent": 1, "acked": 1}),
    "the first answer counts": (
        [["other", 1], ["order:later", {"id": "o1"}], ["order:accepted", {}]],
        "order:later",
        "",
        {"sent": 1, "acked": 1},
    ),
    "refused by a code": (
        [["order:refused", {"code": "SOLD_OUT", "message": "all gone"}], ["order:accepted", {}]],
        "order:refused",
        "SOLD_OUT",
        {"sent": 1, "refused": 1},
    ),
    "refused without a word": ([["order:refused"]], "order:refused", "order:refused", {"sent": 1, "refused": 1}),
    "no answer": ([["other", 1]], "", "no answer within 0.3 s", {"sent": 1, "timed_out": 1}),
}


@pytest.mark.parametrize(("events", "name", "error", "booked"), ORDERS.values(), ids=ORDERS)
def test_what_is_asked_is_checked_measured_and_booked_by_its_answer(
    events: list[list[Any]], name: str, error: str, booked: dict[str, int], user: Caller
) -> None:
    reply = user.order(*events, within_s=5.0 if name else 0.3)
    worker, ok = user.worker, "acked" in booked
    assert (reply.name, reply.ok, reply.refused) == (name, ok, "refused" in booked)
    assert worker.ledger_of("orders") == booked
    counted = (1, 0) if ok else (0, 1)
    assert worker.rate_of("checks", check="order ok") == worker.rate_of("orders_accepted") == counted
    assert worker.trend_of("order_time").count == ok
    assert worker.errors_of("order") == ([error] if error else [])
    connected, event = worker.request_events
    assert (connected["request_type"], connected["name"], connected["exception"]) == ("SIO", "connect", None)
    assert (event["request_type"], event["name"], str(event["exception"] or "")) == ("SIO", "order", error)
    assert event["response_time"] >= (0 if name else 290)
    if "refused" in booked:
        assert worker.ledgers["orders"].refused_by == {error: 1}


def test_an_answer_carries_data_and_its_time(user: Caller) -> None:
    reply = user.order(["order:accepted", {"id": "o1"}, "more"])
    assert (reply.data, reply.get("id"), reply.get("no", 5)) == ({"id": "o1"}, "o1", 5)
    assert 0 < reply.latency_us < 2_000_000
    assert user.worker.trend_of("order_time").maximum == reply.latency_us


def test_without_events_to_wait_for_the_acknowledgement_is_the_answer(user: Caller) -> None:
    reply = user.ask("add", 1, 2, ledger="orders", item="o1", trend="order_time")
    assert (reply.ok, reply.name, reply.data, reply.get("sum")) == (True, "ack", 3, None)
    assert user.worker.ledger_of("orders") == {"sent": 1, "acked": 1}
    assert user.worker.rate_of("checks", check="add ok") == (1, 0)


def test_an_acknowledgement_that_comes_too_late_is_still_booked(user: Caller) -> None:
    reply = user.ask("add slowly", 0.3, 1, 2, within_s=0.1, ledger="orders", item="o1")
    assert not reply.ok
    assert user.worker.ledger_of("orders") == {"sent": 1, "timed_out": 1}
    wait_until(lambda: user.worker.ledger_of("orders") == {"sent": 1, "timed_out": 1, "acked": 1})


def test_an_acknowledgement_after_the_event_that_refused_is_no_second_answer(begun: Callable[..., Caller]) -> None:
    def refusing(talk: Talk) -> None:
        talk.send(frame(opening().encode()))
        while (received := talk.frame()) is not None:
            if received[1] == b"40":
                talk.send(frame(b'40{"sid":"s"}'))
            elif received[1].startswith(b"42"):
                acknowledged = b"43" + received[1][2 : received[1].index(b"[")] + b"[]"
                talk.send(frame(b'42["order:refused",{"code":"FULL"}]'), frame(acknowledged), frame(b'42["said",1]'))

    with serving(upgraded(refusing)) as server:
        user = begun(server.url, Plain)
        assert user.connect()
        reply = user.ask("order", 1, refused_by=("order:refused",), ledger="orders", item="o1")
        assert user.wait_for(lambda: user.heard, 5.0)
    assert reply.refused
    assert user.worker.ledger_of("orders") == {"sent": 1, "refused": 1}


def test_without_a_connection_nothing_is_sent_or_booked(servers: Servers, begun: Callable[..., Caller]) -> None:
    user = begun(servers.real)
    assert not user.order(["order:accepted"]).ok
    assert not user.emit("say", ["said", 1])
    assert user.worker.ledger_of("orders") == {}
    assert user.worker.errors == {("order", "not connected"): 1, ("say", "not connected"): 1}
    assert user.worker.rate_of("checks", check="order ok") == (0, 1)


def test_a_connection_that_is_lost_leaves_what_was_asked_uncertain(servers: Servers, begun: Any) -> None:
    user = begun(f"{servers.scripted}/die", Plain)
    assert user.connect()
    reply = user.order(["order:accepted"])
    assert reply.error == "the connection was lost before the answer"
    assert user.worker.ledger_of("orders") == {"sent": 1, "uncertain": 1}
    assert user.ends == [False]
    assert user.worker.errors_of("connection") != []


def test_whoever_is_kicked_waits_for_no_answer(user: Caller) -> None:
    began_s = monotonic()
    reply = user.ask("kick me", first_of=("never",), ledger="orders", item="o1")
    assert monotonic() - began_s < 3.0
    assert reply.error == "the connection was lost before the answer"
    assert user.worker.ledger_of("orders") == {"sent": 1, "uncertain": 1}
    assert not user.is_connected


def test_a_user_that_is_to_finish_still_gets_its_answer(user: Caller) -> None:
    user.release()
    assert user.order(["order:accepted", {}]).ok


@pytest.mark.parametrize(("time_to_finish", "failed"), [(True, 1), (False, 0)])
def test_whoever_is_cut_off_while_asking_leaves_its_item_uncertain(
    time_to_finish: bool, failed: int, user: Caller
) -> None:
    worker = user.worker
    worker.cuts_at_once = not time_to_finish
    asking = gevent.spawn(user.order, ["other"])
    gevent.sleep(0.05)
    asking.kill()
    assert worker.ledger_of("orders") == {"sent": 1, "uncertain": 1}
    assert worker.rate_of("checks", check="order ok") == worker.rate_of("orders_accepted") == (0, failed)
    told = [event for event in worker.request_events if event["name"] == "order"]
    assert [str(event["exception"]) for event in told] == ["cut off before the answer"] * failed
    assert all(event["response_time"] >= 40 for event in told)
    assert worker.errors_of("order") == ["cut off before the answer"] * failed
    assert user.order(["order:accepted", {}]).ok, "the next one can be asked"


def test_one_thing_is_asked_at_a_time(user: Caller) -> None:
    asking = gevent.spawn(user.order, ["other"], within_s=0.2)
    gevent.sleep(0)
    with pytest.raises(RuntimeError, match="one thing is asked at a time"):
        user.ask("add", 1)
    asking.get()


# Its handshake


def test_a_sampled_connection_carries_a_trace_id_in_its_handshake_and_none_in_its_events(begun: Any) -> None:
    said: list[bytes] = []

    def script(talk: Talk) -> None:
        talk.send(frame(opening().encode()))
        while (received := talk.frame()) is not None:
            said.append(received[1])
            if received[1] == b"40":
                talk.send(frame(b'40{"sid":"s"}'))

    with serving(upgraded(script)) as server:
        user = begun(server.url, Plain)
        user.worker.tracer = TraceSampler(1.0)
        assert user.connect()
        user.emit("hello", 1)
        wait_until(lambda: len(said) == 2)
        user.on_stop()
    (trace,) = user.worker.tracer.kept
    assert f"traceparent: 00-{trace.trace_id}-".encode() in server.requests[0]
    assert (trace.name, trace.error) == ("connect", "")
    assert said[:2] == [b"40", b'42["hello",1]']


def accepting(peer: Peer) -> None:
    peer.send(switching(peer.request()))
    peer.wait_for_end()


class Hasty(Caller):
    connect_within_s = 0.2
    backoff = Backoff(first_s=0.01, jitter_s=0.0, factor=1.0, cap_s=0.01)


def test_each_user_connects_from_an_address_of_its_own(begun: Callable[..., Any]) -> None:
    with serving(accepting) as server:
        worker = make_context(CALLS, {"SOURCE_ADDRESSES": "127.0.8.10-127.0.8.20"}, target=server.url)
        for _ in range(2):
            begun(server.url, Hasty, worker).connect()
        assert [peer.address[0] for peer in server.peers] == ["127.0.8.10", "127.0.8.11"]


# Hearing


def test_marked_methods_hear_what_events_carry(user: Caller) -> None:
    assert user.emit("say", ["said", {"a": 1}, 2], ["said"], ["order:ended", {"id": "o7"}], ["unheard", 1])
    assert user.wait_for(lambda: len(user.heard) == 3, 5.0)
    assert user.heard == [("said", {"a": 1}), ("said", None), ("order:ended", "o7")]
    assert user.worker.errors == {}


def test_an_event_without_what_it_must_carry_is_the_targets_mistake(user: Caller) -> None:
    user.emit("say", ["order:ended"], ["order:ended", "o7"], ["order:ended", {"id": 7}], ["said", "last"])
    assert user.wait_for(lambda: user.heard, 5.0)
    assert user.heard == [("said", "last")]
    assert user.worker.errors == {("receive", "order:ended without a id"): 3}
    wrong, right = user.worker.rate_of("protocol_errors")
    assert (wrong, right > 0) == (3, True)


def test_what_is_no_json_is_the_targets_mistake(user: Caller) -> None:
    assert user.on_event(b"said", b'["said",{', 0)
    assert user.on_event(b"order:ended", b'["order:ended",{', 0)
    assert user.heard == []
    assert user.worker.errors_of("receive") == ["said: a payload that is not JSON", "order:ended without a id"]


def test_a_method_that_raises_is_a_mistake_of_ours(user: Caller) -> None:
    user.emit("say", ["stumble"], ["said", 1])
    assert user.wait_for(lambda: user.heard, 5.0)
    assert user.worker.internal_errors == ["ZeroDivisionError: stumbled"]
    user.worker.internal_errors.clear()


def test_events_that_nobody_handles_wake_nobody(user: Caller) -> None:
    looks: list[int] = []

    def look() -> bool:
        looks.append(1)
        return bool(user.heard)

    user.emit("say", *[["unheard", 1]] * 20, ["said", 1])
    assert user.wait_for(look, 5.0)
    assert len(looks) <= 3


# Waiting and ending


def test_what_is_due_is_done_while_the_connection_lasts(user: Caller) -> None:
    user.timers.start("soon", 0.01, user.heard.append, ("soon", None))
    assert not user.wait_for(lambda: False, 0.05)
    assert user.heard == [("soon", None)]
    user.timers.start("late", 0.1, user.heard.append, ("late", None))
    user.disconnect()
    gevent.sleep(0.2)
    assert user.heard == [("soon", None)]


def test_the_end_of_a_connection_before_cancels_nothing(user: Caller) -> None:
    user.disconnect()
    assert user.connect({"token": "good"})
    user.timers.start("soon", 0.05, user.heard.append, ("soon", None))
    user.on_disconnect(Close(1000, by_us=True))
    assert not user.wait_for(lambda: False, 0.1)
    assert user.heard == [("soon", None)]


def test_waiting_ends_when_the_connection_does(servers: Servers, begun: Callable[..., Caller]) -> None:
    user = begun(f"{servers.scripted}/die", Plain)
    user.connect()
    user.emit("go")
    began_s = monotonic()
    assert not user.wait_for(lambda: False, 10.0)
    assert not user.stay(10.0)
    assert monotonic() - began_s < 5.0


def test_a_user_that_is_to_finish_stays_no_longer(user: Caller) -> None:
    gevent.spawn_later(0.05, user.release)
    began_s = monotonic()
    assert user.stay(10.0), "the connection is still there"
    assert monotonic() - began_s < 5.0


def test_staying_takes_its_time(user: Caller) -> None:
    began_s = monotonic()
    assert user.stay(0.1)
    assert monotonic() - began_s >= 0.1


class Staying(Plain):
    def act(self) -> None:
        self.connect()
        self.stay()
        self.disconnect()


def slow_to_leave(talk: Talk) -> None:
    """Consents to the namespace, and answers the close frame after 0.2 s."""
    talk.send(frame(opening().encode()))
    while (received := talk.frame()) is not None:
        opcode, payload = received
        if payload == b"40":
            talk.send(frame(b'40{"sid":"s"}'))
        elif opcode == CLOSE:
            gevent.sleep(0.2)
            talk.send(frame(payload, CLOSE))
            return


@contextmanager
def staying(script: Callable[[Talk], None]) -> Iterator[tuple[Staying, Any]]:
    """A user that stays connected, with the greenlet in which it lives."""
    with serving(upgraded(script)) as server:
        user = make_user(Staying, make_context(CALLS, target=server.url))
        living = gevent.spawn(live, user)
        wait_until(lambda: user.is_connected)
        yield user, living
        assert user.worker.internal_errors == []


def test_a_user_that_ends_hangs_up_in_good_order_and_waits_for_the_end() -> None:
    with staying(slow_to_leave) as (user, _):
        user.worker.drain("primary", 5.0)
        assert user.worker.actors("primary") == []
        assert user.ends == [True]
        assert user.worker.errors == {}


def test_a_user_whose_goodbye_is_not_answered_has_lost_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(talk: Talk) -> None:
        talk.send(frame(opening().encode()))
        talk.frame()
        talk.send(frame(b'40{"sid":"s"}'))
        while talk.frame() is not None:
            pass

    monkeypatch.setattr(socketio_actor, "Limits", partial(Limits, close_s=0.1))
    with staying(silent) as (user, _):
        user.worker.drain("primary", 5.0)
        assert user.ends == [False]
        assert user.worker.errors_of("connection") == ["our close frame was not answered"]


@pytest.mark.parametrize(("time_to_finish", "said"), [(True, ["the user was killed"]), (False, [])])
def test_a_user_that_is_killed_drops_its_connection(time_to_finish: bool, said: list[str]) -> None:
    with staying(slow_to_leave) as (user, living):
        user.worker.cuts_at_once = not time_to_finish
        living.kill()
        assert user.ends == [not time_to_finish]
        assert user.worker.errors_of("connection") == said
