"""Starts the sandbox as a subprocess and controls it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from pika_locust.errors import ConfigurationError, ExitCode, SetupError

LOOPBACK = "127.0.0.1"
_LOOPBACK_OF = {"0.0.0.0": LOOPBACK, "::": "::1"}
"""Hosts that stand for all addresses of this machine, and how they are reached: `::` is those of IPv6 alone."""
START_TIMEOUT_S = 20.0
SILENCE_S = 8.0
"""A child that has not said a word by then is given up once, and another one is started: forked from a process with
other threads, one in a great many never gets as far as its own program."""
STOP_TIMEOUT_S = 3.0
CONTROL_TIMEOUT_S = 10.0
STDERR_TAIL = 2000
NOTHING = "it said nothing"
_POLL_S = 0.01


class SandboxProcess:
    """A running sandbox. It ends with `stop`, and by itself as soon as this process is gone."""

    def __init__(self, child: subprocess.Popen[bytes], port: int, stderr: IO[bytes], host: str = LOOPBACK) -> None:
        self.url = f"http://{_in_url(_LOOPBACK_OF.get(host, host))}:{port}"
        self.port = port
        self.pid = child.pid
        self._child = child
        self._stderr = stderr

    def __enter__(self) -> SandboxProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def exit_code(self) -> int | None:
        """What the process ended with, or None while it runs."""
        return self._child.poll()

    def stop(self) -> None:
        """Ends the process at once, without its last notices, and waits for its end; may be called more than once."""
        _end(self._child)
        self._stderr.close()

    def terminate(self) -> None:
        """Asks the process to stop as an operator would stop the real server, and waits for its end."""
        self._child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(STOP_TIMEOUT_S)
        self.stop()

    def said(self) -> str:
        """The end of what the process wrote to stderr."""
        return _tail(self._stderr)

    def state(self, users: bool = True) -> dict[str, Any]:
        """What the world holds; see the platform's world. Without `users`, parts by user are left out."""
        return self._call("GET", "state" if users else "state?users=0")

    def faults(self) -> dict[str, Any]:
        """The faults that are on."""
        return dict(self._call("GET", "faults")["faults"])

    def set_faults(self, faults: Mapping[str, Any]) -> None:
        """Switches exactly these faults on; raises `ConfigurationError` when the sandbox refuses them."""
        self._call("PUT", "faults", faults)

    def clear_faults(self) -> None:
        """Switches all faults off."""
        self._call("DELETE", "faults")

    def reset(self) -> None:
        """Cuts all sockets and empties the world; faults stay."""
        self._call("POST", "reset")

    def _call(self, method: str, what: str, body: Any = None) -> dict[str, Any]:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.url}/__sandbox/{what}", data, method=method)
        # no proxy of the environment may come between this process and loopback
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=CONTROL_TIMEOUT_S) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            raise ConfigurationError(json.load(error)["error"]) from error


def start_sandbox(
    platforms: Iterable[str],
    faults: Iterable[str] = (),
    port: int = 0,
    env: Mapping[str, str] | None = None,
    path: Sequence[str] = (),
    host: str = LOOPBACK,
) -> SandboxProcess:
    """Starts a sandbox, on loopback unless told otherwise, and returns when it accepts connections.

    Arguments:
        platforms: names of the worlds to serve, or references (`orders_world:PLATFORM`); one is served at `/`,
            several each under `/<name>`.
        faults: switched on from the start, each `NAME[=VALUE]`.
        port: 0 picks a free one.
        env: the process's environment instead of this process's.
        path: folders where the modules of references are looked for, after those of the process.
        host: the address of this machine, or its name, on which it listens.

    Raises `ConfigurationError` for unknown platforms or faults and `SetupError` when the process does not come up;
    both carry what it said.
    """
    command = [sys.executable, "-P", "-m", "pika_locust.sandbox", "--until-stdin-closes", "--port", str(port)]
    command += ["--host", host]
    command += [part for name in platforms for part in ("--platform", name)]
    command += [part for folder in path for part in ("--path", str(Path(folder).resolve()))]
    command += [part for fault in faults for part in ("--fault", fault)]
    environment = module_environment(os.environ if env is None else env)
    try:
        return _start(command, environment, SILENCE_S, host)
    except _Silent:
        return _start(command, environment, START_TIMEOUT_S, host)


def module_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a Python process finds this package, wherever that was imported from."""
    root = str(Path(__file__).resolve().parents[2])
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, environ.get("PYTHONPATH"))))}


class _Silent(SetupError):
    """The child is there and says nothing."""


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _start(command: list[str], environment: Mapping[str, str], timeout_s: float, host: str) -> SandboxProcess:
    stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
    # the announcement comes through a file: it can be waited for with a timeout under any concurrency library
    with tempfile.TemporaryFile() as stdout:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, env=environment, start_new_session=True
        )
        try:
            announced = _announcement(child, stdout, stderr, timeout_s)
        except BaseException:
            _end(child)
            stderr.close()
            raise
    return SandboxProcess(child, announced["port"], stderr, host)


def _announcement(
    child: subprocess.Popen[bytes], stdout: IO[bytes], stderr: IO[bytes], timeout_s: float
) -> dict[str, int]:
    give_up_at = time.monotonic() + timeout_s
    while True:
        ended = child.poll()
        stdout.seek(0)
        line = stdout.read()
        if line.endswith(b"\n"):
            announced: dict[str, int] = json.loads(line)
            return announced
        if ended is not None:
            said = _tail(stderr)
            if ended == ExitCode.CONFIG:
                raise ConfigurationError(said.splitlines())
            raise SetupError(f"the sandbox ended with code {ended} instead of starting: {said}")
        if time.monotonic() > give_up_at:
            said = _tail(stderr)
            kind = SetupError if said != NOTHING else _Silent
            raise kind(f"the sandbox did not start within {timeout_s:.0f} s: {said}")
        time.sleep(_POLL_S)


def _tail(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    return stderr.read().decode("utf-8", "replace").strip()[-STDERR_TAIL:] or NOTHING


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None and not child.stdin.closed:
        child.stdin.close()
    for insist in (child.terminate, child.kill):
        try:
            child.wait(STOP_TIMEOUT_S)
            return
        except subprocess.TimeoutExpired:
            insist()
    child.wait()
