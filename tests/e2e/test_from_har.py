"""A recorded visit becomes a load test that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.test_new import run
from tests.test_from_har import VISIT, har


@pytest.mark.e2e
def test_the_load_test_of_a_visit_passes_on_its_stand_in(tmp_path: Path) -> None:
    # Without the redirect, which the stand-in would have to learn.
    quick = [{**one, "startedDateTime": "2026-01-02T03:04:05Z"} for one in VISIT if one["response"]["status"] != 302]
    (tmp_path / "visit.har").write_text(har(quick))
    assert run(tmp_path, "pika_locust.cli.main", "new", "visit", "--from-har", "visit.har").returncode == 0
    done = run(tmp_path, "pytest", "-q", "-rs", "-p", "no:cacheprovider", "test_visit.py")
    assert done.returncode == 0, done.stdout + done.stderr
