"""Tests measure time where nothing can disturb them, in virtual time or alone; and all tests are run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.layers import ROOT
from tests.timing import measuring

FILES = sorted((ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_disturbs_tests_that_measure_time(path: Path) -> None:
    assert measuring(path.read_text(encoding="utf-8")) == []


def test_whole_runs_are_where_make_looks_for_them() -> None:
    marked = re.compile(r"^(@|pytestmark.*)pytest\.mark\.e2e\b", re.MULTILINE)
    places = {path.relative_to(ROOT).parts[1] for path in FILES if marked.search(path.read_text(encoding="utf-8"))}
    assert places == {"e2e", "docs"}


def test_one_that_would_be_disturbed_is_found() -> None:
    body = "def test_it():\n    assert 0.1 <= time.monotonic() - began_s < {}\n"
    assert measuring(body.format(0.5)) == ["test_it"]
    assert measuring(body.format("low_s + 0.9")) == ["test_it"]
    assert measuring(body.format(2.0)) == []
    assert measuring("def test_it():\n    assert time.monotonic() < deadline\n") == []
    assert measuring("def test_it():\n    assert before_ns <= monotonic_ns() <= time.monotonic_ns()\n") == []
    assert measuring("def test_it():\n    assert time.monotonic() - began_s >= 0.1\n") == []
    assert measuring("@pytest.mark.alone\n" + body.format(0.5)) == []
    assert measuring("pytestmark = [pytest.mark.e2e]\n" + body.format(0.5)) == []
    assert measuring('@pytest.mark.usefixtures("virtual_time")\n' + body.format(0.5)) == []
    assert measuring(body.format(0.5).replace("()", "(virtual_time)", 1)) == []
    assert measuring("@pytest.mark.slow\n" + body.format(0.5)) == ["test_it"]
