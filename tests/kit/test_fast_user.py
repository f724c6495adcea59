"""FastUser: what Locust's FastHttpUser promises, against servers that say exactly what a test wants."""

from __future__ import annotations

import gc
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from locust.contrib.fasthttp import LocustBadStatusCode
from locust.env import Environment
from locust.exception import LocustError
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING
from requests.cookies import RequestsCookieJar

from pika_locust import FastUser
from pika_locust.kit.fast_user import FastResponse, TooManyRedirects
from pika_locust.wire.http import TransportError
from pika_locust.wire.tracing import TraceSampler
from tests.wire.http_servers import Certificates, Peer, Server, content, echo, serving
from tests.wire.websocket_servers import until

FOUND = content(b'{"n": 1}', "200 OK", "Content-Type: application/json")
GONE = content(b"gone", "404 Not Found")


def found(location: str, *headers: str, status: str = "302 Found") -> bytes:
    return content(b"", status, f"Location: {location}", *headers)


class Trial:
    """One user of a class, and what Locust's request event was told."""

    def __init__(self, url: str, kind: type[FastUser] = FastUser) -> None:
        environment = Environment(host=url)
        self.events: list[dict[str, Any]] = []
        environment.events.request.add_listener(lambda **told: self.events.append(told))
        self.user = type("Visitor", (kind,), {"host": url})(environment)
        self.client = self.user.client

    @property
    def failures(self) -> list[Any]:
        return [told["exception"] for told in self.events]


@contextmanager
def trial(*answers: bytes, kind: type[FastUser] = FastUser, path: str = "") -> Iterator[tuple[Trial, Server]]:
    """A user, and a server that gives these answers on its only connection."""

    def script(peer: Peer) -> None:
        for answer in answers:
            peer.answer(answer)
        peer.wait_for_end()

    with gevent.Timeout(20), serving(script) as server:
        started = Trial(server.url + path, kind)
        try:
            yield started, server
        finally:
            started.client.close()


def lines_of(request: bytes) -> list[str]:
    return request.partition(b"\r\n\r\n")[0].decode().split("\r\n")


def test_a_response_and_its_event() -> None:
    with trial(content(b'{"n": 1}', "200 OK", "Content-Type: application/json", "X-Two: a", "X-Two: b")) as (
        one,
        server,
    ):
        response = one.client.get("/things", params={"a": "b c"}, context={"shelf": 3})
        assert (response.status_code, response.ok, response.text, response.content) == (
            200,
            True,
            '{"n": 1}',
            b'{"n": 1}',
        )
        assert response.json() == {"n": 1}
        assert response.headers["x-two"] == "a, b"
        assert response.url == f"{server.url}/things"
        assert response.raise_for_status() is None
        assert lines_of(server.requests[0])[0] == "GET /things?a=b+c HTTP/1.1"
        (told,) = one.events
        assert (told["request_type"], told["name"], told["exception"]) == ("GET", "/things", None)
        assert (told["response"], told["response_length"], told["context"]) == (response, 8, {"shelf": 3})
        assert told["url"] == f"{server.url}/things"
        assert 0 < told["response_time"] < 5000
        assert abs(response.elapsed.total_seconds() * 1000 - told["response_time"]) < 0.01


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_every_method_goes_out_under_its_name(method: str) -> None:
    with trial(FOUND) as (one, server):
        assert getattr(one.client, method)("/", name="the page").json() == {"n": 1}
        assert server.requests[0].startswith(f"{method.upper()} / HTTP/1.1".encode())
        assert [(told["request_type"], told["name"]) for told in one.events] == [(method.upper(), "the page")]


