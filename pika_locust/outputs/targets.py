"""`--out kind=where`: what kinds of outputs there are, how they are written, and what can be wrong with them."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from pika_locust.outputs import redact, summary
from pika_locust.outputs.csv_points import CsvEncoder
from pika_locust.outputs.influxdb import InfluxdbEncoder, influxdb_address
from pika_locust.outputs.json_points import JsonEncoder
from pika_locust.outputs.otlp import OtlpEncoder
from pika_locust.outputs.points import Interval
from pika_locust.outputs.sinks import FileSink, HttpSink, Sink
from pika_locust.settings import Setting, Settings, text
from pika_locust.url import Url, parse_url

EXAMPLES: Mapping[str, str] = {
    "json": "json=points.json.gz",
    "csv": "csv=points.csv",
    "influxdb": "influxdb=http://127.0.0.1:8086/k6",
    "prometheus": "prometheus=:9646",
    "otlp": "otlp=http://127.0.0.1:4318",
    "junit": "junit=results.xml",
}
"""Every kind, and how it is written."""
FILES = ("json", "csv", "junit")
_EXTRAS: Mapping[str, tuple[str, str]] = {
    "prometheus": ("prometheus_client", "prometheus"),
    "otlp": ("opentelemetry.proto.metrics", "otlp"),
}
"""What a kind imports, and the extra of this package that has it."""


@dataclass(frozen=True, slots=True)
class OutputTarget:
    """One `--out`."""

    kind: str
    where: str

    def __str__(self) -> str:
        return redact.text(f"{self.kind}={self.where}")

    def numbered(self, n: int) -> OutputTarget:
        """The same for the n-th test of a process: a file of its own for each, see `summary.numbered`."""
        if self.kind not in FILES:
            return self
        stem, compressed = re.subn(r"\.gz$", "", self.where)
        return OutputTarget(self.kind, summary.numbered(stem, n) + (".gz" if compressed else ""))


def _header(value: str) -> str:
    """What travels in a header: visible ASCII."""
    if re.fullmatch(r"[!-~]+", value) is None:
        raise ValueError("it must be visible ASCII without spaces")
    return value


def _headers(value: str) -> str:
    read_headers(value)
    return value


def read_headers(value: str) -> dict[str, str]:
    """Headers as OpenTelemetry's own variables have them: `name=value,name2=value2`."""
    headers = {}
    for part in filter(None, value.split(",")):
        name, equals, said = (piece.strip() for piece in part.partition("="))
        if not equals or re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) is None or not said.isprintable():
            raise ValueError("it must be headers, written name=value,name2=value2")
        headers[name] = said
    return headers


OUTPUT_SETTINGS = (
    Setting("INFLUXDB_USERNAME", text, None, "user of an InfluxDB 1 that --out writes to", for_master=True),
    Setting("INFLUXDB_PASSWORD", text, None, "password of INFLUXDB_USERNAME", secret=True),
    Setting("INFLUXDB_TOKEN", _header, None, "token of an InfluxDB 2 that --out writes to", secret=True),
    Setting("INFLUXDB_ORG", text, None, "organisation of an InfluxDB 2", for_master=True),
    Setting("INFLUXDB_BUCKET", text, None, "bucket of an InfluxDB 2", for_master=True),
    Setting("OTLP_HEADERS", _headers, None, "headers for an --out otlp: name=value,name2=value2", secret=True),
)
"""Settings of outputs, for every scenario and every locustfile."""


def output_targets(options: Sequence[str], settings: Settings, problems: list[str]) -> tuple[OutputTarget, ...]:
    """Read every `--out`; a sentence for each that is going to fail is added to the problems, as far as that can be
    known beforehand."""
    found: list[OutputTarget] = []
    for option in options:
        kind, _, where = option.partition("=")
        try:
            target = OutputTarget(kind, where)
            _check(target, settings)
            if any(_is_same(target, other) for other in found):
                raise ValueError("two outputs would write there")
            if pages := [other.where for other in found if other.kind == kind == "prometheus"]:
                raise ValueError(f"scrapes are answered at one address, {pages[0]}")
        except ValueError as error:
            problems.append(f"--out {redact.text(option)}: {error}")
        else:
            redact.conceal(redact.secrets_in_urls(where))
            found.append(target)
    return tuple(found)


