"""Probes of the target's health page, and memory of a local target process."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import psutil

from pika_locust.clock import monotonic
from pika_locust.errors import UnreadableError
from pika_locust.format import clock
from pika_locust.url import Url, parse_url
from pika_locust.wire.http import ErrorKind, HttpClient, Response, Timeouts, redirect

MAX_REDIRECTS = 3
MAX_HEALTH_BYTES = 1 << 20
"""A health page is short; what is longer is none, and is not read to its end."""
MAX_ANSWER_BYTES = 64_000_000
READ_WITHIN_S = 10.0
PROBE_WITHIN_S = 5.0
MAX_OUTAGES = 5
"""Outages that a sentence lists."""


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """One probe: whether it was answered 2xx, its round trip, and whether a sandbox answered."""

    ok: bool
    latency_us: int
    sandbox: str | None
    problem: str = ""
    """What was wrong, when it was not answered 2xx."""


class HealthProbe:
    """Asks a health page, on the way that the load takes; a connection is kept between probes.

    Raises ValueError for a URL that is none.
    """

    def __init__(self, url: str, within_s: float = PROBE_WITHIN_S) -> None:
        target = parse_url(url, "http", "https")
        self._path = _path(target)
        self._within_s = within_s
        self._http = HttpClient(_base(target), max_body_bytes=MAX_HEALTH_BYTES)

    def poll(self) -> HealthAnswer | None:
        """Probe once; None when this machine had no file or port left for it, which says nothing of the target."""
        answer = _get(self._http, self._path, None, self._within_s)
        if answer.error is not None and answer.error.kind is ErrorKind.LOCAL:
            return None
        ok = answer.error is None and 200 <= answer.status < 300
        problem = "" if ok else problem_of(answer, self._within_s) or f"answered {answer.summary}"
        return HealthAnswer(ok, answer.duration_us, answer.headers.get("x-pika-sandbox"), problem)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


@dataclass(slots=True)
class Outage:
    """A time in which the target's health page was not answered as it had been before, by the monotonic clock."""

    from_s: float
    problem: str
    to_s: float | None = None
    """When it was answered again; None: not yet."""


class Outages:
    """When the target went away, and came back, as its health page shows it.

    A target that has never answered has not gone away: it may have no such page.
    """

    def __init__(self) -> None:
        self.all: list[Outage] = []
        self._has_answered = False

    @property
    def is_away(self) -> bool:
        """Whether the target is away now."""
        return bool(self.all) and self.all[-1].to_s is None

    def note(self, problem: str, at_s: float) -> None:
        """The page was asked now, and this was wrong; nothing, if nothing was."""
        if not problem:
            self._has_answered = True
            if self.is_away:
                self.all[-1].to_s = at_s
        elif self._has_answered and not self.is_away:
            self.all.append(Outage(at_s, problem))

    def describe(self, began_s: float) -> str:
        """All of them as a sentence, in times since the load began; empty when there are none."""
        told = [
            f"from {clock(outage.from_s - began_s)} "
            + (f"to {clock(outage.to_s - began_s)}" if outage.to_s is not None else "on")
            + f" ({outage.problem})"
            for outage in self.all[:MAX_OUTAGES]
        ]
        if not told:
            return ""
        more = f", and {len(self.all) - MAX_OUTAGES} times more" if len(self.all) > MAX_OUTAGES else ""
        return f"the target's health page was not answered {', '.join(told)}{more}"


def look(
    url: str, headers: Mapping[str, str] | None = None, *, within_s: float, max_body_bytes: int = MAX_ANSWER_BYTES
) -> Response:
    """The answer to a GET, got on the way that the load takes: no proxy, the same trust. Redirects are followed on the
    same host only.

    Arguments:
        url: may carry credentials, which are sent and not shown.
        headers: sent with the request.
        within_s: seconds for everything: connecting, redirects, and the last byte of the answer.
        max_body_bytes: a longer body is an error, and is not read to its end.

    Raises ValueError for a URL that is none; whatever else goes wrong is the answer's `error`.
    """
    target = parse_url(url, "http", "https")
    with HttpClient(_base(target), max_body_bytes=max_body_bytes) as http:
        return _get(http, _path(target), headers, within_s)