def test_head_has_no_body() -> None:
    with trial(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", FOUND) as (one, _):
        assert one.client.head("/").content == b""
        assert one.client.get("/").status_code == 200


def test_bodies() -> None:
    with gevent.Timeout(20), serving(echo) as server:
        client = Trial(server.url).client
        assert client.post("/", json={"a": [1]}).json() == {"a": [1]}
        assert client.post("/", {"a": "b c"}).text == "a=b+c"
        assert client.put("/", "text", json={"not": "sent"}).text == "text"
        assert client.patch("/", data=b"\x00\x01").content == b"\x00\x01"
        sent = [{line.partition(":")[0].lower(): line for line in lines_of(request)} for request in server.requests]
        assert sent[0]["content-type"] == "Content-Type: application/json"
        assert sent[0]["accept"] == "Accept: application/json"
        assert sent[1]["content-type"] == "Content-Type: application/x-www-form-urlencoded"
        assert "content-type" not in sent[2]
        assert len(server.peers) == 1


def test_gzip_is_asked_for_and_undone() -> None:
    packed = content(gzip.compress(b"many words " * 50), "200 OK", "Content-Encoding: gzip")
    with trial(packed) as (one, server):
        assert one.client.get("/").text == "many words " * 50
        assert "Accept-Encoding: gzip, deflate" in lines_of(server.requests[0])
        assert one.events[0]["response_length"] == 550


def test_relative_and_absolute_urls() -> None:
    with trial(FOUND, FOUND, FOUND, path="/api/") as (one, server), serving(echo) as other:
        one.client.get("/a")
        one.client.get("b?c=d")
        one.client.get(f"{server.url}/e#part")
        elsewhere = one.client.post(f"{other.url}/f", data="g")
        assert elsewhere.text == "g"
        assert [lines_of(request)[0].split()[1] for request in server.requests] == ["/api/a", "/api/b?c=d", "/e"]
        assert len(server.peers) == 1
        assert [told["name"] for told in one.events] == ["/a", "b?c=d", f"{server.url}/e#part", f"{other.url}/f"]


def test_cookies_may_be_given_and_taken_away_at_any_time() -> None:
    with trial(*[FOUND] * 4) as (one, server):
        client = one.client
        client.get("/1")
        client.cookies.set("theme", "dark")
        client.get("/2")
        client.cookiejar.clear()
        client.get("/3")
        jar = RequestsCookieJar()
        jar.set("lang", "de")
        client.cookiejar = jar
        client.get("/4")
        assert client.cookies is client.cookiejar is jar
        cookies = [[line for line in lines_of(request) if line.startswith("Cookie:")] for request in server.requests]
        assert cookies == [[], ["Cookie: theme=dark"], [], ["Cookie: lang=de"]]


def test_cookies_are_kept_over_redirects_and_only_where_they_belong() -> None:
    welcome = found("/home", "Set-Cookie: sid=42; Path=/; HttpOnly", "Set-Cookie: only=here; Path=/login")
    leave = content(b"", "200 OK", "Set-Cookie: sid=; Max-Age=0; Path=/")
    with trial(welcome, FOUND, FOUND, leave, FOUND) as (one, server):
        assert one.client.post("/login", json={"user": "u"}).json() == {"n": 1}
        one.client.get("/login")
        one.client.get("/leave")
        one.client.get("/after")
        cookies = [[line for line in lines_of(request) if line.startswith("Cookie:")] for request in server.requests]
        assert cookies[0] == []
        assert cookies[1] == ["Cookie: sid=42"]
        assert sorted(cookies[2][0].removeprefix("Cookie: ").split("; ")) == ["only=here", "sid=42"]
        assert cookies[3] == ["Cookie: sid=42"]
        assert cookies[4] == []
        assert [told["name"] for told in one.events] == ["/login", "/login", "/leave", "/after"]


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [
        ("303 See Other", "GET", b""),
        ("302 Found", "GET", b""),
        ("301 Moved Permanently", "GET", b""),
        ("307 Temporary Redirect", "POST", b'{"a":1}'),
        ("308 Permanent Redirect", "POST", b'{"a":1}'),
    ],
)
def test_a_redirect_after_a_post(status: str, method: str, body: bytes) -> None:
    with trial(found("/done", status=status), FOUND) as (one, server):
        response = one.client.post("/orders", json={"a": 1})
        assert response.status_code == 200
        assert server.requests[1].startswith(f"{method} /done HTTP/1.1".encode())
        assert server.requests[1].partition(b"\r\n\r\n")[2] == body
        assert [(told["request_type"], told["name"]) for told in one.events] == [("POST", "/orders")]
        assert response.url == f"{server.url}/orders"


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "303 See Other"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_redirect_after_another_method_asks_for_the_page(status: str, method: str) -> None:
    with trial(found("/orders", status=status), FOUND) as (one, server):
        assert one.client.request(method, "/orders/1", json={"a": 1}).status_code == 200
        assert server.requests[1].startswith(b"GET /orders HTTP/1.1")
        assert server.requests[1].partition(b"\r\n\r\n")[2] == b""


