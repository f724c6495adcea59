"""`--out influxdb=URL`: InfluxDB's line protocol, over HTTP to version 1 (`/write`) or 2 (`/api/v2/write`).

A measurement is a metric; tags are tags; `value` is k6's (see `points.single_value`), and the other fields are the
aggregate. Counts are integers, everything else floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

from pika_locust.outputs.points import Interval, Point, aggregate, single_value
from pika_locust.settings import Settings
from pika_locust.url import Url

_INTEGERS = frozenset(("count", "passes", "fails", "underflow", "overflow"))
_TAG_ESCAPES = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})


class InfluxdbEncoder:
    """Encodes one interval after another, with timestamps in milliseconds."""

    def header(self) -> bytes:
        return b""

    def encode(self, interval: Interval) -> bytes:
        lines = [_line(point, interval) for point in interval.points]
        return "".join(lines).encode()


def _line(point: Point, interval: Interval) -> str:
    # A backslash before a separator would escape it, and an empty value cannot be written.
    tags = [(key, value.replace("\\", "/").translate(_TAG_ESCAPES)) for key, value in point.tags if value]
    series = "".join(f",{key.translate(_TAG_ESCAPES)}={value}" for key, value in tags)
    fields = {"value": float(single_value(point))}
    if point.metric.kind != "counter":
        figures = aggregate(point, interval.seconds)
        fields |= {_field(name): figure for name, figure in figures.items() if name != "value" and figure is not None}
    written = ",".join(f"{name}={_number(name, figure)}" for name, figure in fields.items())
    return f"{point.metric.name}{series} {written} {interval.ended_ms}\n"


def _field(name: str) -> str:
    return name.replace("(", "").replace(")", "").replace(".", "_")


def _number(name: str, figure: Any) -> str:
    return f"{int(figure)}i" if name in _INTEGERS else repr(float(figure))


@dataclass(frozen=True, slots=True)
class InfluxdbAddress:
    """Where lines are posted; `create` is where a database that is missing is made, which version 1 alone has."""

    write: str
    create: str | None
    headers: Mapping[str, str]


def influxdb_address(url: Url, settings: Settings) -> InfluxdbAddress:
    """What a URL and the settings say. `http://host:8086/DATABASE` is version 1; a path that ends with `/api/v2/write`,
    a `bucket` in the query or the setting INFLUXDB_BUCKET version 2.

    Raises ValueError, which says what would be right, when they name no database and no bucket.
    """
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    base = f"{url.scheme}://{url.authority}"
    path = url.path.rstrip("/")
    bucket = query.get("bucket") or settings["INFLUXDB_BUCKET"]
    if path.endswith("/api/v2/write") or query.get("bucket") or (bucket and path == ""):
        return _version_2(base + path.removesuffix("/api/v2/write"), query, bucket, settings)
    prefix, _, last = path.rpartition("/")
    database = query.get("db") if last == "write" else quote(last) and last
    if not database:
        raise ValueError(
            "it names no database and no bucket: write http://HOST:8086/DATABASE for InfluxDB 1, or "
            "http://HOST:8086?org=ORG&bucket=BUCKET (or the settings INFLUXDB_ORG and INFLUXDB_BUCKET) for InfluxDB 2"
        )
    user, password = settings["INFLUXDB_USERNAME"], settings["INFLUXDB_PASSWORD"]
    headers = {}
    if user:
        credentials = f"{quote(user, safe='')}:{quote(password or '', safe='')}"
        url = Url(url.scheme, url.host, url.port, credentials=credentials)
    if url.basic_auth:
        headers["Authorization"] = url.basic_auth
    elif settings["INFLUXDB_TOKEN"]:
        headers["Authorization"] = f"Token {settings['INFLUXDB_TOKEN']}"
    statement = f'CREATE DATABASE "{database}"'
    more = {name: said for name, said in query.items() if name in ("rp", "consistency")}
    return InfluxdbAddress(
        f"{base}{prefix}/write?{urlencode({'db': database, 'precision': 'ms', **more})}",
        f"{base}{prefix}/query?{urlencode({'q': statement})}",
        headers,
    )


def _version_2(base: str, query: Mapping[str, str], bucket: str | None, settings: Settings) -> InfluxdbAddress:
    if not bucket:
        raise ValueError("it names no bucket: add ?bucket=NAME, or set INFLUXDB_BUCKET")
    org: str | None = query.get("org") or settings["INFLUXDB_ORG"]
    named = {"org": org, "bucket": bucket, "precision": "ms"}
    token = settings["INFLUXDB_TOKEN"]
    return InfluxdbAddress(
        f"{base}/api/v2/write?{urlencode({name: value for name, value in named.items() if value})}",
        None,
        {"Authorization": f"Token {token}"} if token else {},
    )
