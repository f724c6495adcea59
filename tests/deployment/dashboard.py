"""The dashboard for Grafana, written as what is measured and not as coordinates: `make conf` writes the file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PATH = Path(__file__).resolve().parents[2] / "conf" / "grafana" / "dashboards" / "pika-locust.json"
_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_WIDTH, _HEIGHT = 8, 8


def _percentiles(metric: str, by: str = "") -> list[tuple[str, str]]:
    labels = f"le, {by}" if by else "le"
    name = f"{{{{{by}}}}} " if by else ""
    return [
        (
            f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_seconds_bucket[$__rate_interval])))",
            f"{name}p({round(share * 100)})",
        )
        for share in (0.5, 0.95, 0.99)
    ]


def _share(rate: str) -> str:
    passes, fails = (f"sum(rate({rate}_{what}_total[$__rate_interval]))" for what in ("passes", "fails"))
    return f"{passes} / ({passes} + {fails})"


def _per_second(counter: str, by: str = "") -> str:
    if by:
        # There is a series of 0 without labels, too.
        return f'sum by ({by}) (rate({counter}_total{{{by}!=""}}[$__rate_interval]))'
    return f"sum(rate({counter}_total[$__rate_interval]))"


PANELS: tuple[tuple[str, str, list[tuple[str, str]]], ...] = (
    ("Users", "none", [("sum(k6_vus)", "active"), ("sum(k6_vus_max)", "started")]),
    (
        "Iterations a second",
        "none",
        [(_per_second("k6_iterations"), "done"), (_per_second("k6_dropped_iterations"), "dropped")],
    ),
    ("Iterations, duration", "s", _percentiles("k6_iteration_duration")),
    ("HTTP requests a second", "none", [(_per_second("k6_http_reqs", "name"), "{{name}}")]),
    ("HTTP requests that failed", "percentunit", [(_share("k6_http_req_failed"), "failed")]),
    ("HTTP requests, duration", "s", _percentiles("k6_http_req_duration")),
    (
        "WebSocket messages a second",
        "none",
        [(_per_second("k6_ws_messages_received"), "received"), (_per_second("k6_ws_messages_sent"), "sent")],
    ),
    ("WebSocket connections that succeeded", "percentunit", [(_share("k6_ws_connection_success"), "connected")]),
    ("WebSocket messages, latency", "s", _percentiles("k6_ws_message_latency")),
    ("Checks that held", "percentunit", [(_share("k6_checks"), "held")]),
    ("Broadcasts, latency", "s", _percentiles("k6_fanout_latency")),
    ("Acknowledgements, latency", "s", _percentiles("k6_ack_latency")),
    ("Target, resident memory (MB)", "none", [("max(k6_target_memory_mb)", "memory")]),
    ("Target, health page", "s", _percentiles("k6_health_latency")),
    ("Load generator, lag", "s", _percentiles("k6_generator_lag_ms")),
    (
        "Bytes a second",
        "Bps",
        [(_per_second("k6_data_received"), "received"), (_per_second("k6_data_sent"), "sent")],
    ),
    ("Alerts", "none", [('sum by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}")]),
)


def _panel(number: int, title: str, unit: str, queries: list[tuple[str, str]]) -> dict[str, Any]:
    column, row = number % 3, number // 3
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": _SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(queries)
        ],
    }


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": "pika-locust",
        "title": "pika-locust",
        "description": "A load test while it runs: what --out prometheus shows.",
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "tags": ["load test"],
        "annotations": {
            "list": [
                {
                    "name": "Runs",
                    "datasource": _SOURCE,
                    "enable": True,
                    "iconColor": "blue",
                    "expr": "k6_run_info unless k6_run_info offset 10s",
                    "titleFormat": "{{scenario}}",
                    "textFormat": "{{run_id}}",
                }
            ]
        },
        "templating": {"list": []},
        "panels": [_panel(number, *panel) for number, panel in enumerate(PANELS)],
    }


def text() -> str:
    """The file, as it is to stand in conf/grafana."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
    sys.stdout.write(f"{PATH} written\n")