def test_a_user_that_follows_no_redirects_has_them_for_answers() -> None:
    class Staying(FastUser):
        abstract = True
        max_redirects = 0

    with trial(found("/a"), kind=Staying) as (one, server):
        assert one.client.get("/").status_code == 302
        assert (one.failures, len(server.requests)) == ([None], 1)


def test_a_redirect_to_another_host_takes_no_secrets_there() -> None:
    with serving(lambda peer: peer.answer(FOUND)) as other, trial(found(f"{other.url}/x")) as (one, server):
        assert one.client.get("/", auth=("me", "secret"), headers={"X-Kept": "1"}).status_code == 200
        assert "Authorization: Basic bWU6c2VjcmV0" in lines_of(server.requests[0])
        told = lines_of(other.requests[0])
        assert "X-Kept: 1" in told
        assert [line for line in told if line.startswith("Authorization")] == []


def test_nor_those_that_go_with_every_request() -> None:
    class Known(FastUser):
        abstract = True
        default_headers = {"Authorization": "Bearer s3cret", "Cookie": "sid=1", "X-Kept": "1"}

    def secrets_in(request: bytes) -> list[str]:
        return [line for line in lines_of(request) if line.startswith(("Authorization", "Cookie"))]

    def elsewhere(peer: Peer) -> None:
        while peer.request():
            peer.send(FOUND)

    secrets = ["Authorization: Bearer s3cret", "Cookie: sid=1"]
    with (
        serving(elsewhere) as other,
        trial(found(f"{other.url}/x"), found(f"{other.url}/y"), kind=Known) as (one, server),
    ):
        one.client.get("/")
        one.client.get(f"{other.url}/asked-for")
        one.client.get("/")
        assert [secrets_in(request) for request in server.requests] == [secrets, secrets]
        told = {lines_of(request)[0].split()[1]: request for request in other.requests}
        assert {path: secrets_in(request) for path, request in told.items()} == {
            "/x": [],
            "/y": [],
            "/asked-for": secrets,
        }
        assert all("X-Kept: 1" in lines_of(request) for request in other.requests)
        one.client.close()
        gevent.sleep(0.05)
        assert not any(peer.socket.fileno() >= 0 for peer in other.peers), "a connection was left open"


def test_a_host_in_capitals_is_no_other_host() -> None:
    def script(peer: Peer) -> None:
        peer.answer(found(f"http://LOCALHOST:{server.port}/x"))
        peer.answer(FOUND)
        peer.wait_for_end()

    with gevent.Timeout(20), serving(script) as server:
        one = Trial(f"http://localhost:{server.port}")
        assert one.client.get("/", auth=("me", "secret")).status_code == 200
        assert "Authorization: Basic bWU6c2VjcmV0" in lines_of(server.requests[1])
        one.client.close()


def test_redirects_can_be_refused_and_end() -> None:
    class Impatient(FastUser):
        abstract = True
        max_redirects = 2

    with trial(found("/a"), found("/a"), found("/a"), found("/a"), kind=Impatient) as (one, server):
        response = one.client.get("/", allow_redirects=False)
        assert (response.status_code, response.headers["location"]) == (302, "/a")
        assert one.client.get("/").status_code == 302
        assert len(server.requests) == 4
        assert one.failures[0] is None
        assert isinstance(one.failures[1], TooManyRedirects)


def test_a_bad_status_is_a_failure() -> None:
    with trial(GONE) as (one, server):
        response = one.client.get("/x")
        assert (response.status_code, response.ok, response.text) == (404, False, "gone")
        assert isinstance(one.failures[0], LocustBadStatusCode)
        assert str(one.failures[0]) == f"URL {server.url}/x: code=404"
        with pytest.raises(LocustBadStatusCode):
            response.raise_for_status()


def test_catch_response_decides_both_ways() -> None:
    with trial(GONE, FOUND, GONE, FOUND) as (one, _):
        with one.client.get("/", catch_response=True) as response:
            assert one.events == []
            response.success()
        with one.client.get("/", catch_response=True) as response:
            response.failure("not what was ordered")
        with one.client.get("/", catch_response=True):
            pass
        with one.client.get("/", catch_response=True) as response:
            response.request_meta["name"] = "renamed"
        assert [str(failure) for failure in one.failures[:2]] == ["None", "not what was ordered"]
        assert isinstance(one.failures[2], LocustBadStatusCode)
        assert (one.events[3]["name"], one.events[3]["exception"], one.events[3]["response"]) == (
            "renamed",
            None,
            response,
        )


