"""Files and servers that bytes of outputs go to, real ones."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pika_locust.outputs import sinks
from pika_locust.outputs.sinks import FileSink, HttpSink, UndeliveredError


def test_what_a_file_was_sent_can_be_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "points.json"
    path.write_text("an older one, which was longer")
    sink = FileSink(str(path))
    sink.send(b"")
    assert path.read_bytes() == b""
    sink.send(b"one\n")
    assert path.read_bytes() == b"one\n"
    sink.send(b"two\n")
    sink.close()
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_compressed_file_can_be_read_to_the_last_portion_before_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "points.json.gz"
    sink = FileSink(str(path))
    sink.send(b"one\n")
    with gzip.open(path) as opened:
        assert opened.readline() == b"one\n"
    sink.send(b"two\n")
    sink.close()
    with gzip.open(path) as opened:
        assert opened.read() == b"one\ntwo\n"


@pytest.mark.parametrize("name", ["full", "full.gz"])
def test_a_full_disk_is_told(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.symlink_to("/dev/full")
    sink = FileSink(str(path))
    with pytest.raises(UndeliveredError, match="No space left on device") as told:
        sink.send(b"one\n")
    assert not told.value.again
    with pytest.raises(UndeliveredError, match="No space left on device"):
        sink.close()


class Server(ThreadingHTTPServer):
    """Answers with the statuses that it is given, the last of them again and again, and notes what came."""

    daemon_threads = True

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = list(statuses)
        self.came: list[tuple[str, str | None, bytes]] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append((self.path, self.headers["Authorization"], body))
        status = self.server.statuses[0]
        if len(self.server.statuses) > 1:
            del self.server.statuses[0]
        if not status:
            self.server.released.wait(30)
            return
        words = b'{"error":"nobody knows Bearer 5dXkq0vTjzYb3hPw1"}'
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(words)))
        self.end_headers()
        self.wfile.write(words)

    def log_message(self, *_: object) -> None:
        """Pytest's output is no access log."""


@contextmanager
def serving(*statuses: int) -> Iterator[Server]:
    with Server(*statuses) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "again"), [(503, True), (500, True), (429, True), (400, False), (401, False), (404, False)]
)
def test_what_a_server_refuses_is_told_and_whether_it_may_come_again(status: int, again: bool) -> None:
    with serving(status) as server:
        sink = HttpSink(f"{server.url}/write", {"Authorization": "Token abc"})
        with pytest.raises(UndeliveredError, match=rf"answered {status} [A-Z].*nobody knows Bearer REDACTED") as told:
            sink.send(b"points")
        assert told.value.again is again
        assert server.came == [("/write", "Token abc", b"points")]
        sink.close()


def test_a_redirect_is_not_followed() -> None:
    with serving(307) as server:
        with pytest.raises(UndeliveredError, match="answered 307 Temporary Redirect"):
            HttpSink(server.url, {}).send(b"points")
        assert len(server.came) == 1


def test_a_database_that_is_missing_is_made_once() -> None:
    with serving(404, 200, 204, 404) as server:
        sink = HttpSink(f"{server.url}/write?db=k6", {}, f"{server.url}/query?q=x")
        sink.send(b"points")
        assert [path for path, _, _ in server.came] == ["/write?db=k6", "/query?q=x", "/write?db=k6"]
        with pytest.raises(UndeliveredError, match="answered 404"):
            sink.send(b"points")
        assert len(server.came) == 4


def test_a_server_that_hangs_or_is_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "ANSWER_WITHIN_S", 0.2)
    with serving(0) as server:
        with pytest.raises(UndeliveredError, match=r"no answer within 0\.2 s") as told:
            HttpSink(server.url, {}).send(b"points")
        assert told.value.again
        url = server.url
    with pytest.raises(UndeliveredError, match="Connection refused") as told:
        HttpSink(url, {}).send(b"points")
    assert told.value.again


def test_neither_a_proxy_nor_a_netrc_of_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    os.chmod(tmp_path / ".netrc", 0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving(204) as server:
        HttpSink(server.url, {}).send(b"points")
        assert server.came == [("/", None, b"points")]
