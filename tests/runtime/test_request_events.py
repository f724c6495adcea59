from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
import requests
from locust import FastHttpUser, User, task
from locust.env import Environment
from locust.event import Events

from pika_locust import FastUser
from pika_locust.metrics import Histogram, results
from pika_locust.runtime.modes import locustfile_scenario
from pika_locust.runtime.request_events import RequestEventMeter
from pika_locust.wire.http import HttpClient
from pika_locust.wire.http_models import ErrorKind, TransportError
from pika_locust.wire.traffic import TRAFFIC
from pika_locust.wire.websocket_handshake import ConnectError
from tests.runtime.sample_scenario import make_context
from tests.wire.http_servers import Peer, content, serving


class Runner:
    """Counts its users, and stops them."""

    def __init__(self) -> None:
        self.user_count = 0
        self.stopped = 0
        self.last_received_spawn_timestamp = 17.0
        self.stop_users: Any = "Locust's own"

    def stop(self) -> None:
        self.stopped += 1


class Scene:
    def __init__(self) -> None:
        self.events = Events()
        self.runner = Runner()
        self.worker: Any = make_context(scenario=locustfile_scenario({}))
        self.environment = SimpleNamespace(events=self.events, stop_timeout=0.0)
        self.meter = RequestEventMeter(self.environment, self.runner, self.worker)

    def request(self, **changes: Any) -> None:
        request = {"request_type": "GET", "name": "/", "response_time": 1.5, "response_length": 10, "exception": None}
        self.events.request.fire(**{**request, "context": {}, "url": "http://a/", **changes})

    def metric(self, name: str) -> dict[str, Any]:
        return results(self.worker.metrics.snapshot(), 1.0)[name]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_request_is_counted_once_and_under_its_name(scene: Scene) -> None:
    scene.request()
    scene.request(name="/login", request_type="POST", response_time=2.5)
    assert scene.metric("http_reqs")["count"] == 2
    assert scene.metric("http_reqs{method:POST,name:/login}")["count"] == 1
    assert scene.metric("http_req_duration{method:POST,name:/login}")["max"] == 2.5
    assert scene.metric("http_req_failed")["rate"] == 0
    assert scene.metric("data_received")["count"] == 20


def test_a_failure_is_never_a_fast_success(scene: Scene) -> None:
    scene.request(exception=ConnectionError("refused"), response_time=0.1)
    scene.request(exception="said so", response_time=0.2)
    assert scene.metric("http_req_failed")["passes"] == 2
    assert scene.metric("http_req_duration")["count"] == 0
    assert scene.metric("http_req_failed_duration")["count"] == 2
    assert scene.worker.errors == {("/", "refused"): 1, ("/", "said so"): 1}


@pytest.mark.parametrize("times", [1, 99, 100, 101, 250])
def test_however_many_requests_there_were_each_is_counted_when_somebody_looks(times: int, scene: Scene) -> None:
    for number in range(times):
        scene.request(response_time=1.0 + number % 2)
        scene.request(name="/login")
    scene.request(exception="said so")
    assert scene.metric("http_reqs")["count"] == 2 * times + 1
    assert scene.metric("http_reqs{method:GET,name:/}")["count"] == times + 1
    assert scene.metric("http_req_failed")["passes"] == 1
    assert scene.metric("http_req_failed")["fails"] == 2 * times
    assert scene.metric("http_req_duration{method:GET,name:/}")["count"] == times
    assert scene.metric("data_received")["count"] == 10 * (2 * times + 1)
    # And none of them twice.
    assert scene.metric("http_reqs")["count"] == 2 * times + 1


def test_requests_that_a_fast_user_sent_twice_are_counted(scene: Scene) -> None:
    def deaf(peer: Peer) -> None:
        peer.answer(content(b"1"))
        peer.request()

    with gevent.Timeout(20), serving(deaf, lambda peer: peer.answer(content(b"2"))) as server:
        environment = SimpleNamespace(events=scene.events, host=server.url, parsed_options=None, stop_timeout=0.0)
        client = type("Visitor", (FastUser,), {"host": server.url})(environment).client
        client.get("/")
        client.post("/orders", json={})
        client.close()
    assert (scene.metric("http_retries")["count"], scene.metric("http_reqs")["count"]) == (1, 2)
    assert make_context(scenario=locustfile_scenario({})).metrics.snapshot().counted("http_retries") == 0


