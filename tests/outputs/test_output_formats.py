"""JSON, CSV, line protocol, Prometheus' text and OTLP, each read back by a strict reader of its own."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import datetime
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from pika_locust.metrics import Registry, Snapshot, counter, gauge, rate, trend
from pika_locust.outputs.csv_points import COLUMNS, CsvEncoder
from pika_locust.outputs.influxdb import InfluxdbEncoder
from pika_locust.outputs.json_points import JsonEncoder
from pika_locust.outputs.otlp import OtlpEncoder
from pika_locust.outputs.points import Interval, Window
from pika_locust.outputs.prometheus import Exposition, make_app

METRICS = (
    trend("latency", "how long it took"),
    trend("size", unit="B"),
    counter("hits"),
    counter("seconds", unit="s"),
    rate("ok"),
    gauge("vus"),
)
NAMES = {metric.name for metric in METRICS}
ODD = 'a,b c=d"e\\'
"""What every format has to escape."""
ENDED_MS = 1_800_000_002_345


def snapshot() -> Snapshot:
    registry = Registry(METRICS)
    for us in (1_500, 2_500, 700_000):
        registry.trend("latency").tagged(name="/a", odd=ODD).add(us)
    registry.trend("size").tagged(le="x").add(4_000)
    registry.counter("hits").tagged(status="200").add(7)
    registry.counter("seconds").add(0.5)
    registry.rate("ok").tagged(check="receipt").add(True)
    registry.rate("ok").tagged(check="receipt").add(False)
    registry.gauge("vus").set(12)
    return registry.snapshot()


def interval() -> Interval:
    times = (ENDED_MS - 10_000, ENDED_MS - 2_000, ENDED_MS)
    return Window(Snapshot(), snapshot(), NAMES, times).interval()


def refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), "a key twice"
    return dict(pairs)


def test_json_lines_are_k6s_metrics_and_points() -> None:
    encoder = JsonEncoder({"latency": ["p(95)<500"], "latency{name:/a}": ["max<900"]})
    text = (encoder.header() + encoder.encode(interval()) + encoder.encode(interval())).decode("ascii")
    lines = [json.loads(line, parse_constant=refuse, object_pairs_hook=unique) for line in text.splitlines()]
    declared: dict[str, Any] = {}
    points = []
    for line in lines:
        assert set(line) == {"type", "metric", "data"}
        if line["type"] == "Metric":
            assert line["metric"] not in declared, "a metric is declared once"
            declared[line["metric"]] = line["data"]
        else:
            assert line["type"] == "Point"
            assert line["metric"] in declared, "a metric is declared before its first point"
            points.append(line)
            data = line["data"]
            assert datetime.fromisoformat(data["time"]).timestamp() == ENDED_MS / 1000
            assert data["time"].endswith("Z")
            assert isinstance(data["value"], (int, float))
            assert all(isinstance(value, str) for value in data["tags"].values())
            assert data["seconds"] == 2.0
    assert {name: data["type"] for name, data in declared.items()} == {m.name: m.kind.value for m in METRICS}
    assert declared["latency"]["contains"] == "time"
    assert declared["latency"]["thresholds"] == ["p(95)<500"]
    assert declared["latency"]["submetrics"] == [
        {"name": "latency{name:/a}", "suffix": "name:/a", "thresholds": ["max<900"]}
    ]
    assert len(points) == 2 * len(METRICS)
    (latency, _) = [point["data"] for point in points if point["metric"] == "latency"]
    assert latency["tags"] == {"name": "/a", "odd": ODD}
    known = {name: latency["aggregate"][name] for name in ("count", "sum", "min", "max", "med")}
    assert known == {"count": 3, "sum": 704.0, "min": 1.5, "max": 700.0, "med": pytest.approx(2.5, rel=1e-3)}
    assert latency["value"] == 704.0 / 3


def test_csv_rows_have_every_column_and_give_the_tags_back() -> None:
    encoder = CsvEncoder()
    text = (encoder.header() + encoder.encode(interval())).decode()
    rows = list(csv.DictReader(io.StringIO(text), strict=True, restkey="too many", restval=None))
    assert text.splitlines()[0].split(",") == list(COLUMNS)
    assert text.startswith("metric_name,timestamp,metric_value,")
    assert all(None not in row.values() and "too many" not in row for row in rows)
    of = {row["metric_name"]: row for row in rows}
    assert set(of) == NAMES
    assert {row["timestamp"] for row in rows} == {"1800000002.345"}
    latency = of["latency"]
    assert (latency["count"], latency["sum"], latency["max"], latency["name"]) == ("3", "704.0", "700.0", "/a")
    assert latency["extra_tags"] == "odd=a%2Cb+c%3Dd%22e%5C"
    assert (of["ok"]["passes"], of["ok"]["fails"], of["ok"]["metric_value"], of["ok"]["check"]) == (
        "1",
        "1",
        "0.5",
        "receipt",
    )
    assert (of["hits"]["metric_value"], of["hits"]["status"]) == ("7", "200")


_UNESCAPED = r"(?:\\[,= ]|[^,= \n\\])+"
_LINE = re.compile(
    rf"(?P<name>[A-Za-z_]\w*)(?P<tags>(?:,{_UNESCAPED}={_UNESCAPED})*) "
    r"(?P<fields>\w+=-?[0-9.e+-]+i?(?:,\w+=-?[0-9.e+-]+i?)*) (?P<time>\d{13})"
)


def test_line_protocol_has_one_type_for_each_field_and_escapes_tags() -> None:
    lines = InfluxdbEncoder().encode(interval()).decode().splitlines()
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        assert match is not None, line
        assert match["time"] == str(ENDED_MS)
        found[match["name"]] = dict(field.split("=") for field in match["fields"].split(","))
    assert set(found) == NAMES
    latency = found["latency"]
    assert (latency["count"], latency["sum"], latency["p99_9"][-1] != "i") == ("3i", "704.0", True)
    assert found["hits"] == {"value": "7.0"}
    assert found["seconds"] == {"value": "0.5"}
    assert found["vus"] == {"value": "12.0", "min": "12.0", "max": "12.0"}
    assert lines[[line.split(",")[0] for line in lines].index("latency")].startswith(
        'latency,name=/a,odd=a\\,b\\ c\\=d"e/ '
    )


def test_prometheus_reads_counters_gauges_and_histograms() -> None:
    exposition = Exposition()
    exposition.show(snapshot(), NAMES, {"run_id": "r1", "scenario": "shop"})
    said: list[Any] = []
    pages = make_app(exposition)({"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics"}, lambda *head: said.append(head))
    assert said[0][0] == "200 OK"
    families = list(text_string_to_metric_families(b"".join(pages).decode()))
    of = {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}
    tags = (("name", "/a"), ("odd", ODD))
    assert of["k6_hits_total", ("status", "200")] == 7
    assert of[("k6_vus",)] == 12
    assert of["k6_ok_rate", ("check", "receipt")] == 0.5
    assert of["k6_ok_passes_total", ("check", "receipt")] == 1
    assert of["k6_ok_fails_total", ("check", "receipt")] == 1
    assert of["k6_latency_seconds_count", *tags] == 3
    assert of["k6_latency_seconds_sum", *tags] == 0.704
    assert (of["k6_latency_min", *tags], of["k6_latency_max", *tags]) == (0.0015, 0.7)
    assert of["k6_latency_p99", *tags] == pytest.approx(0.686, rel=2e-3)
    assert of["k6_latency_seconds_count",] == 0
    buckets = {key[1][1]: n for key, n in of.items() if key[0] == "k6_latency_seconds_bucket" and len(key) > 2}
    assert (buckets["0.002"], buckets["0.005"], buckets["0.5"], buckets["0.75"], buckets["+Inf"]) == (1, 2, 2, 3, 3)
    assert list(buckets.values()) == sorted(buckets.values())
    assert of["k6_size_histogram_count", ("tag_le", "x")] == 1
    assert of["k6_run_info", ("run_id", "r1"), ("scenario", "shop")] == 1
    types = {family.name: family.type for family in families}
    assert (types["k6_hits"], types["k6_vus"], types["k6_latency_seconds"]) == ("counter", "gauge", "histogram")


def test_what_has_no_samples_yet_begins_at_zero_for_prometheus_so_that_rates_see_the_first() -> None:
    exposition = Exposition()
    exposition.show(Registry(METRICS).snapshot(), NAMES - {"seconds"}, {})
    samples = [sample for family in exposition.collect() for sample in family.samples]
    assert {(sample.value, frozenset(sample.labels) - {"le"}) for sample in samples} == {(0.0, frozenset())}
    assert {sample.name for sample in samples} == {
        *("k6_hits_total", "k6_ok_passes_total", "k6_ok_fails_total"),
        *(f"k6_latency_seconds_{part}" for part in ("bucket", "count", "sum")),
        *(f"k6_size_histogram_{part}" for part in ("bucket", "count", "sum")),
    }


def test_otlp_tells_every_total_also_of_series_that_have_not_changed() -> None:
    before, now = snapshot(), snapshot()
    unchanged = Window(before, now, NAMES, (0, 1, 2)).interval()
    request = ExportMetricsServiceRequest.FromString(OtlpEncoder({}).encode(unchanged))
    assert [point.metric.name for point in unchanged.points] == ["vus"]
    assert {metric.name for metric in request.resource_metrics[0].scope_metrics[0].metrics} == NAMES


def test_otlp_is_cumulative_and_has_the_exact_sums() -> None:
    data = OtlpEncoder({"service.name": "pika-locust"}).encode(interval())
    request = ExportMetricsServiceRequest.FromString(data)
    (of_resource,) = request.resource_metrics
    assert [(a.key, a.value.string_value) for a in of_resource.resource.attributes] == [("service.name", "pika-locust")]
    (of_scope,) = of_resource.scope_metrics
    metrics = {metric.name: metric for metric in of_scope.metrics}
    assert set(metrics) == NAMES
    (latency,) = metrics["latency"].histogram.data_points
    assert metrics["latency"].unit == "ms"
    assert metrics["latency"].histogram.aggregation_temporality == 2
    assert (latency.count, latency.sum, latency.min, latency.max) == (3, 704.0, 1.5, 700.0)
    assert sum(latency.bucket_counts) == 3
    assert len(latency.bucket_counts) == len(latency.explicit_bounds) + 1
    assert (latency.start_time_unix_nano, latency.time_unix_nano) == ((ENDED_MS - 10_000) * 10**6, ENDED_MS * 10**6)
    assert {a.key: a.value.string_value for a in latency.attributes} == {"name": "/a", "odd": ODD}
    (hits,) = metrics["hits"].sum.data_points
    assert (hits.as_int, metrics["hits"].sum.is_monotonic) == (7, True)
    assert metrics["seconds"].sum.data_points[0].as_double == 0.5
    outcomes = {
        next(a.value.string_value for a in point.attributes if a.key == "condition"): point.as_int
        for point in metrics["ok"].sum.data_points
    }
    assert outcomes == {"nonzero": 1, "zero": 1}
    assert metrics["vus"].gauge.data_points[0].as_int == 12
