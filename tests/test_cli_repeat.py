"""`pika-locust run --repeat`: its runs, their exit codes, the comparison, and mistakes, with a stand-in for locust."""

from __future__ import annotations

from pathlib import Path

import pytest

from pika_locust.cli.main import main
from tests import locust_stand_in

RECORDED = Path(__file__).parent / "outputs" / "runs" / "queue.json"

LOCUST = f'''
"""A locust that takes no time: each call ends with the next code of FAKE_CODES, and FAKE_SLOWER times as slow."""
import json, os, sys
words = sys.argv[1:]
path = words[words.index("--summary-json") + 1]
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(json.dumps(words) + "\\n")
number = sum(1 for _ in open(os.environ["FAKE_LOG"]))
codes = json.loads(os.environ.get("FAKE_CODES", "[0]"))
code = codes[min(number, len(codes)) - 1]
summary = json.load(open({str(RECORDED)!r}))
summary["exit_code"] = code
summary["distributions"] = {{}}
for figure in summary["metrics"].values():
    if figure["kind"] == "trend" and figure["count"]:
        for part in ("med", "p(95)"):
            figure[part] *= float(os.environ.get("FAKE_SLOWER", "1")) * (1 + number / 1000)
if "FAKE_SIDE_BY_SIDE" in os.environ:
    summary = {{
        "schema": 1, "exit_code": code, "exit_codes": {{"queue": code, "tokens": code}}, "reasons": [],
        "scenarios": {{"queue": summary, "tokens": summary if "--list" not in words else {{}}}},
    }}
if "--list" not in words or "FAKE_SIDE_BY_SIDE" in os.environ:
    json.dump(summary, open(path, "w"))
sys.exit(code)
'''


@pytest.fixture(autouse=True)
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return locust_stand_in.install(LOCUST, tmp_path, monkeypatch)


def test_each_run_has_the_same_words_and_a_summary_of_its_own(fake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "queue", "--repeat", "3", "-u", "5", "-t", "10s"]) == 0
    found = locust_stand_in.calls(fake)
    assert len(found) == 3
    assert all(words[0] == "--headless" and words[-4:] == ["-u", "5", "-t", "10s"] for words in found)
    assert all(Path(words[2]).name == "queue.py" for words in found)
    (folder,) = (fake.parent / "results").glob("run_*")
    assert sorted(path.name for path in folder.glob("*.json")) == ["1.json", "2.json", "3.json"]
    said = capsys.readouterr().out
    assert said.count("exit 0") == 3
    assert "`pika-locust compare BEFORE results/run_" in said


def test_the_strongest_exit_code_counts(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_CODES", "[0, 99, 0]")
    assert main(["run", "queue", "--repeat=3"]) == 99
    assert len(locust_stand_in.calls(fake)) == 3


def test_what_cannot_run_is_not_tried_again(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_CODES", "[104]")
    assert main(["run", "queue", "--repeat", "3"]) == 104
    assert len(locust_stand_in.calls(fake)) == 1


def test_a_run_that_measures_nothing_is_no_pass(fake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "queue", "--repeat", "2", "--list"]) == 107
    assert capsys.readouterr().out.count("exit 107") == 2


def test_scenarios_side_by_side_are_run_as_often(
    fake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_SIDE_BY_SIDE", "1")
    assert main(["run", "queue,tokens", "--repeat", "3"]) == 0
    said = capsys.readouterr().out
    assert len(locust_stand_in.calls(fake)) == said.count("exit 0") == said.count("closest: ") == 3
    assert main(["run", "queue,tokens", "--repeat", "1", "--list"]) == 107


def test_a_baseline_is_compared_with_and_is_a_gate(
    fake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "queue", "--repeat", "3", "--output-dir", "before"]) == 0
    assert main(["run", "queue", "--repeat", "3", "--baseline", "before"]) == 0
    assert "nothing is worse" in capsys.readouterr().out
    monkeypatch.setenv("FAKE_SLOWER", "1.5")
    assert main(["run", "queue", "--repeat", "3", "--baseline", "before"]) == 99
    assert "WORSE" in capsys.readouterr().out


def test_runs_are_not_compared_with_themselves_where_the_baseline_is_the_folder_they_go_to(
    fake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "queue", "--repeat", "3"]) == 0
    monkeypatch.setenv("FAKE_SLOWER", "3")
    assert main(["run", "queue", "--repeat", "3", "--baseline", "results"]) == 99
    assert "3 runs before, 3 after" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--repeat", "0"], "--repeat 0: from 1 to 100 times"),
        (["--repeat", "many"], "invalid int value"),
        (["--repeat", "2", "--summary-json", "x.json"], "--summary-json with --repeat"),
        (["--repeat", "2", "--html=x.html"], "--html with --repeat: each run would overwrite it"),
        (["--repeat", "2", "--out", "prometheus=:9646", "--out", "json=p.json"], "--out json with --repeat: each"),
        (["--repeat", "2", "--json-file=p"], "--json-file with --repeat: each run would overwrite it"),
        (["--repeat", "2", "--baseline", "nowhere"], "nowhere: No such file"),
    ],
)
def test_mistakes_are_told_before_the_first_run(
    fake: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "queue", *words]) == 104
    assert said in capsys.readouterr().err
    assert not locust_stand_in.calls(fake)
