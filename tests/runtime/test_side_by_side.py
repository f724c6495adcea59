"""Several scenarios in one run: the command line of each, what their exit codes come to, and the common summary."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from argparse import Namespace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from pika_locust.process import PARENT
from pika_locust.runtime import side_by_side
from pika_locust.runtime.side_by_side import (
    CHECK,
    exit_code_of,
    forget_older_summaries,
    keep_baseline,
    own_path,
    run_side_by_side,
    words_for,
    write_summary,
)

NAMES = ("queue", "tokens")


def arguments(**given: Any) -> Namespace:
    ports = {"web_port": 8089, "master_bind_port": 5557, "master_port": 5557, "worker": False}
    files = {
        "baseline": None,
        "summary_json": None,
        "csv_prefix": None,
        "html_file": None,
        "json_file": None,
        "logfile": None,
    }
    return Namespace(**{"out": [], "report": [], **ports, **files, **given})


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("run.json", "run.queue.json"),
        ("results/points.json.gz", "results/points.queue.json.gz"),
        ("results/v1.2/run", "results/v1.2/run.queue"),
        ("run-2026.11.29", "run-2026.11.29.queue"),
        ("prefix", "prefix.queue"),
        ("/dev/stdout", "/dev/stdout"),
    ],
)
def test_each_scenario_has_files_of_its_own(path: str, own: str) -> None:
    assert own_path(path, "queue") == own


def test_the_first_scenario_keeps_the_ports_and_the_next_one_has_the_next() -> None:
    assert words_for("queue", 0, arguments(), ["--headless", "-u", "2"]) == ["--headless", "-u", "2"]
    words = words_for("tokens", 1, arguments(), ["--headless"])
    assert words == ["--headless", "--web-port", "8090", "--master-bind-port", "5558"]


def test_forked_workers_go_where_their_master_is() -> None:
    """Locust would have them look at the default port, which is why nobody may name that."""
    words = words_for("tokens", 1, arguments(master_bind_port=15557), ["--processes", "2"])
    assert words == ["--processes", "2", "--web-port", "8090", "--master-bind-port", "15558"]


@pytest.mark.parametrize("given", [{"worker": True}, {"master_port": 6000}])
def test_workers_that_are_told_where_their_master_is_are_told_the_next_port(given: dict[str, Any]) -> None:
    words = words_for("tokens", 1, arguments(**given), [])
    assert words[-2:] == ["--master-port", str(given.get("master_port", 5557) + 1)]


def test_outputs_and_files_are_named_after_the_scenario_wherever_they_stand() -> None:
    given = arguments(
        out=["json=p.json", "prometheus=:9646", "influxdb=http://x/k6"], summary_json="s.json", report=["r.html"]
    )
    argv = ["--out", "json=p.json", "-u", "2", "--out=prometheus=:9646", "--summary-json", "s.json", "--report=r.html"]
    words = words_for("tokens", 1, given, argv)
    assert words[:4] == ["-u", "2", "--summary-json", "s.json"]
    assert words[4:14] == [
        *("--out", "json=p.tokens.json", "--out", "prometheus=:9647", "--out", "influxdb=http://x/k6"),
        *("--report", "r.tokens.html", "--summary-json", "s.tokens.json"),
    ]


@pytest.mark.parametrize(
    ("codes", "code"),
    [([0, 0], 0), ([0, 99], 99), ([110, 99], 99), ([110, 0], 110), ([99, 105], 105), ([104, 99], 104), ([-9, 99], 107)],
)
def test_the_strongest_exit_code_stands_for_all(codes: list[int], code: int) -> None:
    assert exit_code_of(codes) == code


def test_the_common_summary_holds_each_one_s_own(tmp_path: Path) -> None:
    reason = {"code": "threshold", "subject": "x", "text": "y"}
    (tmp_path / "run.queue.json").write_text(json.dumps({"verdict": "pass", "reasons": []}))
    (tmp_path / "run.tokens.json").write_text(json.dumps({"verdict": "fail", "reasons": [reason]}))
    assert write_summary(str(tmp_path / "run.json"), {"queue": 0, "tokens": 99}) is None
    found = json.loads((tmp_path / "run.json").read_text())
    assert (found["verdict"], found["exit_code"], found["exit_codes"]) == ("fail", 99, {"queue": 0, "tokens": 99})
    assert found["reasons"] == [{"scenario": "tokens", **reason}]
    assert found["scenarios"]["queue"]["verdict"] == "pass"


def test_a_scenario_that_left_no_summary_is_invalid(tmp_path: Path) -> None:
    (tmp_path / "run.queue.json").write_text(json.dumps({"verdict": "pass", "reasons": []}))
    assert write_summary(str(tmp_path / "run.json"), {"queue": 0, "tokens": -9}) is None
    found = json.loads((tmp_path / "run.json").read_text())
    assert (found["verdict"], found["exit_code"], found["scenarios"]["tokens"]) == ("invalid", 107, {})


OLDER = {"verdict": "pass", "exit_code": 0, "reasons": []}


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The summaries of an earlier run that has passed; gives the common one."""
    for name in ("run.json", "run.queue.json", "run.tokens.json"):
        (tmp_path / name).write_text(json.dumps(OLDER))
    return tmp_path / "run.json"


