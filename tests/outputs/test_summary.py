from __future__ import annotations

import errno
import json
import math
import os
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pika_locust.errors import ExitCode
from pika_locust.judge.report import ErrorCount, GeneratorReport, Observed, Report, ThresholdResult
from pika_locust.judge.timeline import Mark, Timeline
from pika_locust.outputs import summary
from pika_locust.outputs.summary import numbered, to_dict, unwritable, write
from tests.outputs.samples import BEFORE_START, GREEN, RED

KEYS = [
    "schema", "run_id", "scenario", "verdict", "exit_code", "reasons", "seed", "command", "settings", "versions",
    "target", "sandbox", "started_at", "duration_s", "load", "thresholds", "metrics", "distributions", "checks",
    "audits", "workers", "errors", "generator", "observed", "observed_metrics", "traces", "outputs",
    "resolving_power", "notes", "timeline",
]  # fmt: skip


@pytest.mark.parametrize("report", [GREEN, RED, BEFORE_START], ids=["green", "red", "before the start"])
def test_every_ending_has_every_key_in_the_same_order(report: Report) -> None:
    summary = to_dict(report)
    assert list(summary) == KEYS
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_the_parts_of_a_red_summary() -> None:
    summary = to_dict(RED)
    assert (summary["schema"], summary["verdict"], summary["exit_code"], summary["sandbox"]) == (1, "fail", 99, True)
    assert summary["reasons"][0] == {
        "code": "audit", "subject": "tokens conserved", "text": "3 acknowledged bookings are not stored by the target",
    }  # fmt: skip
    assert summary["load"] == {
        "users_peak": 10_000, "iterations": 48_211, "dropped_iterations": 12, "workers": 2, "workers_lost": 1,
        "complete": False, "profile": "standard", "planned_s": 60.0, "stages": [],
    }  # fmt: skip
    assert summary["thresholds"][0] == {
        "metric": "queue_join_latency", "expression": "p(95)<3000", "value": 3000.4, "samples": 48_211,
        "status": "fail", "interval": [2980.0, 3014.9], "conclusive": False,
        "worst_window": {
            "seconds": 30, "from_s": 41, "value": 4119.0, "samples": 9_000, "interval": [3990.0, 4200.0],
            "conclusive": True,
        },
        "grade": "critical", "about": "", "kind": "trend", "unit": "ms", "window_s": None, "abort": False,
        "unplaced": 0, "failures": {}, "held_s": None, "why": "",
    }  # fmt: skip
    assert summary["thresholds"][2]["value"] is None
    assert summary["thresholds"][2]["interval"] is None
    assert summary["thresholds"][2]["worst_window"] is None
    assert summary["audits"] == [
        {
            "name": "tokens conserved", "status": "fail", "expected": 48_211, "actual": 48_208, "unanswered": 2,
            "detail": "lost: b-17, b-21, b-40", "lower_bound": False,
        }
    ]  # fmt: skip
    assert summary["workers"][1] == {
        "host": "web-2", "index": 1, "lag_ms": {}, "cpu_percent_max": None, "rss_mb_max": None, "final": False,
        "lost_at_s": 22.0,
    }  # fmt: skip
    assert summary["errors"][0] == {"name": "queue_join", "error": "429 Too Many\nRequests", "count": 3}
    assert summary["generator"] == {"lag_ms": {"p(95)": 3.2, "p(99)": 8.1}, "cpu_percent_max": 71, "rss_mb_max": 210.4}


def test_what_was_observed_is_a_row_each_and_valid_json_whatever_it_was() -> None:
    rows = (
        Observed("up", {"__name__": "up", "job": "j"}, 1.0, 3.5, 2.5),
        Observed("keys", {}, math.nan, math.inf, None, "NaN at the start; +Inf at the end"),
        Observed("gone", {}, None, None, None, "not observed: asked http://me:word@prom:9090"),
    )
    observed = to_dict(replace(GREEN, observed=rows))["observed"]
    assert observed == [
        {
            "query": "up", "labels": {"__name__": "up", "job": "j"}, "start": 1.0, "end": 3.5, "difference": 2.5,
            "note": "",
        },
        {
            "query": "keys", "labels": {}, "start": None, "end": None, "difference": None,
            "note": "NaN at the start; +Inf at the end",
        },
        {
            "query": "gone", "labels": {}, "start": None, "end": None, "difference": None,
            "note": "not observed: asked http://REDACTED@prom:9090",
        },
    ]  # fmt: skip
    assert json.loads(json.dumps(observed, allow_nan=False)) == observed