def junit_paths(options: Sequence[str]) -> list[str]:
    """Where JUnit's XML is to go, of options that may be wrong in everything else."""
    return [where for kind, _, where in (option.partition("=") for option in options) if kind == "junit" and where]


def _is_same(one: OutputTarget, other: OutputTarget) -> bool:
    if one.kind in FILES and other.kind in FILES:
        return os.path.realpath(one.where) == os.path.realpath(other.where)
    return one == other


def _check(target: OutputTarget, settings: Settings) -> None:
    kind, where = target.kind, target.where
    if kind not in EXAMPLES:
        raise ValueError(f"there is no output {kind!r}; write {', '.join(EXAMPLES.values())}")
    if not where:
        raise ValueError(f"it does not say where to; write {EXAMPLES[kind]}")
    if kind in FILES:
        _check_file(where)
    elif kind == "prometheus":
        _check_port(*listening_address(where))
    elif kind == "influxdb":
        influxdb_address(_url(where), settings)
    else:
        _url(where)
    if kind in _EXTRAS:
        module, extra = _EXTRAS[kind]
        if not _is_installed(module):
            raise ValueError(f"it needs a package that is not installed: pip install 'pika-locust[{extra}]'")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _check_file(path: str) -> None:
    if (why := summary.unwritable(path)) is not None:
        raise ValueError(why)
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise ValueError("it cannot be written to")


def _url(where: str) -> Url:
    return parse_url(where, "http", "https")


def listening_address(where: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `:PORT` (all addresses of this machine) or `PORT`. Raises ValueError."""
    host, _, port = where.rpartition(":")
    if re.fullmatch("[0-9]{1,5}", port) is None or not 0 < int(port) < 1 << 16:
        raise ValueError("write HOST:PORT or :PORT, such as :9646")
    return host.strip("[]"), int(port)


def _check_port(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
    except OSError as error:
        raise ValueError(f"this cannot be listened on ({error.strerror})") from None


class Encoder(Protocol):
    """Makes an output's bytes of intervals, in their order."""

    def header(self) -> bytes:
        """What comes first."""

    def encode(self, interval: Interval) -> bytes:
        """One interval."""


def make_output(
    target: OutputTarget, settings: Settings, thresholds: Mapping[str, Sequence[str]], run: Mapping[str, str]
) -> tuple[Encoder, Sink] | None:
    """What writes to a target that takes points; None for one that does not. `run` says what run it is."""
    match target.kind:
        case "json":
            return JsonEncoder(thresholds), FileSink(target.where)
        case "csv":
            return CsvEncoder(), FileSink(target.where)
        case "influxdb":
            address = influxdb_address(_url(target.where), settings)
            headers = {"Content-Type": "text/plain; charset=utf-8", **address.headers}
            return InfluxdbEncoder(), HttpSink(address.write, headers, address.create)
        case "otlp":
            return _otlp(target.where, settings, run)
    return None


def _otlp(where: str, settings: Settings, run: Mapping[str, str]) -> tuple[Encoder, Sink]:
    url = _url(where)
    path = url.path.rstrip("/")
    query = f"?{url.query}" if url.query else ""
    full = f"{url.scheme}://{url.authority}{path.removesuffix('/v1/metrics')}/v1/metrics{query}"
    headers: dict[str, Any] = {"Content-Type": "application/x-protobuf"}
    if url.basic_auth:
        headers["Authorization"] = url.basic_auth
    headers |= read_headers(settings["OTLP_HEADERS"] or "")
    resource = {"service.name": "pika-locust", **{f"pika_locust.{name}": value for name, value in run.items()}}
    return OtlpEncoder(resource), HttpSink(full, headers)
