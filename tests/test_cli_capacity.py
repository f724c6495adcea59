"""`pika-locust capacity`: its trials, tables, JSON, mistakes and endings, with a stand-in for locust."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from http.client import BadStatusLine
from pathlib import Path
from typing import Any
from urllib.error import URLError

import psutil
import pytest

from pika_locust.catalogue import find_scenario
from pika_locust.cli import capacity as capacity_command
from pika_locust.cli.capacity import run
from pika_locust.cli.capacity_report import crossings, scaling
from pika_locust.cli.capacity_trial import TrialPlan, TrialResult, read_result
from pika_locust.cli.child_run import ChildRun
from pika_locust.cli.main import main
from pika_locust.errors import ConfigurationError, SetupError
from pika_locust.load.capacity import Bounds
from pika_locust.outputs.recorded import Judged
from pika_locust.sandbox.process import SandboxProcess
from pika_locust.scenario import Sizing
from tests import locust_stand_in
from tests.locust_stand_in import Command

ROOT = Path(__file__).parents[1]

LOCUST = '''
"""A locust that takes no time, and whose target holds as many users, or arrivals a second, as FAKE_HOLDS says."""
import json, os, sys, time
words = sys.argv[1:]
load = int(words[words.index("-u") + 1] if "-u" in words else os.environ["CALLS_CALL_RATE"])
with open(os.environ["FAKE_LOG"], "a") as log:
    settings = {name: value for name, value in os.environ.items() if name.startswith("CALLS_")}
    log.write(json.dumps({"words": words, "load": load, "settings": settings, "pid": os.getpid()}) + "\\n")
if load >= int(os.environ.get("FAKE_HANGS_AT", "1000000")):
    time.sleep(60)
share = min(1.0, int(os.environ["FAKE_HOLDS"]) / load)
code, reasons = 0, []
if share < 0.995:
    code, reasons = 99, [{"code": "threshold", "subject": "ws_connection_success_rate", "text": "too few connected"}]
if load >= int(os.environ.get("FAKE_OVERLOADED_AT", "1000000")):
    code, reasons = 110, [{"code": "generator", "subject": "cpu", "text": "load generator overload: its processor"}]
if "FAKE_REASON" in os.environ:
    code, reasons = 99, [{"code": os.environ["FAKE_REASON"], "subject": "x", "text": "so it is"}]
rate = {"metric": "ws_connection_success_rate", "expression": "rate>=0.995", "value": share, "unit": ""}
late = {"metric": "ws_connection_time", "expression": "p(95)<2000", "value": 4.0 * load, "unit": "ms"}
thresholds = [
    {**rate, "status": "pass" if share >= 0.995 else "fail"},
    {**late, "status": "pass" if late["value"] < 2000 else "fail"},
]
summary = {"exit_code": code, "reasons": reasons, "thresholds": thresholds, "audits": []}
with open(words[words.index("--summary-json") + 1], "w") as file:
    json.dump(summary, file)
sys.exit(code)
'''


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in, in place of locust; its target is named."""
    monkeypatch.setenv("FAKE_HOLDS", "137")
    monkeypatch.setenv("SERVER_URL", "ws://127.0.0.1:9")
    return locust_stand_in.install(LOCUST, tmp_path, monkeypatch)


