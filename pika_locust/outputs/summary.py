"""The summary JSON file and its schema.

Fields may be added; none is renamed or taken away without a new `schema` number.
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import select
import stat
import time
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pika_locust.clock import monotonic
from pika_locust.judge.report import Report, ThresholdResult, WorkerReport
from pika_locust.outputs import redact

SCHEMA = 1
STREAM_WITHIN_S = 10.0
"""How long a summary that goes to a pipe waits for its reader."""
_DIRECTORY = "there is a directory at that name"


def to_dict(report: Report) -> dict[str, Any]:
    """The report as JSON can carry it: fixed order of keys, null for what is not a finite number, no secrets."""
    summary = {
        "schema": SCHEMA,
        "run_id": report.run_id,
        "scenario": report.scenario,
        "verdict": report.verdict,
        "exit_code": int(report.exit_code),
        "reasons": report.reasons,
        "seed": report.seed,
        "command": report.command,
        "settings": report.settings,
        "versions": report.versions,
        "target": report.target,
        "sandbox": report.sandbox,
        "started_at": report.started_at,
        "duration_s": report.duration_s,
        "load": report.load,
        "thresholds": [_threshold(result) for result in report.thresholds],
        "metrics": {name: report.metrics[name] for name in sorted(report.metrics)},
        "distributions": {name: _distribution(report.distributions[name]) for name in sorted(report.distributions)},
        "checks": report.checks,
        "audits": report.audits,
        "workers": [_worker(worker) for worker in report.workers],
        "errors": report.errors,
        "generator": report.generator,
        "observed": report.observed,
        "observed_metrics": report.observed_metrics,
        "traces": report.traces,
        "outputs": report.outputs,
        "resolving_power": report.resolving_power,
        "notes": report.notes,
        "timeline": report.timeline,
    }
    return {name: _plain(value) for name, value in summary.items()}


def write(report: Report, path: str) -> str | None:
    """Write the summary to `path`, whole or not at all; returns what went wrong as a sentence, or None.

    Directories are made. A reader never sees half a file, and after a failure an earlier one is still there. A path
    that is no file (`/dev/stdout`, a pipe) is written to as it is, and waited for for at most `STREAM_WITHIN_S`.
    """
    # ASCII alone, with JSON's own escapes: the target's words may hold what a terminal would act on, and a command line
    # odd bytes that are no text.
    summary = to_dict(report)
    # Its columns are for programs; with a line for each number they would be most of the file.
    timeline = _json(summary.pop("timeline"))
    data = f'{_json(summary, indent=2)[:-2]},\n  "timeline": {timeline}\n}}\n'.encode("ascii")
    return write_bytes(data, path, "The summary")


def write_bytes(data: bytes, path: str, what: str) -> str | None:
    """`write` of other results; a sentence about a failure begins with `what`."""
    try:
        if _is_stream(path):
            _write_to_stream(path, data)
        else:
            _replace(os.path.realpath(path), data)
    except (OSError, ValueError) as problem:
        return f"{what} could not be written to {path!r}: {_why(problem)}."
    return None


def write_placeholder(report: Report, path: str) -> str | None:
    """`write`, but of what is replaced when the run ends: nothing is written to a path that is no file."""
    return None if _is_stream(path) else write(report, path)


def unwritable(path: str) -> str | None:
    """Why `write` is going to fail, as a sentence, as far as that can be known beforehand; None when it is not."""
    try:
        if _is_stream(path):
            return None if os.access(path, os.W_OK) else "nothing can be written to it"
        if os.path.isdir(path):
            return _DIRECTORY
        directory = os.path.dirname(os.path.realpath(path))
        os.makedirs(directory, exist_ok=True)
        return None if os.access(directory, os.W_OK) else f"no file can be made in {directory}"
    except (OSError, ValueError) as problem:
        return _why(problem)


def numbered(path: str, n: int) -> str:
    """The path for the n-th test of one process, counted from 1: `a.json`, `a-2.json`, `a-3.json`."""
    if n < 1:
        raise ValueError(f"tests are counted from 1, not {n}")
    if n == 1 or _is_stream(path):
        return path
    stem, suffix = os.path.splitext(path)
    return f"{stem}-{n}{suffix}"


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=True, allow_nan=False)


def _threshold(result: ThresholdResult) -> dict[str, Any]:
    found = _fields(result)
    # The schema's own name for it.
    found["unplaced"] = found.pop("overflowed")
    return found


def _worker(worker: WorkerReport) -> dict[str, Any]:
    return {
        "host": worker.host,
        "index": worker.index,
        "lag_ms": worker.lag_ms,
        "cpu_percent_max": worker.cpu_percent_max,
        "rss_mb_max": worker.rss_mb_max,
        "final": worker.final,
        "lost_at_s": worker.lost_at_s,
    }


def _distribution(distribution: Mapping[str, Any]) -> dict[str, Any]:
    buckets = distribution.get("buckets")
    if not isinstance(buckets, Mapping):
        return dict(distribution)
    return {**distribution, "buckets": {str(i): buckets[i] for i in sorted(buckets, key=int)}}


def _fields(value: Any) -> dict[str, Any]:
    """A dataclass as a dictionary; the report's field names are the schema's."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _plain(value: Any) -> Any:
    """Only what JSON knows."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if is_dataclass(value):
        return {name: _plain(item) for name, item in _fields(value).items()}
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return [_plain(item) for item in sorted(value, key=str)]
    return redact.text(str(value))


def _key(key: Any) -> str:
    """A key without secrets. Those of a distribution are numbers, and thousands."""
    words = str(key)
    return words if words.removeprefix("-").isdecimal() else redact.text(words)


def _why(problem: OSError | ValueError) -> str:
    return problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)


def _is_stream(path: str) -> bool:
    # /dev/stdout may lead to a regular file; replacing that one would cut off whatever else is printed to it
    if path in ("/dev/stdout", "/dev/stderr") or path.startswith("/dev/fd/"):
        return True
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _replace(path: str, data: bytes) -> None:
    if os.path.isdir(path):
        raise IsADirectoryError(0, _DIRECTORY)
    directory = os.path.dirname(path)
    os.makedirs(directory, exist_ok=True)
    temporary = os.path.join(directory, f".summary-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _write_to_stream(path: str, data: bytes) -> None:
    """Write to what may be read by nobody: neither to open it nor to write to it blocks."""
    give_up_s = monotonic() + STREAM_WITHIN_S
    descriptor = _open_stream(path, give_up_s)
    try:
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:
                select.select([], [descriptor], [], max(0.0, give_up_s - monotonic()))
                if monotonic() >= give_up_s:
                    raise TimeoutError(0, f"it was not read within {STREAM_WITHIN_S:g} s") from None
    finally:
        os.close(descriptor)


def _open_stream(path: str, give_up_s: float) -> int:
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
        except OSError as problem:
            # A named pipe that nobody has opened yet, to read from it.
            if problem.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(path).st_mode):
                raise
            if monotonic() >= give_up_s:
                raise TimeoutError(0, f"nobody has opened it within {STREAM_WITHIN_S:g} s, to read it") from None
        time.sleep(0.05)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
