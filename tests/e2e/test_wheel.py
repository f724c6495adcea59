"""What the wheel brings along, and that it works outside of a clone: built, unpacked and run in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pika_locust import __version__
from tests.e2e.support import ROOT

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this clone. `python -m tests.package` builds it as users do, with a tool from the package index."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


def pika_locust(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, from what was installed and not from this clone."""
    own: Mapping[str, str] = {name: value for name, value in os.environ.items() if not name.startswith("PIKA_")}
    return subprocess.run(
        [sys.executable, "-m", "pika_locust.cli.main", *words],
        cwd=folder,
        env={**own, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=150,
    )


def test_the_wheel_holds_the_package_its_files_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == f"pika_locust-{__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pika_locust").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected |= {
        f"pika_locust/{folder}/{path.name}"
        for folder in ("locustfiles", "shapes")
        for path in (ROOT / folder).glob("*.py")
    }
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert {"pika_locust/py.typed", "pika_locust/locustfiles/queue.py", "pika_locust/shapes/stress.py"} <= names


def test_what_is_installed_runs_its_scenarios_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    installed, folder = tmp_path / "installed", tmp_path / "empty"
    zipfile.ZipFile(wheel).extractall(installed)
    folder.mkdir()
    listed = pika_locust(installed, folder, "list")
    assert listed.stdout.endswith("  pika-locust run NAME\n"), listed.stderr
    done = pika_locust(installed, folder, "run", "dancers,light", "--", "--headless", "-t", "5s")
    assert "shapes/light.py" in done.stdout + done.stderr
    assert done.returncode in (0, 110), done.stdout + done.stderr
    queue = pika_locust(installed, folder, "run", "queue", "--headless", "-u", "2", "-t", "3s")
    assert "Traceback" not in queue.stderr, queue.stderr
    assert "queue" in queue.stdout
    assert list(folder.iterdir()) == []