def test_those_of_others_and_of_the_test_before_are_not(scene: Scene) -> None:
    def deaf(peer: Peer) -> None:
        peer.answer(content(b"1"))
        peer.request()

    TRAFFIC.retries += 1
    with serving(deaf, lambda peer: peer.answer(content(b"2"))) as server, HttpClient(server.url) as probe:
        probe.get("/")
        assert probe.get("/").retried
    another = Scene()
    assert (scene.metric("http_retries")["count"], another.metric("http_retries")["count"]) == (1, 0)


def test_one_way_messages_have_no_latency(scene: Scene) -> None:
    scene.request(response_time=None, response_length=None)
    assert scene.metric("http_reqs")["count"] == 1
    assert scene.metric("http_req_duration")["count"] == 0


def test_what_tasks_raise_is_counted(scene: Scene) -> None:
    scene.events.user_error.fire(user_instance=scene.runner, exception=ValueError("no shoe"), tb=None)
    assert scene.metric("task_exceptions")["count"] == 1
    assert scene.worker.errors == {("Runner", "ValueError: no shoe"): 1}


def test_users_are_counted_now_and_when_they_have_been_started(scene: Scene) -> None:
    scene.runner.user_count = 5
    scene.events.spawning_complete.fire(user_count=5)
    scene.runner.user_count = 3
    scene.meter.sample()
    assert (scene.metric("vus")["value"], scene.metric("vus")["max"]) == (3, 5)


def test_users_that_are_stopped_are_not_started_again(scene: Scene) -> None:
    assert scene.runner.last_received_spawn_timestamp == 0
    scene.meter.stop_users()
    assert scene.runner.stopped == 1
    assert scene.runner.last_received_spawn_timestamp == math.inf


@contextmanager
def sleeping(*seconds: float, stop_timeout_s: float) -> Iterator[tuple[Any, RequestEventMeter, Any]]:
    """A runner of Locust's, with a user that is in a task for each of these times, and what watches them."""
    naps = list(seconds)

    class Sleeper(User):
        @task
        def sleep(self) -> None:
            gevent.sleep(naps.pop())

    environment = Environment(user_classes=[Sleeper], stop_timeout=stop_timeout_s)
    runner: Any = environment.create_local_runner()
    worker = make_context(scenario=locustfile_scenario({}))
    meter = RequestEventMeter(environment, runner, worker)
    runner.spawn_users({"Sleeper": len(seconds)})
    gevent.sleep(0.1)
    try:
        yield runner, meter, worker
    finally:
        meter.close()
        runner.quit()


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize(("stop_timeout_s", "cut"), [(2.0, 2), (0.0, 0), (9.0, 1)])
def test_users_that_do_not_finish_in_the_stop_time_out_are_counted(stop_timeout_s: float, cut: int) -> None:
    with sleeping(1.0, 5.0, 1e6, stop_timeout_s=stop_timeout_s) as (runner, meter, worker):
        runner.state = "running"
        meter.stop_users()
        assert runner.user_count == 0
        assert worker.metrics.snapshot().counted("iterations_cut") == cut
        told = f"killed in a task that was not over {stop_timeout_s:g} s after the user was to stop (-s)"
        assert worker.errors == ({("users", told): 1} if cut else {})


@pytest.mark.usefixtures("virtual_time")
def test_so_are_those_that_a_ramp_down_kills() -> None:
    with sleeping(1e6, 1e6, stop_timeout_s=2.0) as (runner, _, worker):
        runner.stop_users({"Sleeper": 1})
        assert runner.user_count == 1
        assert worker.metrics.snapshot().counted("iterations_cut") == 1


@pytest.mark.usefixtures("virtual_time")
def test_of_two_who_want_the_same_users_stopped_one_counts_them() -> None:
    with sleeping(1e6, 1e6, stop_timeout_s=2.0) as (runner, _, worker):
        gevent.joinall([gevent.spawn(runner.stop_users, {"Sleeper": 2}) for _ in range(2)])
        assert worker.metrics.snapshot().counted("iterations_cut") == 2


