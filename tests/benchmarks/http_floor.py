"""What an HTTP request costs this process, against the least that it can cost on gevent.

    python -m tests.benchmarks.http_floor [--rounds 30] [--requests 1000] [--limit 1.6]

Both send POST with JSON to an nginx on loopback, one request after the other over one kept connection, in turns:

floor   raw send, wait on the socket's read watcher, one raw recv, one kept llhttp parser; nothing is built, checked,
        timed or kept, and the JSON is neither written nor read
client  `HttpClient.post(json=…).json()`, with everything that belongs to it

The figures are CPU time of this process (user and system) per request, medians over the rounds. On a machine that
falls asleep between request and answer both are about three times as high; the ratio is what to read.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import gevent
import httptools
from gevent import get_hub
from gevent import socket as gsocket

from pika_locust.wire.http import HttpClient
from tests.benchmarks.nginx import serving

ANSWERS = {"/": (201, '{"status":"queued","queueKey":"australiacentral:shared","position":17}')}
BODY = {"region": "australiacentral", "preferences": {"mode": "shared"}}
REQUEST = (
    b"POST /queue/join HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: floor\r\nContent-Type: application/json\r\n"
    b'Content-Length: 63\r\n\r\n{"region":"australiacentral","preferences":{"mode":"shared"}}  '
)


class _Answer:
    complete = False
    body = b""

    def on_body(self, body: bytes) -> None:
        self.body = body

    def on_message_complete(self) -> None:
        self.complete = True


def floor(port: int) -> Callable[[int], None]:
    connection = gsocket.create_connection(("127.0.0.1", port))
    connection.setsockopt(gsocket.IPPROTO_TCP, gsocket.TCP_NODELAY, 1)
    hub = get_hub()
    readable = hub.loop.io(connection.fileno(), 1)
    answer = _Answer()
    send, recv, wait = connection._sock.send, connection._sock.recv, hub.wait
    feed = httptools.HttpResponseParser(answer).feed_data

    def run(requests: int) -> None:
        for _ in range(requests):
            answer.complete = False
            send(REQUEST)
            wait(readable)
            feed(recv(65536))
            assert answer.complete

    return run


def client(port: int) -> Callable[[int], None]:
    http = HttpClient(f"http://127.0.0.1:{port}")

    def run(requests: int) -> None:
        for _ in range(requests):
            response = http.post("/queue/join", json=BODY, name="queue_join")
            assert response.json()["position"] == 17

    return run


def measure(port: int, rounds: int, requests: int) -> dict[str, list[float]]:
    """CPU microseconds per request of each round, in turns, so that both see the same machine."""
    runs = {"floor": floor(port), "client": client(port)}
    costs: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run(requests)
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.process_time()
            run(requests)
            costs[name].append((time.process_time() - began) / requests * 1e6)
    return costs


def main() -> int:
    parser = argparse.ArgumentParser(description="HTTP: the client against the floor")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--requests", type=int, default=1000, help="per round")
    parser.add_argument("--limit", type=float, default=1.6, help="exit 1 when client / floor is above")
    options = parser.parse_args()
    with serving(ANSWERS) as target:
        costs = gevent.spawn(measure, target.port, options.rounds, options.requests).get()
    for name, values in costs.items():
        quarter, median, three_quarters = statistics.quantiles(values, n=4)
        print(f"{name:7} {median:6.1f} µs CPU per request (middle half {quarter:.1f} to {three_quarters:.1f})")
    ratio = statistics.median(mine / least for least, mine in zip(costs["floor"], costs["client"], strict=True))
    print(f"ratio   {ratio:6.2f}")
    return 0 if ratio <= options.limit else 1


if __name__ == "__main__":
    sys.exit(main())