def test_a_with_block_that_raises_passes_it_on() -> None:
    with trial(FOUND, FOUND) as (one, _):
        with pytest.raises(KeyError), one.client.get("/", catch_response=True):
            raise KeyError("n")
        assert one.events == []
        with pytest.raises(KeyError), one.client.get("/", catch_response=True) as response:  # noqa: PT012
            response.failure("said before")
            raise KeyError("n")
        assert [str(failure) for failure in one.failures] == ["said before"]


def test_a_verdict_outside_of_a_with_block_is_refused() -> None:
    with trial(FOUND) as (one, _):
        response = one.client.get("/")
        for verdict in (response.success, lambda: response.failure("no"), response.__enter__):
            with pytest.raises(LocustError, match="catch_response=True"):
                verdict()


def test_a_server_that_is_gone_is_a_failure_and_no_exception() -> None:
    with serving(echo) as server:
        url = server.url
    one = Trial(url)
    response = one.client.get("/")
    assert (response.status_code, response.ok, response.content, response.text) == (0, False, None, None)
    assert dict(response.headers) == {}
    (failure,) = one.failures
    assert isinstance(failure, TransportError)
    assert failure.kind == "connect_refused"
    with pytest.raises(TransportError):
        response.raise_for_status()


def test_timeouts() -> None:
    class Hasty(FastUser):
        abstract = True
        network_timeout = 0.15

    with gevent.Timeout(20), serving(lambda peer: (peer.request(), peer.wait_for_end())) as server:
        one = Trial(server.url, Hasty)
        one.client.get("/")
        one.client.get("/", timeout=0.05)
        one.client.get("/", timeout=(1.0, 0.1))
        assert [failure.kind for failure in one.failures] == ["read_timeout"] * 3
        taken = [told["response_time"] for told in one.events]
        assert 150 <= taken[0] < 1000
        assert 50 <= taken[1] < 150
        assert 100 <= taken[2] < 1000
        with pytest.raises(ValueError, match="positive"):
            one.client.get("/", timeout=-1)


def test_what_cannot_be_sent_is_a_failure() -> None:
    with trial() as (one, server):
        assert one.client.request("", "/").status_code == 0
        assert one.client.get("http://a:b@c:d/").status_code == 0
        assert one.client.get("/", headers={"X": "a\r\nb"}).status_code == 0
        assert [type(failure) for failure in one.failures] == [ValueError] * 3
        assert server.requests == []


def test_rest() -> None:
    words = content(b"words", "200 OK")
    with trial(FOUND, FOUND, words, FOUND, GONE) as (one, server):
        with one.user.rest("POST", "/a", json={"n": 1}) as response:
            assert response.js == {"n": 1}
        with one.user.rest("GET", "/b") as response:
            # (In a function, pytest would add its own words to the assertion.)
            raise AssertionError("another number")
        with one.user.rest("GET", "/c") as response:
            assert response.js is None
        with one.user.rest_("GET", "/d"):
            pass
        with one.user.rest("GET", "/e"):
            pass
        said = [str(failure) for failure in one.failures]
        assert said[:2] == ["None", "another number"]
        assert said[2].startswith("Could not parse response as JSON. words, response code 200")
        assert (said[3], one.events[3]["name"]) == ("None", "/d?_=...")
        assert said[4].startswith("Could not parse response as JSON. gone, response code 404")
        assert "Accept: application/json" in lines_of(server.requests[1])


def test_rest_without_an_answer() -> None:
    with serving(echo) as server:
        url = server.url
    one = Trial(url)
    with one.user.rest("GET", "/") as response:
        assert response.js is None
    assert [str(failure) for failure in one.failures] == [str(response.error)]
    assert "connect_refused" in str(response.error)


def test_default_headers_and_a_host_with_a_password() -> None:
    class Named(FastUser):
        abstract = True
        default_headers = {"X-Client": "load", "Accept": "text/html"}

    with gevent.Timeout(20), serving(echo) as server:
        one = Trial(server.url.replace("://", "://me:p%40ss@"), Named)
        one.client.post("/", json=1)
        lines = lines_of(server.requests[0])
        assert {"X-Client: load", "Accept: text/html", "Authorization: Basic bWU6cEBzcw=="} <= set(lines)
        assert one.events[0]["url"] == f"{server.url}/"


