"""The report of a run, in HTML and Markdown: its numbers, hostile words, and what a killed run has."""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import trend
from pika_locust.metrics.snapshot import Snapshot, distributions, results
from pika_locust.outputs import document_html, document_markdown
from pika_locust.outputs.comparison import compare, read_runs
from pika_locust.outputs.document import Bars, Fold
from pika_locust.outputs.run_report import run_report

RUNS = Path(__file__).parent / "runs"
RECORDED: dict[str, Any] = json.loads((RUNS / "queue.json").read_bytes())
HOSTILE = "<script>alert(1)</script> </script><img src=x onerror=alert(2)> {{ 7 * 7 }} | [x](javascript:alert(3)) `a`"


class Page(HTMLParser):
    """What a browser would see of a page: its elements with their attributes, and its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self._inside == "script" else self.words).append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def charts(self) -> list[dict[str, Any]]:
        return json.loads(self.scripts[0])  # type: ignore[no-any-return]


def page_of(summary: dict[str, Any]) -> Page:
    return Page(document_html.render(run_report(summary)))


def test_its_figures_are_the_summarys() -> None:
    page = page_of(RECORDED)
    for words in (
        "PASS 8 of 9 thresholds hold, 1 not observed; exit code 0",
        "HTTP requests 648 32.1 a second",
        "http_req_duration p(95)<100 43.7 ms 43.6 .. 43.8 ms 648",
        "not observed target_memory_mb slope<20",
        "tokens 80 80 0 balances looked up: 40 of 40 users",
        "faults: latency=40",
        "http_req_duration{name:queue_join} 284 42.3 ms 43.2 ms 43.2 ms 43.7 ms 43.9 ms 45.1 ms 47.2 ms 47.6 ms",
        "signup ok 40 0 100 %",
        "0 on generator-1 0.71 ms 1.22 ms",
        "seed 1782290711",
        "locust --headless -f locustfiles/queue.py",
    ):
        assert words in page.text


def test_charts_are_drawn_from_the_timeline_with_limits_and_marks() -> None:
    charts = page_of(RECORDED).charts
    times = RECORDED["timeline"]["times_s"]
    duration = next(chart for chart in charts if chart["limit"] == 100)
    # The run's last interval was a fraction of a second.
    assert duration["t"] == times[:-1]
    assert [label for label, _, _ in duration["lines"]] == ["p50", "p95", "p99"]
    assert duration["lines"][1][2] == RECORDED["timeline"]["metrics"]["http_req_duration"]["p95"][: len(times) - 1]
    assert [mark[1] for mark in duration["marks"]] == ["fault", "stage", "end"]
    assert all(len(line[2]) == len(chart["t"]) for chart in charts for line in chart["lines"])


@pytest.mark.parametrize(
    ("expressions", "drawn"),
    [
        pytest.param(["p(95)<300", "p(99)<900"], 300, id="the tighter of two"),
        pytest.param(["count>50", "p(95)<900"], 900, id="no number of samples"),
        pytest.param(["count>50"], None, id="a number of samples alone"),
        pytest.param(["min>5", "min>=7"], 7, id="the tighter of two from below"),
        pytest.param(["min>5", "p(95)<300"], 300, id="the one above"),
    ],
)
def test_a_chart_has_a_limit_of_what_it_shows(expressions: list[str], drawn: float | None) -> None:
    summary = copy.deepcopy(RECORDED)
    trend = next(one for one in summary["thresholds"] if one["metric"] == "http_req_duration")
    summary["thresholds"] = [{**trend, "expression": expression} for expression in expressions]
    words = ["http_req_duration", ", ".join(expressions), "ms"]
    page = page_of(summary)
    assert " ".join(words) in page.text
    limits = [chart["limit"] for chart in page.charts if chart["unit"] == "ms" and chart["limit"] is not None]
    assert limits == ([] if drawn is None else [drawn])


def test_scores_are_distributed_in_their_own_unit() -> None:
    summary = copy.deepcopy(RECORDED)
    shift, histogram = trend("browser_web_vital_cls", "", "score"), Histogram()
    for value in (50, 50, 60):
        histogram.add(value)
    snapshot = Snapshot({(shift.name, ()): histogram}, {shift.name: shift})
    summary["metrics"] |= results(snapshot, 60.0)
    summary["distributions"] |= distributions(snapshot)
    folds = [one for one in run_report(summary).blocks if isinstance(one, Fold)]
    (bars,) = (one for fold in folds for one in fold.blocks if isinstance(one, Bars) and shift.name in one.title)
    assert bars.marks[0] == ("p50", 0.05)
    assert (round(bars.bars[0][0], 3), round(bars.bars[-1][1], 3)) == (0.05, 0.06)


def test_the_page_needs_nothing_else_and_is_small() -> None:
    text = document_html.render(run_report(RECORDED))
    page = Page(text)
    loading = {"src", "href", "action", "data", "srcset", "poster"}
    assert [(tag, name) for tag, found in page.elements for name in found if name in loading] == [("link", "href")]
    assert dict(page.elements)["link"]["href"] == "data:,"
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", text)
    assert "default-src 'none'" in str(next(found for tag, found in page.elements if "http-equiv" in found))
    assert len(text) < 300_000


def test_words_of_the_target_are_words_only() -> None:
    summary = copy.deepcopy(RECORDED)
    summary["errors"] = [{"name": HOSTILE, "error": HOSTILE, "count": 3}]
    summary["reasons"] = [{"code": "threshold", "subject": HOSTILE, "text": HOSTILE}]
    summary["metrics"][f"http_req_duration{{name:{HOSTILE}}}"] = summary["metrics"]["http_req_duration"]
    summary["timeline"]["errors"] = {HOSTILE: [0] * len(summary["timeline"]["times_s"])}
    summary["timeline"]["marks"].append({"at_s": 3.0, "kind": "outage", "text": HOSTILE})
    summary["scenario"] = HOSTILE
    text = document_html.render(run_report(summary))
    ours, hostile = page_of(RECORDED), Page(text)
    assert {tag for tag, _ in hostile.elements} - {tag for tag, _ in ours.elements} <= {"li", "ul"}
    assert not any(name.startswith("on") for _, found in hostile.elements for name in found)
    assert "{{ 7 * 7 }}" in hostile.text
    assert any(label == HOSTILE for chart in hostile.charts for label, _, _ in chart["lines"])
    markdown = document_markdown.render(run_report(summary))
    assert "<script" not in markdown.replace("\\<script", "")
    assert "](javascript" not in markdown.replace("\\](javascript", "")


def test_secrets_are_in_neither() -> None:
    summary = copy.deepcopy(RECORDED)
    summary["errors"] = [{"name": "login", "error": "refused: Authorization: Bearer abcdef0123456789", "count": 1}]
    document = run_report(summary)
    for text in (document_html.render(document), document_markdown.render(document)):
        assert "abcdef0123456789" not in text
        assert "REDACTED" in text


def test_what_a_killed_run_left_is_reported_as_unfinished() -> None:
    summary = copy.deepcopy(RECORDED)
    summary |= {"verdict": "invalid", "exit_code": 107, "thresholds": [], "metrics": {}, "distributions": {}}
    summary |= {"checks": [], "audits": [], "workers": [], "duration_s": 0.0, "timeline": {}}
    summary["reasons"] = [{"code": "unfinished", "subject": "run", "text": "the test has begun"}]
    summary["generator"] = {"lag_ms": {}, "cpu_percent_max": None, "rss_mb_max": None}
    page = page_of(summary)
    assert "NOT FINISHED no thresholds so far; exit code 107 run: the test has begun" in page.text
    assert not page.charts


@pytest.mark.parametrize("missing", ["timeline", "settings", "observed", "resolving_power", "notes"])
def test_summaries_of_earlier_versions_are_reported_too(missing: str) -> None:
    summary = copy.deepcopy(RECORDED)
    del summary[missing]
    assert "PASS" in page_of(summary).text


def test_markdown_has_the_same_figures_and_no_empty_sections() -> None:
    text = document_markdown.render(run_report(RECORDED))
    assert text.startswith("# Load test: queue\n\n**PASS**: 8 of 9 thresholds hold, 1 not observed; exit code 0\n")
    assert "| pass | http_req_duration | p(95)\\<100 | 43.7 ms | 43.6 .. 43.8 ms | 648 |" in text
    assert "The target meanwhile" not in text
    titles = re.findall(r"^#+ .*$", text, re.MULTILINE)
    assert not re.search(r"^#+ [^\n]*\n+#", text, re.MULTILINE), titles
    assert text.count("<details>") == text.count("</details>")


def test_markdown_mentions_nobody_and_keeps_addresses() -> None:
    assert document_markdown.text("@everyone: mail to ops@example.com") == "@\u2060everyone: mail to ops@example.com"


def test_a_baseline_is_a_section_of_it() -> None:
    summary = copy.deepcopy(RECORDED)
    found = compare(read_runs([RUNS / "queue.json"]), read_runs([RUNS / "queue.json"]))
    page = Page(document_html.render(run_report(summary, found)))
    assert "Compared with the baseline nothing is worse 1 run before, 1 after" in page.text
    assert "queue_join_latency p(95) 43.9 ms 43.9 ms +0 %" in page.text


def test_traces_of_the_slowest_and_of_failed_requests_are_named() -> None:
    summary = copy.deepcopy(RECORDED)
    trace = {"name": "queue_join", "duration_ms": 812.5, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    summary["traces"] = [{"why": "slow", "error": "", **trace}, {"why": "failed", "error": "503 Busy", **trace}]
    assert "slow queue_join 812 ms 4bf92f3577b34da6a3ce929d0e0e4736" in page_of(summary).text
    assert "failed queue_join 812 ms 503 Busy 4bf92f3577b34da6a3ce929d0e0e4736" in page_of(summary).text
    assert "4bf92f3577b34da6a3ce929d0e0e4736" in document_markdown.render(run_report(summary))


def test_what_observe_has_read_is_on_the_same_timeline() -> None:
    summary = copy.deepcopy(RECORDED)
    summary["observed_metrics"] = ["redis_latency"]
    summary["metrics"]["redis_latency"] = {"kind": "gauge", "unit": "ms", "count": 9, "value": 2, "min": 1, "max": 3}
    values = [1.0, *[2.0] * (len(summary["timeline"]["times_s"]) - 1)]
    summary["timeline"]["metrics"]["redis_latency"] = {"value": values}
    summary["thresholds"][0] |= {"metric": "redis_latency", "expression": "max<50", "kind": "gauge", "unit": "ms"}
    (chart,) = (one for one in page_of(summary).charts if one["lines"][0][0] == "redis_latency")
    assert (chart["limit"], chart["unit"]) == (50, "ms")
    assert chart["lines"][0][2] == values[: len(chart["t"])]


def long_run(minutes: int) -> dict[str, Any]:
    """A run of many names that lasted as long as a timeline has intervals of two seconds for."""
    summary = copy.deepcopy(RECORDED)
    points = minutes * 30
    times = [2.0 * (at + 1) for at in range(points)]
    values = [round(40 + at % 97 * 1.237, 2) for at in range(points)]
    trend = {"count": values, "p50": values, "p95": values, "p99": values}
    names = [f"http_req_duration{{name:/api/resource-{at}}}" for at in range(24)]
    for name in names:
        summary["metrics"][name] = summary["metrics"]["http_req_duration"]
        summary["distributions"][name] = summary["distributions"]["http_req_duration"]
    summary["timeline"] = {
        "times_s": times,
        "load": dict.fromkeys(("users", "users_planned", "arrivals_planned", "cpu_percent"), values),
        "metrics": dict.fromkeys((*names, "http_req_duration", "queue_join_latency", "generator_lag_ms"), trend)
        | {name: {"rate": values} for name in ("http_reqs", "iterations", "ws_messages_sent", "ws_messages_received")}
        | {"target_memory_mb": {"value": values}, "health_latency": trend},
        "errors": {f"join: error number {at}": values for at in range(9)},
        "marks": [],
    }
    return summary


@pytest.mark.parametrize("minutes", [1, 5, 20])
def test_a_long_run_of_many_names_stays_within_300_kb_and_20_kb_a_minute(minutes: int) -> None:
    assert len(document_html.render(run_report(long_run(minutes)))) < 300_000 + 20_000 * minutes
