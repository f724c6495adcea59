"""`pika-locust suite`: its runs, table, manifest, mistakes and endings, with a stand-in for locust."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pika_locust.catalogue import platforms_with_scenarios, scenarios_of
from pika_locust.cli.main import main
from pika_locust.cli.suite import run
from pika_locust.errors import ConfigurationError
from pika_locust.outputs.suite_results import read_suite, state_of
from pika_locust.testing.worker import settings_of
from tests import locust_stand_in
from tests.locust_stand_in import Command
from tests.outputs.report_figures import check_suite

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "tests" / "outputs" / "suites" / "calls.json"

LOCUST = '''
"""A locust that takes no time. FAKE_ENDS says by scenario how it ends: `{"tokens": 99}`; -1: without a summary."""
import json, os, signal, sys, time
OURS = ("TOKENS", "INFERENCE", "PIXELATED")
words = sys.argv[1:]
scenario = os.path.basename(words[words.index("-f") + 1]).removesuffix("_locustfile.py")
path = words[words.index("--summary-json") + 1]
with open(os.environ["FAKE_LOG"], "a") as log:
    settings = {name: value for name, value in os.environ.items() if name.split("_")[0] in OURS}
    told = {"scenario": scenario, "words": words, "settings": settings, "pid": os.getpid(), "path": path}
    told["ends_with_its_parent"] = os.environ.get("PIKA_LOCUST_PARENT") == str(os.getppid())
    log.write(json.dumps(told) + "\\n")
if os.environ.get("FAKE_HANGS") == scenario:
    time.sleep(60)
code = json.loads(os.environ.get("FAKE_ENDS", "{}")).get(scenario, 0)
if code == -1:
    print("Traceback: it broke")
    sys.exit(1)
reasons = {0: [], 99: [{"code": "audit", "subject": "tokens", "text": "3 tokens are lost"}]}
reasons[110] = [{"code": "generator", "subject": "cpu", "text": "load generator overload: its processor"}]
late = {"metric": "http_req_duration", "expression": "p(95)<100", "status": "pass", "value": 60.0, "unit": "ms"}
late |= {"kind": "trend", "samples": 9, "conclusive": True, "grade": None, "interval": None, "worst_window": None}
late |= {"window_s": None, "about": "", "why": ""}
summary = json.load(open(RECORDED))
summary |= {"exit_code": code if code != 7 else 0, "verdict": {0: "pass", 99: "fail", 7: "pass"}.get(code, "invalid")}
summary |= {"reasons": reasons.get(code, []), "thresholds": [late], "audits": [], "scenario": scenario}
with open(path, "w") as file:
    json.dump(summary, file)
sys.exit(code)
'''

ALL = ("--platform", "verity", "--quick", "--pause", "0")
LOADS = (*ALL, "--skip-baseline")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in, in place of locust; the embedded sandbox would be the target."""
    return locust_stand_in.install(LOCUST.replace("RECORDED", repr(str(RECORDED))), tmp_path, monkeypatch)