def problem_of(answer: Response, within_s: float) -> str | None:
    """Why a look that had so many seconds got no answer; None when it got one."""
    if answer.error is None:
        return None
    late = answer.error.kind in (ErrorKind.READ_TIMEOUT, ErrorKind.CONNECT_TIMEOUT)
    return no_answer(within_s) if late else answer.error.text


def no_answer(within_s: float) -> str:
    """The problem of a look that took too long."""
    return f"no answer within {within_s:g} s"


def read_json(url: str, headers: Mapping[str, str] | None = None, within_s: float = READ_WITHIN_S) -> Any:
    """The JSON document that a page of the target is, for audits; the arguments are those of `look`.

    Raises UnreadableError, which says in a sentence what was wrong, for everything but a 2xx answer with a JSON
    document in it; ValueError for a URL that is none.
    """
    target = parse_url(url, "http", "https")
    answer = look(url, headers, within_s=within_s, max_body_bytes=MAX_ANSWER_BYTES)
    if (problem := problem_of(answer, within_s)) is not None:
        raise UnreadableError(f"GET {target}: {problem}")
    if not 200 <= answer.status < 300:
        raise UnreadableError(f"GET {target} was answered {answer.summary}", answer.status)
    try:
        return answer.json()
    except (ValueError, RecursionError):
        raise UnreadableError(f"GET {target} was answered {answer.summary}: no JSON", answer.status) from None


def _base(target: Url) -> str:
    credentials = f"{target.credentials}@" if target.credentials is not None else ""
    return f"{target.scheme}://{credentials}{target.authority}"


def _path(target: Url) -> str:
    return (target.path or "/") + (f"?{target.query}" if target.query else "")


def _get(http: HttpClient, path: str, headers: Mapping[str, str] | None, within_s: float) -> Response:
    give_up_s = monotonic() + within_s
    answer = http.get(path, headers=headers, timeouts=_timeouts(within_s))
    for _ in range(MAX_REDIRECTS):
        onward = redirect(http.origin, path, "GET", answer) if 300 <= answer.status < 400 else None
        left_s = give_up_s - monotonic()
        if onward is None or left_s <= 0:
            break
        path = onward[1]
        answer = http.get(path, headers=headers, timeouts=_timeouts(left_s))
    return answer


def _timeouts(within_s: float) -> Timeouts:
    return Timeouts(within_s, within_s, within_s, within_s, within_s, within_s)


_LISTENS = " 0A "
"""The state of a listening socket in the kernel's tables."""


class ProcessMemory:
    """Resident memory of a process of this machine and of its children, in MB."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def poll(self) -> float | None:
        """Memory now; None when the process is gone or hidden from us."""
        try:
            used_bytes = self._process.memory_info().rss
            for child in self._process.children(recursive=True):
                # Servers start children that end at any moment.
                with suppress(psutil.NoSuchProcess):
                    used_bytes += child.memory_info().rss
        except (OSError, psutil.Error):
            return None
        return float(used_bytes) / 1e6


def listening_pid(host: str, port: int) -> int | None:
    """The process of this machine that listens on the port; None when the host is another machine, or nobody says.

    Where a process and its children do, it is the one that was there first.
    """
    try:
        if not ipaddress.ip_address(socket.gethostbyname(host)).is_loopback:
            return None
        sockets = set(_listening_sockets(port))
        # Not by `psutil.net_connections`, which takes a second for what an earlier run has left of its connections.
        return next(filter(partial(_has_open, sockets), sorted(psutil.pids())), None) if sockets else None
    except (OSError, psutil.Error):
        return None


def _listening_sockets(port: int) -> Iterator[str]:
    """What a file descriptor of each socket that listens on the port is called."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(FileNotFoundError), open(table) as lines:
            for line in lines:
                if _LISTENS in line and int(line.split()[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{line.split()[9]}]"


def _has_open(files: Collection[str], pid: int) -> bool:
    try:
        with os.scandir(f"/proc/{pid}/fd") as descriptors:
            return any(_leads_to(descriptor.path) in files for descriptor in descriptors)
    except OSError:
        # Gone, or somebody else's.
        return False


def _leads_to(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
