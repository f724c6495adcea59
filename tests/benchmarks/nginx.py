"""An nginx on loopback that answers with fixed JSON: a target that costs the measured side nothing, and counts."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

COUNT = "/requests-so-far"
CONFIGURATION = """
worker_processes 1; worker_rlimit_nofile 65536; daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 60000; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; default_type application/json;
    client_body_temp_path {directory}/1; proxy_temp_path {directory}/2; fastcgi_temp_path {directory}/3;
    uwsgi_temp_path {directory}/4; scgi_temp_path {directory}/5;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = {count} {{ stub_status; }}
        {locations}
    }}
}}
"""


class Nginx:
    """Where it listens, and how many requests it has seen."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def requests(self) -> int:
        """Requests so far, without those that asked for their number."""
        with urlopen(f"{self.url}{COUNT}") as answer:
            said = answer.read().decode()
        # Three numbers below their headings: connections accepted, connections handled, requests.
        self._asked += 1
        return int(said.splitlines()[2].split()[2]) - self._asked


def program() -> str:
    """The path of nginx, which no PATH of a user has. Ends this process where it is not installed."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        print("nginx is not installed (Debian: apt-get install nginx-light)", file=sys.stderr)
        raise SystemExit(2)
    return found


@contextmanager
def serving(answers: Mapping[str, tuple[int, str]]) -> Iterator[Nginx]:
    """Serve status and JSON by path prefix, the longest that fits, until the block ends."""
    locations = "\n".join(
        f"location {path} {{ return {status} '{body}'; }}" for path, (status, body) in answers.items()
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory, "nginx.conf")
        configuration.write_text(CONFIGURATION.format(directory=directory, port=port, locations=locations, count=COUNT))
        process = subprocess.Popen([program(), "-c", str(configuration), "-e", f"{directory}/error.log"])
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            else:
                raise RuntimeError(f"nginx does not answer: {Path(directory, 'error.log').read_text()}")
            yield Nginx(port)
        finally:
            process.terminate()
            process.wait(10)
