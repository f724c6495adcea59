from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from pika_locust.clock import monotonic
from pika_locust.kit import HttpActor, counter, scenario, trend
from pika_locust.runtime.messages import RunStart
from pika_locust.settings import read_settings
from pika_locust.testing.worker import RecordingContext
from tests.wire.http_servers import Peer, serving


class Shopper(HttpActor):
    meters = {"order_latency": trend("round trip of an order"), "carts_left": counter("carts nobody paid for")}
    ledgers = ("orders",)
    think_s = (0.02, 0.03)

    def order(self, item: str, ok: tuple[int, ...] = (200, 201)) -> Any:
        return self.call(
            "POST", "/orders", {"id": item}, name="order", ok=ok, trend="order_latency", ledger="orders", item=item
        )


SHOP = scenario("shop", Shopper, thresholds={"order_latency": "p(95)<200"})


def answering(*statuses: int) -> Callable[[Peer], None]:
    """Answers with these statuses, one after the other; 0 closes the connection instead."""
    left = list(statuses)

    def script(peer: Peer) -> None:
        while request := peer.request():
            status = left.pop(0)
            if status == 0:
                return
            body = request.partition(b"\r\n\r\n")[2] or b"{}"
            peer.send(b"HTTP/1.1 %d Words\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))

    return script


def begun(target: str, **environ: str) -> Shopper:
    settings, problems = read_settings(SHOP.settings, environ, "shop")
    assert problems == []
    start = RunStart(
        run_id="r1",
        seed=7,
        target=target,
        settings={},
        planned_s=60.0,
        spread=False,
        supporters=0,
        stop_timeout_s=5.0,
    )
    return join(RecordingContext(start, SHOP, settings, 0))


def join(worker: RecordingContext) -> Shopper:
    user = Shopper(SimpleNamespace(pika_locust=SimpleNamespace(wait_for_context=lambda timeout_s: worker)))
    user.on_start()
    assert worker.internal_errors == []
    return user


@pytest.fixture
def users() -> Iterator[list[Shopper]]:
    yield (users := [])
    for user in users:
        user.on_stop()


CALLS = {
    "yes": (201, (200, 201), "acked"),
    "a success that is none here": (200, (201,), "uncertain"),
    "no": (409, (200, 201), "refused"),
    "a server's trouble": (503, (200, 201), "uncertain"),
    "no answer": (0, (200, 201), "uncertain"),
}


@pytest.mark.parametrize(("status", "ok", "outcome"), CALLS.values(), ids=CALLS)
def test_a_call_is_checked_measured_and_booked_by_its_answer(
    users: list[Shopper], status: int, ok: tuple[int, ...], outcome: str
) -> None:
    with serving(answering(status)) as server:
        user = begun(server.url)
        users.append(user)
        response = user.order("a1", ok)
    good = outcome == "acked"
    assert response.status == status
    worker = user.worker
    ledger = worker.ledgers["orders"]
    counts = {name: ledger.count(name) for name in ("sent", "acked", "refused", "uncertain")}
    assert counts == {"sent": 1, "acked": 0, "refused": 0, "uncertain": 0, outcome: 1}
    assert ledger.refused_by == ({"409": 1} if outcome == "refused" else {})
    checks = worker.metrics.rate("checks").tagged(check="order ok").read()
    assert (checks.passes, checks.fails) == ((1, 0) if good else (0, 1))
    assert worker.metrics.trend("order_latency").read().count == (1 if good else 0)
    assert worker.metrics.counter("http_reqs").tagged(name="order").read().count == 1


NEVER_SENT = {
    "nobody listens": ("http://127.0.0.1:9", "connect_refused"),
    "no such host": ("http://nowhere.invalid:80", "dns"),
    "no TLS there": ("https", "tls"),
}


@pytest.mark.parametrize(("target", "kind"), NEVER_SENT.values(), ids=NEVER_SENT)
def test_what_never_found_a_connection_is_known_not_to_be_held(users: list[Shopper], target: str, kind: str) -> None:
    def plain(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.wait_for_end()

    with serving(plain) as server:
        users.append(user := begun(server.url.replace("http:", "https:") if target == "https" else target))
        assert user.order("a1").unsent
    ledger = user.worker.ledgers["orders"]
    assert (ledger.count("sent"), ledger.refused_by, ledger.expect().unanswered) == (1, {kind: 1}, 0)
    assert user.worker.rate_of("checks", check="order ok") == (0, 1)


def test_what_a_closed_connection_may_have_taken_with_it_stays_open(users: list[Shopper]) -> None:
    def deaf(peer: Peer) -> None:
        peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        server.stop_listening()
        peer.request()

    with serving(deaf) as server:
        users.append(user := begun(server.url))
        user.order("a1")
        # Sent on the kept connection, which ends; the second attempt finds nobody.
        assert not user.order("a2").unsent
    expected = user.worker.ledgers["orders"].expect()
    assert (expected.acknowledged, expected.unanswered) == (1, 1)


def test_what_was_sent_twice_may_have_been_refused_for_being_held(users: list[Shopper]) -> None:
    def deaf(peer: Peer) -> None:
        peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        peer.request()

    with serving(deaf, answering(409, 409)) as server:
        users.append(user := begun(server.url))
        for item in ("a1", "a2", "a3"):
            user.order(item)
    assert len(server.requests) == 4
    ledger = user.worker.ledgers["orders"]
    assert (ledger.refused_by, ledger.count("uncertain"), ledger.expect().unanswered) == ({"409": 1}, 1, 1)


UNEXPECTED = {
    "a redirect": (
        b"HTTP/1.1 301 Moved Permanently\r\nLocation: https://127.0.0.1:18452/orders\r\ncontent-length: 0\r\n\r\n",
        "301 Moved Permanently to https://127.0.0.1:18452/orders",
    ),
    "another success": (b"HTTP/1.1 202 Later\r\ncontent-length: 6\r\n\r\nqueued", "202 Later (queued)"),
    "a refusal": (
        b'HTTP/1.1 400 Bad Request\r\ncontent-length: 40\r\n\r\n{"message":"Insufficient token balance"}',
        "400 Bad Request (Insufficient token balance)",
    ),
}


@pytest.mark.parametrize(("answer", "told"), UNEXPECTED.values(), ids=UNEXPECTED)
def test_an_answer_that_fails_its_check_is_told_in_its_own_words(
    users: list[Shopper], answer: bytes, told: str
) -> None:
    with serving(lambda peer: peer.answer(answer)) as server:
        users.append(user := begun(server.url))
        user.order("a1")
    assert user.worker.errors == {("order", told): 1}


def test_a_check_has_the_name_that_it_is_given(users: list[Shopper]) -> None:
    with serving(answering(200)) as server:
        users.append(user := begun(server.url))
        user.call("GET", "/orders", name="orders", check="the list came")
    assert user.worker.rate_of("checks", check="the list came") == (1, 0)
    assert user.worker.rate_of("checks") == (1, 0)


def test_a_status_that_is_expected_fails_no_check(users: list[Shopper], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shopper, "expected", {"order": (409,)})
    with serving(answering(409, 409, 201)) as server:
        users.append(user := begun(server.url))
        assert [user.order("a1").status for _ in range(3)] == [409, 409, 201]
        worker = user.worker
        assert worker.rate_of("checks", check="order ok") == (1, 0)
        assert worker.rate_of("http_req_failed", name="order") == (0, 3)


def test_what_goes_over_another_connection_may_stay_out_of_the_metrics(users: list[Shopper]) -> None:
    with serving(answering(200)) as server:
        users.append(user := begun(server.url))
        for metered in (False, True):
            with user.new_client(metered=metered) as client:
                client.get("/orders", name=f"metered {metered}")
    assert len(server.peers) == 2
    assert user.worker.count_of("http_reqs") == user.worker.count_of("http_reqs", name="metered True") == 1


def test_deliberate_negatives_go_over_a_connection_apart() -> None:
    with serving(answering(201), answering(409, 409)) as server:
        user = begun(server.url)
        user.order("a1")
        for _ in range(2):
            user.apart.post("/orders", json={"id": "a1"})
        assert user.worker.count_of("http_reqs") == 1
        assert user.worker.rate_of("http_req_failed") == (0, 1)
        user.on_stop()
        assert server.peers[1].socket.recv(1) == b""
    assert [len(peer.requests) for peer in server.peers] == [1, 2]


def test_what_is_sent_is_the_json(users: list[Shopper]) -> None:
    with serving(answering(200)) as server:
        users.append(user := begun(server.url))
        assert user.order("a1").json() == {"id": "a1"}
        assert json.loads(server.peers[0].requests[0].partition(b"\r\n\r\n")[2]) == {"id": "a1"}


def test_whoever_is_cut_off_in_a_call_leaves_its_item_uncertain(users: list[Shopper]) -> None:
    with serving(lambda peer: gevent.sleep(5)) as server:
        users.append(user := begun(server.url))
        call = gevent.spawn(user.order, "a1")
        gevent.sleep(0.05)
        call.kill()
    worker = user.worker
    expected = worker.ledgers["orders"].expect()
    assert (expected.acknowledged, expected.unanswered) == (0, 1)
    assert worker.rate_of("http_req_failed", name="order") == (1, 0)
    assert worker.rate_of("checks", check="order ok") == (0, 1)


def test_whoever_is_given_no_time_to_finish_a_call_has_failed_in_nothing(users: list[Shopper]) -> None:
    with serving(lambda peer: gevent.sleep(5)) as server:
        users.append(user := begun(server.url))
        call = gevent.spawn(user.order, "a1")
        gevent.sleep(0.05)
        user.worker.drain("supporter", 0.0)
        call.kill()
    worker = user.worker
    assert worker.ledgers["orders"].expect().unanswered == 1
    assert worker.count_of("http_reqs") == 0
    assert worker.rate_of("checks") == (0, 0)


def test_meters_are_bound_once_in_a_process(users: list[Shopper]) -> None:
    first = begun("http://127.0.0.1:9")
    users += [first, second := join(first.worker)]
    first.meters.carts_left.add(2)
    second.meters.carts_left.add(1)
    assert first.meters is second.meters
    assert first.worker.metrics.counter("carts_left").read().count == 3


def test_ids_differ_between_users_and_calls(users: list[Shopper]) -> None:
    first = begun("http://127.0.0.1:9")
    users += [first, second := join(first.worker)]
    assert len({first.new_id(), first.new_id(), second.new_id(), second.new_id()}) == 4
    assert first.new_id().startswith("r1-0-")


def test_each_user_sends_from_an_address_of_its_own(users: list[Shopper]) -> None:
    with serving(answering(200, 200)) as server:
        users.append(first := begun(server.url, SOURCE_ADDRESSES="127.0.9.1-127.0.9.3"))
        users.append(second := join(first.worker))
        first.order("a")
        second.order("b")
        assert [peer.address[0] for peer in server.peers] == ["127.0.9.1", "127.0.9.2"]


THINKS = {
    "the class's bounds": ({}, (), 0.02, 0.03),
    "the settings' bounds": ({"THINK_TIME_MIN": "0.06", "THINK_TIME_MAX": "0.07"}, (), 0.06, 0.07),
    "bounds of its own": ({}, (0.1, 0.11), 0.1, 0.11),
    "one bound": ({}, (0.05,), 0.05, 0.05),
    "bounds the wrong way round": ({}, (0.05, 0.01), 0.05, 0.05),
}


@pytest.mark.parametrize(("environ", "bounds", "low_s", "high_s"), THINKS.values(), ids=THINKS)
@pytest.mark.usefixtures("virtual_time")
def test_a_think_time_lies_between_its_bounds(
    users: list[Shopper], environ: dict[str, str], bounds: tuple[float, ...], low_s: float, high_s: float
) -> None:
    users.append(user := begun("http://127.0.0.1:9", **environ))
    began_s = monotonic()
    user.think(*bounds)
    assert low_s - 1e-6 <= monotonic() - began_s <= high_s + 1e-6


@pytest.mark.usefixtures("virtual_time")
def test_a_released_user_thinks_no_more(users: list[Shopper]) -> None:
    users.append(user := begun("http://127.0.0.1:9"))
    user.release()
    began_s = monotonic()
    user.think(5.0, 6.0)
    assert monotonic() == began_s


def test_the_connection_is_closed_at_the_end() -> None:
    with serving(answering(200, 200)) as server:
        user = begun(server.url)
        user.order("a1")
        user.on_stop()
        assert server.peers[0].socket.recv(1) == b""
