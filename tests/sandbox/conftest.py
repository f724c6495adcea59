from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
import uvloop
from websockets.sync.client import ClientConnection, connect

from pika_locust.sandbox.faults import parse_faults
from pika_locust.sandbox.server import Sandbox
from pika_locust.sandbox.world import Platform


@pytest.fixture
def running_loop() -> Iterator[None]:
    """Makes a loop current without running it, for code that only sets a timer."""
    loop = asyncio.new_event_loop()
    asyncio._set_running_loop(loop)
    yield
    asyncio._set_running_loop(None)
    loop.close()


class Served:
    """A sandbox on a loop in a thread, and the ways to talk to it."""

    def __init__(self, platforms: tuple[Platform, ...], faults: tuple[str, ...], settings: Mapping[str, str]) -> None:
        self.loop = uvloop.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.sandbox = Sandbox(platforms, parse_faults(faults), settings)
        self.port = self.call(self.sandbox.start(0))
        self.clients = ExitStack()

    def call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(5)

    def stop(self) -> None:
        self.clients.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def socket(self, path: str = "/ws") -> ClientConnection:
        url = f"ws://127.0.0.1:{self.port}{path}"
        return self.clients.enter_context(connect(url, compression=None, ping_interval=None, max_queue=None))

    def http(self, method: str, path: str, body: Any = None) -> tuple[int, str, dict[str, str]]:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), dict(error.headers)

    def state(self, prefix: str = "") -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.http("GET", f"{prefix}/__sandbox/state")[1])
        return state


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Starts sandboxes: `serve(platform..., faults=(), settings={})`."""
    running: list[Served] = []

    def start(*platforms: Platform, faults: tuple[str, ...] = (), settings: Mapping[str, str] | None = None) -> Served:
        running.append(Served(platforms, faults, settings or {}))
        return running[-1]

    yield start
    for served in running:
        served.stop()
