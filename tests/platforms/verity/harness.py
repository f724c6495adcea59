"""Verity's actors for a test: real ones on real sockets, with a worker context as in a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import gevent

from pika_locust.metrics import Histogram
from pika_locust.platforms.verity.scenarios import QUEUE
from pika_locust.runtime.options import LOAD_SETTINGS
from pika_locust.sandbox import SandboxProcess
from pika_locust.scenario import Scenario
from pika_locust.settings import Settings, read_settings
from pika_locust.testing.worker import RecordingContext, live, make_context, make_user
from pika_locust.testing.worker import wait_until as until
from tests.wire.http_servers import Peer

SESSION_S = 0.3
BRISK = {"THINK_TIME_MIN": "0.01", "THINK_TIME_MAX": "0.02", "SESSION_HOLD_SECONDS": str(SESSION_S)}


def settings_of(scenario: Scenario, **environ: str) -> Settings:
    """A scenario's settings as an environment has them."""
    settings, problems = read_settings((*LOAD_SETTINGS, *scenario.settings), environ, "verity")
    assert problems == []
    return settings


class Harness:
    """One process's part of a test."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        self.sandbox = sandbox
        self.worker = self.open(QUEUE)
        self._lives: list[Any] = []
        self._begun: list[Any] = []

    def open(
        self, scenario: Scenario, target: str = "", begin: Mapping[str, Any] | None = None, **environ: str
    ) -> RecordingContext:
        """The context of a scenario, with short pauses; users are made in it from now on."""
        settings = settings_of(scenario, **{**BRISK, **environ})
        start = {"target": target or self.sandbox.url, "stop_timeout_s": 5.0, **(begin or {})}
        self.worker = make_context(scenario, settings=settings, **start)
        return self.worker

    def start(self, kind: type[Any]) -> Any:
        """Start a user as Locust does."""
        user = make_user(kind, self.worker)
        self._lives.append(gevent.spawn(live, user))
        return user

    def begun(self, kind: type[Any]) -> Any:
        """A user that is ready to act, and does so only when the test calls it."""
        user = make_user(kind, self.worker)
        user.on_start()
        self._begun.append(user)
        return user

    def drain(self) -> None:
        """What the end of a test does; every user must have ended by itself."""
        self.worker.drain("primary", 5.0)
        assert gevent.wait(self._lives, timeout=5.0)
        assert self.count("iterations_cut") == 0
        self.worker.end()

    def end(self) -> None:
        """Leave nothing running."""
        gevent.killall(self._lives)
        for user in self._begun:
            user.http.close()
        self.worker.end()

    def faults(self, **faults: Any) -> None:
        """Switch exactly these faults of the sandbox on."""
        self.sandbox.set_faults({name.replace("_", "-"): value for name, value in faults.items()})

    # What was measured

    def count(self, name: str, /, **tags: str) -> int:
        """A counter."""
        return self.worker.count_of(name, **tags)

    def rate(self, name: str, /, **tags: str) -> tuple[int, int]:
        """A rate's passes and fails."""
        return self.worker.rate_of(name, **tags)

    def trend(self, name: str, /, **tags: str) -> Histogram:
        """A trend's samples, in microseconds."""
        return self.worker.trend_of(name, **tags)

    def errors(self, name: str) -> list[str]:
        """The texts of the errors of one name."""
        return self.worker.errors_of(name)


def answer(status: int, body: Any = None, *headers: str) -> bytes:
    """An HTTP answer; a body that is no bytes goes as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Words", f"content-length: {len(content)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def saying(answers: Mapping[str, Any]) -> Callable[[Peer], None]:
    """A script for `tests.wire.http_servers`: answers by path, again and again; a list is used up but for its last.

    None closes the connection instead of answering.
    """
    left = {path: list(given) if isinstance(given, list) else [given] for path, given in answers.items()}

    def script(peer: Peer) -> None:
        while request := peer.request():
            given = left[request.split(b" ")[1].decode()]
            said = given.pop(0) if len(given) > 1 else given[0]
            if said is None:
                return
            peer.send(said)

    return script


SIGNED_UP = answer(201, {"user": {"id": "u1"}, "accessToken": "t1"}, "set-cookie: refresh_token=r1; Path=/auth/refresh")
RECEIVED = answer(200, {"received": True})

__all__ = ["RECEIVED", "SIGNED_UP", "Harness", "answer", "saying", "settings_of", "until"]
