from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.metrics.builtin import HTTP_METRICS
from pika_locust.runtime import http_meter
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.http_meter import HttpMeter
from pika_locust.testing.worker import RecordingContext
from pika_locust.wire.http import HttpClient, Response
from pika_locust.wire.http_models import ErrorKind, TransportError
from tests.open_files import no_file_left
from tests.runtime.sample_scenario import SAMPLE_SCENARIO, make_context, sample_settings
from tests.runtime.test_locust_stats import locusts_of
from tests.wire.http_servers import serving

SHOP = replace(SAMPLE_SCENARIO, metrics=HTTP_METRICS)
PHASES = ("blocked", "connecting", "tls_handshaking", "sending", "waiting", "receiving")
US = 1000
REFUSED = TransportError(ErrorKind.CONNECT_REFUSED, "connection refused")
LATE = TransportError(ErrorKind.READ_TIMEOUT, "no answer in time")


@pytest.fixture
def worker() -> RecordingContext:
    return make_context(SHOP)


def response(
    status: int = 200,
    connecting: int = 0,
    tls: int = 0,
    sending: int = 20,
    waiting: int = 300,
    receiving: int = 40,
    error: TransportError | None = None,
) -> Response:
    """An answer whose phases took so many microseconds; the connection was asked for 7 before it was begun."""
    ready = (7 + connecting + tls) * US if connecting else 0
    sent = ready + sending * US
    first = sent + waiting * US
    stamps = (0, ready, sent, first, first + receiving * US, connecting * US, tls * US)
    return Response(status, b"HTTP/1.1 %d Words\r\n\r\n" % status, b"body", stamps, 100, 200, error)


def trend(worker: RecordingContext, name: str, /, **tags: str) -> Any:
    handle = worker.metrics.trend(name)
    return (handle.tagged(**tags) if tags else handle).read()


def counted(worker: RecordingContext, name: str) -> tuple[int, int]:
    """Requests of a name in all, and those that failed."""
    failed = worker.metrics.rate("http_req_failed").tagged(name=name).read()
    reqs = worker.metrics.counter("http_reqs").tagged(name=name).read()
    assert failed.passes + failed.fails == reqs.count  # type: ignore[union-attr]
    return reqs.count, failed.passes  # type: ignore[union-attr, return-value]


def test_a_status_that_is_expected_is_no_failure_of_the_requests_that_expect_it(worker: RecordingContext) -> None:
    meter = HttpMeter(worker)
    meter.expected["leave"] = (409,)
    for name, status in (("leave", 409), ("leave", 400), ("join", 409)):
        meter(name, "POST", response(status, connecting=9))
    assert (counted(worker, "leave"), counted(worker, "join")) == ((2, 1), (1, 1))
    assert trend(worker, "http_req_duration", name="leave").count == 1
    assert trend(worker, "http_req_failed_duration").count == 2
    assert worker.errors == {("leave", "400 Words (body)"): 1, ("join", "409 Words (body)"): 1}
    assert [fired["exception"] is None for fired in worker.request_events] == [True, False, False]


def test_bytes_are_counted_both_ways_of_successes_and_failures(worker: RecordingContext) -> None:
    meter = HttpMeter(worker)
    for answer in (response(), response(), response(status=500), response(error=LATE)):
        meter("join", "POST", answer)
    snapshot = worker.metrics.snapshot()
    assert (snapshot.counted("data_sent"), snapshot.counted("data_received")) == (400, 800)
    assert worker.metrics.snapshot().counted("data_sent") == 400


def test_an_answer_is_counted_under_its_name_and_timed_in_phases(worker: RecordingContext) -> None:
    meter = HttpMeter(worker)
    meter("join", "POST", response())
    meter("join", "POST", response(waiting=500))
    meter("leave", "DELETE", response())
    assert (counted(worker, "join"), counted(worker, "leave")) == ((2, 0), (1, 0))
    duration = trend(worker, "http_req_duration", name="join")
    assert (duration.count, duration.minimum, duration.maximum) == (2, 360, 560)
    assert [trend(worker, f"http_req_{phase}").count for phase in PHASES] == [0, 0, 0, 3, 3, 3]
    assert trend(worker, "http_req_failed_duration").count == 0
    assert [(fired["request_type"], fired["name"], fired["response_time"]) for fired in worker.request_events] == [
        ("POST", "join", 0.36),
        ("POST", "join", 0.56),
        ("DELETE", "leave", 0.36),
    ]
    assert all(fired["exception"] is None and fired["response_length"] == 4 for fired in worker.request_events)