def test_json_with_headers_of_its_own_beside_a_default_accept() -> None:
    class Named(FastUser):
        abstract = True
        default_headers = {"Accept": "text/html"}

    with gevent.Timeout(20), serving(echo) as server:
        Trial(server.url, Named).client.post("/", json={}, headers={"X-Own": "1"})
        assert {"X-Own: 1", "Accept: text/html"} <= set(lines_of(server.requests[0]))


@pytest.mark.parametrize("name", ["Accept", "accept"])
def test_an_accept_of_the_request_is_the_only_one(name: str) -> None:
    with gevent.Timeout(20), serving(echo) as server:
        Trial(server.url).client.post("/", json={}, headers={name: "text/html", "X-Own": "1"})
        lines = lines_of(server.requests[0])
        assert [line for line in lines if line.lower().startswith("accept:")] == [f"{name}: text/html"]
        assert "X-Own: 1" in lines


def test_names_for_many_requests() -> None:
    with trial(FOUND, FOUND, FOUND) as (one, _):
        with one.client.rename_request("things"):
            one.client.get("/1")
            one.client.get("/2", name="two")
        one.client.get("/3")
        assert [told["name"] for told in one.events] == ["things", "two", "/3"]


def test_greenlets_of_one_user_share_its_connections() -> None:
    class Narrow(FastUser):
        abstract = True
        concurrency = 2

    def slow(peer: Peer) -> None:
        while peer.request():
            gevent.sleep(0.02)
            peer.send(FOUND)

    with gevent.Timeout(20), serving(slow) as server:
        one = Trial(server.url, Narrow)
        gevent.joinall([gevent.spawn(one.client.get, "/") for _ in range(6)], raise_error=True)
        assert one.failures == [None] * 6
        assert len(server.peers) == 2


def test_a_user_that_has_ended_closes_its_connection() -> None:
    class Brief(FastUser):
        abstract = True

        def on_start(self) -> None:
            self.client.get("/")
            raise gevent.GreenletExit

    ended = []

    def script(peer: Peer) -> None:
        peer.answer(FOUND)
        peer.wait_for_end()
        ended.append(True)

    with gevent.Timeout(20), serving(script) as server:
        one = Trial(server.url, Brief)
        one.user.run()
        gevent.sleep(0.05)
        assert ended == [True]


def test_a_connection_in_use_is_closed_when_its_request_is_over() -> None:
    ended = []

    def slow(peer: Peer) -> None:
        while peer.request():
            gevent.sleep(0.05)
            peer.send(FOUND)
        ended.append(True)

    with gevent.Timeout(20), serving(slow) as server:
        one = Trial(server.url)
        asking = gevent.spawn(one.client.get, "/")
        gevent.sleep(0.02)
        one.client.close()
        assert asking.get().status_code == 200
        until(lambda: ended)
        one.client.get("/")
        one.client.get("/")
        assert len(server.peers) == 2, "a later connection is kept"
        one.client.close()


@pytest.mark.parametrize(
    ("options", "missing"), [({"stream": True}, "stream"), ({"files": {"a": b"b"}}, "files")], ids=["stream", "files"]
)
def test_what_is_missing_is_named(options: dict[str, Any], missing: str) -> None:
    with trial() as (one, _):
        with pytest.raises(LocustError, match=missing):
            one.client.get("/", **options)
        with pytest.raises(LocustError, match="iter_lines"):
            one.client.iter_lines("/")
        assert one.events == []


@pytest.mark.parametrize("name", ["max_retries", "proxy_host", "proxy_port", "client_pool"])
def test_a_setting_that_is_missing_is_named_when_the_class_is_made(name: str) -> None:
    with pytest.raises(LocustError, match=f"Mine: FastUser has no {name}"):
        type("Mine", (FastUser,), {name: 1})


def test_certificates_are_only_looked_at_when_asked_for(tmp_path: Path) -> None:
    class Careful(FastUser):
        abstract = True
        insecure = False

    with gevent.Timeout(20), serving(echo, tls=Certificates(tmp_path).server_context()) as server:
        assert Trial(server.url).client.post("/", data="a").text == "a"
        careful = Trial(server.url, Careful)
        assert careful.client.get("/").error.kind == "tls"


