from __future__ import annotations

import gc
import gzip
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from pika_locust.wire.http import (
    ConcurrentUseError,
    ErrorKind,
    HttpClient,
    Origin,
    Response,
    SourceAddresses,
    Timeouts,
    TransportError,
)
from tests.wire.http_servers import Certificates, Peer, content, echo, serving

pytestmark = pytest.mark.usefixtures("patience")

ROOT = Path(__file__).parents[2]


def mirror(peer: Peer) -> None:
    """Answer every request with the request itself."""
    while request := peer.request():
        peer.send(content(b"" if request.startswith(b"HEAD") else request))


CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "get": ("get", {"params": {"a": 1}}, "GET /base/p?a=1 HTTP/1.1|"),
    "head": ("head", {}, ""),
    "options": ("options", {"headers": {"Origin": "http://x"}}, "OPTIONS /base/p HTTP/1.1|Origin: http://x|"),
    "post": ("post", {"json": {"a": 1}}, 'POST /base/p HTTP/1.1|Content-Type: application/json|{"a":1}'),
    "put": ("put", {"data": "text"}, "PUT /base/p HTTP/1.1|text"),
    "patch": ("patch", {"data": {"a": "b"}}, "PATCH /base/p HTTP/1.1|x-www-form-urlencoded|a=b"),
    "delete": ("delete", {}, "DELETE /base/p HTTP/1.1|"),
}


@pytest.mark.parametrize(("method", "rest", "parts"), CALLS.values(), ids=CALLS)
def test_every_method_sends_what_it_says(method: str, rest: dict[str, Any], parts: str) -> None:
    told: list[tuple[str, str, int]] = []

    def observer(name: str, method: str, response: Response) -> None:
        told.append((name, method, response.status))

    with (
        serving(mirror) as server,
        HttpClient(f"{server.url}/base/", observer=observer, headers={"X-All": "1"}) as client,
    ):
        for response in (
            getattr(client, method)("/p", name="named", **rest),
            client.request(method, "/p", **rest),
        ):
            assert response.ok
            assert all(part in response.text for part in parts.split("|"))
            assert "X-All: 1\r\n" in response.text or method == "head"
        assert told == [("named", method.upper(), 200), ("/p", method.upper(), 200)]
        assert client.connections == 1


def test_json_in_and_json_out() -> None:
    with serving(echo) as server, HttpClient(server.url) as client:
        response = client.post(
            "/queue/join", json={"region": "x", "preferences": {"mode": "shared"}}, name="queue_join"
        )
        assert response.json() == {"region": "x", "preferences": {"mode": "shared"}}
        assert (response.status, response.reason, response.ok, response.failed) == (200, "OK", True, False)


def test_headers_can_change_after_login() -> None:
    with serving(mirror) as server, HttpClient(server.url) as client:
        client.set_headers({"Authorization": "Bearer 1"})
        assert client.headers["authorization"] == "Bearer 1"
        assert "Authorization: Bearer 1\r\n" in client.get("/").text
        client.set_headers({"Authorization": None})
        assert "Authorization" not in client.get("/").text


