"""Answers as a Prometheus gives them, and as it should not."""

from __future__ import annotations

import json
import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pika_locust.observe import prometheus as module
from pika_locust.observe.prometheus import Prometheus, Reading

TOKEN = "pr0m-t0ken"
TIMEOUT_S = 0.3


class Server:
    """Says to every connection what the test wants; keeps what it heard."""

    def __init__(self, say: Callable[[socket.socket], None]) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.heard: list[str] = []
        self._say = say
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                head = connection.recv(65536).decode()
                if not head:
                    return
                self.heard.append(head)
                self._say(connection)

    def close(self) -> None:
        with socket.create_connection(self._socket.getsockname()):
            pass
        self._thread.join()
        self._socket.close()


@contextmanager
def saying(say: Callable[[socket.socket], None]) -> Iterator[Server]:
    server = Server(say)
    try:
        yield server
    finally:
        server.close()


def http(body: bytes, status: str = "200 OK", *headers: str) -> Callable[[socket.socket], None]:
    lines = [f"HTTP/1.1 {status}", "Connection: close", *headers, f"Content-Length: {len(body)}", "", ""]
    return lambda connection: connection.sendall("\r\n".join(lines).encode() + body)


def success(kind: str, result: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


def failure(kind: str, words: str) -> bytes:
    return json.dumps({"status": "error", "errorType": kind, "error": words}).encode()


def ask(say: Callable[[socket.socket], None], query: str = "up", token: str | None = TOKEN) -> Reading:
    with saying(say) as server:
        return Prometheus(server.url, token, TIMEOUT_S).poll(query)


def vector(*values: str) -> bytes:
    return success(
        "vector",
        [
            {"metric": {"__name__": "up", "job": f"j{number}"}, "value": [1700000000.123, value]}
            for number, value in enumerate(values)
        ],
    )


# What is asked


def test_the_query_and_the_token_are_sent_as_prometheus_wants_them() -> None:
    query = 'sum by (a, b) (rate(x{y="ü&;+"}[5m]))'
    with saying(http(vector("1"))) as server:
        Prometheus(f"{server.url}/behind/a/proxy", TOKEN, TIMEOUT_S).poll(query)
        Prometheus(server.url, None, TIMEOUT_S).poll(query)
    first, second = server.heard
    method, address, _ = first.splitlines()[0].split(" ")
    assert (method, urlsplit(address).path) == ("GET", "/behind/a/proxy/api/v1/query")
    assert parse_qs(urlsplit(address).query) == {"query": [query]}
    assert f"Authorization: Bearer {TOKEN}" in first.splitlines()
    assert "authorization" not in second.lower()


def test_the_token_goes_to_no_other_host() -> None:
    with saying(http(vector("1"))) as other:
        elsewhere = f"{other.url.replace('127.0.0.1', 'localhost')}/api/v1/query?query=up"
        with saying(http(b"", "302 Found", f"Location: {elsewhere}")) as server:
            problem = Prometheus(server.url, TOKEN, TIMEOUT_S).poll("up").problem
    assert problem == f"answered 302 Found, which leads to {elsewhere}"
    assert TOKEN in server.heard[0]
    assert other.heard == []


def test_a_user_in_the_url_is_named_and_a_token_wins_over_it() -> None:
    with saying(http(vector("1"))) as server:
        url = server.url.replace("//", "//me:word@")
        Prometheus(url, None, TIMEOUT_S).poll("up")
        Prometheus(url, TOKEN, TIMEOUT_S).poll("up")
    assert "Authorization: Basic bWU6d29yZA==" in server.heard[0]
    assert f"Authorization: Bearer {TOKEN}" in server.heard[1]


def test_a_proxy_that_this_machine_happens_to_have_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with saying(http(vector("1"))) as server, saying(http(vector("2"))) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        reading = Prometheus(server.url, TOKEN, TIMEOUT_S).poll("up")
    assert list(reading.series.values()) == [1.0]
    assert proxy.heard == []


# What is answered


def test_a_vector_is_a_value_for_each_series() -> None:
    series = ask(http(vector("12", "0.5", "1.234567891e+09", "-0"))).series
    assert series == {
        (("__name__", "up"), ("job", f"j{number}")): value
        for number, value in enumerate([12.0, 0.5, 1234567891.0, 0.0])
    }


def test_values_that_are_no_finite_numbers_are_read() -> None:
    nan, high, low = ask(http(vector("NaN", "+Inf", "-Inf"))).series.values()
    assert math.isnan(nan)
    assert (high, low) == (math.inf, -math.inf)


def test_a_scalar_is_one_series_without_labels() -> None:
    assert ask(http(success("scalar", [1700000000.1, "42"]))) == Reading("up", {(): 42.0})


def test_an_empty_vector_is_no_series_and_no_problem() -> None:
    assert ask(http(vector())) == Reading("up", {}, "")


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang(connection: socket.socket) -> None:
    connection.recv(1)


def stop_halfway(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    connection.recv(1)


def trickle(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    with suppress(OSError):
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.05)


HISTOGRAM = [{"metric": {}, "histogram": [1700000000.1, {"count": "2", "sum": "3"}]}]
NOT_PROMETHEUS = "what it answered is not what a Prometheus answers"
NO_JSON = "what it answered is no JSON object: is this a Prometheus?"
FAULTS: dict[str, tuple[Callable[[socket.socket], None], str]] = {
    "a query that it cannot parse": (
        http(failure("bad_data", "1:3: parse error: unexpected <op>"), "400 Bad Request"),
        "answered 400 Bad Request: 1:3: parse error: unexpected <op>",
    ),
    "a token that it does not know": (http(b"<h1>no</h1>", "401 Unauthorized"), "answered 401 Unauthorized"),
    "an error that is answered 200": (http(failure("timeout", "too slow")), "answered 200 OK: too slow"),
    "a page": (http(b"<html>"), NO_JSON),
    "JSON that is no object": (http(b"[1]"), NO_JSON),
    "bytes that are no text": (http(b"\xff\xfe{"), NO_JSON),
    "JSON deeper than anybody reads": (http(b"[" * 200_000), NO_JSON),
    "somebody else's object": (http(b'{"status": "success"}'), NOT_PROMETHEUS),
    "a value that is no number": (http(vector("many")), NOT_PROMETHEUS),
    "a sample without labels": (http(success("vector", [{"value": [1, "2"]}])), NOT_PROMETHEUS),
    "a value without its time": (http(success("scalar", ["1"])), NOT_PROMETHEUS),
    "no list of samples": (http(success("vector", 7)), NOT_PROMETHEUS),
    "a range": (
        http(success("matrix", [])),
        "the query gives a matrix; one that gives an instant vector or a scalar can be compared",
    ),
    "a text": (
        http(success("string", [1, "x"])),
        "the query gives a string; one that gives an instant vector or a scalar can be compared",
    ),
    "a native histogram": (
        http(success("vector", HISTOGRAM)),
        "a native histogram has no single value; histogram_count() or histogram_sum() has",
    ),
    "no HTTP": (
        lambda connection: connection.sendall(b"hello\r\n\r\n"),
        "not a readable HTTP answer: Expected HTTP/, RTSP/ or ICE/",
    ),
    "an answer that ends too soon": (
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
        "closed in the middle of the answer",
    ),
    "a connection that is closed": (lambda connection: None, "closed without an answer"),
    "a connection that is reset": (reset, "the connection was reset"),
    "an answer that trickles": (trickle, "no answer within 0.3 s"),
    "nothing at all": (hang, "no answer within 0.3 s"),
    "half an answer and then nothing": (stop_halfway, "no answer within 0.3 s"),
}


@pytest.mark.parametrize(("say", "problem"), FAULTS.values(), ids=FAULTS)
@pytest.mark.alone
def test_whatever_is_wrong_is_told_and_never_raised(say: Callable[[socket.socket], None], problem: str) -> None:
    began_s = time.monotonic()
    assert ask(say) == Reading("up", {}, problem)
    assert time.monotonic() - began_s < TIMEOUT_S + 1.0


def test_nobody_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    reading = Prometheus(f"http://127.0.0.1:{port}", TOKEN, TIMEOUT_S).poll("up")
    assert reading == Reading("up", {}, f"127.0.0.1:{port} refused the connection")


def test_a_name_that_is_none_is_told() -> None:
    reading = Prometheus(f"http://{'a' * 70}:9090", TOKEN, TIMEOUT_S).poll("up")
    assert "a" * 70 in reading.problem


def test_an_answer_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 2_000_000)
    assert ask(http(b" " * 2_000_001)).problem == "the answer is longer than 2 MB"
    assert ask(http(vector("1").ljust(2_000_000))).problem == ""


def test_the_token_is_in_nothing_that_comes_back() -> None:
    echo = success("vector", [{"metric": {"a": f"x {TOKEN} y"}, "value": [1, "2"]}])
    assert ask(http(echo)).series == {(("a", "x REDACTED y"),): 2.0}
    words = failure("bad", "é" * (module.MAX_PROBLEM - 24) + TOKEN)
    problem = ask(http(words, f"403 {TOKEN}")).problem
    assert problem.startswith("answered 403 REDACTED: é")
    assert len(problem) == module.MAX_PROBLEM
    assert not any(TOKEN[:length] in problem for length in range(4, len(TOKEN)))
