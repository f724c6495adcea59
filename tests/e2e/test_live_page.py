"""The verdict while a test runs, in Locust's own page: what people see of it in a real browser."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import requests

from pika_locust.sandbox import SandboxProcess
from tests.e2e.browser import Page, browser
from tests.e2e.shop_server.server import target
from tests.e2e.support import DANCERS, LOCAL_AND_WORKERS, Run, free_port, is_listening, sandbox
from tests.e2e.test_browser import locust, start, stop, summaries

pytestmark = pytest.mark.e2e

SECONDS_TO_RED = 20.0
"""Beside seven other whole runs and whatever else the machine has to do."""
SLOWEST = "ws_message_latency:max<500"
"""A limit that the first slow answer breaks: percentiles of a whole run take as long as there are few of those."""
TABS = ("Statistics", "Charts", "Failures", "Exceptions", "Current Ratio", "Download Data", "Logs", "Verdict")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A browser, whose page has to have worked without a fault and without a word to anybody else."""
    monkeypatch.setenv("no_proxy", "*")
    with browser() as opened:
        yield opened
        assert opened.console_errors() == []
        assert {url.split("/")[2].split(":")[0] for url in opened.asked()} == {"127.0.0.1"}


def url_of(served: SandboxProcess) -> str:
    return f"ws://127.0.0.1:{served.port}/ws"


def status_of(page: Page, metric: str) -> str:
    return next((row[0] for row in page.live.get("thresholds", ()) if row[1] == metric), "")


@pytest.mark.long
@LOCAL_AND_WORKERS
def test_three_tests_in_one_process_one_with_a_fault_in_the_middle(
    extra: Sequence[str], page: Page, tmp_path: Path
) -> None:
    with (
        sandbox() as served,
        locust(page, DANCERS, tmp_path, *extra, "--threshold", SLOWEST, WS_URL=url_of(served)) as (
            started,
            url,
        ),
    ):
        if extra:
            page.until(lambda: page.header.get("Workers") == "2", "workers")

        # It is the first tab, and who has asked for none sees it.
        start(page, 40, 40)
        live = page.until(lambda: page.live, "live page")
        assert page.run("[...document.querySelectorAll('[role=tab]')].sort((a, b) => a.offsetLeft - b.offsetLeft)[0]"
                        ".innerText").strip().lower() == "verdict"  # fmt: skip
        page.until(lambda: page.live["word"] == "HOLDING SO FAR" and page.badge == "HOLDING", "verdict so far")
        page.until(lambda: page.live["tiles"]["Users"] == "40", "users")
        page.until(lambda: len(page.live["charts"]) >= 5 and page.charted(1) > 0.2, "charts with points")
        page.until(lambda: page.live["charts"]["Users"] == ["", "40", "40"], "newest values in a legend")
        assert "exit code 0 if it ended now" in page.live["bar"]
        assert status_of(page, "ws_message_latency").startswith("pass")
        for tab in TABS:
            page.tab(tab)
            page.until(lambda: page.badge == "HOLDING", "badge on every tab")
        page.tab("Verdict")
        stop(page)
        live = page.until(lambda: page.live["word"] == "PASS" and page.live, "final verdict")
        assert "exit code 0" in live["bar"]
        (first,) = summaries(tmp_path)
        assert [row[2:4] for row in live["audits"]] == [
            [f"{audit['expected']:,}", f"{audit['actual']:,}"] for audit in first["audits"]
        ]
        assert sorted((row[1], row[0].removesuffix(" ?").replace(" ", "_")) for row in live["thresholds"]) == sorted(
            (one["metric"], one["status"]) for one in first["thresholds"]
        )
        received = pytest.approx(first["metrics"]["ws_messages_received"]["rate"], rel=0.02)
        page.until(
            lambda: float(page.live["tiles"]["Messages in"].replace(",", "")) == received, "the whole run's rate"
        )

        page.press("New")
        start(page, 40, 40)
        page.until(lambda: page.live.get("word") == "HOLDING SO FAR", "next test")
        page.until(lambda: status_of(page, "ws_message_latency").startswith("pass"), "latency that holds")
        served.set_faults({"latency": 900})
        switched_s = time.monotonic()
        page.until(lambda: status_of(page, "ws_message_latency") == "FAIL", "red threshold")
        assert time.monotonic() - switched_s < SECONDS_TO_RED
        live = page.live
        assert live["word"] == "FAILING"
        assert live["thresholds"][0][1] == "ws_message_latency"
        assert {row[1] for row in live["thresholds"] if row[0] == "FAIL"} <= {"ws_message_latency", "fanout_latency"}
        assert any("ws_message_latency max was" in reason for reason in live["reasons"])
        assert page.badge == "FAILING"
        page.until(lambda: any("faults: latency=900" in mark for mark in page.live["marks"]), "mark of the fault")
        stop(page)
        page.until(lambda: page.live["word"] == "FAIL" and "exit code 99" in page.live["bar"], "final verdict")
        assert [row[0] for row in page.live["tests"]] == ["FAIL", "PASS"]
        served.clear_faults()

        page.press("New")
        start(page, 5, 5)
        page.until(lambda: page.live.get("word") == "HOLDING SO FAR" and page.live["tiles"]["Users"] == "5", "third")
        # What was is still there, with its figures.
        page.press("Show test 2")
        page.until(lambda: page.live["word"] == "FAIL", "an earlier test")
        page.press("Back to the newest test")
        page.until(lambda: page.live["word"] == "HOLDING SO FAR", "the newest test")
        stop(page)
        page.until(lambda: page.live["word"] == "PASS", "third verdict")
        downloaded = requests.get(f"{url}/verdict/summary.json?run=2", timeout=10)
        assert "attachment" in downloaded.headers["Content-Disposition"]
        assert downloaded.json() == summaries(tmp_path)[1]
        assert "FAIL" in requests.get(f"{url}/verdict/report.md?run=2", timeout=30).text
        assert "<html" in requests.get(f"{url}/verdict/report.html?run=2", timeout=30).text
        started.process.terminate()
        started.finish()
    assert [one["verdict"] for one in summaries(tmp_path)] == ["pass", "fail", "pass"]
    assert [one["target"] for one in summaries(tmp_path)] == [url_of(served)] * 3


