"""`pika-locust compare` as a pipeline calls it: exit codes, words, and the JSON file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pika_locust.cli.main import main
from pika_locust.metrics.histogram import bucket_edges

RUNS = Path(__file__).parent / "outputs" / "runs"
OURS = str(RUNS / "api.json")


@pytest.fixture
def slower(tmp_path: Path) -> str:
    """The recorded run with every time three times as long."""
    summary = json.loads(Path(OURS).read_bytes())
    for name, one in summary["distributions"].items():
        # 1.5 powers of two more, at 512 buckets each: most of the recorded values are above the first 1,024.
        one["buckets"] = {str(int(index) + 800): count for index, count in one["buckets"].items()}
        summary["metrics"][name] |= {"p(95)": 3 * summary["metrics"][name]["p(95)"]}
        one.update(_consistent(one["buckets"]))
    path = tmp_path / "slower.json"
    path.write_text(json.dumps(summary))
    return str(path)


def _consistent(buckets: dict[str, int]) -> dict[str, int]:
    edges = {int(index): bucket_edges(int(index)) for index in buckets}
    total = sum(edges[int(index)][0] * count for index, count in buckets.items())
    return {"min": min(edges.values())[0], "max": max(edges.values())[0], "total": total}


def test_equal_runs_pass_the_gate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", OURS, OURS]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Comparison  nothing is worse")
    assert "auth_latency p(95)" in said
    assert "figures without a difference left out: --all" in said


def test_a_regression_closes_the_gate_and_is_in_the_json(
    slower: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "comparison.json"
    assert main(["compare", OURS, slower, "--json", str(written)]) == 99
    assert "WORSE" in capsys.readouterr().out
    found = json.loads(written.read_bytes())
    assert found["worse"] is True
    assert {one["outcome"] for one in found["figures"] if one["series"] == "auth_latency"} == {"worse"}
    assert main(["compare", slower, OURS]) == 0


def test_several_runs_a_side_follow_after(slower: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", OURS, OURS, OURS, "--after", slower, slower, slower]) == 99
    assert "3 runs before, 3 after: Student's test" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["much", "nan", "-3"])
def test_a_share_that_cannot_be_read_says_how_it_is_written(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compare", OURS, OURS, f"--allow={given}"])
    assert f"--allow: {given!r} is no share from 0 to 1000 per cent; write it like 10" in capsys.readouterr().err


def test_what_cannot_be_compared_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.json").write_text("{")
    assert main(["compare", OURS, str(tmp_path / "broken.json")]) == 104
    assert main(["compare", OURS, str(tmp_path / "none.json")]) == 104
    assert "No such file or directory" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compare", OURS])
