"""The Makefile, as far as one sees without an installation."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_VENV = """#!/bin/sh
# Debian's Python without python3-venv: the folder is made, and then there is no ensurepip.
[ "$1" = -c ] && exit 0
mkdir -p "$3/bin" && ln -sf /bin/true "$3/bin/python"
exit 1
"""
WITH_VENV = """#!/bin/sh
[ "$1" = -c ] && exit 0
mkdir -p "$3/bin" && ln -sf /bin/true "$3/bin/python" && touch "$3/pip"
"""


def make(folder: Path, script: str) -> int:
    """The exit code of a make whose Python is this script."""
    python = folder / "python"
    python.write_text(script)
    python.chmod(0o755)
    command = ["make", "-f", ROOT / "Makefile", ".venv/bin/python", f"PYTHON={python}"]
    return subprocess.run(command, cwd=folder, capture_output=True).returncode


def test_an_environment_that_could_not_be_made_is_made_anew(tmp_path: Path) -> None:
    """A Python without pip that was left behind would do for make, once python3-venv is installed."""
    assert make(tmp_path, WITHOUT_VENV) != 0
    assert make(tmp_path, WITH_VENV) == 0
    assert (tmp_path / ".venv" / "pip").exists()


@pytest.mark.parametrize("page", ["README.md", "docs/ten-minutes.md", ".ci/run"])
def test_what_debian_has_in_a_package_of_its_own_is_named(page: str) -> None:
    assert "python3-venv" in (ROOT / page).read_text()
