"""`--report` of real runs: its numbers are the summary's, a browser draws it without a word or a request, and a killed
run leaves what there was."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pika_locust.cli.main import main
from tests.e2e.support import Run, run

QUEUE = ["--headless", "-f", "locustfiles/queue.py", "--load-profile", "constant", "-u", "20", "-r", "20"]
CHROMIUM = "/usr/bin/chromium"

pytestmark = pytest.mark.e2e


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, list[str], list[str]]]:
    """The report in Chromium: its page, what it said on the console, and what it asked for beside itself."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        yield page, said, [url for url in asked if url != path.as_uri()]
        browser.close()


def test_a_browser_shows_the_summarys_numbers_and_asks_for_nothing(tmp_path: Path) -> None:
    html, markdown = tmp_path / "out" / "report.html", tmp_path / "out" / "report.md"
    reports = ["--report", str(html), "--report", str(markdown)]
    finished = run([*QUEUE, "-t", "8s", "--processes", "2", *reports], tmp_path, env={"TRACE_SHARE": "0.5"})
    assert finished.exit_code == 0, finished.output
    duration = finished.metric("http_req_duration")
    with opened(html) as (page, said, asked):
        words = page.inner_text("body")
        # The table of all metrics is folded.
        rows = page.evaluate("[...document.querySelectorAll('tr')].map(row => row.textContent)")
        drawn = page.locator(".charts canvas").count()
    assert said == asked == []
    assert drawn >= 4
    assert re.search(r"PASS \d+ of \d+ thresholds hold; exit code 0", words)
    count = f"{duration['count']:,}"
    assert any(row.startswith(f"http_req_duration{count}{duration['min']:.2f}") for row in rows), rows
    assert f"| http_req_duration | {count} |" in markdown.read_text()
    assert html.stat().st_size < 320_000
    assert finished.summary is not None
    ids = [trace["trace_id"] for trace in finished.summary["traces"]]
    assert len(ids) == len(set(ids)) == 5
    assert all(one in words and one in markdown.read_text() for one in ids)


def test_a_killed_run_leaves_a_report_of_what_there_was(tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    with Run([*QUEUE, "-t", "60s", "--report", str(html)], tmp_path) as killed:
        killed.wait_for(lambda _: html.exists() and "the first" in html.read_text(), "figures in the report")
        # An end that nobody can prepare for.
        os.kill(killed.process.pid, signal.SIGKILL)
        killed.process.wait()
    time.sleep(0.2)
    with opened(html) as (page, said, asked):
        words = page.inner_text("body")
        drawn = page.locator(".charts canvas").count()
    assert said == asked == []
    assert drawn >= 2
    assert re.search(r"NOT FINISHED \d+ of \d+ thresholds hold", words)
    assert re.search(r"figures of the first \d+ s: if no process works on the run any more, it was killed", words)


def test_thirty_milliseconds_more_are_said_at_once_with_one_run_a_side(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        folder.mkdir()
    assert run([*QUEUE, "-t", "6s"], before).exit_code == 0
    markdown = after / "report.md"
    slower = ["--sandbox-fault", "latency=30", "--baseline", str(before), "--report", str(markdown)]
    # Its own thresholds hold all the same.
    assert run([*QUEUE, "-t", "6s", *slower], after).exit_code == 0
    compared = markdown.read_text().partition("## Compared with the baseline")[2]
    assert re.search(r"\| http_req_duration med \|.*\*\*WORSE\*\*", compared), compared
    assert main(["compare", str(before / "summary.json"), str(after / "summary.json")]) == 99
    assert main(["compare", str(before / "summary.json"), str(before / "summary.json")]) == 0
