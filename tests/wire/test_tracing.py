"""Which requests and handshakes carry a trace id, what is remembered of them, and the header on a real socket."""

from __future__ import annotations

import re
from collections import Counter

import gevent
import pytest

from pika_locust.wire import websocket
from pika_locust.wire.http import ErrorKind, HttpClient, Response, TransportError
from pika_locust.wire.tracing import MOST_FAILED, MOST_SLOW, Trace, TraceSampler, traceparent, worth_keeping
from pika_locust.wire.websocket_handshake import ConnectError
from tests.open_files import no_file_left
from tests.wire.http_servers import Peer, content, serving
from tests.wire.websocket_servers import Seen, silent, upgraded


def answer(status: int, ms: int, error: TransportError | None = None) -> Response:
    end_ns = ms * 1_000_000
    return Response(status, b"HTTP/1.1 200 OK\r\n\r\n", b"", (0, 0, 1, 2, end_ns, 0, 0), 0, 0, error)


@pytest.mark.parametrize(("share", "sampled"), [(1.0, 1000), (0.1, 100), (0.01, 10), (0.0025, 2)])
def test_a_share_of_the_requests_is_sampled_evenly(share: float, sampled: int) -> None:
    sampler = TraceSampler(share)
    ids = [sampler.begin() for _ in range(1000)]
    assert abs(len([one for one in ids if one]) - sampled) <= 1
    assert len({one for one in ids if one}) == len([one for one in ids if one])


def test_the_header_is_w3cs() -> None:
    found = traceparent("4bf92f3577b34da6a3ce929d0e0e4736")
    assert re.fullmatch(r"00-4bf92f3577b34da6a3ce929d0e0e4736-(?!0{16})[0-9a-f]{16}-01", found)


def test_the_slowest_are_remembered_however_many_there_were() -> None:
    sampler = TraceSampler(1.0)
    for ms in range(1, 1001):
        sampler.end(f"{ms}", "join", answer(200, ms))
    assert [trace.trace_id for trace in sampler.kept] == ["1000", "999", "998", "997", "996"]
    assert sampler.kept[0] == Trace("1000", "join", 1_000_000)


def test_failed_ones_of_every_kind_come_before_more_of_the_same() -> None:
    many = [Trace(f"a{at}", "join", 5, "503 Busy") for at in range(50)]
    kept = worth_keeping(
        [*many, Trace("b", "leave", 5, "timed out"), *(Trace(f"c{at}", "join", at) for at in range(9))]
    )
    assert Counter(bool(trace.error) for trace in kept) == {True: MOST_FAILED, False: MOST_SLOW}
    assert [trace.trace_id for trace in kept if trace.error][:2] == ["a0", "b"]


def test_what_the_target_never_saw_is_none_of_them() -> None:
    sampler = TraceSampler(1.0)
    for kind in (ErrorKind.LOCAL, ErrorKind.CUT):
        sampler.end("x", "join", answer(0, 5, TransportError(kind, "no")))
    sampler.end("y", "join", answer(0, 5, TransportError(ErrorKind.READ_TIMEOUT, "late")))
    assert [(trace.trace_id, bool(trace.error)) for trace in sampler.kept] == [("y", True)]


def heard(peer: Peer) -> None:
    """Answer every request with the trace id it carried."""
    while request := peer.request():
        found = re.search(rb"traceparent: 00-([0-9a-f]{32})-[0-9a-f]{16}-01\r\n", request)
        peer.send(content(found[1] if found else b"none", "503 Busy" if b"/busy" in request else "200 OK"))


def test_every_other_request_carries_one_over_the_wire_beside_its_own_headers() -> None:
    sampler = TraceSampler(0.5)
    with serving(heard) as server, HttpClient(server.url, tracer=sampler) as client:
        said = [client.get(path, headers={"X-Own": "1"}, name=path).text for path in ("/a", "/b", "/busy", "/d")]
    assert [text == "none" for text in said] == [False, True, False, True]
    assert [(trace.trace_id, trace.name, trace.error) for trace in sampler.kept] == [
        (said[0], "/a", ""),
        (said[2], "/busy", "503 Busy"),
    ]


def test_without_a_sampler_nothing_is_added() -> None:
    with serving(heard) as server, HttpClient(server.url) as client:
        assert client.get("/a").text == "none"


def test_a_sampled_handshake_carries_one_beside_its_own_headers_and_is_remembered() -> None:
    sampler = TraceSampler(0.5)
    with serving(upgraded(silent)) as server:
        for name in ("join", "again"):
            options = {"headers": {"X-Own": "1"}, "tracer": sampler, "name": name}
            websocket.connect(f"ws://127.0.0.1:{server.port}/", Seen(), **options).abort()
    sampled, other = server.requests
    (trace,) = sampler.kept
    assert (trace.name, trace.error, trace.duration_us > 0) == ("join", "", True)
    assert re.search(rb"traceparent: 00-%b-[0-9a-f]{16}-01\r\n" % trace.trace_id.encode(), sampled)
    assert b"traceparent" not in other
    assert all(b"X-Own: 1\r\n" in request for request in server.requests)


def test_of_handshakes_that_fail_those_are_remembered_that_the_target_can_have_seen() -> None:
    sampler = TraceSampler(1.0)
    with no_file_left(), pytest.raises(ConnectError, match="this machine's limit"):
        websocket.connect("ws://127.0.0.1:9/", Seen(), tracer=sampler)
    with gevent.Timeout(20), serving(lambda peer: peer.wait_for_end()) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        cut_off = gevent.spawn(websocket.connect, url, Seen(), tracer=sampler)
        gevent.sleep(0.05)
        cut_off.kill()
        assert sampler.kept == []
        with pytest.raises(ConnectError):
            websocket.connect(url, Seen(), limits=websocket.Limits(connect_s=0.05), tracer=sampler)
    (late,) = sampler.kept
    assert (late.name, late.error) == ("connect", "no answer to the upgrade within 0.05 s")
