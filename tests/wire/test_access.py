"""How a target is reached is one rule for whatever connects to it: clients, WebSockets, Socket.IO, looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pika_locust.observe.target import HealthProbe, look
from pika_locust.wire import socketio, websocket
from pika_locust.wire.access import Access, access_to, set_access
from pika_locust.wire.http import HttpClient
from pika_locust.wire.websocket_handshake import ConnectError
from tests.wire.http_servers import Certificates, Peer, content, serving
from tests.wire.websocket_servers import Seen, switching


@pytest.fixture(autouse=True)
def as_usual() -> Iterator[None]:
    yield
    set_access([], Access())


def upgrading(peer: Peer) -> None:
    """An answer to anything, and to an upgrade the right one."""
    while request := peer.request():
        if b"upgrade: websocket" in request.lower():
            peer.send(switching(request))
            peer.wait_for_end()
            return
        peer.send(content(b"{}"))


def by_client(url: str) -> str | None:
    with HttpClient(url) as http:
        error = http.get("/").error
    return None if error is None else error.text


def by_insecure_client(url: str) -> str | None:
    with HttpClient(url, verify=False) as http:
        error = http.get("/").error
    return None if error is None else error.text


def by_look(url: str) -> str | None:
    error = look(f"{url}/held", within_s=5.0).error
    return None if error is None else error.text


def by_probe(url: str) -> str | None:
    probe = HealthProbe(f"{url}/health")
    answer = probe.poll()
    probe.close()
    return None if answer is not None and answer.ok else "not healthy"


def by_websocket(url: str) -> str | None:
    try:
        websocket.connect(f"{url.replace('http', 'ws', 1)}/ws", Seen()).abort()
    except ConnectError as error:
        return str(error)
    return None


def by_socketio(url: str) -> str | None:
    handler: Any = Seen()
    try:
        socketio.connect(url, handler).abort()
    except ConnectError as error:
        return str(error)
    return None


WAYS = [by_client, by_look, by_probe, by_websocket, by_socketio]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", ["https", "wss"])
def test_whoever_connects_trusts_the_targets_authority(way: Any, target: str, certificates: Certificates) -> None:
    with serving(upgrading, upgrading, tls=certificates.server_context()) as server:
        url = f"https://127.0.0.1:{server.port}"
        assert way(url) is not None
        for verify in (certificates.authority, False):
            set_access([f"{target}://127.0.0.1:{server.port}/x"], Access(verify))
            assert way(url) is None
        set_access(["https://127.0.0.1:9"], Access(False))
        assert way(url) is not None


@pytest.mark.parametrize("way", [by_client, by_insecure_client, by_websocket])
def test_another_authority_is_not_trusted(way: Any, certificates: Certificates, tmp_path: Path) -> None:
    other = Certificates(tmp_path)
    with serving(upgrading, tls=certificates.server_context()) as server:
        set_access([f"https://127.0.0.1:{server.port}"], Access(other.authority))
        assert "not trusted" in way(f"https://127.0.0.1:{server.port}")


def test_a_directory_of_authorities_will_do_for_websockets(certificates: Certificates) -> None:
    directory = str(Path(certificates.authority).parent)
    with serving(upgrading, tls=certificates.server_context()) as server:
        set_access([f"wss://127.0.0.1:{server.port}"], Access(directory))
        # The directory has no names by hash, so it holds no authority; what matters is that it is looked into.
        assert "not trusted" in str(by_websocket(f"https://127.0.0.1:{server.port}"))


def test_a_choice_of_its_own_stays(certificates: Certificates, tmp_path: Path) -> None:
    other = Certificates(tmp_path)
    with serving(upgrading, upgrading, tls=certificates.server_context()) as server:
        url = f"127.0.0.1:{server.port}"
        set_access([f"https://{url}"], Access(other.authority))
        with HttpClient(f"https://{url}", verify=certificates.authority) as http:
            assert http.get("/").status == 200
        websocket.connect(f"wss://{url}/ws", Seen(), ca_file=certificates.authority).abort()


@pytest.mark.parametrize("way", WAYS)
def test_the_targets_headers_go_with_everything_and_to_nobody_else(way: Any) -> None:
    with serving(upgrading) as server, serving(upgrading) as elsewhere:
        set_access([server.url], Access(True, {"Origin": "https://app.example.com", "X-Api-Key": "k1"}))
        assert way(server.url) is None
        assert way(elsewhere.url) is None
    for one, count in ((server, 1), (elsewhere, 0)):
        (request, *_) = one.requests
        assert request.lower().count(b"\r\norigin: https://app.example.com\r\n") == count
        assert request.lower().count(b"\r\nx-api-key: k1\r\n") == count


def test_a_header_of_its_own_takes_the_place_of_the_targets() -> None:
    with serving(upgrading, upgrading) as server:
        set_access([server.url], Access(True, {"AUTHORIZATION": "usual", "X-A": "usual"}))
        with HttpClient(server.url, headers={"authorization": "mine"}) as http:
            http.get("/", headers={"x-a": "mine"})
        websocket.connect(server.url.replace("http", "ws") + "/ws", Seen(), headers={"X-a": "mine"}).abort()
    over_http, over_websocket = (request.lower() for request in server.requests)
    assert over_http.count(b"usual") == 0
    assert over_http.count(b": mine\r\n") == 2
    assert over_websocket.count(b"usual") == over_websocket.count(b": mine\r\n") == 1


def test_a_host_of_ones_own_takes_the_place_of_the_targets() -> None:
    with serving(upgrading, upgrading) as server:
        set_access([server.url], Access(True, {"Host": "shop.test", "User-Agent": "load test"}))
        assert by_client(server.url) is None
        assert by_websocket(server.url) is None
    for request in server.requests:
        assert request.lower().count(b"\r\nhost: ") == request.count(b"\r\nHost: shop.test\r\n") == 1
        assert request.lower().count(b"\r\nuser-agent: ") == request.count(b"\r\nUser-Agent: load test\r\n") == 1


def test_targets_are_known_by_host_and_port_whatever_the_scheme() -> None:
    access = Access(False)
    set_access(["wss://a.test/ws", "http://b.test:81", "no url"], access)
    assert access_to("a.test", 443) is access_to("b.test", 81) is access
    assert access_to("a.test", 80) == access_to("b.test", 80) == Access()