@pytest.fixture
def capacity(fake: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, and how it called locust."""
    return locust_stand_in.command(run, fake, capsys)


def test_each_trial_is_a_headless_run_and_the_bounds_are_printed_last(capacity: Command) -> None:
    code, said, calls = capacity("connections", "--trial", "10s", "--processes", "2", "--", "--seed", "7")
    assert code == 0
    assert [call["load"] for call in calls] == [10, 20, 40, 80, 160, 113, 134, 146, 146, 134]
    words = calls[4]["words"]
    assert words[0] == "--headless"
    for option, value in {"-u": "160", "-r": "80", "-t": "10s", "--processes": "2", "--seed": "7"}.items():
        assert words[words.index(option) + 1] == value
    assert "Capacity of connections  at least 134, below 146 users\n  upper/lower 1.090, 10 trials of 10 s, in " in said
    assert said.rstrip().endswith("the goal is met")


def test_results_are_printed_as_they_come_with_what_failed_or_came_closest(capacity: Command) -> None:
    _, said, _ = capacity("connections")
    head, _, rest = said.partition("\n\n")
    assert "goal    an upper bound at most 10 % above the lower one" in head
    assert "trial   30 s; it passes when its verdict does" in head
    assert head.endswith("\n  loss    0.5 % (ws_connection_success_rate rate>=0.995)")
    rows = rest.splitlines()
    assert rows[1] == "        10  pass   closest: ws_connection_time p(95)<2000 is 40 ms"
    assert rows[5] == "       160  FAIL   ws_connection_success_rate rate>=0.995 is 0.856"


def test_the_load_at_which_each_threshold_was_first_crossed_is_shown(
    capacity: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_HOLDS", "400")
    _, said, _ = capacity("connections", "--from", "300", "--to", "600")
    table = said.partition("First crossed")[2].splitlines()
    assert [row.split() for row in table[2:4]] == [
        ["ws_connection_success_rate", "rate>=0.995", "388", "424", "0.943"],
        ["ws_connection_time", "p(95)<2000", "424", "600", "2,400", "ms"],
    ]


def test_the_suites_advice_is_shown_beside_the_measurement_as_extrapolated(capacity: Command) -> None:
    _, said, _ = capacity("connections")
    table = said.partition("Scaling")[2]
    rows = [row.split() for row in table.splitlines()[2:7]]
    assert rows[0] == ["1,000", "2", "8", "extrapolated"]
    assert rows[4] == ["100,000", "50", "747", "extrapolated"]
    assert "this target, whatever its size                134 to 146" in table
    assert "Calls between visitors and agents of different replicas are lost" in table


def test_what_one_server_was_measured_to_hold_is_not_extrapolated() -> None:
    rows = scaling(Sizing({1_000: 2, 5_000: 5}), Bounds(1_200, 1_300))
    assert rows == [
        {"users": 1_000, "suite": 2, "measured": 1, "basis": "measured"},
        {"users": 5_000, "suite": 5, "measured": 5, "basis": "extrapolated"},
    ]
    assert [row["basis"] for row in scaling(Sizing({1_000: 2}), Bounds(None, 1))] == ["not measured"]


def test_in_the_open_model_the_load_is_the_rate(capacity: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_HOLDS", "7")
    monkeypatch.setenv("CALL_RATE", "3")
    _, said, calls = capacity("calls", "--from", "5", "--trial", "20s")
    assert "-u" not in calls[0]["words"]
    assert calls[0]["settings"] == {"CALLS_CALL_RATE": "5", "CALLS_TEST_DURATION": "20s"}
    assert "Capacity of calls  at least 7, below 8 arrivals/s (CALL_RATE)" in said
    assert "as close as whole numbers come" in said
    assert "Scaling" not in said


def test_the_loss_that_is_allowed_is_a_threshold_of_each_trial(capacity: Command) -> None:
    _, _, calls = capacity("connections", "--to", "10", "--loss-ratio", "1%")
    words = calls[0]["words"]
    assert words[words.index("--threshold") + 1] == "ws_connection_success_rate:rate>=0.99"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--loss-ratio", "10%"], id="the scenario allows less itself"),
        pytest.param(["--", "--threshold", "ws_connection_success_rate:rate>0.5"], id="asked for by name"),
    ],
)
def test_a_loss_that_is_settled_already_stays(capacity: Command, words: list[str]) -> None:
    _, _, calls = capacity("connections", "--to", "10", *words)
    assert not any(">=" in word for word in calls[0]["words"])


def test_a_failure_rate_is_limited_from_above(capacity: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_x")
    monkeypatch.delenv("SERVER_URL")
    _, _, calls = capacity("queue", "--to", "10", "--loss-ratio", "0.01%")
    words = calls[0]["words"]
    assert words[words.index("--threshold") + 1] == "http_req_failed:rate<=0.0001"


def test_an_overloaded_generator_ends_the_search_with_110(capacity: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_OVERLOADED_AT", "60")
    code, said, calls = capacity("connections")
    assert code == 110
    assert [call["load"] for call in calls] == [10, 20, 40, 80]
    assert "Capacity of connections  at least 40 users: no load failed" in said
    assert "ended, the trial at 80 says nothing of the target: load generator overload: its processor" in said


def test_the_command_hands_on_what_follows_two_dashes_and_tells_mistakes_with_104(
    fake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["capacity", "connections", "--to", "10", "--", "--seed", "7"]) == 0
    words = locust_stand_in.calls(fake)[0]["words"]
    assert words[words.index("--seed") + 1] == "7"
    capsys.readouterr()
    assert main(["capacity", "nowhere"]) == 104
    assert capsys.readouterr().err.startswith("pika-locust capacity: there is no scenario 'nowhere'")


def test_the_help_says_what_passes_and_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for word in (
        "--goal-width 10%",
        "--loss-ratio 0.5%",
        "max-sockets=137",
        "MLRsearch",
        "exit codes: 0 the goal is met",
    ):
        assert word in said


def test_the_largest_load_passes(capacity: Command) -> None:
    code, said, _ = capacity("connections", "--to", "100")
    assert code == 0
    assert "at least 100 users: no load failed" in said
    assert "the largest load that was to be tried passes (--to)" in said


def test_no_load_passes(capacity: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_HOLDS", "0")
    code, said, _ = capacity("connections", "--from", "2")
    assert code == 99
    assert "below 1 users: no load passed" in said
    assert "Scaling" not in said


def test_a_target_that_never_answers_is_tried_once(capacity: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_REASON", "no_answer")
    code, said, calls = capacity("connections")
    assert (code, len(calls)) == (99, 1)
    assert "says nothing of the target: so it is" in said


def test_too_few_trials_are_no_success(capacity: Command) -> None:
    code, said, calls = capacity("connections", "--max-trials", "5")
    assert (code, len(calls)) == (99, 5)
    assert "at least 80, below 160 users" in said


def test_the_result_is_written_as_json(capacity: Command, tmp_path: Path) -> None:
    capacity("connections", "--json", "found.json", "--goal-width", "0.2")
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["lower"], found["upper"], found["ending"]) == (134, 160, "goal")
    assert found["goal"]["width"] == 0.2
    assert [trial["load"] for trial in found["trials"]] == [10, 20, 40, 80, 160, 113, 134, 160, 134]
    assert found["crossings"] == [
        {
            "name": "ws_connection_success_rate rate>=0.995",
            "held_at": 134,
            "crossed_at": 160,
            "value": "0.856",
        }
    ]
    assert found["scaling"][0]["basis"] == "extrapolated"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["nowhere"], "there is no scenario 'nowhere'", id="scenario"),
        pytest.param(["connections", "--from", "0"], "the first load must be at least 1", id="load"),
        pytest.param(["connections", "--from", "5", "--to", "2"], "the largest load, 2, is below", id="order"),
        pytest.param(["connections", "--trial", "1500ms"], "--trial must be a whole number of seconds", id="trial"),
        pytest.param(["connections", "--loss-ratio", "1"], "--loss-ratio must be at least 0 and below 1", id="loss"),
        pytest.param(["connections", "--processes", "0"], "--processes must be at least 1", id="processes"),
        pytest.param(["connections", "--json", "/proc/none/x"], "--json /proc/none/x: ", id="no such folder"),
        pytest.param(["connections", "--", "--threshold", "nope:rate>1"], "nope", id="threshold"),
        pytest.param(["connections", "--sandbox-fault", "kick"], "plants faults in the embedded sandbox", id="fault"),
        pytest.param(
            ["connections", "--", "--procesess", "2"], "--procesess; Did you mean '--processes'", id="unknown"
        ),
        pytest.param(["connections", "--", "--summary-json=x"], "--summary-json: each trial would overwrite", id="own"),
        pytest.param(["connections", "--", "--out", "csv=x.csv"], "--out csv: each trial would overwrite", id="output"),
        pytest.param(["connections", "--", "--html=x"], "--html: each trial would overwrite it; --json has", id="html"),
        pytest.param(["connections", "--", "--sandbox-fault", "kick"], "--sandbox-fault belongs before --", id="place"),
    ],
)
def test_mistakes_are_told_before_the_first_trial(fake: Path, words: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        run(words)
    assert not locust_stand_in.calls(fake)


@pytest.mark.parametrize("option", ["--goal-width", "--loss-ratio"])
@pytest.mark.parametrize("given", ["wide", "nan", "inf%"])
def test_a_share_that_cannot_be_read_says_how_it_is_written(
    option: str, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(["connections", option, given])
    assert f"{option}: {given!r} is no share; write it like 0.1 or 10%" in capsys.readouterr().err


def test_a_length_that_cannot_be_read_says_how_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["connections", "--trial", "often"])
    assert "'often' is not a duration; write it like 90s, 10m" in capsys.readouterr().err


def test_a_result_that_cannot_be_written_is_107(fake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake.write_text(LOCUST.replace("words =", "os.makedirs('found.json', exist_ok=True)\nwords =", 1))
    assert run(["connections", "--to", "10", "--json", "found.json"]) == 107
    assert "found.json" in capsys.readouterr().err


def test_without_a_target_one_sandbox_serves_all_trials_with_the_faults_given(
    capacity: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SERVER_URL")
    code, said, calls = capacity("connections", "--to", "20", "--sandbox-fault", "max-sockets=137")
    targets = {call["words"][call["words"].index("-H") + 1] for call in calls}
    assert (code, len(calls), len(targets)) == (0, 3, 1)
    assert f"target  {targets.pop()} (sandbox, max-sockets=137)" in said


def test_each_trial_finds_an_empty_sandbox(capacity: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVER_URL")
    resets = []
    monkeypatch.setattr(SandboxProcess, "reset", lambda process: resets.append(process.url))
    _, _, calls = capacity("connections", "--to", "20")
    assert len(resets) == len(calls) - 1 == 2


def kill(process: SandboxProcess) -> None:
    os.kill(process.pid, signal.SIGKILL)
    while process.exit_code is None:
        time.sleep(0.01)


def test_a_sandbox_that_is_gone_ends_the_search_with_what_is_known(
    capacity: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SERVER_URL")
    monkeypatch.setattr(SandboxProcess, "reset", kill)
    code, said, calls = capacity("connections")
    assert (code, len(calls)) == (100, 2)
    assert "at least 20 users: no load failed" in said
    assert "the trial at 40 says nothing of the target: the sandbox ended by itself, with code -9" in said


@pytest.mark.parametrize("error", [TimeoutError("timed out"), URLError("refused"), BadStatusLine("")])
def test_a_sandbox_that_does_not_answer_ends_the_search_with_what_is_known(
    capacity: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def fail(process: SandboxProcess) -> None:
        raise error

    monkeypatch.delenv("SERVER_URL")
    monkeypatch.setattr(SandboxProcess, "reset", fail)
    code, said, calls = capacity("connections", "--json", "found.json")
    assert (code, len(calls)) == (100, 1)
    assert "at least 10 users: no load failed" in said
    assert "the trial at 20 says nothing of the target: the sandbox could not be emptied: " in said
    assert json.loads((tmp_path / "found.json").read_text())["lower"] == 10


def test_ctrl_c_prints_what_is_known_and_leaves_nothing_running(fake: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pika_locust.cli import capacity, child_run\n"
        f"child_run.LOCUST = (sys.executable, {str(fake)!r})\n"
        "sys.exit(capacity.run(['connections', '--json', 'found.json']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FAKE_HANGS_AT": "40"}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as process:
        log, deadline = tmp_path / "log.jsonl", time.monotonic() + 60
        while not log.exists() or len(log.read_text().splitlines()) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 105
    assert not psutil.pid_exists(json.loads(log.read_text().splitlines()[-1])["pid"])
    assert "at least 20 users: no load failed" in said
    assert "stopped, this is what is known so far" in said
    assert json.loads((tmp_path / "found.json").read_text())["ending"] == "stopped"


def summary(code: int, *reasons: str) -> dict[str, Any]:
    told = [{"code": reason, "subject": "x", "text": f"because of {reason}"} for reason in reasons]
    return {"exit_code": code, "reasons": told, "thresholds": [], "audits": [{"name": "sockets", "status": "fail"}]}


@pytest.mark.parametrize(
    ("code", "reasons", "outcome"),
    [
        pytest.param(0, (), "pass", id="a pass"),
        pytest.param(99, ("threshold",), "fail", id="a threshold"),
        pytest.param(99, ("audit", "generator"), "fail", id="an audit, however late the generator was"),
        pytest.param(99, ("no_data",), "void", id="too short for a threshold"),
        pytest.param(99, ("incomplete", "threshold"), "void", id="a part of the load is missing"),
        pytest.param(110, ("generator", "threshold"), "void", id="overload"),
        pytest.param(100, ("setup",), "void", id="set-up"),
        pytest.param(105, ("stopped",), "void", id="stopped"),
    ],
)
def test_a_run_says_something_of_the_target_or_not(code: int, reasons: tuple[str, ...], outcome: str) -> None:
    result = read_result(10, ChildRun(code, summary(code, *reasons), "", 1.0))
    assert result.outcome == outcome
    if outcome == "void":
        assert result.why == f"because of {reasons[0]}"


def test_a_threshold_that_holds_and_is_no_pass_says_why() -> None:
    found = {**summary(99, "threshold"), "audits": [{"name": "sockets", "status": "pass"}]}
    result = read_result(10, ChildRun(99, found, "", 1.0))
    assert (result.outcome, result.why) == ("fail", "because of threshold")


def test_a_run_without_a_summary_is_void_with_what_it_said() -> None:
    result = read_result(10, ChildRun(2, None, "locust: error: unrecognized arguments: --nope\n", 1.0))
    assert result.outcome == "void"
    assert result.why == ("locust ended with 2, without a summary: locust: error: unrecognized arguments: --nope")


def test_void_trials_cross_nothing() -> None:
    late = Judged("latency", "p(95)<10", "fail", 12.0, "ms")
    held = Judged("latency", "p(95)<10", "pass", 8.0, "ms")
    results = [
        TrialResult(40, "void", 110, judged=(late,)),
        TrialResult(80, "fail", 99, judged=(late,)),
        TrialResult(20, "pass", 0, judged=(held,)),
    ]
    (crossing,) = crossings(results)
    assert (crossing.held_at, crossing.crossed_at, crossing.value) == (20, 80, "12 ms")


def test_a_load_is_told_in_what_the_scenario_counts(tmp_path: Path) -> None:
    """Registrations are people, and searches come by the minute."""
    plan = TrialPlan(find_scenario("rsvp"), 10, tmp_path)
    assert plan.load_settings(300) == {"RSVP_REGISTRATIONS": "300", "RSVP_TEST_DURATION": "10s"}
    assert plan.unit == "people in a trial (REGISTRATIONS)"
    assert TrialPlan(find_scenario("search"), 10, tmp_path).unit == "searches a minute (SEARCH_RATE)"


def test_the_sandbox_is_made_for_the_largest_load(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that is full at a tenth of the trial's people tells nothing of how many can register."""
    made: list[Any] = []

    def start(worlds: list[str], faults: list[str], *, env: dict[str, str], path: list[str]) -> Any:
        made.append((worlds, env["REGISTRATIONS"]))
        raise SetupError("not now")

    monkeypatch.setattr(capacity_command, "start_sandbox", start)
    with pytest.raises(SetupError, match="not now"):
        run(["rsvp", "--from", "100", "--to", "4000"])
    assert made == [(["wwmaa"], "4000")]
