"""k6 scripts of the shape of each suite: `pika-locust new --from-k6` makes load tests of them that run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.support import ROOT
from tests.e2e.test_new import run

pytestmark = [pytest.mark.e2e, pytest.mark.long]


@pytest.mark.parametrize("suite", ["greeter", "pika", "pixelated", "verity", "wwmaa"])
def test_a_script_of_each_suite_becomes_a_load_test_that_passes_on_its_stand_in(suite: str, tmp_path: Path) -> None:
    script = str(ROOT / "tests" / "k6" / f"{suite}.js")
    written = run(tmp_path, "pika_locust.cli.main", "new", "mine", "--from-k6", script)
    assert written.returncode == 0, written.stderr
    # Of its four scenarios, one with a rate and one without.
    some = ["-k", "auth_load or pages"] if suite == "wwmaa" else []
    done = run(tmp_path, "pytest", "-q", "-rs", "-p", "no:cacheprovider", "test_mine.py", *some)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_load_test_that_is_written_fails_on_a_server_that_does_not_know_its_requests(tmp_path: Path) -> None:
    script = str(ROOT / "tests" / "k6" / "pixelated.js")
    run(tmp_path, "pika_locust.cli.main", "new", "mine", "--from-k6", script)
    world = tmp_path / "mine_world.py"
    healthy = world.read_text()
    world.write_text(healthy.replace("/api/ai/infer", "/elsewhere"))
    assert world.read_text() != healthy
    done = run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py")
    assert done.returncode == 1, done.stdout
    assert "http_req_failed rate was 1, limit <0.01" in done.stdout, done.stdout