KINDS: dict[str, Callable[[int], Response]] = {
    "an answer": lambda us: response(waiting=us),
    "an answer at once": lambda us: response(sending=0, waiting=0, receiving=0),
    "an answer on a new connection": lambda us: response(connecting=us, tls=us),
    "a refusal": lambda us: response(500, waiting=us),
    "no answer": lambda us: response(0, waiting=us, error=LATE),
}


@given(st.lists(st.tuples(st.sampled_from(list(KINDS)), st.sampled_from(["join", "leave"]), st.integers(1, 10**6))))
def test_what_is_counted_in_batches_is_what_would_be_counted_one_by_one(told: list[tuple[str, str, int]]) -> None:
    shares = []
    for batch in (1, 3, 10**9):
        with mock.patch.object(http_meter, "BATCH", batch):
            worker = make_context(SHOP)
            meter = HttpMeter(worker)
            for kind, name, us in told:
                meter(name, "POST", KINDS[kind](us))
            shares.append(worker)
    reports = [worker.metrics.snapshot().to_wire() for worker in shares]
    assert reports[0] == reports[1] == reports[2]
    assert shares[2].metrics.counter("http_reqs").read().samples == len(told)


def test_not_more_than_a_batch_waits_to_be_counted(worker: RecordingContext) -> None:
    meter = HttpMeter(worker)
    for count in range(1, 3 * http_meter.BATCH):
        meter("join", "POST", response())
        assert len(meter._all["join", "POST"].aside) == count % http_meter.BATCH
        assert len(worker.request_events) == count, "who listens to Locust's event hears of each at once"
    assert counted(worker, "join") == (3 * http_meter.BATCH - 1, 0)


def test_locusts_own_statistics_wait_with_the_metrics_and_nobody_else_does() -> None:
    heard: list[str] = []

    def listener(name: str, **_: Any) -> None:
        heard.append(name)

    with locusts_of(1) as (locust,):
        worker = WorkerContext(make_context(SHOP).begin, SHOP, sample_settings(), 0, lambda *news: None, locust.event)
        meter = HttpMeter(worker)

        def ask(name: str, count: int) -> None:
            for _ in range(count):
                meter(name, "POST", response())

        ask("before", 7)
        assert locust.stats.num_requests == 0
        locust.event.add_listener(listener)
        ask("while", 5)
        assert heard == ["while"] * 5, "of what was before it came, it hears nothing"
        assert locust.stats.num_requests == 12
        locust.event.remove_listener(listener)
        ask("after", 3)
        meter("after", "POST", response(500))
        assert (len(heard), locust.stats.num_requests, locust.stats.num_failures) == (5, 13, 1)
        worker.metrics.snapshot()
        assert locust.stats.num_requests == 16
        ask("many", 2 * http_meter.BATCH + 1)
        assert locust.stats.num_requests == 16 + 2 * http_meter.BATCH
        meter("before", "DELETE", response(sending=100))
        worker.metrics.snapshot()
        ask("while", 2)
        locust.event._handlers[:] = [listener]
        ask("while", 3)
        assert len(heard) == 8, "Locust's own is gone, but not what it was to hear of"
        rows = {(entry.method, entry.name): entry for entry in locust.stats.entries.values()}
    assert {key: row.num_requests for key, row in rows.items()} == {
        ("POST", "before"): 7,
        ("POST", "while"): 7,
        ("POST", "after"): 4,
        ("POST", "many"): 2 * http_meter.BATCH + 1,
        ("DELETE", "before"): 1,
    }
    assert rows["DELETE", "before"].total_response_time == 0.44
    assert rows["POST", "before"].total_content_length == 7 * len(b"body")
    assert counted(worker, "before") == (8, 0)


def test_only_connections_that_were_made_have_a_time_of_making(worker: RecordingContext) -> None:
    meter = HttpMeter(worker)
    meter("join", "POST", response(connecting=100))
    meter("join", "POST", response())
    meter("join", "POST", response(connecting=200, tls=900))
    assert [trend(worker, f"http_req_{phase}").count for phase in PHASES] == [2, 2, 1, 3, 3, 3]
    assert trend(worker, "http_req_connecting").maximum == 200
    assert trend(worker, "http_req_tls_handshaking").maximum == 900
    assert trend(worker, "http_req_blocked").minimum == 7
    assert trend(worker, "http_req_duration").maximum == 360


def test_what_took_less_than_a_microsecond_did_not_take_nothing(worker: RecordingContext) -> None:
    HttpMeter(worker)("join", "POST", response(sending=0, waiting=0, receiving=0))
    for phase in ("sending", "waiting", "receiving"):
        assert (trend(worker, f"http_req_{phase}").minimum, trend(worker, f"http_req_{phase}").underflow) == (1, 0)


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_refusal_is_a_failure_with_a_time_of_its_own(status: int, worker: RecordingContext) -> None:
    HttpMeter(worker)("join", "POST", response(status))
    assert counted(worker, "join") == (1, 1)
    assert trend(worker, "http_req_duration").count == 0
    assert trend(worker, "http_req_failed_duration", name="join").maximum == 360
    assert worker.errors == {("join", f"{status} Words (body)"): 1}
    assert str(worker.request_events[0]["exception"]) == f"{status} Words (body)"
    assert worker.metrics.counter("http_rate_limited").read().count == 0  # type: ignore[union-attr]


