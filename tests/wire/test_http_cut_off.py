from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest
from gevent import socket as gsocket

from pika_locust.wire.http import ErrorKind, HttpClient, Response
from tests.wire.http_servers import Peer, content, serving

Seen = list[tuple[str, str, Response]]


def kill_in_the_middle(client: HttpClient) -> None:
    asking = gevent.spawn(client.get, "/slow", name="slow")
    gevent.sleep(0.1)
    asking.kill()


def time_out_of_ones_own(client: HttpClient) -> None:
    with gevent.Timeout(0.1, False):
        client.get("/slow", name="slow")


def silent(peer: Peer) -> None:
    peer.request()
    peer.wait_for_end()


def trickling(peer: Peer) -> None:
    peer.request()
    for byte in content(b"x" * 100):
        peer.send(bytes((byte,)), pause_s=0.02)


@pytest.mark.parametrize("end", [kill_in_the_middle, time_out_of_ones_own])
@pytest.mark.parametrize("script", [silent, trickling])
def test_a_request_that_is_cut_off_is_told_to_the_observer_once(
    script: Callable[[Peer], None], end: Callable[[HttpClient], None]
) -> None:
    seen: Seen = []
    with serving(script) as server, HttpClient(server.url, observer=lambda *told: seen.append(told)) as client:
        end(client)
    ((name, method, response),) = seen
    assert (name, method, response.status, response.failed) == ("slow", "GET", 0, True)
    assert response.error is not None
    assert response.error.kind is ErrorKind.CUT
    assert not response.unsent, "the target may have done what it was asked for"
    assert response.duration_us >= 10_000, "it took as long as it was waited for"


def test_a_request_on_a_kept_connection_that_is_cut_off_took_its_time() -> None:
    def once(peer: Peer) -> None:
        peer.answer(content(b"first"))
        silent(peer)

    seen: Seen = []
    with serving(once) as server, HttpClient(server.url, observer=lambda *told: seen.append(told)) as client:
        assert client.get("/").ok
        kill_in_the_middle(client)
    assert [response.status for _, _, response in seen] == [200, 0]
    cut = seen[1][2]
    assert cut.duration_us >= 10_000
    assert cut.stamps[0] == cut.stamps[1], "the connection was there"


def test_who_is_cut_off_while_connecting_has_sent_nothing() -> None:
    seen: Seen = []
    with gsocket.socket() as listener:
        # A listener with a full queue: the kernel lets the next one wait.
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        waiting = gsocket.create_connection(listener.getsockname())
        with waiting, HttpClient(url, observer=lambda *told: seen.append(told)) as client:
            kill_in_the_middle(client)
    ((_, _, response),) = seen
    assert response.error is not None
    assert response.error.kind is ErrorKind.CUT
    assert response.unsent
    assert response.duration_us == 0


def test_who_is_cut_off_in_the_second_attempt_may_have_been_heard_in_the_first() -> None:
    def deaf(peer: Peer) -> None:
        peer.answer(content(b"first"))
        peer.request()
        peer.close()

    seen: Seen = []
    with serving(deaf, silent) as server, HttpClient(server.url, observer=lambda *told: seen.append(told)) as client:
        assert client.get("/").ok
        kill_in_the_middle(client)
        assert client.retries == 1
    cut = seen[1][2]
    assert cut.retried
    assert not cut.unsent