HOSTILE = """
import time

import pika_locust
from locust import User, constant, task

SCRIPT = "<script>document.title='run'</script><img src=x onerror=document.title='run'>"
judge = pika_locust.install(thresholds={
    "http_req_failed": "rate<0.01",
    'http_req_duration{name:"' + SCRIPT.replace("'", "") + '"}': "p(95)<100",
})

class Hostile(User):
    wait_time = constant(0.1)

    @task
    def ask(self):
        for name, error in ((SCRIPT, ValueError(SCRIPT)), (SCRIPT.replace("'", ""), None)):
            self.environment.events.request.fire(
                request_type=SCRIPT, name=name, response_time=5, response_length=0, exception=error)

    def on_stop(self):
        time.sleep(5)
"""


def test_what_a_target_says_is_never_run(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "hostile.py"
    path.write_text(HOSTILE)
    with locust(page, str(path), tmp_path, "-H", "http://127.0.0.1") as (started, url):
        title = page.run("document.title")
        start(page, 2, 2)
        live = page.until(lambda: page.live.get("errors") and page.live, "errors")
        assert "<script>document.title='run'</script>" in live["errors"][0][2]
        page.until(lambda: any("<script>" in row[1] for row in page.live["thresholds"]), "a metric's name")
        page.until(lambda: "Errors by kind" in page.live["charts"], "chart of errors")
        assert page.run("document.title") == title
        assert page.run("document.querySelectorAll('.pika script, .pika img').length") == 0

        page.visit(f"{url}/verdict")
        page.until(lambda: page.live.get("word") == "FAILING", "page of its own")
        assert page.run("document.title") == "Verdict"
        assert page.run("document.querySelectorAll('.pika script, .pika img').length") == 0
        plain = page.without_scripts(f"{url}/verdict")
        assert "<h1>FAILING</h1>" in plain
        assert "&lt;script&gt;document.title=run&lt;/script&gt;" in plain
        assert "<script" not in plain
        assert "<img" not in plain

        # Its users take longer to stop than Locust's page asks for. That they have is told on every tab.
        page.visit(url)
        page.tab("Statistics")
        stop(page)
        for tab in TABS:
            page.tab(tab)
            page.until(lambda: (page.header["Status"], page.badge) == ("STOPPED", "FAIL"), f"truth on {tab}", 5)

        # Without our script, the tab has Locust's own table.
        page.serve_instead("live.js", "")
        page.visit(url)
        page.tab("Verdict")
        (row,) = page.until(lambda: [row for row in page.rows if row.get("Metric") == "http_req_failed"], "table")
        assert (row["Status"], row["Threshold"]) == ("FAIL", "rate<0.01")
        assert page.run("document.title") == title
        assert page.live == {}
        started.process.terminate()
        started.finish()


def test_the_page_goes_on_when_the_process_is_started_anew(page: Page, tmp_path: Path) -> None:
    port = free_port()
    with target() as shop:
        arguments = ["-f", "tests/e2e/shop_server/shop.py", "--web-host", "127.0.0.1", "--web-port", str(port)]
        arguments += ["-H", shop.url, "-u", "2", "-r", "10", "--autostart"]
        with Run(arguments, tmp_path) as first:
            first.wait_for(lambda _: is_listening(port), "a web page")
            page.visit(f"http://127.0.0.1:{port}/verdict")
            page.until(lambda: page.live.get("thresholds"), "thresholds")
            first.process.terminate()
            first.finish()
        page.until(lambda: "does not answer" in page.text, "a word about it")
        assert page.live["thresholds"]
        with Run([*arguments, "-t", "3s"], tmp_path) as second:
            page.until(lambda: "does not answer" not in page.text, "an answer", 40)
            page.until(lambda: page.live["word"] == "PASS", "the other process's verdict", 40)
            second.process.terminate()
            second.finish()
    # What the page asked while nobody was there.
    assert {error for error in page.console_errors() if "ERR_CONNECTION_REFUSED" not in error} == set()


LOGIN = """
import os
from flask import redirect
from flask_login import UserMixin, login_user
from locust import events

class Somebody(UserMixin):
    id = "somebody"

@events.init.add_listener
def on_init(environment, **_):
    web_ui = environment.web_ui
    web_ui.app.config["SECRET_KEY"] = "not-so-secret"
    web_ui.login_manager.user_loader(lambda name: Somebody())
    web_ui.auth_args = {"username_password_callback": "/login_submit"}

    @web_ui.app.route("/login_submit", methods=["GET", "POST"])
    def login_submit():
        login_user(Somebody())
        return redirect("/")
"""


def test_who_has_not_logged_in_sees_nothing(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    path = tmp_path / "closed.py"
    path.write_text(LOGIN + (Path("tests/e2e/shop_server/shop.py").read_text()).replace("from __future__", "# "))
    with target() as shop:
        arguments = ["-f", str(path), "--web-host", "127.0.0.1", "--web-port", str(port), "--web-login"]
        with Run([*arguments, "-H", shop.url], tmp_path) as started:
            started.wait_for(lambda _: is_listening(port), "a web page")
            session = requests.Session()
            for page in ("", "/data.json", "/summary.json?run=1", "/report.html?run=1", "/static/live.js"):
                answer = session.get(f"{url}/verdict{page}", timeout=10, allow_redirects=False)
                assert (answer.status_code, "login" in answer.headers["Location"]) == (302, True), page
            session.get(f"{url}/login_submit", timeout=10)
            assert session.get(f"{url}/verdict", timeout=10).status_code == 200
            assert json.loads(session.get(f"{url}/verdict/data.json", timeout=10).text)["test"]["word"] == "READY"
            started.process.terminate()
            started.finish()