def test_429_is_a_failure_and_counted_apart(worker: RecordingContext) -> None:
    meter = HttpMeter(worker)
    meter("join", "POST", response(429))
    meter("leave", "DELETE", response())
    assert counted(worker, "join") == (1, 1)
    limited = worker.metrics.counter("http_rate_limited")
    assert (limited.read().count, limited.tagged(name="join").read().count) == (1, 1)  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [200, 204, 302, 399])
def test_what_k6_calls_a_success(status: int, worker: RecordingContext) -> None:
    HttpMeter(worker)("join", "POST", response(status))
    assert counted(worker, "join") == (1, 0)


def test_a_request_that_was_never_sent_has_no_times(worker: RecordingContext) -> None:
    HttpMeter(worker)("join", "POST", response(0, 90, sending=0, waiting=0, receiving=0, error=REFUSED))
    assert counted(worker, "join") == (1, 1)
    assert [trend(worker, f"http_req_{phase}").count for phase in PHASES] == [0] * 6
    assert trend(worker, "http_req_failed_duration").count == 0
    assert worker.errors == {("join", str(REFUSED)): 1}


def test_an_answer_that_never_came_has_the_time_it_was_waited_for_and_no_phases(worker: RecordingContext) -> None:
    HttpMeter(worker)("join", "POST", response(0, waiting=30_000, receiving=0, error=LATE))
    assert trend(worker, "http_req_failed_duration").maximum == 30_020
    assert [trend(worker, f"http_req_{phase}").count for phase in PHASES] == [0] * 6


@pytest.mark.parametrize("status", [200, 500])
def test_a_request_that_was_sent_twice_is_one_request_and_a_retry(status: int, worker: RecordingContext) -> None:
    again = response(status)
    again.retried = True
    HttpMeter(worker)("join", "POST", again)
    assert worker.metrics.counter("http_retries").read().count == 1  # type: ignore[union-attr]
    assert counted(worker, "join")[0] == 1


CUT = TransportError(ErrorKind.CUT, "cut off")


def test_a_request_that_is_cut_off_is_a_failure(worker: RecordingContext) -> None:
    HttpMeter(worker)("join", "POST", response(0, waiting=30_000, receiving=0, error=CUT))
    assert counted(worker, "join") == (1, 1)
    assert trend(worker, "http_req_failed_duration").maximum == 30_020
    assert worker.errors == {("join", "cut: cut off"): 1}
    assert str(worker.request_events[0]["exception"]) == "cut: cut off"


def test_a_request_that_was_given_no_time_is_neither_a_success_nor_a_failure(worker: RecordingContext) -> None:
    worker.drain("primary", 0.0)
    HttpMeter(worker)("join", "POST", response(0, error=CUT))
    assert counted(worker, "join") == (0, 0)
    HttpMeter(worker)("join", "POST", response(0, error=LATE))
    assert counted(worker, "join") == (1, 1)


def test_a_user_killed_in_a_request_leaves_a_failed_one(worker: RecordingContext) -> None:
    def silent(peer: Any) -> None:
        peer.request()
        peer.wait_for_end()

    with serving(silent) as server, HttpClient(server.url, observer=worker.shared(HttpMeter)) as client:
        asking = gevent.spawn(client.get, "/", name="page")
        gevent.sleep(0.05)
        asking.kill()
    assert counted(worker, "page") == (1, 1)
    assert len(worker.request_events) == 1


def test_what_this_machine_has_no_file_for_is_the_generators_trouble(worker: RecordingContext) -> None:
    with HttpClient("http://127.0.0.1:9", observer=worker.shared(HttpMeter)) as client:
        with no_file_left():
            client.get("/", name="page")
        assert worker.count_of("generator_errors") == 1
        client.get("/", name="page")
    assert worker.count_of("generator_errors") == 1, "that one the target has refused"
    assert counted(worker, "page") == (2, 2)


def test_a_client_feeds_it_every_request(worker: RecordingContext) -> None:
    def answers(peer: Any) -> None:
        peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        peer.answer(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
        peer.close()

    with serving(answers) as server, HttpClient(server.url, observer=worker.shared(HttpMeter)) as client:
        client.get("/", name="page")
        client.get("/", name="page")
    assert counted(worker, "page") == (2, 1)
    assert trend(worker, "http_req_connecting").count == 1
