"""A real InfluxDB (the Debian package `influxdb`, version 1), which asks for a user and a password."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.e2e.support import free_port

USER, PASSWORD = "tester", "corr3ct-h0rse"
_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{backup_port}"
[meta]
  dir = "{directory}/meta"
[data]
  dir = "{directory}/data"
  wal-dir = "{directory}/wal"
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = true
"""


@dataclass
class Influxdb:
    """Where it is, and what it holds."""

    url: str

    def ask(self, query: str, database: str = "") -> list[dict[str, Any]]:
        """Rows by column, each with its tags."""
        answer = requests.post(
            f"{self.url}/query", params={"db": database, "q": query}, auth=(USER, PASSWORD), timeout=5
        )
        assert answer.ok, answer.text
        found = answer.json()["results"][0].get("series", [])
        return [
            {**one.get("tags", {}), **dict(zip(one["columns"], row, strict=True))}
            for one in found
            for row in one["values"]
        ]


@contextmanager
def influxdb(directory: Path) -> Iterator[Influxdb]:
    """Runs as long as the context lasts."""
    assert shutil.which("influxd"), "a real InfluxDB is needed: apt-get install influxdb"
    port = free_port()
    config, log_path = directory / "influxdb.conf", directory / "influxdb.txt"
    config.write_text(_CONFIG.format(directory=directory / "influxdb", port=port, backup_port=free_port()))
    with log_path.open("w") as log:
        process = subprocess.Popen(
            ["influxd", "-config", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        server = Influxdb(f"http://127.0.0.1:{port}")
        deadline_s = time.monotonic() + 30.0
        while not _answers(server.url):
            assert process.poll() is None, log_path.read_text()
            assert time.monotonic() < deadline_s, log_path.read_text()
            time.sleep(0.1)
        server.ask(f"CREATE USER {USER} WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES")
        yield server
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/ping", timeout=5).status_code == 204
    except requests.ConnectionError:
        return False
