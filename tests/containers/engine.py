"""A Docker engine for tests: the one that runs, or one of our own that leaves the machine as it was.

On a bare Debian machine: `apt-get install docker.io docker-compose debootstrap`. No registry is needed then: the base
image is made by debootstrap, and the wheels by this Python, which is the same Debian's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEBIAN_S_DOCKER = Path("/usr/bin/docker")
PYTHON_IMAGE = "python:3.12-slim"
BASE_IMAGE = "local/debian-python"
SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
OPEN_FILES = 65_536


@dataclass(frozen=True, slots=True)
class Engine:
    """How the engine is spoken to."""

    docker: str
    environment: Mapping[str, str]

    def run(self, *words: str, within_s: float = 600.0, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `docker` with these words, whatever comes of it."""
        return self._run([self.docker, *words], ROOT, within_s, more)

    def compose(
        self, folder: Path, *words: str, within_s: float = 600.0, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Compose in a folder, with settings in its environment: the program, or the engine's plugin."""
        program = ["docker-compose"] if shutil.which("docker-compose") else [self.docker, "compose"]
        return self._run([*program, "--ansi", "never", *words], folder, within_s, more)

    def _run(
        self, command: list[str], folder: Path, within_s: float, more: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=within_s,
        )


def must(ended: subprocess.CompletedProcess[str]) -> str:
    """What a command printed; raises AssertionError when it failed."""
    assert ended.returncode == 0, f"{' '.join(ended.args)}\n{ended.stdout[-6000:]}"
    return ended.stdout


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    """An engine until the block ends; one of our own keeps everything below `folder`."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
    # The client of the engine's own package: others on PATH may be too new for it.
    docker = str(DEBIAN_S_DOCKER) if DEBIAN_S_DOCKER.exists() else "docker"
    running = Engine(docker, clean)
    if running.run("info", within_s=30).returncode == 0:
        yield running
        return
    with _daemon(folder) as host:
        yield Engine(docker, {**clean, "DOCKER_HOST": host})


@contextmanager
def _daemon(folder: Path) -> Iterator[str]:
    """A dockerd of our own; gives its address."""
    assert os.geteuid() == 0, "no Docker engine runs, and only root can start one"
    host = f"unix://{folder / 'docker.sock'}"
    before = _Network()
    with (folder / "dockerd.txt").open("w") as log:
        process = subprocess.Popen(
            [
                "dockerd",
                f"--data-root={folder / 'data'}",
                f"--exec-root={folder / 'exec'}",
                f"--pidfile={folder / 'dockerd.pid'}",
                f"--host={host}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline_s = time.monotonic() + 60.0
        while subprocess.run([DEBIAN_S_DOCKER, "--host", host, "info"], capture_output=True).returncode != 0:
            assert process.poll() is None, (folder / "dockerd.txt").read_text()
            assert time.monotonic() < deadline_s, (folder / "dockerd.txt").read_text()
            time.sleep(0.5)
        yield host
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            before.put_back()


class _Network:
    """The packet filter and the bridge as they are now: an engine changes both, and leaves them so."""

    def __init__(self) -> None:
        self._saved = subprocess.run(["iptables-save"], capture_output=True, text=True).stdout
        self._had_bridge = Path("/sys/class/net/docker0").exists()

    def put_back(self) -> None:
        for table in ("filter", "nat"):
            if f"*{table}\n" not in self._saved:
                for words in (["-F"], ["-X"], *(["-P", chain, "ACCEPT"] for chain in ("INPUT", "FORWARD", "OUTPUT"))):
                    subprocess.run(["iptables", "-t", table, *words], capture_output=True)
        subprocess.run(["iptables-restore"], input=self._saved, text=True, capture_output=True)
        if not self._had_bridge:
            subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True)


def base_image(engine: Engine, clone: Path) -> dict[str, str]:
    """What compose is told to build from: Python's own image and an index, or what this machine can make by itself."""
    if engine.run("pull", "--quiet", PYTHON_IMAGE, within_s=120).returncode == 0:
        return {"BASE_IMAGE": PYTHON_IMAGE}
    if engine.run("image", "inspect", BASE_IMAGE).returncode != 0:
        root = clone.parent / "base"
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, root], check=True, capture_output=True
        )
        archive = clone.parent / "base.tar"
        subprocess.run(["tar", "-C", root, "--exclude=./var/cache/apt", "-cf", archive, "."], check=True)
        must(engine.run("import", str(archive), BASE_IMAGE))
        shutil.rmtree(root)
        archive.unlink()
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"),
            *("--wheel-dir", clone / "wheels", *build, f"{clone}[prometheus,otlp]"),
        ],
        check=True,
        capture_output=True,
    )
    for ours in (clone / "wheels").glob("pika_locust-*.whl"):
        ours.unlink()
    return {"BASE_IMAGE": BASE_IMAGE, "IMAGE_NO_INDEX": "1", "IMAGE_WHEELS": "/source/wheels"}


def prometheus_image(engine: Engine, folder: Path) -> dict[str, str]:
    """The image of Prometheus that compose names, or one of this machine's own program."""
    if engine.run("pull", "--quiet", "prom/prometheus:v3.5.0", within_s=120).returncode == 0:
        return {}
    context = folder / "prometheus"
    context.mkdir(exist_ok=True)
    for program in ("prometheus", "promtool"):
        shutil.copy(str(shutil.which(program)), context)
    (context / "Dockerfile").write_text(
        f"FROM {BASE_IMAGE}\n"
        "COPY prometheus promtool /usr/bin/\n"
        "RUN mkdir /prometheus && chown 65534 /prometheus\n"
        'ENTRYPOINT ["/usr/bin/prometheus"]\n'
    )
    must(engine.run("build", "--quiet", "--tag", "local/prometheus", str(context)))
    return {"PROMETHEUS_IMAGE": "local/prometheus"}
