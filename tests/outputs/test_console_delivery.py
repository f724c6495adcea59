from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from pika_locust.judge.report import ErrorCount, Reason
from pika_locust.outputs import console
from tests.outputs.samples import GREEN, RED


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_page_that_a_stream_cannot_spell_is_shown_all_the_same(
    encoding: str,
) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding)
    console.show(replace(RED, errors=(ErrorCount("join", "\u65e5\u672c full", 1),)), stream)

    page = written.getvalue().decode(encoding)
    assert "full" in page
    assert page.rstrip().splitlines()[-1].startswith("Exit code 99")


def test_a_summary_that_cannot_be_written_is_told_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console.write(GREEN, str(tmp_path))

    assert capsys.readouterr().err == (
        f"The summary could not be written to '{tmp_path}': there is a directory at that name.\n"
    )


def test_each_test_has_its_own_summary(tmp_path: Path) -> None:
    console.write(GREEN, str(tmp_path / "s.json"))
    console.write(RED, str(tmp_path / "s.json"), 2)

    written = {path.name: json.loads(path.read_text("utf-8"))["run_id"] for path in tmp_path.iterdir()}
    assert written == {"s.json": "q-7", "s-2.json": "q-8"}


def test_the_verdict_is_in_the_log_with_its_reasons_and_on_single_lines(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        console.log(GREEN)
        console.log(replace(RED, reasons=(Reason("audit", "likes", "9 are\nnot stored, whsec_0123456789"),)))

    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [
        ("INFO", f"PASS {GREEN.scenario}, exit code 0"),
        ("ERROR", f"FAIL {RED.scenario}, exit code 99"),
        ("ERROR", "9 are not stored, REDACTED"),
    ]


def test_a_path_that_will_not_do_is_told_before_the_test(tmp_path: Path) -> None:
    assert console.problems(None) == []
    assert console.problems(str(tmp_path / "s.json")) == []
    assert console.problems(str(tmp_path)) == [f"--summary-json {tmp_path}: there is a directory at that name"]
