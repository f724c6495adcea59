"""`--report` of real runs: its numbers are the summary's, a browser draws it without a word or a request, and a killed
run leaves what there was."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from pika_locust.cli.main import main
from pika_locust.outputs.recorded import read_summary
from pika_locust.outputs.report_files import write_document
from pika_locust.outputs.run_report import run_report
from tests.e2e.report_page import legend_differences, show
from tests.e2e.support import ROOT, Run, run
from tests.outputs.report_blocks import read_markdown
from tests.outputs.report_figures import as_markdown, chart_differences, differences, run_sections

QUEUE = ["--headless", "-f", "locustfiles/queue.py", "--load-profile", "constant", "-u", "20", "-r", "20"]

pytestmark = pytest.mark.e2e


def check_report(summary: Path, html: Path, markdown: Path | None = None) -> str:
    """Open the report of a run: assert that it is quiet, asks for nothing, and says what the summary says, in its text,
    its charts, and in Markdown. Returns its text."""
    found = read_summary(summary)
    assert found is not None
    shown = show(html)
    assert shown.said == shown.asked == []
    expected = run_sections(found)
    assert differences(expected, shown.report) == []
    assert chart_differences(found, shown.report.charts) == []
    assert len(shown.legends) >= 4
    assert set(shown.idle) == {""}
    assert legend_differences(shown.legends) == []
    if markdown is not None:
        assert differences(as_markdown(expected), read_markdown(markdown.read_text())) == []
    return shown.text


def test_a_browser_shows_the_summarys_numbers_and_asks_for_nothing(tmp_path: Path) -> None:
    html, markdown = tmp_path / "out" / "report.html", tmp_path / "out" / "report.md"
    reports = ["--report", str(html), "--report", str(markdown)]
    finished = run([*QUEUE, "-t", "8s", "--processes", "2", *reports], tmp_path, env={"TRACE_SHARE": "0.5"})
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    assert len(finished.summary["workers"]) == 2
    words = check_report(tmp_path / "summary.json", html, markdown)
    assert re.search(r"PASS \d+ of \d+ thresholds hold.*; exit code 0", words)
    assert html.stat().st_size < 320_000
    ids = [trace["trace_id"] for trace in finished.summary["traces"]]
    assert len(ids) == len(set(ids)) == 5


def test_a_killed_run_leaves_a_report_of_what_there_was(tmp_path: Path) -> None:
    html, markdown = tmp_path / "report.html", tmp_path / "report.md"
    reports = ["--report", str(html), "--report", str(markdown)]
    with Run([*QUEUE, "-t", "60s", *reports], tmp_path) as killed:
        # Written after the summary and the page, and not again for some seconds.
        killed.wait_for(lambda _: markdown.exists() and "the first" in markdown.read_text(), "figures in the report")
        # An end that nobody can prepare for.
        os.kill(killed.process.pid, signal.SIGKILL)
        killed.process.wait()
    time.sleep(0.2)
    words = check_report(tmp_path / "summary.json", html, markdown)
    assert re.search(r"NOT FINISHED \d+ of \d+ thresholds hold", words)
    assert re.search(r"figures of the first \d+ s: if no process works on the run any more, it was killed", words)


def test_charts_say_under_the_cursor_what_they_are_drawn_from(tmp_path: Path) -> None:
    """Of no run: of numbers and times that come only in large and long ones."""
    found = read_summary(ROOT / "tests" / "outputs" / "runs" / "queue.json")
    assert found is not None
    timeline = found["timeline"]
    points = range(len(timeline["times_s"]))
    timeline["times_s"] = [3600 + 60 * at - 0.3 for at in points]
    timeline["load"] |= {"users": [12_345 + at for at in points], "users_planned": [99.95 + at for at in points]}
    timeline["metrics"]["http_req_duration"] |= {
        "p50": [0.0314 * (at + 1) for at in points],
        "p95": [None for _ in points],
    }
    (tmp_path / "summary.json").write_text(json.dumps(found))
    page = tmp_path / "report.html"
    assert write_document(run_report(found), str(page)) is None
    assert "PASS" in check_report(tmp_path / "summary.json", page)


def test_thirty_milliseconds_more_are_said_at_once_with_one_run_a_side(tmp_path: Path) -> None:
    # Each run writes its summary there, the second in the place of what it is compared with.
    last, before, markdown = (tmp_path / name for name in ("summary.json", "before.json", "report.md"))
    assert run([*QUEUE, "-t", "6s"], tmp_path).exit_code == 0
    shutil.copy(last, before)
    slower = ["--sandbox-fault", "latency=30", "--baseline", str(last), "--report", str(markdown)]
    # Its own thresholds hold all the same.
    assert run([*QUEUE, "-t", "6s", *slower], tmp_path).exit_code == 0
    compared = markdown.read_text().partition("## Compared with the baseline")[2]
    assert re.search(r"\| http_req_duration med \|.*\*\*WORSE\*\*", compared), compared
    assert main(["compare", str(before), str(last)]) == 99
    assert main(["compare", str(before), str(before)]) == 0
