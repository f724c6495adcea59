"""A platform from another installed package (entry-point group `pika_locust.platforms`): listed, run, served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.support import ROOT, TOO_SLOW, Finished, MachineTooSlow

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of examples/shop_platform, as pip installs it."""
    source = ROOT / "examples" / "shop_platform"
    folder = tmp_path_factory.mktemp("installed")
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(folder), str(source)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, timeout=120)
    return folder


def pika_locust(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PIKA_", "SHOP_"))}
    return subprocess.run(
        [sys.executable, "-m", "pika_locust.cli.main", *words],
        cwd=folder,
        env={**own, "PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_its_scenarios_are_listed_and_its_world_is_known(installed: Path, tmp_path: Path) -> None:
    listed = pika_locust(installed, tmp_path, "list")
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith("shop_orders")]
    assert line.split(maxsplit=2) == ["shop_orders", "shop", "customers order over HTTP"]
    assert "lose-write" in pika_locust(installed, tmp_path, "sandbox", "--platform", "shop", "--list-faults").stdout


@pytest.mark.parametrize("extra", [[], ["--sandbox-fault", "lose-write=0.3"]], ids=["healthy", "lost writes"])
def test_its_scenario_runs_on_its_world_and_is_judged(installed: Path, tmp_path: Path, extra: list[str]) -> None:
    words = ("--headless", "-u", "10", "-t", "6s", "--summary-json", "summary.json")
    done = pika_locust(installed, tmp_path, "run", "shop_orders", "--", *words, *extra)
    summary = json.loads((tmp_path / "summary.json").read_text())
    if TOO_SLOW & {one["subject"] for one in summary["reasons"]} and summary["exit_code"] == 110:
        raise MachineTooSlow(Finished(done.returncode, summary, done.stdout + done.stderr))
    assert done.returncode == (99 if extra else 0), done.stdout + done.stderr
    (orders,) = summary["audits"]
    assert (orders["name"], orders["status"]) == ("orders", "fail" if extra else "pass")
    assert orders["expected"] > 10
