"""What `pika-locust new` writes, used as its owner would: the test passes, and finds a server that loses writes.

Without an option, `pika-locust new` is what docs/own-platform.md begins with: `tests/docs` runs all that it writes, the
test and the two runs that are suggested. One of them must end with 99.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.support import ROOT
from tests.test_new import KINDS

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A Python module in that folder, without anybody's settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIKA_", "LOCUST_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=150,
    )


@pytest.fixture(params=KINDS, ids=lambda options: "".join(options) or "--http")
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder that holds what was written, and nothing else."""
    return write(tmp_path, *request.param)


def write(folder: Path, *options: str) -> Path:
    """Have the three files written there."""
    done = run(folder, "pika_locust.cli.main", "new", "shop", *options)
    assert done.returncode == 0, done.stderr
    return folder


def written_test(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The test that was written, which says why when it skips a run on a machine that was too slow."""
    return run(folder, "pytest", "-q", "-rs", "-p", "no:cacheprovider", "test_shop.py", *options)


@pytest.mark.parametrize("folder", [kind for kind in KINDS if kind], ids=lambda options: options[0], indirect=True)
def test_the_test_that_is_written_passes(folder: Path) -> None:
    world = folder / "shop_world.py"
    if "self.broadcast" in (healthy := world.read_text()):
        # Users are told to finish while what they said is still under way to them: nobody's fault.
        world.write_text(healthy.replace("STORED_AFTER_S = 0.005", "STORED_AFTER_S = 0.3"))
        assert world.read_text() != healthy
    done = written_test(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout, done.stdout


def test_the_test_that_is_written_fails_when_the_server_keeps_nothing(folder: Path) -> None:
    world = folder / "shop_world.py"
    healthy = world.read_text()
    broken = healthy.replace("self.copies(", "0 * self.copies(")
    assert broken != healthy
    world.write_text(broken)
    done = written_test(folder, "-k", "healthy")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "are not stored" in done.stdout


def test_a_server_that_cannot_be_stood_in_for_is_a_failed_set_up_and_no_run_that_was_killed(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "shop_world.py").write_text('raise LookupError("no shop")\n')
    words = ["--headless", "-f", "shop.py", "-u", "1", "-t", "3s", "--summary-json", "summary.json"]
    done = run(tmp_path, "locust", *words)
    assert done.returncode == 100, done.stdout + done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["exit_code"] == 100
    assert [(reason["code"], reason["subject"]) for reason in summary["reasons"]] == [("setup", "sandbox")]
    assert "the embedded sandbox did not start" in summary["reasons"][0]["text"]
    assert "the embedded sandbox did not start" in done.stderr