@pytest.mark.usefixtures("virtual_time")
def test_an_interrupt_while_users_finish_kills_and_counts_them() -> None:
    with sleeping(1.0, 1e6, 1e6, stop_timeout_s=9.0) as (runner, meter, worker):
        runner.state = "running"
        # As the second Ctrl-C reaches Locust's main greenlet.
        gevent.spawn_later(3.0, gevent.getcurrent().throw, KeyboardInterrupt)
        meter.stop_users()
        assert (runner.state, runner.user_count) == ("stopped", 0)
        assert worker.metrics.snapshot().counted("iterations_cut") == 2
        assert worker.errors == {("users", "killed in a task when the run was interrupted again"): 1}


@pytest.mark.usefixtures("virtual_time")
def test_who_is_to_stop_and_is_not_waited_for_any_more_is_counted_when_it_is_killed() -> None:
    with sleeping(1e6, 1e6, stop_timeout_s=2.0) as (runner, _, worker):
        # A worker's next step of a ramp-down ends the one before.
        gevent.spawn(runner.stop_users, {"Sleeper": 1}).kill(timeout=1.0)
        gevent.sleep(3.0)
        assert worker.metrics.snapshot().counted("iterations_cut") == 0
        runner.stop_users({"Sleeper": 2})
        assert worker.metrics.snapshot().counted("iterations_cut") == 2


def test_after_its_test_it_sees_nothing_more(scene: Scene) -> None:
    scene.request()
    scene.meter.close()
    scene.request()
    scene.events.spawning_complete.fire(user_count=5)
    assert scene.runner.stop_users == "Locust's own"
    assert scene.metric("http_reqs")["count"] == 1
    assert isinstance(scene.worker.metrics.trend("http_req_duration").read(), Histogram)


def urllib3_says(number: int) -> Exception:
    return ConnectionError(f"NewConnectionError('Failed to establish a new connection: [Errno {number}] Words')")


LOCAL = {
    "a request of requests": (urllib3_says(24), 1),
    "one that found no free port": (urllib3_says(99), 1),
    "one that was refused": (urllib3_says(111), 0),
    "an error of the system's": (OSError(24, "Too many open files"), 1),
    "ours": (TransportError(ErrorKind.LOCAL, "no file"), 1),
    "ours, of the target": (TransportError(ErrorKind.CONNECT_REFUSED, "no"), 0),
    "our WebSocket's": (lambda: ConnectError("local", "no file"), 1),
    "words": ("too slow", 0),
}


@pytest.mark.parametrize(("error", "count"), LOCAL.values(), ids=LOCAL)
def test_what_this_machine_has_no_file_or_port_for_is_the_generators_trouble(
    error: Any, count: int, scene: Scene
) -> None:
    scene.request(exception=error() if callable(error) else error, response_time=0.1)
    assert scene.metric("generator_errors")["count"] == count
    assert scene.metric("http_req_failed")["rate"] == 1


CLIENTS: dict[str, type[User]] = {"FastHttpUser": FastHttpUser, "FastUser": FastUser}


@pytest.mark.parametrize("kind", CLIENTS.values(), ids=CLIENTS)
def test_what_the_target_says_is_told_with_the_error_of_every_client(kind: type[User], scene: Scene) -> None:
    def script(peer: Peer) -> None:
        peer.answer(content(b'{"message":"Insufficient token balance"}', "400 Bad Request"))
        peer.answer(content(b"", "301 Moved", "Location: https://other.example/y"))
        peer.answer(content(b"fine"))
        peer.wait_for_end()

    with gevent.Timeout(20), serving(script) as server:
        environment = SimpleNamespace(events=scene.events, host=server.url, parsed_options=None, stop_timeout=0.0)
        client = type("Visitor", (kind,), {"host": server.url})(environment).client
        client.get("/balance", name="balance")
        with client.get("/moved", allow_redirects=False, catch_response=True) as response:
            response.failure("not where it should be")
        with client.get("/fine", catch_response=True) as response:
            response.failure("too good")
    balance, moved, fine = scene.worker.errors
    assert balance[1].endswith(" (Insufficient token balance)")
    assert "400" in balance[1]
    assert moved == ("/moved", "not where it should be to https://other.example/y")
    assert fine == ("/fine", "too good")


@pytest.mark.parametrize(("read", "said"), [(b"no tokens left", " (no tokens left)"), (False, "")])
def test_what_requests_has_not_read_is_not_read_for_it(read: Any, said: str, scene: Scene) -> None:
    response = requests.Response()
    response.status_code = 400
    response._content = read
    scene.request(exception=ValueError("400 Client Error"), response=response)
    assert scene.worker.errors == {("/", f"400 Client Error{said}"): 1}
