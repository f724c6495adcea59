"""Verity's actors for a test: real ones on real sockets, with a worker context as in a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import gevent
from locust.exception import StopUser

from pika_locust.metrics import Histogram
from pika_locust.platforms.verity.account import Account, VerityContext
from pika_locust.platforms.verity.scenarios import QUEUE
from pika_locust.runtime.messages import RunStart
from pika_locust.runtime.options import LOAD_SETTINGS
from pika_locust.sandbox import SandboxProcess
from pika_locust.scenario import Scenario
from pika_locust.settings import Settings, read_settings
from pika_locust.testing.worker import RecordingContext
from pika_locust.testing.worker import wait_until as until
from tests.wire.http_servers import Peer

SESSION_S = 0.3
BRISK = {"THINK_TIME_MIN": "0.01", "THINK_TIME_MAX": "0.02", "SESSION_HOLD_SECONDS": str(SESSION_S)}


def settings_of(scenario: Scenario, **environ: str) -> Settings:
    """A scenario's settings as an environment has them."""
    settings, problems = read_settings((*LOAD_SETTINGS, *scenario.settings), environ, "verity")
    assert problems == []
    return settings


class Night:
    """One process's part of a test."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        self.sandbox = sandbox
        self.worker = self.open(QUEUE)
        self._lives: list[Any] = []

    def open(
        self, scenario: Scenario, target: str = "", begin: Mapping[str, Any] | None = None, **environ: str
    ) -> RecordingContext:
        """The share of a scenario, with short pauses; it becomes the night's."""
        settings = settings_of(scenario, **{**BRISK, **environ})
        fields = {
            "run_id": "0123456789ab",
            "seed": 7,
            "target": target or self.sandbox.url,
            "settings": settings.public(),
            "planned_s": 60.0,
            "spread": False,
            "supporters": 0,
            "stop_timeout_s": 5.0,
            **(begin or {}),
        }
        self.worker = RecordingContext(RunStart(**fields), scenario, settings, 0)
        return self.worker

    def start(self, kind: type[Any]) -> Any:
        """Start a user as Locust does."""
        worker = self.worker
        user = kind(SimpleNamespace(pika_locust=SimpleNamespace(wait_for_context=lambda timeout_s: worker)))
        self._lives.append(gevent.spawn(_live, user))
        return user

    def begun(self, kind: type[Any]) -> Any:
        """A user that is ready to act, and does so only when the test calls it."""
        worker = self.worker
        user = kind(SimpleNamespace(pika_locust=SimpleNamespace(wait_for_context=lambda timeout_s: worker)))
        user.on_start()
        return user

    def begun_account(self, number: int = 0) -> Account:
        """Somebody who has signed up."""
        account = Account(number, self.worker.dice(number), self.lobby)
        assert account.sign_up()
        return account

    def drain(self) -> None:
        """What the end of a test does; every user must have ended by itself."""
        self.worker.drain("primary", 5.0)
        assert gevent.wait(self._lives, timeout=5.0)
        assert self.count("iterations_cut") == 0
        self.worker.end()

    def end(self) -> None:
        """Leave nothing running."""
        gevent.killall(self._lives)
        self.worker.end()

    def faults(self, **faults: Any) -> None:
        """Switch exactly these faults of the sandbox on."""
        self.sandbox.set_faults({name.replace("_", "-"): value for name, value in faults.items()})

    # What was measured

    @property
    def lobby(self) -> VerityContext:
        return self.worker.shared(VerityContext)

    def count(self, name: str, /, **tags: str) -> int:
        """A counter."""
        return int(self._read(self.worker.metrics.counter(name), **tags).count)

    def rate(self, name: str, /, **tags: str) -> tuple[int, int]:
        """A rate's passes and fails."""
        value = self._read(self.worker.metrics.rate(name), **tags)
        return value.passes, value.fails

    def trend(self, name: str, /, **tags: str) -> Histogram:
        """A trend's samples, in microseconds."""
        histogram: Histogram = self._read(self.worker.metrics.trend(name), **tags)
        return histogram

    def _read(self, handle: Any, **tags: str) -> Any:
        return (handle.tagged(**tags) if tags else handle).read()

    def errors(self, name: str) -> list[str]:
        """The texts of the errors of one name."""
        return [text for (where, text) in self.worker.errors if where == name]


def _live(user: Any) -> None:
    try:
        user.on_start()
        while True:
            user.iterate()
    except (StopUser, gevent.GreenletExit):
        user.on_stop()


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

__all__ = ["RECEIVED", "SIGNED_UP", "Night", "answer", "saying", "settings_of", "until"]
