"""The web page as its users have it: in a real browser, from the form to the verdict, and to the next test."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.browser import Page, browser
from tests.e2e.shop_server.server import target
from tests.e2e.support import DANCERS, Finished, Run, free_port, is_listening

pytestmark = pytest.mark.e2e

SHOP = "tests/e2e/shop_server/shop.py"
SECRET = "whsec_browsersecret0123"
PATHS = (
    "/",
    "/stats/requests",
    "/stats/requests/csv",
    "/stats/failures/csv",
    "/stats/report?download=1",
    "/exceptions",
    "/exceptions/csv",
    "/logs",
    "/tasks",
)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A browser, whose page has to have worked without a fault and without a word to anybody else."""
    monkeypatch.setenv("no_proxy", "*")
    with browser() as opened:
        yield opened
        assert opened.console_errors() == []
        assert {url.split("/")[2].split(":")[0] for url in opened.asked()} == {"127.0.0.1"}


@contextmanager
def locust(page: Page, locustfile: str, directory: Path, *more: str, **env: str) -> Iterator[tuple[Run, str]]:
    """Locust with its web page, which is open in the browser; and the page's address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ["-f", locustfile, "--web-host", "127.0.0.1", "--web-port", str(port), *more]
    with Run(arguments, directory, env) as started:
        started.wait_for(lambda _: is_listening(port), "a web page")
        page.open(url)
        yield started, url


def start(page: Page, users: int, rate: int) -> None:
    page.fill("userCount", str(users))
    page.fill("spawnRate", str(rate))
    page.press("Start")
    page.until(lambda: page.header["Status"] in ("SPAWNING", "RUNNING"), "running test")


def stop(page: Page) -> None:
    page.press("Stop")
    page.until(lambda: page.state == "stopped", "stopped test", 60)
    # Locust's page alone would ask no more once it was told "stopping".
    page.until(lambda: page.header.get("Status") == "STOPPED", "word of the stopped test", 15)


def read_log(page: Page, verdict: str) -> None:
    """See the verdict among the log's lines. Locust's page asks for none once the test has stopped."""
    page.tab("Logs")
    page.reload()
    page.until(lambda: verdict in page.text, "verdict")


def counted(page: Page) -> int:
    """All requests, by the statistics."""
    page.tab("Statistics")
    return page.until(lambda: page.requests().get("Aggregated"), "statistics") or 0


def finish(started: Run) -> Finished:
    started.process.send_signal(signal.SIGINT)
    return started.finish()


def summaries(directory: Path) -> list[dict[str, Any]]:
    paths = sorted(directory.glob("summary*.json"), key=lambda path: (len(path.name), path.name))
    return [json.loads(path.read_text()) for path in paths]


@pytest.mark.long
def test_two_tests_one_after_the_other(page: Page, tmp_path: Path) -> None:
    with locust(page, DANCERS, tmp_path, TRACK_EVERY="5.2s") as (started, _):
        assert page.header["Status"] == "READY"

        # What Locust's form asks for counts, unless a profile is chosen.
        page.unfold("Custom parameters")
        assert page.choices("loadProfile") == ["standard", "big", "stress", "spike", "constant"]
        assert page.value("loadProfile") == "constant"
        assert "constant: users and ramp up as given" in page.label("loadProfile")

        # And there is one profile only: Locust's field of that name groups runs.
        page.unfold("Advanced options")
        page.until(lambda: page.shows_field("runTime"), "what is unfolded")
        assert page.has_field("profile")
        assert not page.shows_field("profile")

        # A mistake is told where it was made, and nothing starts.
        page.fill("userCount", "0")
        page.press("Start")
        page.until(lambda: "-u, the number of users, must be at least 1, got 0" in page.alerts, "message")
        assert page.header["Status"] == "READY"

        start(page, 8, 8)
        # The DJ is a user, too.
        page.until(lambda: page.header["Users"] == "9" and float(page.header["RPS"]) > 0, "users and requests")
        page.tab("Statistics")
        page.until(lambda: {"track", "like"} <= set(page.requests()), "tracks and likes")
        assert {"connect", "register", "subscribe", "sessions_active", "session_history"} <= set(page.requests())
        assert page.requests()["connect"] == 8
        page.tab("Charts")
        for number, name in enumerate(("requests per second", "response times", "users")):
            page.until(lambda n=number: page.charted(n) > 0.2, f"chart of {name}")
        # The running test follows edited numbers.
        page.press("Edit")
        page.fill("userCount", "11")
        page.fill("spawnRate", "10")
        page.press("Update")
        page.until(lambda: page.header["Users"] == "12", "more users")
        stop(page)
        read_log(page, "PASS dancers, exit code 0")

        page.press("New")
        assert [page.value(name) for name in ("userCount", "spawnRate", "loadProfile")] == ["11", "10", "constant"]
        start(page, 4, 2)
        page.tab("Statistics")
        page.until(lambda: page.header["Users"] == "5" and {"track", "like"} <= set(page.requests()), "other users")
        stop(page)
        finished = finish(started)
    first, second = summaries(tmp_path)
    assert first["run_id"] != second["run_id"]
    assert any("edited in the web page" in note for note in first["notes"])
    for summary, users in ((first, 11), (second, 4)):
        assert summary["verdict"] == "pass", summary["reasons"]
        assert summary["load"]["users_peak"] == users
        assert any("stopped in the web page" in note for note in summary["notes"])
        # Whoever came last may have been stopped before it was there.
        assert users // 2 < summary["metrics"]["ws_session_live"]["passes"] <= users
        assert all(audit["status"] == "pass" for audit in summary["audits"])
    assert finished.output.count("PASS  dancers  ") == 2
    assert finished.exit_code == 0


def test_a_profile_cut_by_a_run_time_and_no_secret_anywhere(page: Page, tmp_path: Path) -> None:
    with locust(page, "locustfiles/queue.py", tmp_path, "--class-picker", STRIPE_WEBHOOK_SECRET=SECRET) as (
        started,
        url,
    ):
        page.fill("host", "queue")
        page.press("Start")
        page.until(lambda: "the host 'queue': not a URL" in page.alerts, "message")
        page.open(url)
        page.unfold("Advanced options")
        page.fill("runTime", "6s")
        page.unfold("Custom parameters")
        page.choose("loadProfile", "spike")
        # A scenario's users are its own: there are none to pick.
        assert not page.has_field("shapeClass")
        page.press("Start")
        page.until(lambda: page.header["Status"] in ("SPAWNING", "RUNNING"), "running test")
        # What follows a profile cannot be edited; the dialog says so, and stays.
        page.press("Edit")
        page.fill("userCount", "4")
        page.press("Update")
        page.until(lambda: "this test follows 'spike'" in page.alerts, "reason")
        page.press_key("Escape")
        page.until(lambda: not page.alerts, "closed dialog")
        while_running = counted(page)
        # Nobody presses Stop.
        page.until(lambda: page.header["Status"] == "STOPPED", "end of the run time")
        names = set(page.requests())
        shown = [page.source, *(requests.get(f"{url}{path}", timeout=10).text for path in PATHS)]
        at_the_end = page.until(lambda: page.requests()["Aggregated"], "last numbers")
        finished = finish(started)
    (summary,) = summaries(tmp_path)
    assert names == {"auth_signup", "stripe_webhook", "queue_join", "queue_leave", "Aggregated"}
    assert while_running <= at_the_end == summary["metrics"]["http_reqs"]["count"]
    assert summary["load"]["profile"] == "spike"
    assert summary["load"]["planned_s"] == 6
    assert finished.exit_code == 0, finished.output
    for text in (*shown, finished.output, json.dumps(summary)):
        assert SECRET not in text


FOREIGN_START = """async url => {
const form = new URLSearchParams({user_count: 1, spawn_rate: 1});
await fetch(url + '/swarm', {method: 'POST', mode: 'no-cors', body: form});
return 'sent';
}"""


def test_a_locustfile_of_somebody_else(page: Page, tmp_path: Path) -> None:
    with target() as server, locust(page, SHOP, tmp_path, "-H", server.url) as (started, url):
        # A page of somebody else, in the same browser, starts nothing.
        page.visit(server.url)
        assert page.run(FOREIGN_START, url) == "sent"
        page.until(lambda: any("403" in error for error in page.console_errors()), "refusal")
        page.open(url)
        assert page.header["Status"] == "READY"
        # It is Locust's own form, without a word of ours.
        assert not page.has_field("loadProfile")
        start(page, 2, 10)
        page.until(lambda: page.header["Users"] == "2", "users")
        before = counted(page)
        assert {"/start", "/look", "/search", "/buy"} <= set(page.requests())
        assert before <= sum(server.answered.values())
        page.press("Edit")
        page.fill("userCount", "5")
        page.press("Update")
        page.until(lambda: page.header["Users"] == "5", "more users")
        server.broken = True
        page.tab("Failures")
        page.until(lambda: any("503" in row["Message"] for row in page.rows), "failed requests")
        page.until(lambda: page.header["Failures"] not in ("0%", "0"), "share of failures")
        stop(page)
        read_log(page, "FAIL shop, exit code 99")
        assert "http_req_failed rate was" in page.text
        page.tab("Failures")
        failures = page.until(lambda: sum(int(row["# Failures"]) for row in page.rows), "failures")
        at_the_end = counted(page)
        finished = finish(started)
    (summary,) = summaries(tmp_path)
    assert summary["metrics"]["http_reqs"]["count"] == at_the_end >= before
    assert summary["metrics"]["http_req_failed"]["passes"] == failures
    # Who is in the middle of a request when everybody is told to stop has no answer to count.
    assert 0 <= sum(server.answered.values()) - at_the_end <= 5
    assert finished.exit_code == 99
    assert summary["load"]["users_peak"] == 5