def test_a_run_that_is_killed_leaves_no_older_pass(older: Path) -> None:
    forget_older_summaries(str(older), NAMES)
    found = json.loads(older.read_text())
    assert (found["verdict"], found["exit_code"], found["scenarios"]) == ("invalid", 107, {})
    assert [reason["code"] for reason in found["reasons"]] == ["unfinished"]
    assert [path.name for path in older.parent.iterdir()] == ["run.json"]


CHILD = f"""
import os, signal, sys, time
name, check = os.environ["PIKA_LOCUST_ONLY"], os.environ.get("{CHECK}")
assert os.environ["{PARENT}"] == str(os.getppid())
if check:
    print("refused" if name == sys.argv[1] else "read", file=sys.stderr)
    time.sleep(20 * (sys.argv[1] == "until told so early"))
    sys.exit(104 * (name == sys.argv[1]))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(105))
print(name, "runs", file=sys.stderr)
print(name, "is judged")
time.sleep(20 * (sys.argv[1] == "until told"))
"""


@pytest.fixture
def children(tmp_path: Path) -> Any:
    """Children that only say who they are, in place of Locust."""
    (tmp_path / "child.py").write_text(CHILD)
    with patch.object(side_by_side, "_LOCUST", (sys.executable, str(tmp_path / "child.py"))):
        yield


@pytest.mark.usefixtures("children")
def test_logs_come_as_they_are_written_and_verdicts_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_side_by_side(NAMES, arguments(), ["nobody"], os.environ) == 0
    said = capfd.readouterr()
    assert said.out == "queue is judged\ntokens is judged\nExit codes: queue 0, tokens 0; of the run: 0\n"
    assert sorted(said.err.splitlines()) == [
        "queue | queue runs",
        "queue | read",
        "tokens | read",
        "tokens | tokens runs",
    ]


@pytest.mark.usefixtures("children")
def test_when_one_cannot_run_as_it_is_set_up_none_is_started(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_side_by_side(NAMES, arguments(), ["tokens"], os.environ) == 104
    said = capfd.readouterr()
    assert said.out == "Exit codes: queue 0, tokens 104; of the run: 104\n"
    assert "tokens | refused" in said.err
    assert "runs" not in said.err


@pytest.mark.usefixtures("children")
def test_a_run_that_was_refused_has_no_results_of_an_earlier_one(older: Path) -> None:
    assert run_side_by_side(NAMES, arguments(summary_json=str(older)), ["tokens"], os.environ) == 104
    found = json.loads(older.read_text())
    assert (found["verdict"], found["exit_code"], found["scenarios"]) == ("invalid", 104, {"queue": {}, "tokens": {}})


@pytest.mark.usefixtures("children")
def test_workers_leave_the_summaries_of_their_masters_alone(older: Path) -> None:
    given = arguments(summary_json=str(older), worker=True)
    assert run_side_by_side(NAMES, given, ["nobody"], os.environ) == 0
    assert [json.loads(path.read_text()) for path in older.parent.glob("run*.json")] == [OLDER] * 3


@pytest.mark.usefixtures("children")
def test_runs_whose_log_nobody_reads_any_more_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as nobody:
        monkeypatch.setattr(sys, "stderr", nobody)
        assert run_side_by_side(NAMES, arguments(), ["nobody"], os.environ) == 0
        with contextlib.suppress(BrokenPipeError):
            nobody.close()


@pytest.mark.usefixtures("children")
@pytest.mark.parametrize("when", ["until told", "until told so early"])
def test_a_signal_ends_all_of_them(when: str, capfd: pytest.CaptureFixture[str]) -> None:
    timer = threading.Timer(3, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        assert run_side_by_side(NAMES, arguments(), [when], os.environ) == 105
    finally:
        # Of a run that is over, nobody would take the signal.
        timer.cancel()
    assert "Exit codes: queue 105, tokens 105; of the run: 105" in capfd.readouterr().out


@pytest.mark.parametrize("baseline", ["run.json", "."])
def test_the_runs_to_compare_with_outlive_the_summaries_that_take_their_place(
    baseline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.json").write_text("of yesterday")
    given = arguments(summary_json="run.json", baseline=baseline)
    # Each scenario says what it would compare with.
    read = "import pathlib, sys; at = pathlib.Path(sys.argv[-1]); print(next(at.glob('*'), at).read_text())"
    with patch.object(side_by_side, "_LOCUST", (sys.executable, "-c", read)), patch("sys.stdout") as out:
        assert run_side_by_side(NAMES, given, ["--baseline", baseline], dict(os.environ)) == 0
    said = "".join(call.args[0] for call in out.write.call_args_list)
    assert said.count("of yesterday") == len(NAMES)
    assert "of yesterday" not in Path("run.json").read_text()


def test_a_baseline_that_is_not_there_is_told_by_whoever_reads_it(tmp_path: Path) -> None:
    assert keep_baseline(str(tmp_path / "none.json"), str(tmp_path)) is None
    assert keep_baseline(None, str(tmp_path)) is None