@pytest.fixture
def suite(fake: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, and how it called locust."""
    return locust_stand_in.command(run, fake, capsys)


def check_reports(folder: Path) -> str:
    """Assert that the reports which a suite has left say what its manifest and its summaries say; returns the page."""
    (found,) = folder.glob("results/run_*")
    page = (found / "LOAD_TEST_REPORT.html").read_text()
    check_suite(read_suite(found), page, (found / "LOAD_TEST_REPORT.md").read_text())
    return page


def manifest(folder: Path) -> dict[str, Any]:
    (found,) = folder.glob("results/run_*/suite.json")
    result: dict[str, Any] = json.loads(found.read_text())
    return result


def states(folder: Path) -> dict[str, str]:
    return {one["scenario"]: one["state"] for one in manifest(folder)["runs"] if one["kind"] == "load"}


def test_baselines_come_first_then_all_scenarios_in_the_platforms_order(suite: Command, tmp_path: Path) -> None:
    code, said, calls = suite(*ALL)
    assert code == 0
    assert [call["scenario"] for call in calls] == ["queue", "sessions", "tokens"] * 2
    # Also where this process is killed.
    assert all(call["ends_with_its_parent"] for call in calls)
    baseline, load = calls[1]["words"], calls[4]["words"]
    assert baseline[baseline.index("-u") + 1] == "2"
    assert baseline[baseline.index("-t") + 1] == "10s"
    assert load[load.index("--stage") + 1] == "5s:40,25s:40,5s:0"
    assert calls[2]["settings"]["TOKENS_USE_SIMPLE"] == "1"
    assert "TOKENS_USE_SIMPLE" not in calls[5]["settings"]
    assert calls[5]["settings"]["TOKENS_SPIKE_RATE"] == "60"
    assert "3 of 3 scenarios passed" in said
    assert "closest: http_req_duration p(95)<100 is 60 ms" in said
    assert manifest(tmp_path)["passed"] is True
    assert "3 of 3 scenarios passed." in check_reports(tmp_path)


def test_reports_are_written_wherever_they_are_asked_for(suite: Command, tmp_path: Path) -> None:
    asked = [tmp_path / "out" / "suite.html", tmp_path / "suite.md"]
    code, said, _ = suite(*LOADS, "--report", str(asked[0]), "--report", str(asked[1]))
    assert code == 0
    (folder,) = (tmp_path / "results").glob("run_*")
    for path in asked:
        assert path.read_bytes() == (folder / f"LOAD_TEST_REPORT{path.suffix}").read_bytes()
    assert said.splitlines()[-1].startswith("NOT SHOWN; the report is in ")
    assert all(str(path) in said.splitlines()[-1] for path in asked)


def test_a_pass_without_its_report_is_none(
    suite: Command, tmp_path: Path, fake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "suite.html"
    # Whatever is at that name when the last run has ended.
    taken = f"import os\nos.remove({str(page)!r})\nos.makedirs({str(page)!r})\n"
    fake.write_text(taken + fake.read_text())
    code, said, _ = suite(*LOADS, "--only", "tokens", "--report", str(page))
    assert code == 107
    assert "1 of 1 scenarios passed" in said
    assert "the report is in" not in said


def test_a_suite_that_is_killed_leaves_a_report_of_what_was_known(suite: Command, tmp_path: Path, fake: Path) -> None:
    """Each run finds that of the runs before it."""
    (tmp_path / "seen").mkdir()
    copy = "for one in glob.glob('results/run_*/LOAD_TEST_REPORT.md'): shutil.copy(one, f'seen/{scenario}.md')"
    text = fake.read_text().replace("code = json", f"import glob, shutil\n{copy}\ncode = json")
    fake.write_text(text)
    suite(*LOADS)
    queue, tokens = ((tmp_path / "seen" / f"{name}.md").read_text() for name in ("queue", "tokens"))
    assert "**NOT SHOWN**: 0 of 3 scenarios passed." in queue
    assert "**NOT SHOWN**: 2 of 3 scenarios passed." in tokens
    assert "- tokens: it did not run" in tokens
    assert ", unfinished |" in tokens


def test_each_run_leaves_a_summary_a_log_and_an_html_report_beside_each_other(suite: Command, tmp_path: Path) -> None:
    _, _, calls = suite(*ALL)
    (folder,) = (tmp_path / "results").glob("run_*")
    assert [Path(call["path"]).relative_to(Path("results") / folder.name) for call in calls[2:4]] == [
        Path("baseline/tokens.json"),
        Path("queue.json"),
    ]
    for call in calls:
        words = call["words"]
        assert words[words.index("--html") + 1] == call["path"].replace(".json", ".html")
        assert Path(call["path"]).with_suffix(".log").exists()


def test_without_quick_the_load_is_the_scenarios_own(suite: Command) -> None:
    _, _, calls = suite("--platform", "verity", "--pause", "0", "--only", "tokens")
    baseline, load = calls[0]["words"], calls[1]["words"]
    assert baseline[baseline.index("-t") + 1] == "1m"
    assert not {"--stage", "-u", "-t"} & set(load)
    assert "TOKENS_SPIKE_RATE" not in calls[1]["settings"]


@pytest.mark.parametrize(
    ("end", "state", "why"),
    [
        pytest.param(99, "fail", "3 tokens are lost", id="failed"),
        pytest.param(-1, "crash", "locust ended with 1, without a summary: Traceback: it broke", id="crashed"),
        pytest.param(7, "crash", "locust ended with 7, without a summary", id="a summary that says otherwise"),
        pytest.param(110, "invalid", "load generator overload: its processor", id="overload"),
    ],
)
def test_one_that_does_not_pass_is_named_and_fails_the_suite(
    suite: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: int, state: str, why: str
) -> None:
    monkeypatch.setenv("FAKE_ENDS", json.dumps({"sessions": end}))
    code, said, _ = suite(*LOADS)
    assert code == 99
    assert states(tmp_path) == {"queue": "pass", "sessions": state, "tokens": "pass"}
    assert "2 of 3 scenarios passed" in said
    (row,) = (line for line in said.rpartition("Suite")[2].splitlines() if "sessions" in line)
    assert state.upper() in row
    assert why in row
    assert f"sessions: {state.upper()}" in check_reports(tmp_path)


def test_a_baseline_decides_nothing(suite: Command, monkeypatch: pytest.MonkeyPatch, fake: Path) -> None:
    text = fake.read_text().replace("code = json", 'code = 99 if "/baseline/" in path else json')
    fake.write_text(text)
    code, said, _ = suite(*ALL)
    assert code == 0
    assert said.count("FAIL") == 3


def test_a_baseline_that_came_to_no_samples_is_no_failure(
    suite: Command, monkeypatch: pytest.MonkeyPatch, fake: Path
) -> None:
    """A load is one, whose samples are what it is for."""
    reason = '{"code": "no_data", "subject": "x", "text": "x had no samples"}'
    fake.write_text(fake.read_text().replace("reasons[110]", f"reasons[99] = [{reason}]\nreasons[110]"))
    monkeypatch.setenv("FAKE_ENDS", json.dumps({"sessions": 99}))
    code, said, _ = suite(*ALL)
    assert code == 99
    baseline, load, _ = (line for line in said.splitlines() if "x had no samples" in line)
    assert "baseline/sessions        no data" in baseline
    assert "FAIL" in load
    assert "2 of 3 scenarios passed" in said


def test_fail_fast_ends_with_the_first_that_fails(
    suite: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENDS", json.dumps({"queue": 99}))
    code, said, calls = suite(*LOADS, "--fail-fast")
    assert (code, len(calls)) == (99, 1)
    assert states(tmp_path) == {"queue": "fail", "sessions": "not_run", "tokens": "not_run"}
    assert "NOT RUN" in said
    assert manifest(tmp_path)["ending"] == "fail_fast"
    assert ", ended by the first failure" in check_reports(tmp_path)


def test_only_some_in_the_platforms_order(suite: Command, tmp_path: Path) -> None:
    _, _, calls = suite(*LOADS, "--only", "tokens,queue")
    assert [call["scenario"] for call in calls] == ["queue", "tokens"]
    assert manifest(tmp_path)["left_out"] == ["sessions"]


def test_faults_and_locusts_own_options_go_to_each_run(suite: Command) -> None:
    _, _, calls = suite(*LOADS, "--sandbox-fault", "lose-write=0.05", "--", "--seed", "7")
    for call in calls:
        words = call["words"]
        assert words[words.index("--sandbox-fault") + 1] == "lose-write=0.05"
        assert words[words.index("--seed") + 1] == "7"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--platform", "nowhere"], "there is no platform 'nowhere' with scenarios", id="platform"),
        pytest.param(["--platform", "verity", "--only", "calls"], "it belongs to greeter", id="another's"),
        pytest.param(["--platform", "verity", "--only", "x"], "there are queue, sessions, tokens", id="unknown"),
        pytest.param([*ALL, "--output-dir", "/proc/none"], "--output-dir /proc/none: ", id="folder"),
        pytest.param([*ALL, "--report", "suite.pdf"], "--report suite.pdf: its name must end with", id="report"),
        pytest.param([*ALL, "--sandbox-fault", "nope"], "queue: .*nope", id="fault"),
        pytest.param([*ALL, "--", "--procesess", "2"], "queue: .*--procesess; Did you mean", id="unknown option"),
        pytest.param([*ALL, "--", "--summary-json=x"], "--summary-json behind --: each run would", id="a file"),
        pytest.param([*ALL, "--", "--out=junit=x.xml"], "--out junit behind --: each run would", id="an output"),
        pytest.param([*ALL, "--", "--threshold", "nope:rate>1"], "baseline/queue: .*nope", id="threshold"),
    ],
)
def test_mistakes_are_told_before_the_first_run(fake: Path, words: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        run(words)
    assert not locust_stand_in.calls(fake)
    assert not list(fake.parent.glob("results/run_*"))


def test_options_that_are_locusts_own_are_handed_on(suite: Command) -> None:
    _, _, calls = suite(*LOADS, "--only", "tokens", "--", "--processes", "2", "-s", "30")
    assert calls[0]["words"][-6:-2] == ["--processes", "2", "-s", "30"]


def test_env_load_tests_is_honoured(fake: Path) -> None:
    (fake.parent / ".env.load-tests").write_text("SPIKE_RATE=many\n")
    with pytest.raises(ConfigurationError, match=r"tokens: SPIKE_RATE=many in \.env\.load-tests"):
        run(["--platform", "verity", "--only", "tokens"])
    assert not locust_stand_in.calls(fake)


class Page(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(type(self).status if self.path == "/health" else 418)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with a health page, which is named as the target."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("BASE_URL", url)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_x")
    yield url
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "runs"),
    [
        pytest.param(200, 0, 3, id="healthy"),
        pytest.param(404, 0, 3, id="a server without such a page"),
        pytest.param(503, 100, 0, id="not healthy"),
    ],
)
def test_the_health_of_a_named_target_comes_first(
    suite: Command, target: str, monkeypatch: pytest.MonkeyPatch, status: int, code: int, runs: int
) -> None:
    monkeypatch.setattr(Page, "status", status)
    ended, said, calls = suite(*LOADS)
    assert (ended, len(calls)) == (code, runs)
    assert (f"{target}/health answers {status}" in said) == (code == 0)


def test_a_target_that_is_not_there_ends_it_before_the_first_run(
    fake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERVER_URL", "ws://127.0.0.1:9")
    assert main(["suite", "--platform", "greeter", "--quick"]) == 100
    assert "http://127.0.0.1:9/health is not healthy: " in capsys.readouterr().err
    assert not locust_stand_in.calls(fake)
    assert manifest(fake.parent)["ending"] == "setup"
    page = check_reports(fake.parent)
    assert "http://127.0.0.1:9/health is not healthy: " in page
    assert ", which never began" in page


def test_ctrl_c_leaves_nothing_running_and_what_is_known(fake: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pika_locust.cli import suite, child_run\n"
        f"child_run.LOCUST = (sys.executable, {str(fake)!r})\n"
        f"sys.exit(suite.run({list(LOADS)!r}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FAKE_HANGS": "sessions"}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=tmp_path) as process:
        log, deadline = tmp_path / "log.jsonl", time.monotonic() + 60
        while not log.exists() or len(log.read_text().splitlines()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert process.returncode == 105
    assert not psutil.pid_exists(json.loads(log.read_text().splitlines()[-1])["pid"])
    assert states(tmp_path) == {"queue": "pass", "sessions": "stopped", "tokens": "not_run"}
    assert manifest(tmp_path)["ending"] == "stopped"
    assert ", stopped" in check_reports(tmp_path)


def test_every_scenario_of_ours_says_its_quick_load() -> None:
    for platform in platforms_with_scenarios():
        for scenario in scenarios_of(platform):
            assert scenario.quick is not None, scenario.name
            settings = settings_of(scenario)
            is_open = scenario.arrivals is not None and scenario.arrivals(settings) is not None
            assert is_open or scenario.quick.stages, scenario.name
            assert scenario.arrivals is None or scenario.length_setting in scenario.quick.settings, scenario.name


def test_a_rate_that_is_set_takes_the_place_of_the_quick_users(
    suite: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INFERENCE_RATE", "20")
    code, _, calls = suite("--platform", "pixelated", "--quick", "--only", "inference", "--pause", "0")
    assert code == 0
    baseline, load = calls
    assert "--stage" not in load["words"]
    assert load["settings"] == {"INFERENCE_RATE": "20", "INFERENCE_TEST_DURATION": "30s"}
    assert baseline["settings"]["INFERENCE_USE_SIMPLE"] == "1"


def test_a_rate_that_is_taken_away_leaves_quick_users(suite: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCH_RATE", "0")
    code, _, calls = suite("--quick", "--only", "search", "--pause", "0", "--skip-baseline")
    assert code == 0
    assert calls[0]["words"][calls[0]["words"].index("--stage") + 1] == "5s:20,20s:20,5s:0"


@pytest.mark.parametrize("words", [(), ("--quick",)], ids=["full", "quick"])
@pytest.mark.parametrize("platform", platforms_with_scenarios())
def test_the_suite_of_every_platform_can_be_read_and_runs_all_its_scenarios(
    suite: Command, platform: str, words: tuple[str, ...]
) -> None:
    code, _, calls = suite("--platform", platform, "--pause", "0", *words)
    assert code == 0
    assert [call["scenario"] for call in calls] == 2 * [one.name for one in scenarios_of(platform)]


@pytest.mark.parametrize(
    ("code", "said", "verdict", "state"),
    [
        pytest.param(0, 0, "pass", "pass", id="a pass"),
        pytest.param(0, 0, "fail", "crash", id="a pass that the verdict does not know"),
        pytest.param(0, 99, "fail", "crash", id="a summary of another ending"),
        pytest.param(107, 107, "invalid", "crash", id="an error of ours"),
        pytest.param(100, 100, "invalid", "invalid", id="set-up"),
        pytest.param(105, 105, "fail", "stopped", id="somebody stopped it"),
    ],
)
def test_only_a_pass_is_a_pass(code: int, said: int, verdict: str, state: str) -> None:
    assert state_of(code, {"exit_code": said, "verdict": verdict, "reasons": []}) == state


def test_the_help_says_what_comes_when(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for word in ("--quick", "--fail-fast", "--skip-baseline", ".env.load-tests", "exit codes: 0 every scenario passed"):
        assert word in said
