"""`pika-locust report`: readiness, bottlenecks, before and after, and the Markdown, from recorded summaries."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pika_locust.cli.main import main
from pika_locust.errors import ConfigurationError
from pika_locust.outputs.suite_findings import bottlenecks, readiness
from pika_locust.outputs.suite_report import render
from pika_locust.outputs.suite_results import SuiteResults, read_suite

RECORDED = Path(__file__).parent / "suites"

Edit = Callable[[dict[str, Any]], None]


def recorded(name: str, *edits: Edit) -> dict[str, Any]:
    """A summary of a real run, changed by `edits`."""
    found: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    for edit in edits:
        edit(found)
    return found


def on_a_server(summary: dict[str, Any]) -> None:
    summary |= {"sandbox": False, "target": "wss://staging.example"}


def failed(summary: dict[str, Any]) -> None:
    """The calls are answered too late."""
    (late,) = (one for one in summary["thresholds"] if one["metric"] == "call_request_time")
    late |= {"value": 7_500.0, "interval": [6_900.0, 8_000.0], "status": "fail"}
    text = "call_request_time p(75) was 7,500 ms, limit <5,000 ms"
    summary |= {"exit_code": 99, "verdict": "fail"}
    summary["reasons"] = [{"code": "threshold", "subject": "call_request_time", "text": text}]


def overloaded(summary: dict[str, Any]) -> None:
    failed(summary)
    summary |= {"exit_code": 110, "verdict": "invalid"}
    reason = {"code": "generator", "subject": "cpu", "text": "load generator overload: its processor was busy, 99 %"}
    summary["reasons"].insert(0, reason)


Made = dict[str, dict[str, Any] | None]


def suite(
    folder: Path,
    loads: Made,
    *,
    quick: bool = False,
    baselines: Made | None = None,
    left_out: tuple[str, ...] = (),
    states: dict[str, str] | None = None,
) -> SuiteResults:
    """A folder of results, read back."""
    runs = []
    for kind, made in (("baseline", baselines or {}), ("load", loads)):
        for name, summary in made.items():
            path = f"{kind}-{name}.json"
            state = {0: "pass", 99: "fail", 110: "invalid"}[summary["exit_code"]] if summary else "crash"
            if summary:
                folder.mkdir(exist_ok=True)
                (folder / path).write_text(json.dumps(summary))
            runs.append(
                {
                    "scenario": name,
                    "kind": kind,
                    "state": (states or {}).get(name, state),
                    "exit_code": summary["exit_code"] if summary else 1,
                    "why": "" if summary else "locust ended with 1, without a summary: Traceback",
                    "seconds": 12.0,
                    "summary": path if summary else "",
                }
            )
    manifest = {"schema": 1, "platform": "greeter", "quick": quick, "started_at": "2026-05-01T20:00:00+00:00"}
    manifest |= {"ending": "complete", "passed": False, "left_out": list(left_out), "runs": runs}
    folder.mkdir(exist_ok=True)
    (folder / "suite.json").write_text(json.dumps(manifest))
    return read_suite(folder)


def test_all_that_ran_under_full_load_against_a_server_and_passed_is_ready(tmp_path: Path) -> None:
    verdict = readiness(suite(tmp_path, {"calls": recorded("calls", on_a_server)}))
    assert verdict.word == "READY"
    assert verdict.because == ("1 scenario ran under full load, and all passed",)
    assert "calls: target_memory_mb slope<20 was not observed" in verdict.reservations


def test_what_failed_speaks_against_it_and_is_named(tmp_path: Path) -> None:
    made: Made = {"calls": recorded("calls", on_a_server, failed), "widget": recorded("calls", on_a_server)}
    verdict = readiness(suite(tmp_path, made))
    assert verdict.word == "NOT READY"
    assert verdict.because == ("calls: call_request_time p(75) was 7,500 ms, limit <5,000 ms",)


@pytest.mark.parametrize(
    ("made", "more", "because"),
    [
        pytest.param({"calls": recorded("calls")}, {}, "tested on the built-in sandbox", id="sandbox"),
        pytest.param({"calls": recorded("calls", on_a_server)}, {"quick": True}, "shortened (--quick)", id="quick"),
        pytest.param(
            {"calls": recorded("calls", on_a_server)}, {"left_out": ("widget",)}, "left out: widget", id="left out"
        ),
        pytest.param({"calls": None}, {}, "calls: it crashed: locust ended with 1, without a summary", id="crash"),
        pytest.param(
            {"calls": recorded("calls", on_a_server, overloaded)},
            {},
            "calls: load generator overload: its processor was busy",
            id="overload, which makes thresholds fail by itself",
        ),
        pytest.param(
            {"calls": None}, {"states": {"calls": "not_run"}}, "calls: it did not run", id="ended before by --fail-fast"
        ),
        pytest.param({}, {}, "no scenario ran", id="nothing at all"),
        pytest.param(
            {"calls": recorded("calls", on_a_server, lambda one: one["load"].update(dropped_iterations=100))},
            {},
            "calls: 100 iterations (50.00 %) never began",
            id="less load than planned",
        ),
    ],
)
def test_what_is_missing_is_said_and_is_no_pass(tmp_path: Path, made: Made, more: Any, because: str) -> None:
    verdict = readiness(suite(tmp_path, made, **more))
    assert verdict.word == "NOT SHOWN"
    assert because in "; ".join(verdict.because)


@pytest.mark.parametrize("damage", ["missing", "another run's"])
def test_a_pass_without_its_summary_is_a_crash(tmp_path: Path, damage: str) -> None:
    suite(tmp_path, {"calls": recorded("calls", on_a_server)})
    path = tmp_path / "load-calls.json"
    if damage == "missing":
        path.unlink()
    else:
        path.write_text(json.dumps(recorded("calls", failed)))
    results = read_suite(tmp_path)
    assert results.loads[0].state == "crash"
    assert readiness(results).word == "NOT SHOWN"


def test_bottlenecks_come_with_their_evidence_the_heaviest_first(tmp_path: Path) -> None:
    def slow(summary: dict[str, Any]) -> None:
        summary["metrics"]["call_request_time"] |= {"count": 94, "med": 4_000.0, "p(95)": 9_000.0, "p(99)": 9_900.0}

    def alone(summary: dict[str, Any]) -> None:
        summary["metrics"]["call_request_time"] |= {"count": 9, "med": 500.0, "p(95)": 600.0}

    load = recorded("calls", failed, slow, lambda one: one["errors"].append({"name": "a", "error": "b", "count": 3}))
    results = suite(tmp_path, {"calls": load}, baselines={"calls": recorded("calls-baseline", alone)})
    found = [(one.what, one.evidence) for one in bottlenecks(results)]
    assert found == [
        ("call_request_time p(75)<5000 fails", "it is 7,500 ms, 150.00 % of what is allowed"),
        (
            "call_request_time grows with the load",
            "median 500 ms in the baseline, 4,000 ms under load (8 times); p(95) 600 ms and 9,000 ms",
        ),
        ("errors", "3 times a: b"),
    ]


def test_a_limit_that_is_nearly_reached_and_a_long_tail_are_bottlenecks(tmp_path: Path) -> None:
    def near(summary: dict[str, Any]) -> None:
        next(one for one in summary["thresholds"] if one["metric"] == "call_request_time")["value"] = 4_500.0
        summary["metrics"]["call_request_time"] |= {"med": 100.0, "p(99)": 3_000.0}

    found = {one.what: one.evidence for one in bottlenecks(suite(tmp_path, {"calls": recorded("calls", near)}))}
    assert found == {
        "call_request_time p(75)<5000 is near its limit": "it is 4,500 ms, 90.00 % of it",
        "call_request_time has a long tail": "p(99) is 3,000 ms, 30 times the median of 100 ms",
    }


def test_of_a_share_that_is_nearly_too_low_it_is_said_how_much_of_what_may_fail_has(tmp_path: Path) -> None:
    def near(summary: dict[str, Any]) -> None:
        next(one for one in summary["thresholds"] if one["metric"] == "call_success_rate")["value"] = 0.82

    found = {one.what: one.evidence for one in bottlenecks(suite(tmp_path, {"calls": recorded("calls", near)}))}
    assert found["call_success_rate rate>0.8 is near its limit"] == "it is 0.82, 90.00 % of what may fail"


def test_figures_that_show_nothing_make_no_bottleneck(tmp_path: Path) -> None:
    def calm(summary: dict[str, Any]) -> None:
        summary["metrics"]["call_request_time"] |= {"med": 1_000.0, "p(99)": 1_500.0}

    results = suite(tmp_path, {"calls": recorded("calls", calm)}, baselines={"calls": recorded("calls-baseline")})
    assert bottlenecks(results) == []
    assert "No figure of these runs shows one." in render(results)


def test_before_and_after_are_compared_as_single_runs_are(tmp_path: Path) -> None:
    def much_later(summary: dict[str, Any]) -> None:
        (late,) = (one for one in summary["thresholds"] if one["metric"] == "call_request_time")
        late["value"] = summary["metrics"]["call_request_time"]["p(75)"] = 40_000.0
        summary["metrics"]["call_request_time"] |= {"med": 39_000.0, "p(95)": 41_000.0}

    before = suite(tmp_path / "before", {"calls": recorded("calls"), "widget": recorded("calls")})
    after = suite(tmp_path / "after", {"calls": recorded("calls", much_later)})
    text = render(after, before)
    assert "| call_request_time med |" in text
    assert "**WORSE**" in text
    assert "| call_request_time p(75) |" in text
    assert "1 run before, 1 after: too few to see how far runs lie apart" in text


def test_suites_without_a_common_scenario_say_so(tmp_path: Path) -> None:
    before = suite(tmp_path / "before", {"calls": recorded("calls")})
    after = suite(tmp_path / "after", {"widget": recorded("calls", lambda one: one.update(scenario="widget"))})
    assert "nothing in common: before calls, after widget" in render(after, before)


def test_the_report_has_every_scenario_with_all_percentiles(tmp_path: Path) -> None:
    made: Made = {"calls": recorded("calls"), "widget": recorded("calls", failed), "connections": None}
    text = render(suite(tmp_path, made, baselines={"calls": recorded("calls-baseline")}))
    assert text.startswith("# Load test report: greeter\n\n**NOT READY**: 1 of 3 scenarios passed.\n")
    for title in ("## calls: pass", "## widget: FAIL", "## connections: CRASH", "## Bottlenecks", "## Scenarios"):
        assert title in text
    (row,) = (
        line
        for line in text.partition("## calls")[2].partition("## widget")[0].splitlines()
        if "| call_re" in line and "p(" not in line
    )
    figure = recorded("calls")["metrics"]["call_request_time"]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:10] == [
        "94",
        *(f"{figure[part]:,.0f} ms" for part in ("min", "avg", "med", "p(90)", "p(95)", "p(99)", "p(99.9)", "max")),
    ]
    assert "- **call\\_request\\_time" not in text
    assert "- **call_request_time p(75) was 7,500 ms, limit \\<5,000 ms**" in text


def test_what_a_target_says_is_no_markdown(tmp_path: Path) -> None:
    def hostile(summary: dict[str, Any]) -> None:
        summary["errors"].append({"name": "a|b", "error": "<img src=x>\n# title [x](y) `c`", "count": 1})

    text = render(suite(tmp_path, {"calls": recorded("calls", hostile)}))
    assert "\n# title" not in text
    (row,) = (line for line in text.splitlines() if line.startswith("| 1 | a"))
    assert row.startswith("| 1 | a\\|b | \\<img src=x\\>")
    assert "\\[x\\](y) \\`c\\`" in row


def test_the_command_writes_the_report_and_says_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite(tmp_path / "before", {"calls": recorded("calls", failed)})
    suite(tmp_path / "after", {"calls": recorded("calls", on_a_server)})
    assert main(["report", str(tmp_path / "after"), "--before", str(tmp_path / "before")]) == 0
    written = tmp_path / "after" / "LOAD_TEST_REPORT.md"
    page = written.with_suffix(".html")
    assert capsys.readouterr().out == f"READY; the report is in {written} and {page}\n"
    assert "calls: pass" in page.read_text()
    text = written.read_text()
    assert "## Before and after" in text
    assert "| calls | FAIL | pass |" in text


def test_a_folder_of_summaries_is_enough_but_nobody_knows_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text(json.dumps(recorded("calls", on_a_server)))
    results = read_suite(tmp_path)
    assert [entry.scenario for entry in results.loads] == ["calls"]
    assert readiness(results).because == ("there is no suite.json, so nobody knows which scenarios should have run",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "there is neither suite.json nor a summary", id="empty"),
        pytest.param("{", "cannot be read as the results of a suite", id="no JSON"),
        pytest.param('{"schema": 1}', "cannot be read as the results of a suite", id="something else"),
    ],
)
def test_what_is_no_result_is_a_mistake(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "suite.json").write_text(content)
    with pytest.raises(ConfigurationError, match=said):
        read_suite(tmp_path)
    assert main(["report", str(tmp_path)]) == 104
    assert main(["report", str(tmp_path / "nowhere")]) == 104


def test_summaries_alone_make_a_report_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "calls.json"
    path.write_text(json.dumps(recorded("calls")))
    assert main(["report", str(path), "--baseline", str(path)]) == 0
    page = (tmp_path / "calls.html").read_text()
    assert "PASS" in page
    assert "Compared with the baseline" in page
    both = [str(tmp_path / name) for name in ("both.md", "both.html")]
    assert main(["report", str(path), str(path), "--output", both[0], "--output", both[1]]) == 0
    assert "2 of 2 scenarios passed" in Path(both[0]).read_text()
    assert capsys.readouterr().out.endswith(f"the report is in {both[0]} and {both[1]}\n")
    assert main(["report", str(path), "--output", str(tmp_path / "report.pdf")]) == 104
    assert main(["report", str(path), "--baseline", str(tmp_path / "nowhere.json")]) == 104


def test_a_common_summary_of_scenarios_beside_each_other_is_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    both = {"calls": recorded("calls"), "widget": recorded("calls", failed, lambda one: one.update(scenario="widget"))}
    path.write_text(
        json.dumps({"schema": 1, "scenario": "calls, widget", "verdict": "fail", "exit_code": 99, "scenarios": both})
    )
    assert main(["report", str(path)]) == 0
    page = (tmp_path / "run.html").read_text()
    assert "calls: pass" in page
    assert "widget: FAIL" in page
    assert main(["compare", str(path), str(path)]) == 0
    # The same of the folder, also when each has its own file, as they are written.
    assert [entry.scenario for entry in read_suite(tmp_path).loads] == ["calls", "widget"]
    for name, one in both.items():
        (tmp_path / f"run.{name}.json").write_text(json.dumps(one))
    assert [entry.results for entry in read_suite(tmp_path).loads] == ["run.calls.json", "run.widget.json"]
    assert main(["report", str(tmp_path)]) == 0


def test_scenarios_beside_each_other_whose_run_was_killed_have_no_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"scenario": "a, b", "verdict": "invalid", "exit_code": 107, "scenarios": {}}))
    for given in (path, tmp_path):
        assert main(["report", str(given)]) == 104
        assert "the run never ended" in capsys.readouterr().err
