"""The built wheel as people get it, in empty virtual environments, on each Python of this machine: `make package`.

For each Python: install it with its dependencies from the package index, list, a run of dancers, and what `pika-locust
new` writes, with its test. Then once with the lowest versions of all dependencies, by `uvx` and by `pipx`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pika_locust.errors import ExitCode
from tests.e2e.support import free_port

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
WITHIN_S = 600.0
ATTEMPTS = 4
RUN = ("--headless", "-u", "20", "-t", "20s")


class Failed(Exception):
    """A command has ended otherwise than it must; the text is all that it said."""


def call(folder: Path, *command: str | Path, python: Path | None = None) -> str:
    """What a command prints, in a folder, without this clone and this environment's packages in sight."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    if python is not None:
        environ["PATH"] = f"{python.parent}{os.pathsep}{environ['PATH']}"
    words = list(map(str, command))
    for _ in range(ATTEMPTS):
        done = subprocess.run(
            words, cwd=folder, env=environ, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
        # A run that measured a busy machine says so, and is made again, as everywhere else in these tests.
        if done.returncode != ExitCode.GENERATOR:
            break
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr


def pythons(wanted: Sequence[str]) -> Iterator[tuple[str, Path | None]]:
    """Version -> its interpreter, None where this machine has none: on the PATH, or of pyenv."""
    for version in wanted:
        beside = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
        found = [*map(str, beside), *filter(None, [shutil.which(f"python{version}")])]
        yield version, next(iter(map(Path, found)), None)


def environment(folder: Path, python: Path) -> Path:
    """An empty virtual environment; gives its interpreter."""
    call(folder, python, "-m", "venv", folder / "venv")
    own = folder / "venv" / "bin" / "python"
    call(folder, own, "-m", "pip", "install", "--quiet", "--upgrade", "pip")
    return own


def used(python: Path, folder: Path) -> str:
    """What somebody does who has installed it, from an empty folder; gives how the run of dancers ended."""
    empty = folder / "empty"
    empty.mkdir()
    command = python.parent / "pika-locust"
    assert "pika-locust run NAME" in call(empty, command, "list")
    said = call(empty, command, "run", "dancers", "--", *RUN)
    # Another run on this machine may have the usual port.
    workers = ("--processes", "2", "--master-bind-port", str(free_port()))
    call(empty, command, "run", "dancers", "--", *RUN[:3], "-t", "10s", *workers)
    call(empty, command, "new", "demo")
    call(empty, python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_demo.py", python=python)
    call(empty, python, "-m", "locust", "--headless", "-f", "demo.py", "-t", "10s")
    return next(line for line in said.splitlines() if line.startswith("PASS"))


def checks(wheel: Path, versions: Sequence[str], folder: Path) -> Iterator[tuple[str, str | None]]:
    """What is checked -> what came of it; None for a Python that this machine has not."""
    oldest: Path | None = None
    for version, python in pythons(versions):
        if python is None:
            yield f"Python {version}", None
            continue
        oldest = oldest or python
        place = folder / version
        place.mkdir()
        own = environment(place, python)
        call(place, own, "-m", "pip", "install", "--quiet", wheel)
        # The test that `pika-locust new` writes needs pytest, which Locust brings along.
        yield f"Python {version}", used(own, place)
    if oldest is None:
        return
    place = folder / "tools"
    place.mkdir()
    tools = environment(place, oldest).parent
    call(place, tools / "python", "-m", "pip", "install", "--quiet", "uv", "pipx")
    yield (
        "uvx",
        call(place, tools / "uvx", "--python", oldest, "--from", wheel, "pika-locust", "--version").splitlines()[0],
    )
    pipx = (tools / "pipx", "run", "--python", oldest, "--spec", wheel, "pika-locust", "--version")
    yield "pipx", next(line for line in call(place, *pipx).splitlines() if line.startswith("pika-locust "))
    lowest = folder / "lowest"
    lowest.mkdir()
    own = environment(lowest, oldest)
    resolve = ("pip", "install", "--quiet", "--python", own, "--resolution", "lowest-direct")
    # The wheel's own dependencies would not be direct ones, and so not the lowest.
    call(lowest, tools / "uv", *resolve, "-r", ROOT / "pyproject.toml")
    call(lowest, own, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
    yield "lowest versions", used(own, lowest)
    frozen = call(lowest, tools / "uv", "pip", "freeze", "--python", own)
    direct = re.findall(r'"([A-Za-z-]+)>=', (ROOT / "pyproject.toml").read_text().partition("[project.optional")[0])
    names = {name.lower() for name in direct}
    found = [line for line in frozen.splitlines() if line.partition("==")[0].lower() in names]
    yield "  which are", ", ".join(found)


def main(argv: Sequence[str]) -> int:
    """Checks all; returns 1 when one of the commands failed, or 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", metavar="3.11", help="only this version; may be repeated")
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="package-"))
    call(folder, sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    print(wheel.name, flush=True)
    began = time.monotonic()
    try:
        for what, found in checks(wheel, options.python or VERSIONS, folder):
            print(f"{what:<16} {found or 'not on this machine'}  ({time.monotonic() - began:.0f} s)", flush=True)
    except Failed as failed:
        print(failed)
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
