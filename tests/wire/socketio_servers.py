"""Socket.IO servers in a process of their own: `python -m tests.wire.socketio_servers` prints the ports of both.

The first does what its URL's path says, frame by frame. The second is python-socketio's own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import socketio
from websockets.sync.server import ServerConnection, serve
from werkzeug.serving import WSGIRequestHandler, make_server


class Servers(NamedTuple):
    """The base URLs of both."""

    scripted: str
    real: str


@contextmanager
def running() -> Iterator[Servers]:
    """Both servers, until the end of the block."""
    command = [sys.executable, "-m", "tests.wire.socketio_servers"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        scripted, real = (int(port) for port in process.stdout.readline().split())
        yield Servers(f"http://127.0.0.1:{scripted}", f"http://127.0.0.1:{real}")
        process.kill()


def opening(interval_ms: int = 25_000, timeout_ms: int = 20_000) -> str:
    return "0" + json.dumps({"sid": "e", "upgrades": [], "pingInterval": interval_ms, "pingTimeout": timeout_ms})


def kick(ws: ServerConnection) -> None:
    """As Verity does with a bad token: accept, kick, close."""
    ws.send(opening())
    for _ in range(2):
        namespace = ws.recv()[2:].partition(",")[0]
        ws.send(f'40{namespace},{{"sid":"s"}}')
        if namespace == "/queue":
            ws.send("41/queue,")
    ws.send("41/video,")


def slow_open(ws: ServerConnection) -> None:
    """An open packet after 0.2 s, and the consent to the namespace 0.4 s later."""
    time.sleep(0.2)
    ws.send(opening())
    ws.recv()
    time.sleep(0.4)
    ws.send("40")
    ws.recv()


def silent(ws: ServerConnection) -> None:
    """Not even an open packet."""
    ws.recv()


def no_ping(ws: ServerConnection) -> None:
    """Events in plenty, but no ping."""
    ws.send(opening(60, 60))
    ws.recv()
    ws.send("40")
    while True:
        ws.send('42["busy"]')
        time.sleep(0.01)


def pings(ws: ServerConnection) -> None:
    """A ping every 40 ms, each of which must be answered; then how many were."""
    ws.send(opening(40, 400))
    ws.recv()
    ws.send("40")
    for number in range(6):
        ws.send("2probe" if number == 3 else "2")
        assert ws.recv() == ("3probe" if number == 3 else "3")
        time.sleep(0.04)
    ws.send('42["answered",6]')
    ws.recv()


def dismiss(ws: ServerConnection) -> None:
    """An Engine.IO close packet."""
    ws.send(opening())
    ws.send("1")
    ws.recv()


def binary(ws: ServerConnection) -> None:
    """A binary event among others."""
    ws.send(opening())
    ws.recv()
    ws.send("40")
    ws.send('451-["photo",{"_placeholder":true,"num":0}]')
    ws.send(b"\x00\x01")
    ws.send('42["after"]')
    ws.recv()


def die(ws: ServerConnection) -> None:
    """Take a call and end without a word."""
    ws.send(opening())
    ws.recv()
    ws.send("40")
    ws.recv()
    ws.socket.close()


def two(ws: ServerConnection) -> None:
    """Two namespaces on one connection; say what came in, and in which."""
    ws.send(opening())
    for _ in range(2):
        namespace = ws.recv()[2:].partition(",")[0]
        ws.send(f'40{namespace},{{"sid":"s"}}')
    while True:
        text = ws.recv()
        namespace = text[2:].partition(",")[0]
        ws.send(f"42{namespace},{json.dumps(['said', text])}")


SCRIPTS: dict[str, Callable[[ServerConnection], None]] = {
    f"/{script.__name__}/socket.io/": script
    for script in (kick, slow_open, silent, no_ping, pings, dismiss, binary, die, two)
}


def run_script(ws: ServerConnection) -> None:
    assert ws.request is not None
    path, _, query = ws.request.path.partition("?")
    assert query.startswith("EIO=4&transport=websocket")
    SCRIPTS[path](ws)


def real_app() -> socketio.WSGIApp:
    server = socketio.Server(async_mode="threading", ping_interval=1, ping_timeout=0.5)

    @server.on("connect", namespace="/queue")
    def connect_queue(sid: str, environ: dict, auth: dict | None) -> None:
        if (auth or {}).get("token") == "bad":
            raise socketio.exceptions.ConnectionRefusedError("no such user")

    @server.on("connect", namespace="/video")
    def connect_video(sid: str, environ: dict, auth: dict | None) -> None:
        server.emit("hello", {"to": auth}, to=sid, namespace="/video")

    @server.on("add", namespace="/queue")
    def add(sid: str, *numbers: int) -> int:
        return sum(numbers)

    @server.on("add slowly", namespace="/queue")
    def add_slowly(sid: str, after_s: float, *numbers: int) -> int:
        time.sleep(after_s)
        return sum(numbers)

    @server.on("say", namespace="/queue")
    def say(sid: str, *events: list) -> None:
        for name, *values in events:
            server.emit(name, tuple(values), to=sid, namespace="/queue")

    @server.on("ask", namespace="/queue")
    def ask(sid: str, question: str) -> None:
        answer = lambda *words: server.emit("answered", words, to=sid, namespace="/queue")  # noqa: E731
        server.emit("question", question, to=sid, namespace="/queue", callback=answer)

    @server.on("kick me", namespace="/queue")
    def kick_me(sid: str) -> None:
        server.disconnect(sid, namespace="/queue")

    return socketio.WSGIApp(server)


class Quiet(WSGIRequestHandler):
    def log(self, *args: object) -> None:
        pass


def main() -> None:
    scripted = serve(run_script, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=1)
    real = make_server("127.0.0.1", 0, real_app(), threaded=True, request_handler=Quiet)
    for server in (scripted, real):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(scripted.socket.getsockname()[1], real.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
