"""`BrowserUsers`: users who look at pages in real browsers, measured by web vitals; one process drives them all."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Any, ClassVar

import gevent
from gevent.subprocess import PIPE, Popen, TimeoutExpired

from pika_locust.browser.chromium import browser_problems, find_chromium
from pika_locust.kit.actor import PlatformActor
from pika_locust.kit.meters import named
from pika_locust.metrics.builtin import BROWSER_METRICS
from pika_locust.sandbox.process import module_environment
from pika_locust.url import parse_url
from pika_locust.wire.access import access_to

FINISH_WITHIN_S = 12.0
"""How long the process may take to finish: less than supporters have before they are cut off."""
END_WITHIN_S = 3.0
STDERR_TAIL = 1000
VITALS = ("LCP", "FCP", "CLS", "INP", "TTFB")


class BrowserUsers(PlatformActor):
    """One of these is BROWSER_USERS users; it comes on top of the others, once in the whole test.

    Chromium is driven by a process of its own, so that this one's clock stays undisturbed, and that process ends with
    this one, whichever way it ends. Override `pages`. A scenario has it as a supporter where BROWSER_USERS is not 0,
    with `metrics.builtin.BROWSER_METRICS` and `browser.chromium.BROWSER_SETTINGS`.
    """

    abstract = True
    role = "supporter"

    meters: Any = named(BROWSER_METRICS)
    pages: ClassVar[Sequence[tuple[str, str, float]]] = ()
    """Name, path and share of each page."""

    def act(self) -> None:
        # The master has looked on its own machine, which may be another one.
        if problems := list(browser_problems(self.worker.settings)):
            self.worker.tell_ready(self._who)
            self.worker.internal_error(RuntimeError("; ".join(problems)))
        else:
            self._have_driven()
        self.released.wait()

    def _have_driven(self) -> None:
        with tempfile.TemporaryFile() as stderr:
            # In a session of its own: Ctrl-C reaches it by us alone.
            child = Popen(
                [sys.executable, "-P", "-m", "pika_locust.browser"],
                stdin=PIPE,
                stdout=PIPE,
                stderr=stderr,
                env=module_environment(os.environ),
                start_new_session=True,
            )
            try:
                self._drive(child, stderr)
            finally:
                # Whatever ended this: its pipe closes, which ends it.
                _end(child)

    def _drive(self, child: Any, stderr: IO[bytes]) -> None:
        reader = gevent.spawn(self._read, child)
        try:
            child.stdin.write(f"{json.dumps(self._job())}\n".encode())
            child.stdin.flush()
            gevent.wait([reader, self.released], count=1)
            if not reader.ready():
                child.stdin.write(b"finish\n")
                child.stdin.flush()
                reader.join(FINISH_WITHIN_S)
        except OSError:
            # It has ended, and says why.
            reader.join(END_WITHIN_S)
        finally:
            self.worker.tell_ready(self._who)
            is_over = reader.ready()
            reader.kill()
        if is_over and (code := _code(child)):
            said = _tail(stderr)
            self.worker.error("browser", said)
            self.worker.internal_error(RuntimeError(f"the browser users ended with code {code}: {said}"))
        elif not is_over:
            self.worker.error("browser", f"cut off {FINISH_WITHIN_S:g} s after the end")

    @property
    def _who(self) -> str:
        return f"browser {self.worker.global_number(self.number)}"

    def _job(self) -> dict[str, Any]:
        settings, base = self.worker.settings, self.worker.scenario.http_base(self.worker.begin.target)
        url = parse_url(base, "http", "https")
        access = access_to(url.host, url.port_number)
        return {
            "url": base,
            "pages": list(self.pages),
            "users": settings["BROWSER_USERS"],
            "seed": self.worker.begin.seed,
            "think_s": [settings["THINK_TIME_MIN"], max(settings["THINK_TIME_MIN"], settings["THINK_TIME_MAX"])],
            "executable": find_chromium(settings["BROWSER_EXECUTABLE_PATH"]),
            "verify": access.verify is not False,
            "headers": dict(access.headers),
        }

    def _read(self, child: Any) -> None:
        for line in child.stdout:
            with self.worker.guarded():
                told = json.loads(line)
                if "ready" in told:
                    self.worker.tell_ready(self._who)
                else:
                    self._take(told["page"] or "browser", told["vitals"], told["load_ms"], told["error"])

    def _take(self, page: str, vitals: dict[str, float], load_ms: float, error: str) -> None:
        """One look at a page. The figures of one that failed are those of an error's page, and left out."""
        worker, name = self.worker, f"browser-{page}"
        self.meters.browser_page_success.add(not error)
        if error:
            worker.error(name, error)
            worker.request("browser", name, None, 0, RuntimeError(error))
            return
        for vital in VITALS:
            if vital in vitals:
                # Whole thousandths, of milliseconds or of a score.
                metric = getattr(self.meters, f"browser_web_vital_{vital.lower()}")
                metric.add(max(0, round(vitals[vital] * 1000)))
        worker.request("browser", name, load_ms, 0)


def _code(child: Any) -> int:
    try:
        return int(child.wait(END_WITHIN_S))
    except TimeoutExpired:
        return 0


def _tail(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    return stderr.read().decode("utf-8", "replace").strip()[-STDERR_TAIL:] or "it said nothing"


def _end(child: Any) -> None:
    try:
        child.stdin.close()
    except OSError:
        # What it has not read, it will not read.
        pass
    for insist in (child.terminate, child.kill):
        try:
            child.wait(END_WITHIN_S)
            break
        except TimeoutExpired:
            insist()
    child.wait()
    child.stdout.close()