def test_an_answer_is_freed_at_once() -> None:
    """Else answers, with their bodies, would stay until the garbage collector's next turn."""

    def responses() -> int:
        return sum(type(thing) is FastResponse for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    before = responses()
    try:
        with trial(FOUND) as (one, _):
            with one.client.get("/", catch_response=True) as response:
                response.success()
            del response
            one.events.clear()
            assert responses() == before
    finally:
        gc.enable()


def silent(peer: Peer) -> None:
    peer.request()
    peer.wait_for_end()


@pytest.mark.parametrize("catch_response", [False, True])
@pytest.mark.parametrize(("state", "counted"), [(LOCUST_STATE_STOPPING, 1), (LOCUST_STATE_RUNNING, 0)])
def test_a_request_that_its_user_is_killed_in_has_failed_if_it_was_waited_for(
    state: str, counted: int, catch_response: bool
) -> None:
    with gevent.Timeout(20), serving(silent) as server:
        one = Trial(server.url)
        one.user._state = state
        asking = gevent.spawn(one.client.get, "/", catch_response=catch_response)
        gevent.sleep(0.05)
        asking.kill()
        assert isinstance(asking.value, gevent.GreenletExit)
    assert [str(told["exception"]) for told in one.events] == ["cut: cut off before the answer was complete"] * counted
    assert all(told["response_time"] >= 10 for told in one.events)


def test_a_request_that_the_locustfile_gives_up_has_failed() -> None:
    with gevent.Timeout(20), serving(silent) as server:
        one = Trial(server.url)
        with gevent.Timeout(0.05, False):
            one.client.get("/")
    assert [str(error) for error in one.failures] == ["cut: cut off before the answer was complete"]


def test_sampled_requests_carry_a_trace_id_under_the_name_of_the_request(samples: TraceSampler) -> None:
    with trial(FOUND, GONE) as (one, server):
        one.client.get("/things/1", name="/things/{id}", headers={"X-Own": "1"})
        one.client.get("/things/2", name="/things/{id}")
        requests = [lines_of(request) for peer in server.peers for request in peer.requests]
    sent = [line.split("-")[1] for lines in requests for line in lines if line.startswith("traceparent: ")]
    assert [(trace.trace_id, trace.name, trace.error) for trace in samples.kept] == [
        (sent[0], "/things/{id}", ""),
        (sent[1], "/things/{id}", "404 Not Found"),
    ]
    assert "X-Own: 1" in requests[0]


def test_a_sampled_request_that_is_cut_off_behind_a_redirect_is_not_remembered(samples: TraceSampler) -> None:
    with trial(found("/elsewhere")) as (one, server):
        one.user._state = LOCUST_STATE_STOPPING
        asking = gevent.spawn(one.client.get, "/")
        until(lambda: server.requests)
        gevent.sleep(0.05)
        asking.kill()
        assert [str(error) for error in one.failures] == ["cut: cut off before the answer was complete"]
    assert samples.kept == []


def test_a_response_says_whether_its_request_was_sent_twice() -> None:
    def deaf(peer: Peer) -> None:
        peer.answer(FOUND)
        peer.request()

    with gevent.Timeout(20), serving(deaf, lambda peer: peer.answer(GONE)) as server:
        one = Trial(server.url)
        first, second = one.client.get("/"), one.client.post("/", json={})
        one.client.close()
    assert (first.retried, second.retried, second.status_code, len(one.events)) == (False, True, 404, 2)


def test_so_does_one_that_was_led_on_after_that() -> None:
    def deaf(peer: Peer) -> None:
        peer.answer(FOUND)
        peer.request()

    def leading(peer: Peer) -> None:
        peer.answer(found("/there", status="303 See Other"))
        peer.answer(GONE)

    with gevent.Timeout(20), serving(deaf, leading) as server:
        one = Trial(server.url)
        one.client.get("/")
        assert one.client.post("/", json={}).retried
        one.client.close()


MISTAKES: dict[str, dict[str, Any]] = {
    "a body that is no JSON": {"json": {"a": object()}},
    "a header that is no text": {"headers": {"X-Id": 5}},
}


@pytest.mark.parametrize("wrong", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_of_the_locustfile_is_raised_and_no_failed_request(wrong: dict[str, Any]) -> None:
    with trial(FOUND) as (one, server):
        with pytest.raises(TypeError):
            one.client.post("/", **wrong)
        assert one.events == []
        assert one.client.get("/").ok
        assert len(server.requests) == 1
