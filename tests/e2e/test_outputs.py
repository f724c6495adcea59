"""`--out`: what a real InfluxDB, a real Prometheus, an OTLP receiver and the files hold is what the summary says."""

from __future__ import annotations

import csv
import gzip
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from junitparser import JUnitXml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.e2e.influxdb import PASSWORD, USER, influxdb
from tests.e2e.prometheus import scraping
from tests.e2e.shop_server.server import Target
from tests.e2e.support import Finished, free_port, run

pytestmark = pytest.mark.e2e

SHOP = ["--headless", "-f", "tests/e2e/shop_server/shop.py", "-u", "6", "-r", "6", "-s", "5"]
TOKEN = "0tlp-t0ken-vTjzYb3h"


class Receiver(ThreadingHTTPServer):
    """Takes OTLP as a collector does, from those who have the token."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[ExportMetricsServiceRequest] = []
        self.refused = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known = self.headers["X-Token"] == TOKEN and self.path == "/v1/metrics"
        if known and self.headers["Content-Type"] == "application/x-protobuf":
            self.server.requests.append(ExportMetricsServiceRequest.FromString(body))
        else:
            self.server.refused += 1
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Pytest's output is no access log."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def by_name(finished: Finished) -> dict[str, int]:
    """Requests by their name, as the summary has them."""
    assert finished.summary is not None
    return {
        name.partition("name:")[2][:-1]: figures["count"]
        for name, figures in finished.summary["metrics"].items()
        if name.startswith("http_reqs{method:")
    }


def of_json(path: Path) -> tuple[Counter[str], int, float]:
    """Requests by name, the number of latencies and their sum."""
    requests_of: Counter[str] = Counter()
    count, total = 0, 0.0
    with gzip.open(path, "rt") as lines:
        for line in map(json.loads, lines):
            if line["type"] == "Point" and line["metric"] == "http_reqs":
                requests_of[line["data"]["tags"]["name"]] += line["data"]["value"]
            elif line["type"] == "Point" and line["metric"] == "http_req_duration":
                count += line["data"]["aggregate"]["count"]
                total += line["data"]["aggregate"]["sum"]
    return requests_of, count, total


def of_csv(path: Path) -> tuple[Counter[str], int, float]:
    requests_of: Counter[str] = Counter()
    count, total = 0, 0.0
    with path.open(newline="") as opened:
        for row in csv.DictReader(opened, strict=True):
            if row["metric_name"] == "http_reqs":
                requests_of[row["name"]] += int(row["metric_value"])
            elif row["metric_name"] == "http_req_duration":
                count += int(row["count"])
                total += float(row["sum"])
    return requests_of, count, total


def of_otlp(request: ExportMetricsServiceRequest) -> tuple[Counter[str], int, float]:
    requests_of: Counter[str] = Counter()
    count, total = 0, 0.0
    for metric in request.resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.sum.data_points if metric.name == "http_reqs" else ():
            requests_of[{a.key: a.value.string_value for a in point.attributes}["name"]] += point.as_int
        for point in metric.histogram.data_points if metric.name == "http_req_duration" else ():
            count += point.count
            total += point.sum
    return requests_of, count, total


def of_prometheus(url: str) -> tuple[Counter[str], int, float]:
    def ask(query: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{url}/api/v1/query", params={"query": query}, timeout=5).json()
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    requests_of = {
        row["metric"]["name"]: int(row["value"][1])
        for row in ask('sum by (name) (last_over_time(k6_http_reqs_total{name!=""}[5m]))')
    }
    (count,) = ask("sum(last_over_time(k6_http_req_duration_seconds_count[5m]))")
    (total,) = ask("sum(last_over_time(k6_http_req_duration_seconds_sum[5m]))")
    (whole,) = ask('sum(last_over_time(k6_http_req_duration_seconds_bucket{le="+Inf"}[5m]))')
    assert whole["value"][1] == count["value"][1]
    return Counter(requests_of), int(count["value"][1]), 1000 * float(total["value"][1])


@pytest.mark.long
def test_all_outputs_of_a_distributed_run_hold_what_its_summary_says(server: Target, tmp_path: Path) -> None:
    files = {kind: tmp_path / name for kind, name in (("json", "p.json.gz"), ("csv", "p.csv"), ("junit", "r.xml"))}
    port = free_port()
    with influxdb(tmp_path) as influx, scraping(tmp_path, f"127.0.0.1:{port}") as prometheus, receiver() as otlp:
        where = {**files, "influxdb": f"{influx.url}/k6", "prometheus": f"127.0.0.1:{port}", "otlp": otlp.url}
        words = [word for kind, place in where.items() for word in ("--out", f"{kind}={place}")]
        env = {"INFLUXDB_USERNAME": USER, "INFLUXDB_PASSWORD": PASSWORD, "OTLP_HEADERS": f"x-token={TOKEN}"}
        finished = run([*SHOP, "-H", server.url, "-t", "7s", "--processes", "2", *words], tmp_path, env)
        assert finished.exit_code == 0, finished.output
        counts = influx.ask('SELECT sum("value") AS n FROM http_reqs GROUP BY "name"', "k6")
        (sums,) = influx.ask('SELECT sum("count") AS n, sum("sum") AS total FROM http_req_duration', "k6")
        of_influxdb = Counter({row["name"]: int(row["n"]) for row in counts}), sums["n"], sums["total"]
        found = {
            "json": of_json(files["json"]),
            "csv": of_csv(files["csv"]),
            "influxdb": of_influxdb,
            "prometheus": of_prometheus(prometheus),
            "otlp": of_otlp(otlp.requests[-1]),
        }
        assert (otlp.refused, len(otlp.requests) >= 3) == (0, True)

    latency = finished.metric("http_req_duration")
    expected = by_name(finished)
    assert sum(expected.values()) == latency["count"] == sum(server.answered.values()) > 100
    for kind, (requests_of, count, total) in found.items():
        assert requests_of == expected, kind
        assert count == latency["count"], kind
        assert total == pytest.approx(latency["avg"] * latency["count"], rel=1e-6), kind

    assert finished.summary is not None
    reported = {one["output"].partition("=")[0]: one for one in finished.summary["outputs"]}
    assert set(reported) == {"json", "csv", "influxdb", "otlp"}
    assert all((one["dropped"], one["problem"]) == (0, "") and one["points"] > 20 for one in reported.values())
    (suite,) = JUnitXml.fromfile(str(files["junit"]))
    judged = len(finished.summary["thresholds"]) + len(finished.summary["audits"])
    assert (suite.tests, suite.failures, suite.errors) == (judged + 1, 0, 0)
    assert "http_req_duration: p(95)<2000" in {case.name for case in suite}
    shown = finished.output + (tmp_path / "summary.json").read_text()
    assert PASSWORD not in shown
    assert TOKEN not in shown


def test_an_influxdb_that_hangs_slows_neither_the_load_nor_the_end(server: Target, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}/k6"
        began_s = time.monotonic()
        finished = run([*SHOP, "-H", server.url, "-t", "5s", "--out", f"influxdb={url}"], tmp_path)
        took_s = time.monotonic() - began_s
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    (output,) = finished.summary["outputs"]
    assert output["points"] == 0
    assert output["dropped"] > 20
    (note,) = [note for note in finished.summary["notes"] if note.startswith("--out ")]
    assert f"{output['dropped']} of {output['dropped']} points were dropped: no answer within 5 s" in note
    assert note in finished.output
    # Three users of each class pause for a tenth of a second; a load that waits for the output makes next to none.
    assert finished.metric("http_reqs")["count"] == sum(server.answered.values()) > 6 * 10 * 5 * 0.4
    assert took_s < 5 + 5 + 20


def test_outputs_that_cannot_be_are_told_before_the_load_and_a_full_disk_is_no_pass(
    server: Target, tmp_path: Path
) -> None:
    junit = tmp_path / "r.xml"
    junit.write_text("<testsuites/>")
    refused = run(
        [*SHOP, "-H", server.url, "--out", "jsn=a", "--out", "csv=/proc/no/a", "--out", f"junit={junit}"], tmp_path
    )
    assert refused.exit_code == 104, refused.output
    assert refused.summary is not None
    assert [reason["text"].partition(":")[0] for reason in refused.summary["reasons"]] == [
        "--out jsn=a",
        "--out csv=/proc/no/a",
    ]
    assert JUnitXml.fromfile(str(junit)).errors == 1
    assert not server.answered

    (tmp_path / "full").symlink_to("/dev/full")
    full = run([*SHOP, "-H", server.url, "-t", "1s", "--out", f"csv={tmp_path / 'full'}"], tmp_path)
    assert full.exit_code == 107, full.output
    assert full.reasons == [("internal", f"--out csv={tmp_path / 'full'}")]
    assert "No space left on device" in full.output
