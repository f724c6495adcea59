"""A target for any locustfile. It counts what it answers, so that nobody has to be believed."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MISSING = ("/error", "/does_not_exist")
SLOW = "/slow"
SLOW_S = 0.3


class Target(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answered: Counter[int] = Counter()
        """How many requests, by status."""
        self.asked: Counter[str] = Counter()
        """How many requests, by path."""
        self.broken = False
        """Answer everything with 503."""
        self.orders: list[str] = []
        """The ids of the orders that are held."""
        self.loses = 0
        """Lose every so many-th order that was acknowledged; 0 loses none."""
        self.hangs_up = False
        """Take orders, and close the connection instead of answering."""
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def count(self, status: int, path: str) -> None:
        with self._lock:
            self.answered[status] += 1
            self.asked[path] += 1

    def take(self, order: str) -> None:
        with self._lock:
            self._taken += 1
            if not self.loses or self._taken % self.loses:
                self.orders.append(order)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Target

    def do_GET(self) -> None:
        sent = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == SLOW:
            time.sleep(SLOW_S)
        status = 503 if self.server.broken else 404 if self.path in MISSING else 200
        body = b'{"ok": true}'
        if status == 200 and self.path.startswith("/orders"):
            status, body = self._orders(sent)
        if status == 201 and self.server.hangs_up:
            self.close_connection = True
            return
        self.server.count(status, self.path)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _orders(self, sent: bytes) -> tuple[int, bytes]:
        if self.command == "POST":
            order = json.loads(sent)["id"]
            self.server.take(order)
            return 201, json.dumps({"id": order}).encode()
        held = self.server.orders
        return 200, json.dumps({"count": len(held)} if self.path == "/orders/count" else {"ids": held}).encode()

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def target() -> Iterator[Target]:
    """A target on loopback, as long as the context lasts."""
    server = Target()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
