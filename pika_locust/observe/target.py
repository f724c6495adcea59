"""Probes of the target's health page, and memory of a local target process."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from pika_locust.errors import UnreadableError
from pika_locust.url import Url, parse_url
from pika_locust.wire.http import HttpClient, Response, Timeouts

MAX_ANSWER_BYTES = 64_000_000
READ_WITHIN_S = 10.0
PROBE_WITHIN_S = 5.0
MAX_WORDS = 120
"""Characters of an answer's body in a problem."""


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """One probe: whether it was answered 2xx, its round trip, and whether a sandbox answered."""

    ok: bool
    latency_us: int
    sandbox: str | None


class HealthProbe:
    """Asks a health page, on the way that the load takes; a connection is kept between probes.

    Raises ValueError for a URL that is none.
    """

    def __init__(self, url: str, within_s: float = PROBE_WITHIN_S) -> None:
        target = parse_url(url, "http", "https")
        self._path = _path(target)
        # A health page is short; what is longer is none, and is not read to its end.
        self._http = HttpClient(_base(target), timeouts=_timeouts(within_s), max_redirects=3, max_body_bytes=1 << 20)

    def poll(self) -> HealthAnswer:
        """Probe once."""
        answer = self._http.get(self._path)
        ok = answer.error is None and 200 <= answer.status < 300
        return HealthAnswer(ok, answer.duration_us, answer.headers.get("x-pika-sandbox"))

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


def read_json(url: str, headers: Mapping[str, str] | None = None, within_s: float = READ_WITHIN_S) -> Any:
    """The JSON document that a page of the target is, got on the way that the load takes; for audits.

    Arguments:
        url: may carry credentials, which are sent and not shown.
        headers: sent with the request.
        within_s: seconds for everything: connecting, redirects on the same host, and the last byte of the answer.

    Raises UnreadableError, which says in a sentence what was wrong, for everything but a 2xx answer with a JSON
    document in it; ValueError for a URL that is none.
    """
    target = parse_url(url, "http", "https")
    limits = _timeouts(within_s)
    with HttpClient(_base(target), timeouts=limits, max_redirects=3, max_body_bytes=MAX_ANSWER_BYTES) as http:
        answer = http.get(_path(target), headers=headers)
    if answer.error is not None:
        raise UnreadableError(f"GET {target}: {answer.error.text}")
    if not 200 <= answer.status < 300:
        raise UnreadableError(f"GET {target} was answered {describe(answer)}", answer.status)
    try:
        return answer.json()
    except (ValueError, RecursionError):
        raise UnreadableError(f"GET {target} was answered {describe(answer)}: no JSON", answer.status) from None


def describe(answer: Response) -> str:
    """An answer in a few words: status, reason, where a redirect leads, and the start of its body."""
    words = f"{answer.status} {answer.reason}".strip()
    onward = answer.headers.get("location")
    if onward:
        words += f" to {onward[:MAX_WORDS]}"
    body = " ".join(answer.text[: 4 * MAX_WORDS].split())
    return f"{words} ({body[:MAX_WORDS]})" if body else words


def _base(target: Url) -> str:
    credentials = f"{target.credentials}@" if target.credentials is not None else ""
    return f"{target.scheme}://{credentials}{target.authority}"


def _path(target: Url) -> str:
    return (target.path or "/") + (f"?{target.query}" if target.query else "")


def _timeouts(within_s: float) -> Timeouts:
    return Timeouts(within_s, within_s, within_s, within_s, within_s, within_s)


class ProcessMemory:
    """Resident memory of a process of this machine and of its children, in MB."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def poll(self) -> float | None:
        """Memory now; None when the process is gone or hidden from us."""
        try:
            processes = [self._process, *self._process.children(recursive=True)]
            return sum(float(process.memory_info().rss) for process in processes) / 1e6
        except psutil.Error:
            return None


def listening_pid(host: str, port: int) -> int | None:
    """The process of this machine that listens on the port; None when the host is another machine, or nobody says."""
    try:
        if not ipaddress.ip_address(socket.gethostbyname(host)).is_loopback:
            return None
        for connection in psutil.net_connections(kind="tcp"):
            address = connection.laddr
            if connection.status == psutil.CONN_LISTEN and address and address.port == port and connection.pid:
                return int(connection.pid)
    except (OSError, psutil.Error):
        return None
    return None
