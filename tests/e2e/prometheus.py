"""A real Prometheus (the Debian package `prometheus`), and an exporter that it scrapes every second."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from tests.e2e.support import free_port

Answer = Callable[[Mapping[str, str], str], tuple[int, str, str]]
"""Headers and path of a request -> status, content type and body."""


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """A web server on loopback; gives its address, `host:port`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, words = answer(self.headers, self.path)
            body = words.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Pytest's output is no access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def prometheus(directory: Path, metrics: Callable[[], str]) -> Iterator[str]:
    """A Prometheus that scrapes `metrics`, in its text format, each second; gives its URL once it has done so."""
    with (
        serving(lambda headers, path: (200, "text/plain; version=0.0.4", metrics())) as exporter,
        scraping(directory, exporter) as url,
    ):
        deadline_s = time.monotonic() + 30.0
        while not _scraped(url):
            assert time.monotonic() < deadline_s, (directory / "prometheus.txt").read_text()
            time.sleep(0.1)
        yield url


@contextmanager
def scraping(directory: Path, address: str) -> Iterator[str]:
    """A Prometheus that scrapes `address`, host and port, each second, whether somebody is there or not; gives its URL
    once it answers."""
    config = directory / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: target, static_configs: [{{targets: ['{address}']}}]}}]\n"
    )
    with configured(config) as url:
        yield url


@contextmanager
def configured(config: Path) -> Iterator[str]:
    """A Prometheus with this configuration, beside which its data are kept; gives its URL once it answers."""
    assert shutil.which("prometheus"), "a real Prometheus is needed: apt-get install prometheus"
    directory = config.parent
    url = f"http://127.0.0.1:{free_port()}"
    log_path = directory / "prometheus.txt"
    with log_path.open("w") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address={url.removeprefix('http://')}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline_s = time.monotonic() + 30.0
        while not _answers(url):
            assert process.poll() is None, log_path.read_text()
            assert time.monotonic() < deadline_s, log_path.read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


def ask(url: str, path: str, **parameters: str | float) -> Any:
    """What its API answers. Raises AssertionError, with Prometheus' own words, when it refuses."""
    answer = requests.get(f"{url}/api/v1/{path}", params=parameters, timeout=10)
    assert answer.ok, f"{parameters}: {answer.text}"
    return answer.json()["data"]


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=5).ok
    except requests.ConnectionError:
        return False


def _scraped(url: str) -> bool:
    try:
        answer = requests.get(f"{url}/api/v1/query", params={"query": "up == 1"}, timeout=5)
    except requests.ConnectionError:
        return False
    return answer.ok and bool(answer.json()["data"]["result"])