def test_repeated_cookies_are_the_callers_to_read() -> None:
    def cookies(peer: Peer) -> None:
        peer.answer(content(b"", "204 No Content", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2"))

    with serving(cookies) as server, HttpClient(server.url) as client:
        assert client.get("/").headers.get_all("set-cookie") == ["a=1; Path=/", "b=2"]


def test_a_request_that_cannot_be_written_raises_and_changes_nothing() -> None:
    with serving(echo) as server, HttpClient(server.url) as client:
        for rest in ({"headers": {"A": "b\r\n"}}, {"json": {1}}, {"json": 1, "data": "1"}):
            with pytest.raises((ValueError, TypeError)):
                client.post("/", **rest)
        with pytest.raises(ValueError, match="no HTTP method"):
            client.request("GET / HTTP/1.1\r\nX:", "/")
        assert client.post("/", data=b"x").text == "x"


def test_an_error_is_a_value_unless_it_is_asked_to_be_raised() -> None:
    with serving(echo) as server:
        pass
    told: list[Response] = []
    with HttpClient(server.url, observer=lambda *event: told.append(event[2])) as client:
        response = client.get("/")
        assert response.error is not None
        assert (response.status, response.error.kind) == (0, ErrorKind.CONNECT_REFUSED)
        client.raise_errors = True
        with pytest.raises(TransportError, match="refused the connection"):
            client.get("/")
        assert len(told) == 2


def test_a_status_is_never_raised() -> None:
    with (
        serving(lambda peer: peer.answer(content(b"", "500 No"))) as server,
        HttpClient(server.url, raise_errors=True) as client,
    ):
        response = client.get("/")
        assert (response.status, response.failed, response.error) == (500, True, None)


def test_time_outs_of_one_request_replace_the_clients() -> None:
    def silent(peer: Peer) -> None:
        peer.request()
        peer.wait_for_end()

    with serving(silent) as server, HttpClient(server.url) as client:
        response = client.get("/", timeouts=Timeouts(read_s=0.05))
        assert response.error is not None
        assert (response.error.kind, response.error.text) == (ErrorKind.READ_TIMEOUT, "nothing to read for 0.05 s")


def test_a_body_has_a_bound_packed_or_not() -> None:
    def large(peer: Peer) -> None:
        packed = gzip.compress(b"\0" * 100_000)
        peer.answer(content(b"x" * 1001))
        peer.answer(content(packed, "200 OK", "Content-Encoding: gzip"))

    def fitting(peer: Peer) -> None:
        peer.answer(content(gzip.compress(b"\0" * 1000), "200 OK", "Content-Encoding: gzip"))

    with serving(large, large, fitting) as server, HttpClient(server.url, max_body_bytes=1000) as client:
        kinds = [client.get("/").error for _ in range(2)]
        assert [error and error.kind for error in kinds] == [ErrorKind.TOO_LARGE] * 2
        assert client.get("/").content == b"\0" * 1000


def site(peer: Peer) -> None:
    while request := peer.request():
        method, target, _ = request.split(b" ", 2)
        if target.startswith(b"/to/"):
            status = target[4:].decode()
            peer.send(content(b"", f"{status} Over There", "Location: /page?x=1"))
        elif target == b"/round":
            peer.send(content(b"", "302 Found", "Location: round"))
        elif target == b"/away":
            peer.send(content(b"", "302 Found", "Location: http://192.0.2.1/"))
        else:
            peer.send(content(method + b" " + target + b" " + request.partition(b"\r\n\r\n")[2]))


FOLLOWED: dict[str, tuple[str, str, int, int, str, int]] = {
    "none are followed unless one says so": ("get", "/to/302", 0, 302, "", 1),
    "one is": ("get", "/to/302", 1, 200, "GET /page?x=1 ", 2),
    "POST becomes GET and loses its body": ("post", "/to/303", 1, 200, "GET /page?x=1 ", 2),
    "POST stays POST and keeps it": ("post", "/to/307", 5, 200, 'POST /page?x=1 {"a":1}', 2),
    "a circle ends": ("get", "/round", 3, 302, "", 4),
    "nobody is led to another host": ("get", "/away", 3, 302, "", 1),
}


@pytest.mark.parametrize(("method", "path", "most", "status", "text", "requests"), FOLLOWED.values(), ids=FOLLOWED)
def test_redirects(method: str, path: str, most: int, status: int, text: str, requests: int) -> None:
    told: list[tuple[str, int]] = []
    with (
        serving(site) as server,
        HttpClient(
            server.url, max_redirects=most, observer=lambda *event: told.append((event[0], event[2].status))
        ) as client,
    ):
        rest = {"json": {"a": 1}} if method == "post" else {}
        response = getattr(client, method)(path, name="page", **rest)
        assert (response.status, response.text) == (status, text)
        assert [name for name, _ in told] == ["page"] * requests, "each is a request of its own"


def test_a_redirect_below_a_prefix_leads_where_it_says() -> None:
    with serving(site) as server, HttpClient(f"{server.url}/to", max_redirects=1) as client:
        assert client.get("/302").text == "GET /page?x=1 "


def test_users_send_from_addresses_of_their_own() -> None:
    def whoami(peer: Peer) -> None:
        peer.answer(content(peer.address[0].encode()))

    pool = SourceAddresses("127.0.8.0/22")
    with serving(whoami) as server:
        for user in (0, 1, 300, 1022):
            with HttpClient(server.url, source_address=pool[user]) as client:
                assert client.get("/").text == pool[user]


def test_tls_is_verified_by_default(certificates: Certificates) -> None:
    context = certificates.server_context()
    context.num_tickets = 0
    with serving(echo, tls=context) as server:
        with HttpClient(server.url) as client:
            response = client.post("/", data=b"secret")
            assert response.error is not None
            assert response.error.kind is ErrorKind.TLS
            assert response.error.text.startswith("the certificate is not trusted")
            assert response.timings.tls_handshaking_us > 0
        assert server.requests == []
        for verify in (certificates.authority, False):
            with HttpClient(server.url, verify=verify) as client:
                first, second = (client.post("/", json=number) for number in (1, 2))
                assert (first.json(), second.json(), client.connections) == (1, 2, 1)
                assert first.timings.tls_handshaking_us > 0
                assert second.timings.tls_handshaking_us == 0
                assert first.bytes_received > second.bytes_received + 500, "the handshake counts once"
                assert first.bytes_sent > second.bytes_sent + 300


def test_a_closed_client_takes_no_request() -> None:
    client = HttpClient("http://127.0.0.1:1")
    client.close()
    client.close()
    with pytest.raises(ConcurrentUseError, match="closed"):
        client.get("/")


def test_a_client_with_an_open_connection_takes_less_than_4_kb() -> None:
    with serving(echo) as server:
        origin, timeouts = Origin(server.url), Timeouts()

        def make() -> HttpClient:
            client = HttpClient(origin, timeouts=timeouts)
            client.set_headers({"Authorization": f"Bearer {'x' * 40}"})
            assert client.post("/", json={"a": 1}).json() == {"a": 1}
            return client

        client_files = tracemalloc.Filter(True, str(ROOT / "pika_locust" / "*"))
        clients = [make() for _ in range(5)]
        gc.collect()
        tracemalloc.start()
        try:
            clients += [make() for _ in range(50)]
            gc.collect()
            statistics = tracemalloc.take_snapshot().filter_traces([client_files]).statistics("filename")
        finally:
            tracemalloc.stop()
        assert sum(entry.size for entry in statistics) / 50 < 4096
        for client in clients:
            client.close()


def test_a_replaced_connection_is_freed_without_the_garbage_collector() -> None:
    def once(peer: Peer) -> None:
        peer.answer(content(b"{}", "200 OK", "Connection: close"))

    def connections() -> int:
        return sum(type(thing).__name__ in ("Connection", "ResponseParser") for thing in gc.get_objects())

    with serving(once) as server, HttpClient(server.url) as client:
        client.get("/")
        before = connections()
        gc.disable()
        try:
            for _ in range(10):
                client.get("/")
            assert connections() == before
        finally:
            gc.enable()


PATCHED = """
import sys
if sys.argv[1] == "before":
    import pika_locust.wire.http
from gevent import monkey
monkey.patch_all()
import gevent, ssl
from tests.wire.http_servers import echo, serving
from pika_locust.wire.http import HttpClient

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
for tls in (None, context):
    with serving(echo, tls=tls) as server, HttpClient(server.url, verify=sys.argv[4]) as client:
        users = [HttpClient(f"{server.url.replace('127.0.0.1', 'localhost')}", verify=sys.argv[4]) for _ in range(20)]
        jobs = [gevent.spawn(user.post, "/", json=number) for number, user in enumerate(users)]
        assert [job.get(timeout=10).json() for job in jobs] == list(range(20))
        assert client.post("/", json=[1]).json() == [1]
print("well")
"""


@pytest.mark.parametrize("order", ["before", "after"])
def test_it_works_where_everything_is_patched(certificates: Certificates, order: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PATCHED, order, certificates.chain, certificates.key, certificates.authority],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (result.returncode, result.stdout) == (0, "well\n"), result.stderr


def test_plain_requests_do_without_openssl_and_locust() -> None:
    code = "import sys, pika_locust.wire.http; print([name for name in ('ssl', 'locust') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert result.stdout == "[]\n", result.stderr


def test_credentials_of_the_url_go_with_every_request_unless_there_are_others() -> None:
    with serving(mirror) as server, HttpClient(f"http://alice:pa55@127.0.0.1:{server.port}") as client:
        first = client.get("/").text
        assert "Authorization: Basic YWxpY2U6cGE1NQ==\r\n" in first
        assert "alice" not in first
        other = client.get("/", headers={"authorization": "Bearer abc"}).text
        assert "authorization: Bearer abc\r\n" in other
        assert "Basic" not in other
    assert str(Origin("http://alice:pa55@host")) == "http://host"
