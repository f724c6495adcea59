"""Every number of a report is the summary's: of recorded runs, local, distributed and killed, of one that has all there
can be, and of suites; and none of them could be another without being seen."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pika_locust.outputs import document_html, document_markdown
from pika_locust.outputs.run_report import run_report
from pika_locust.outputs.suite_report import suite_document
from pika_locust.outputs.suite_results import SuiteResults, read_suite
from tests.outputs.report_blocks import Block, ReadReport, Section, read_markdown, read_page
from tests.outputs.report_figures import (
    DERIVED,
    as_markdown,
    chart_differences,
    check_suite,
    clock,
    differences,
    interval,
    run_sections,
    shown,
    suite_sections,
)
from tests.outputs.test_suite_report import failed, on_a_server, overloaded, recorded, suite

RUNS, SUITES = Path(__file__).parent / "runs", Path(__file__).parent / "suites"
Summary = dict[str, Any]


def run_of(name: str) -> Summary:
    found: Summary = json.loads((RUNS / f"{name}.json").read_bytes())
    return found


def with_all_there_can_be() -> Summary:
    """A recorded run, and what a run can have beside that: failures, doubt, windows, lost workers, errors, outages."""
    summary = copy.deepcopy(run_of("queue"))
    summary |= {"verdict": "fail", "exit_code": 99, "duration_s": 3725.9, "notes": ["offset of 0.4 ms", "2 series"]}
    summary["reasons"] = [
        {"code": "threshold", "subject": "errors", "text": "errors rate was 12.5 /s, limit <10 /s"},
        {"code": "incomplete", "subject": "worker 1 on b", "text": "lost after 22 s"},
    ]
    summary["load"] |= {"users_peak": 12_345, "dropped_iterations": 1_234, "planned_s": 3600.0, "workers": 2}
    late, join, failing, *_ = summary["thresholds"][1:]
    late |= {"value": 3000.04, "status": "fail", "interval": [2999.96, None], "conclusive": False, "grade": "critical"}
    late["worst_window"] = {"seconds": 29.7, "from_s": 61.5, "value": 4119.04, "samples": 9}
    join |= {"window_s": 30, "interval": [None, 99.99], "value": 99.96, "grade": "warning", "why": ""}
    failing |= {"value": 0.00104, "status": "fail", "interval": [None, None], "samples": 1_234_567}
    summary["thresholds"] += [
        {
            **failing,
            "metric": "errors",
            "expression": "rate<10",
            "kind": "counter",
            "value": 12.5,
            "interval": [9, 15.25],
        },
        {**late, "metric": "cart", "expression": "med<100", "value": None, "status": "no_data", "interval": None},
    ]
    summary["audits"].append(
        {"name": "orders", "status": "fail", "expected": 48_211, "actual": 48_208.5, "unanswered": 2, "detail": "b-17"}
    )
    summary["checks"].append({"name": "paid", "passes": 48_208, "fails": 3})
    summary["errors"] = [{"name": f"buy {at}", "error": f"{at} of\n70", "count": at * 997} for at in range(1, 61)]
    lost = {**summary["workers"][0], "index": 1, "host": "b", "final": False, "lost_at_s": 22.9}
    summary["workers"] += [lost, {**lost, "index": 2, "lost_at_s": None, "lag_ms": {}, "cpu_percent_max": None}]
    summary["observed"] = [
        {"query": "up", "labels": {"job": "a", "pod": "1"}, "start": 1, "end": 0.5, "difference": -0.5, "note": ""},
        {"query": "up", "labels": {}, "start": None, "end": 12_345.678, "difference": None, "note": "gone"},
    ]
    trace = {"name": "queue_join", "duration_ms": 812.5, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    summary["traces"] = [{"why": "slow", "error": "", **trace}, {"why": "failed", "error": "503 Busy", **trace}]
    summary["observed_metrics"] = ["redis_latency"]
    metrics, intervals = summary["metrics"], len(summary["timeline"]["times_s"])
    metrics["redis_latency"] = {"kind": "gauge", "unit": "ms", "count": 9, "value": 2, "min": 0.0314, "max": 3}
    summary["timeline"]["metrics"]["redis_latency"] = {"value": [1.0, *[2.0] * (intervals - 1)]}
    summary["timeline"]["marks"].append({"at_s": 3661.5, "kind": "outage", "text": "the target is away"})
    summary["timeline"]["errors"] = {"buy: 503": [0, *[2.5] * (intervals - 1)]}
    metrics["ws_messages_received"] = {"kind": "counter", "unit": "", "count": 1_234_567, "rate": 331.35}
    metrics["error_rate"] |= {"rate": 0.99997, "passes": 1_234_530, "count": 1_234_567}
    for at in range(20):
        metrics[f"http_req_duration{{name:/{at}}}"] = metrics["http_req_duration"]
    return summary


EVERYTHING = "all there can be"
RECORDED = ("queue", "distributed", "killed")
REPORTED = [*RECORDED, EVERYTHING]


def reported(name: str) -> Summary:
    return with_all_there_can_be() if name == EVERYTHING else run_of(name)


@pytest.mark.parametrize("name", REPORTED)
def test_a_page_says_what_the_summary_says(name: str) -> None:
    summary = reported(name)
    page = read_page(document_html.render(run_report(summary)))
    assert differences(run_sections(summary), page) == []
    assert chart_differences(summary, page.charts) == []


@pytest.mark.parametrize("name", REPORTED)
def test_markdown_says_what_the_summary_says(name: str) -> None:
    summary = reported(name)
    text = document_markdown.render(run_report(summary))
    assert differences(as_markdown(run_sections(summary)), read_markdown(text)) == []


def results_in(folder: Path) -> SuiteResults:
    """A suite with a run of each ending, and baselines of some."""
    made = {
        "calls": recorded("calls", on_a_server),
        "widget": recorded("calls", failed),
        "pages": None,
        "busy": recorded("calls", overloaded),
        "queue": run_of("queue"),
    }
    baselines = {"calls": recorded("calls-baseline"), "queue": None}
    return suite(folder, made, baselines=baselines, left_out=("chat",), quick=True)


def test_the_report_of_a_suite_says_what_the_summaries_say(tmp_path: Path) -> None:
    results = results_in(tmp_path)
    document = suite_document(results)
    page = check_suite(results, document_html.render(document), document_markdown.render(document))
    assert [one.title for one in page.sections if one.level == 2 and ": " in one.title] == [
        "calls: pass",
        "widget: FAIL",
        "pages: CRASH",
        "busy: INVALID",
        "queue: pass",
    ]


def test_the_report_of_a_recorded_suite_says_what_its_files_say() -> None:
    results = read_suite(SUITES / "pixelated")
    document = suite_document(results)
    page = check_suite(results, document_html.render(document), document_markdown.render(document))
    assert {chart.part for chart in page.charts} == {"inference: pass", "streaming: FAIL"}


_NUMBER = re.compile(r"\d(?:[\d,.]*\d)?")


def with_another_digit(text: str) -> Iterator[str]:
    """The text as often as it has numbers, each time with one of them off by one in its last digit."""
    for number in _NUMBER.finditer(text):
        at = number.end() - 1
        yield f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}"


def changes(report: ReadReport) -> Iterator[str]:
    """Makes one number after the other another, and takes it back; yields which."""
    for section, row, at in report.texts():
        if section.title in DERIVED or not section.title:
            continue
        was = row[at]
        for text in with_another_digit(was):
            row[at] = text
            yield f"{section.title}: {text!r} for {was!r}"
        row[at] = was


def swaps(report: ReadReport) -> Iterator[str]:
    """Swaps the cells of neighbouring columns that say different things, and takes it back; yields which."""
    for section in report.sections:
        for block in section.blocks:
            if block.kind != "table" or section.title in DERIVED:
                continue
            for at in range(len(block.titles) - 1):
                if all(row[at] == row[at + 1] for row in block.rows):
                    continue
                _swap(block, at)
                yield f"{section.title}: {block.titles[at : at + 2]}"
                _swap(block, at)


def _swap(block: Block, at: int) -> None:
    for row in block.rows:
        row[at], row[at + 1] = row[at + 1], row[at]


def of_run(tmp_path: Path) -> tuple[Sequence[Section], ReadReport]:
    summary = with_all_there_can_be()
    return run_sections(summary), read_page(document_html.render(run_report(summary)))


def of_run_in_markdown(tmp_path: Path) -> tuple[Sequence[Section], ReadReport]:
    summary = with_all_there_can_be()
    return as_markdown(run_sections(summary)), read_markdown(document_markdown.render(run_report(summary)))


def of_suite(tmp_path: Path) -> tuple[Sequence[Section], ReadReport]:
    results = results_in(tmp_path)
    return suite_sections(results), read_page(document_html.render(suite_document(results)))


@pytest.mark.parametrize(
    ("made", "least"),
    [
        pytest.param(of_run, 900, id="page"),
        pytest.param(of_run_in_markdown, 700, id="Markdown"),
        pytest.param(of_suite, 900, id="suite"),
    ],
)
def test_no_number_could_be_another_and_no_columns_swapped_unseen(
    tmp_path: Path, made: Callable[[Path], tuple[Sequence[Section], ReadReport]], least: int
) -> None:
    expected, report = made(tmp_path)
    assert differences(expected, report) == []
    numbers = [(change, bool(differences(expected, report))) for change in changes(report)]
    columns = [(swap, bool(differences(expected, report))) for swap in swaps(report)]
    assert [change for change, seen in (*numbers, *columns) if not seen] == []
    assert len(numbers) >= least
    assert len(columns) >= 30
    assert differences(expected, report) == []


def test_no_point_of_a_chart_could_be_another_unseen() -> None:
    summary = with_all_there_can_be()
    charts = read_page(document_html.render(run_report(summary))).charts
    assert len(charts) >= 15
    for chart in charts:
        for values in (chart.data["t"], *(line[2] for line in chart.data["lines"])):
            at = next(at for at, value in enumerate(values) if value is not None)
            was, values[at] = values[at], values[at] + 0.01
            assert chart_differences(summary, charts), chart.title
            values[at] = was
    assert chart_differences(summary, charts) == []
    without = [chart for chart in charts if chart.title != "http_req_duration"]
    assert chart_differences(summary, without) == ["no chart http_req_duration in Timeline"]


@pytest.mark.parametrize(
    ("value", "unit", "limit", "text"),
    [
        (None, "ms", None, "-"),
        (0, "", None, "0"),
        (12_345, "", None, "12,345"),
        (12_345.67, "MB", None, "12,346 MB"),
        (11.0, "ms", None, "11.0 ms"),
        (11.0, "MB", None, "11 MB"),
        (43.6795, "ms", None, "43.7 ms"),
        (0.0314, "ms", None, "0.031 ms"),
        (3000.04, "ms", 3000.0, "3,000.04 ms"),
        (0.00104, "%", 0.001, "0.104 %"),
        (0.0010004, "%", 0.001, "0.10004 %"),
        (0.999999, "%", None, "99.9999 %"),
        (1, "%", None, "100 %"),
        (0.07, "%", None, "7.00 %"),
    ],
)
def test_the_rule_for_numbers(value: float | None, unit: str, limit: float | None, text: str) -> None:
    assert shown(value, unit, limit) == text


def test_the_rules_for_times_and_intervals() -> None:
    assert [clock(seconds) for seconds in (0.9, 59.99, 61, 3725.9)] == ["0:00", "0:59", "1:01", "1:02:05"]
    assert interval([11.0, 14.94], "ms", 100) == "11.0 .. 14.9 ms"
    assert interval([None, 0.97], "%", 0.9) == "<= 97.00 %"
    assert interval([None, None], "ms", 1) == "open"
