"""Figures of the target that are read while it is loaded: `--observe NAME=SOURCE`, each a metric of that name.

A source is a page of the target (JSON, or as Prometheus scrapes it), a query to a Prometheus, a process or a control
group of this machine, or a log file that is followed.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pika_locust.metrics.metric import Metric, counter, gauge
from pika_locust.observe.prometheus import Prometheus
from pika_locust.observe.target import PROBE_WITHIN_S, ProcessMemory, look, problem_of
from pika_locust.url import parse_url

EXAMPLES: Mapping[str, str] = {
    "http": "redis_latency=http://127.0.0.1:3001/health#checks.redis.latency",
    "promql": "pool_used=promql:http://127.0.0.1:9090#sum(pg_stat_activity_count)",
    "rss": "server_mb=rss:1234",
    "cpu": "server_cpu=cpu:1234",
    "cgroup": "container_mb=cgroup:/sys/fs/cgroup/system.slice/docker-0123456789ab.scope",
    "log": "server_errors=log:/var/log/server.log#ERROR|panic",
}
"""Every kind of source, and how it is written."""

MAX_PAGE_BYTES = 4_000_000
MAX_LOG_BYTES_A_LOOK = 16_000_000
"""What is written to a log faster than this is counted later; the load generator has other things to do."""
DEFAULT_PATTERN = r"(?i)\b(error|fatal|critical|panic)\b"
_MEMORY_FILES = ("memory.current", "memory.usage_in_bytes")
"""Of control groups, in version 2 and 1 (Linux's admin-guide: cgroup-v2 and cgroup-v1/memory)."""


GONE = "there is no such process any more"


class UnobservedError(Exception):
    """A source could not be read now, and why."""


class Source:
    """Where a figure is read, by calling it."""

    def __init__(self, read: Callable[[], float]) -> None:
        self._read = read
        self.is_behind = False
        """Whether there is more to read already than this was asked for."""

    def __call__(self) -> float:
        """The level now; of a counter what has come since the last time. Raises UnobservedError."""
        return self._read()

    def close(self) -> None:
        """Let go of what is open; nothing is read any more."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One `--observe`: the metric's name, and its source as it was written."""

    name: str
    where: str
    is_optional: bool = False
    """Whether a target may well have no such figure."""
    declared: Metric | None = None
    """The metric, where a scenario declares it."""

    @property
    def metric(self) -> Metric:
        """The metric that the source is measured as."""
        if self.declared is not None:
            return self.declared
        kind, _, _ = self.where.partition(":")
        if kind == "log":
            return counter(self.name, "lines of the target's log that match")
        return gauge(self.name, _ABOUT[kind], _UNITS.get(kind, ""), merge="max")


_UNITS = {"rss": "MB", "cgroup": "MB", "cpu": "%"}
_ABOUT = {
    "http": "read on a page of the target",
    "https": "read on a page of the target",
    "promql": "what a Prometheus says of the target",
    "rss": "resident memory of a process and its children",
    "cpu": "what a process and its children take of a processor",
    "cgroup": "memory of a control group, such as a container's",
}


def read_observation(option: str, *, is_here: bool = True) -> Observation:
    """What `NAME=SOURCE` says. Raises ValueError, with what would be right.

    Arguments:
        is_here: whether it is this machine that looks; another one's processes and files are not known here.
    """
    name, equals, where = option.partition("=")
    if not equals or not where:
        raise ValueError(f"it must be NAME=SOURCE, such as {EXAMPLES['http']}")
    try:
        _check(where, is_here)
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from None
    found = Observation(name, where)
    # Raises ValueError for a name that no metric can have.
    assert found.metric.name
    return found


def _check(where: str, is_here: bool) -> None:
    """Raises ValueError, and OSError for files that cannot be read."""
    kind, colon, rest = where.partition(":")
    match kind:
        case "http" | "https":
            _split(where, "http")
        case "rss" | "cpu":
            if re.fullmatch("[0-9]{1,9}", rest) is None or (is_here and not psutil.pid_exists(int(rest))):
                raise ValueError(f"{kind}: must be the number of a process of this machine, such as {EXAMPLES[kind]}")
        case "cgroup":
            if is_here:
                _memory_file(rest).open("rb").close()
        case "log":
            path, _ = _log(rest)
            if is_here:
                if not path.is_file():
                    raise ValueError(f"{path} is no file; a log is named as in {EXAMPLES['log']}")
                path.open("rb").close()
        case "promql":
            _split(rest, kind)
        case _:
            raise ValueError(f"{kind + colon!r} is no source; there are {'; '.join(EXAMPLES.values())}")


def _split(where: str, kind: str) -> tuple[str, str]:
    url, _, key = where.partition("#")
    parse_url(url, "http", "https")
    if not key.strip():
        raise ValueError(f"behind a # must be what to read there, as in {EXAMPLES[kind]}")
    return url, key


def source_of(observation: Observation, headers: Mapping[str, str] | None = None) -> Source:
    """The source of an observation that `read_observation` has given; `headers` are sent to pages.

    Raises UnobservedError for what was there then, and is not now.
    """
    try:
        return _source_of(observation, headers)
    except psutil.Error:
        raise UnobservedError(GONE) from None
    except (OSError, ValueError) as error:
        raise UnobservedError(str(error)) from None


def _source_of(observation: Observation, headers: Mapping[str, str] | None) -> Source:
    kind, _, rest = observation.where.partition(":")
    match kind:
        case "http" | "https":
            url, key = _split(observation.where, "http")
            return Source(lambda: read_page(url, key, headers))
        case "promql":
            url, query = _split(rest, kind)
            prometheus = Prometheus(url.rstrip("/"), None, PROBE_WITHIN_S)
            return Source(lambda: _one_series(prometheus, query))
        case "rss":
            process = ProcessMemory(int(rest))
            return Source(lambda: _memory_of(process))
        case "cpu":
            return Source(_ProcessCpu(int(rest)).percent)
        case "cgroup":
            path = _memory_file(rest)
            return Source(lambda: _memory_in(path))
    return _Log(*_log(rest))


# Pages


def read_page(url: str, key: str, headers: Mapping[str, str] | None = None) -> float:
    """A number on a page of the target, see `find`. Raises UnobservedError when it is not there."""
    answer = look(url, headers, within_s=PROBE_WITHIN_S, max_body_bytes=MAX_PAGE_BYTES)
    if (problem := problem_of(answer, PROBE_WITHIN_S)) is not None:
        raise UnobservedError(problem)
    # A health page that reports a trouble does so with 503, and is what one wants to read then.
    if not 200 <= answer.status < 300 and answer.status != 503:
        raise UnobservedError(f"answered {answer.summary}")
    return find(answer.content, key)


def find(page: bytes, key: str) -> float:
    """The number that `key` names on a page.

    On a JSON page, members and positions with dots between them: `checks.redis.latency`. On a page that Prometheus
    scrapes, a series as it stands there (`http_requests_total{code="500"}`), or a name, whose series are added up.

    Raises UnobservedError when there is none.
    """
    try:
        document = json.loads(page)
    except (ValueError, RecursionError):
        return _of_exposition(page.decode(errors="replace"), key)
    return _of_json(document, key)


def _of_json(document: Any, key: str) -> float:
    found = document
    for name in key.split("."):
        try:
            found = found[int(name)] if isinstance(found, list) else found[name]
        except (KeyError, IndexError, TypeError, ValueError):
            raise UnobservedError(f"the page has no {key}") from None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise UnobservedError(f"{key} on the page is no number")
    return _finite(found, key)


def _of_exposition(page: str, key: str) -> float:
    # Prometheus' text format: a series, blanks, a value, and perhaps a time.
    series = re.compile(rf"^{re.escape(key)}(?:\{{[^\n]*\}})?[ \t]+([^\s]+)", re.MULTILINE)
    values = series.findall(page)
    if not values:
        raise UnobservedError(f"the page is no JSON, and has no series {key}")
    try:
        return math.fsum(_finite(float(value), key) for value in values)
    except ValueError:
        raise UnobservedError(f"{key} on the page is no number") from None


def _finite(value: float, key: str) -> float:
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise UnobservedError(f"{key} is no finite number")
    return found


def _one_series(prometheus: Prometheus, query: str) -> float:
    reading = prometheus.poll(query)
    if not reading.series:
        raise UnobservedError(reading.why_nothing)
    if len(reading.series) > 1:
        raise UnobservedError(f"the query gives {len(reading.series)} series; a sum() or max() makes them one")
    (value,) = reading.series.values()
    return _finite(value, "the query's value")


# Processes and control groups of this machine


def _memory_of(process: ProcessMemory) -> float:
    used_mb = process.poll()
    if used_mb is None:
        raise UnobservedError(GONE)
    return used_mb


class _ProcessCpu:
    """What a process and its children take of the processors, in percent of one, since the last look."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._known: dict[int, psutil.Process] = {}
        self.percent()

    def percent(self) -> float:
        """On average since this was asked before. Raises UnobservedError."""
        try:
            process = self._known.setdefault(self._pid, psutil.Process(self._pid))
            for child in process.children(recursive=True):
                self._known.setdefault(child.pid, child)
            return math.fsum(self._percent(pid) for pid in list(self._known))
        except (OSError, psutil.Error):
            raise UnobservedError(GONE) from None

    def _percent(self, pid: int) -> float:
        try:
            return float(self._known[pid].cpu_percent())
        except psutil.Error:
            del self._known[pid]
            if pid == self._pid:
                raise
            return 0.0


def _memory_file(group: str) -> Path:
    for name in _MEMORY_FILES:
        path = Path(group, name)
        if group and path.is_file():
            return path
    raise ValueError(f"{group or 'it'} is no control group with {' or '.join(_MEMORY_FILES)}; {EXAMPLES['cgroup']} is")


def _memory_in(path: Path) -> float:
    try:
        return int(path.read_text()) / 1e6
    except (OSError, ValueError):
        raise UnobservedError(f"{path} cannot be read any more") from None


# Log files


def _log(where: str) -> tuple[Path, re.Pattern[bytes]]:
    path, _, pattern = where.partition("#")
    try:
        return Path(path), re.compile((pattern or DEFAULT_PATTERN).encode())
    except re.error as error:
        raise ValueError(f"the pattern {pattern!r} is no regular expression: {error}") from None


class _Log(Source):
    """The lines that match, of those that are written from now on; a file that is rotated or cut is begun anew."""

    def __init__(self, path: Path, pattern: re.Pattern[bytes]) -> None:
        super().__init__(self._count_new)
        self._path = path
        self._pattern = pattern
        self._files: list[_LogFile] = []
        # All that will be in a file that is not there yet is new.
        with suppress(FileNotFoundError):
            self._files.append(_LogFile(path))
            self._files[0].skip()

    def close(self) -> None:
        while self._files:
            self._files.pop().close()

    def _count_new(self) -> float:
        """How many have been written since this was asked before."""
        try:
            return float(sum(self._pattern.search(line) is not None for line in self._lines()))
        except OSError as error:
            raise UnobservedError(f"{self._path}: {error.strerror}") from None

    def _lines(self) -> list[bytes]:
        replaced = self._files[:-1]
        if not self._files or not self._files[-1].is_at(self._path):
            # A server goes on with the file that it has until it is told to open another: this one is read once more.
            self._files.append(_LogFile(self._path))
        lines, left = [], MAX_LOG_BYTES_A_LOOK
        for file in self._files:
            new = file.read(left)
            left -= new
            lines += file.take_lines()
        self.is_behind = left == 0
        if not self.is_behind:
            for file in replaced:
                self._files.remove(file)
                file.close()
        return lines


class _LogFile:
    """A file that is read from its beginning, piece by piece."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._file = path.open("rb", buffering=0)
        self._position = 0
        self._unfinished = b""

    def is_at(self, path: Path) -> bool:
        """Whether this is the file of that name still. Raises OSError when there is none."""
        return os.path.samestat(os.fstat(self._file.fileno()), path.stat())

    def skip(self) -> None:
        """Pass over what is there."""
        self._position = os.fstat(self._file.fileno()).st_size

    def read(self, at_most: int) -> int:
        """Read what is new, and say how many bytes that was; a file that was cut is begun anew."""
        if os.fstat(self._file.fileno()).st_size < self._position:
            self._position, self._unfinished = 0, b""
        self._file.seek(self._position)
        new = self._file.read(at_most) or b""
        self._position += len(new)
        self._unfinished += new
        return len(new)

    def take_lines(self) -> list[bytes]:
        """The lines that were read; of one that is still being written, the beginning waits for the rest."""
        *lines, rest = self._unfinished.split(b"\n")
        self._unfinished = rest[-MAX_LOG_BYTES_A_LOOK:]
        return lines

    def close(self) -> None:
        """Close it."""
        self._file.close()
