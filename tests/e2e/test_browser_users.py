"""Users in real browsers: their figures reach the verdict from any process, and no browser outlives its run."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import gevent
import psutil
import pytest

import tests.quiet_locust  # noqa: F401
from pika_locust.platforms.wwmaa.page_visitor import PageBrowser
from pika_locust.platforms.wwmaa.scenarios import PAGES
from pika_locust.testing.worker import live, make_context, make_user, wait_until
from pika_locust.wire.access import Access, set_access
from tests.e2e.support import Run, run, run_however_late

pytestmark = pytest.mark.e2e

PAGES_RUN = ["--headless", "-f", "locustfiles/pages.py", "-u", "10", "-r", "10", "--seed", "5"]
QUICK = {"THINK_TIME_MIN": "0.3", "THINK_TIME_MAX": "0.6", "BROWSER_USERS": "2", "MEMBER_SHARE": "1"}


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.mark.alone
def test_web_vitals_are_judged_beside_all_else(tmp_path: Path) -> None:
    finished = run_however_late([*PAGES_RUN, "-t", "9s", "--processes", "2"], tmp_path, QUICK)
    assert finished.summary is not None
    assert {one["code"] for one in finished.summary["reasons"]} <= {"generator"}, finished.output
    judged = {one["metric"]: one for one in finished.summary["thresholds"]}
    assert judged["browser_web_vital_lcp"]["samples"] == finished.metric("browser_page_success")["passes"] > 1
    lcp, fcp, ttfb = (finished.metric(f"browser_web_vital_{name}") for name in ("lcp", "fcp", "ttfb"))
    assert 0 < ttfb["min"] < fcp["min"] <= lcp["min"]
    assert finished.metric("browser_web_vital_cls")["unit"] == "score"
    assert finished.metric("browser_web_vital_inp")["count"] > 0
    # One process has them all.
    assert '"PageBrowser": 1, "PageVisitor": 10} (11 total users)' in finished.output
    assert finished.metric("page_load_success")["passes"] > 20


def test_who_has_no_browser_is_told_before_the_run(tmp_path: Path) -> None:
    finished = run([*PAGES_RUN, "-t", "7s"], tmp_path, {**QUICK, "BROWSER_EXECUTABLE_PATH": str(tmp_path / "none")})
    assert finished.exit_code == 104
    assert "apt-get install chromium" in finished.output
    assert f"{tmp_path}/none (BROWSER_EXECUTABLE_PATH) is no program" in finished.output


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_browser_outlives_its_run(number: signal.Signals, tmp_path: Path) -> None:
    with Run([*PAGES_RUN, "-t", "60s"], tmp_path, QUICK) as started:
        started.wait_for(lambda output: "All users spawned" in output, "users")
        locust, found = psutil.Process(started.process.pid), list[psutil.Process]()
        deadline = time.monotonic() + 20
        while not any("--type=renderer" in command_of(one) for one in found):
            assert time.monotonic() < deadline, started.output
            time.sleep(0.2)
            found = locust.children(recursive=True)
        locust.send_signal(number)
        _, left = psutil.wait_procs(found, 15)
        assert left == []
        assert started.process.wait(15) == (105 if number is signal.SIGINT else -signal.SIGKILL)


class Target(BaseHTTPRequestHandler):
    """A page that is there, and one that is not."""

    tokens: Counter[str | None] = Counter()

    def do_GET(self) -> None:
        if self.path != "/favicon.ico":
            # It is asked for by the browser itself, which nobody can intercept.
            self.tokens[self.headers.get("x-token")] += 1
        self.send_response(200 if self.path == "/good" else 503)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><h1>A page</h1>")

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def target() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Target) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        set_access([], Access())


class TwoPages(PageBrowser):
    pages = (("good", "/good", 0.5), ("bad", "/bad", 0.5))


def test_pages_that_fail_are_no_figures_and_a_browser_that_ends_is_no_pass(target: str) -> None:
    set_access([target], Access(headers={"X-Token": "secret"}))
    worker = make_context(PAGES, {"THINK_TIME_MIN": "0", "THINK_TIME_MAX": "0.1", "BROWSER_USERS": "1"}, target=target)
    user = make_user(TwoPages, worker)
    life = gevent.spawn(live, user)
    wait_until(lambda: min(worker.rate_of("browser_page_success")) >= 2, 30)
    passes, fails = worker.rate_of("browser_page_success")
    assert worker.trend_of("browser_web_vital_lcp").count == passes
    assert worker.errors_of("browser-bad") == ["answered 503"]
    assert sum(event["exception"] is not None for event in worker.request_events) == fails
    assert Target.tokens["secret"] == sum(Target.tokens.values()) >= passes + fails
    assert worker.internal_errors == []
    (chromium,) = (
        one
        for one in psutil.Process(os.getpid()).children(recursive=True)
        if "--remote-debugging-pipe" in command_of(one) and "--type=" not in command_of(one)
    )
    chromium.kill()
    wait_until(lambda: worker.internal_errors, 30)
    assert "the browser users ended with code 1" in worker.internal_errors[0]
    user.release()
    life.join(5)
    assert life.ready()