def test_order_does_not_depend_on_who_measured_first() -> None:
    metrics = dict(reversed(list(GREEN.metrics.items())))
    assert json.dumps(to_dict(GREEN)) == json.dumps(to_dict(replace(GREEN, metrics=metrics)))
    assert list(to_dict(GREEN)["metrics"]) == ["checks", "queue_join_latency"]
    assert list(to_dict(GREEN)["distributions"]["queue_join_latency"]["buckets"].items()) == [("900", 1), ("1100", 2)]


def test_what_is_not_finite_becomes_null() -> None:
    result = ThresholdResult("x", "p(95)<3", math.nan, 1, "fail", (math.nan, math.inf))
    generator = GeneratorReport({"p(95)": -math.inf}, math.nan)
    summary = to_dict(replace(GREEN, thresholds=(result,), generator=generator, metrics={"x": {"max": math.inf}}))
    assert summary["thresholds"][0]["value"] is None
    assert summary["thresholds"][0]["interval"] == [None, None]
    assert summary["generator"] == {"lag_ms": {"p(95)": None}, "cpu_percent_max": None, "rss_mb_max": None}
    assert summary["metrics"]["x"] == {"max": None}


def test_an_exit_code_and_other_values_become_plain() -> None:
    metrics = {"x": {"seen": {"b", "a"}, "path": Path("/p"), "ok": True}}
    summary = to_dict(replace(GREEN, exit_code=ExitCode.STOPPED, metrics=metrics))
    assert type(summary["exit_code"]) is int
    assert summary["metrics"]["x"] == {"seen": ["a", "b"], "path": "/p", "ok": True}


def test_no_secret_is_written() -> None:
    report = replace(GREEN, target="http://u:hunter22@h", errors=(ErrorCount("login", "Bearer abc123456 refused", 1),))
    words = json.dumps(to_dict(report))
    assert "hunter22" not in words
    assert "abc123456" not in words
    assert "http://REDACTED@h" in words


def test_write_makes_directories_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "summary.json"
    assert write(GREEN, str(path)) is None
    assert json.loads(path.read_text("utf-8")) == to_dict(GREEN)
    assert os.listdir(path.parent) == ["summary.json"]


def test_write_replaces_what_was_there_and_follows_links(tmp_path: Path) -> None:
    path, link = tmp_path / "real.json", tmp_path / "latest.json"
    link.symlink_to(path)
    assert write(GREEN, str(link)) is None
    assert write(RED, str(link)) is None
    assert link.is_symlink()
    assert json.loads(path.read_text("utf-8"))["run_id"] == "q-8"


def test_others_may_read_the_file_as_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        assert write(GREEN, str(tmp_path / "s.json")) is None
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "s.json").stat().st_mode) == 0o644


def test_bytes_that_are_no_text_survive_as_json_escapes(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    assert write(replace(GREEN, command="locust \udcff ü"), str(path)) is None
    assert json.loads(path.read_bytes())["command"] == "locust \udcff ü"


def test_a_terminal_that_shows_the_file_obeys_nothing_in_it(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    hostile = "\x1b[2J \x9b31m \u202e \x7f ü"
    assert write(replace(GREEN, errors=(ErrorCount("join", hostile, 1),)), str(path)) is None
    words = path.read_text("utf-8")
    assert [c for c in words if not c.isprintable() and c != "\n"] == []
    assert json.loads(words)["errors"][0]["error"] == hostile


def test_a_relative_path_is_taken_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write(GREEN, "s.json") is None
    assert (tmp_path / "s.json").exists()


def test_a_directory_at_that_name_is_reported(tmp_path: Path) -> None:
    problem = write(GREEN, str(tmp_path))
    assert problem == f"The summary could not be written to '{tmp_path}': there is a directory at that name."


def test_a_file_in_place_of_a_directory_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    problem = write(GREEN, str(tmp_path / "file" / "s.json"))
    assert problem is not None
    assert problem.startswith("The summary could not be written to ")


@pytest.mark.parametrize("path", ["", "a\0b.json", "x" * 300 + ".json"], ids=["empty", "a zero byte", "too long"])
def test_a_path_that_cannot_be_is_reported(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    problem = write(GREEN, path)
    assert problem is not None
    assert problem.startswith("The summary could not be written to ")
    assert os.listdir(tmp_path) == []


def test_a_read_only_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # root may write anywhere, so the refusal is played
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    problem = write(GREEN, str(tmp_path / "s.json"))
    assert problem == f"The summary could not be written to '{tmp_path / 's.json'}': Permission denied."


def test_a_full_disk_keeps_the_earlier_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.json"
    assert write(GREEN, str(path)) is None

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert write(RED, str(path)) == f"The summary could not be written to '{path}': No space left on device."
    assert json.loads(path.read_text("utf-8"))["run_id"] == "q-7"
    assert os.listdir(tmp_path) == ["s.json"]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert write(BEFORE_START, str(path)) is None
        assert json.loads(os.read(reader, 1 << 16))["exit_code"] == 104
        assert stat.S_ISFIFO(path.stat().st_mode)
    finally:
        os.close(reader)


def test_a_pipe_whose_reader_comes_late_gets_everything(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    big = replace(RED, notes=("n" * 200_000,))
    with subprocess.Popen(["sh", "-c", f"sleep 0.2; cat {path}"], stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        with ThreadPoolExecutor(1) as pool:
            read = pool.submit(reader.stdout.read)
            assert write(big, str(path)) is None
            assert json.loads(read.result())["notes"] == list(big.notes)


@pytest.mark.parametrize("opened", [True, False], ids=["opened and not read", "not opened"])
@pytest.mark.alone
def test_a_pipe_that_nobody_reads_is_given_up(opened: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "STREAM_WITHIN_S", 0.3)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if opened else None
    began_s = time.monotonic()
    problem = write(replace(RED, notes=("n" * 200_000,)), str(path))
    assert time.monotonic() - began_s < 2
    why = "it was not read within 0.3 s" if opened else "nobody has opened it within 0.3 s, to read it"
    assert problem == f"The summary could not be written to '{path}': {why}."
    if reader is not None:
        os.close(reader)


@pytest.mark.parametrize(
    ("path", "n", "expected"),
    [
        ("a.json", 1, "a.json"),
        ("a.json", 2, "a-2.json"),
        ("out/a.b.json", 3, "out/a.b-3.json"),
        ("out.d/summary", 2, "out.d/summary-2"),
        ("/dev/stdout", 2, "/dev/stdout"),
        ("/dev/null", 2, "/dev/null"),
    ],
)
def test_each_test_of_one_process_has_its_own_path(path: str, n: int, expected: str) -> None:
    assert numbered(path, n) == expected


def test_tests_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="counted from 1, not 0"):
        numbered("a.json", 0)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("new/summary.json", None),
        ("taken", "there is a directory at that name"),
        ("file/summary.json", "File exists"),
        ("/dev/full", None),
        ("/dev/stdout", None),
        ("/proc/nowhere/summary.json", "No such file or directory"),
        ("odd\0name", "null"),
    ],
    ids=[
        "directories are made",
        "a directory",
        "a file for a directory",
        "a device",
        "a stream",
        "no such place",
        "no name",
    ],
)
def test_what_cannot_be_written_later_is_known_beforehand(path: str, why: str | None, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").touch()
    said = unwritable(str(tmp_path / path))
    assert (said is None) is (why is None)
    assert why is None or why in str(said)
    assert sorted(place.name for place in tmp_path.rglob("*") if place.is_file()) == ["file"]


def test_the_timeline_is_one_line_of_the_file_and_the_same_when_read(tmp_path: Path) -> None:
    line = Timeline([2.0, 4.0], {"users": [1, None]}, {"hits": {"rate": [0.5, 2]}}, {}, {}, [Mark(3.0, "stage", "up")])
    assert write(replace(GREEN, timeline=line), str(tmp_path / "summary.json")) is None
    text = (tmp_path / "summary.json").read_text()
    assert sum('"timeline"' in one for one in text.splitlines()) == 1
    assert json.loads(text) == to_dict(replace(GREEN, timeline=line))
    assert json.loads(text)["timeline"] == line.since(0)
