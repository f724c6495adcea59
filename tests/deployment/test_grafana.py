"""The dashboard for Grafana: it asks for what runs export, and its files agree with each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pika_locust.catalogue import scenarios
from pika_locust.metrics import Kind, Metric
from pika_locust.runtime.options import all_metrics
from tests.deployment import dashboard

FOLDER = dashboard.PATH.parents[1]
PROVISIONED = FOLDER / "provisioning"


def names_of(metric: Metric) -> set[str]:
    """Under what names the page for Prometheus has a metric."""
    name = f"k6_{metric.name}"
    match metric.kind:
        case Kind.COUNTER:
            return {f"{name}_total"}
        case Kind.GAUGE:
            return {name}
        case Kind.RATE:
            return {f"{name}_rate", f"{name}_passes_total", f"{name}_fails_total"}
        case _:
            unit = "seconds" if metric.unit == "ms" else "histogram"
            return {f"{name}_{unit}_{part}" for part in ("bucket", "count", "sum")}


EXPORTED = {"k6_run_info"}.union(*(names_of(one) for each in scenarios().values() for one in all_metrics(each)))


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


def test_the_dashboard_is_what_its_panels_say() -> None:
    assert dashboard.PATH.read_text() == dashboard.text(), "python -m tests.deployment.dashboard writes it"


def test_every_query_asks_for_what_a_run_exports() -> None:
    asked = set(re.findall(r"\bk6_\w+", dashboard.text()))
    assert asked - EXPORTED == set()
    assert len(asked) > 20


def test_panels_do_not_lie_on_each_other() -> None:
    places = [tuple(panel["gridPos"].values()) for panel in json.loads(dashboard.text())["panels"]]
    assert len(set(places)) == len(places) == len(dashboard.PANELS)


def test_the_dashboard_s_data_comes_from_the_provisioned_prometheus() -> None:
    (source,) = read(PROVISIONED / "datasources" / "prometheus.yml")["datasources"]
    content = json.loads(dashboard.text())
    used = {query["datasource"]["uid"] for panel in content["panels"] for query in panel["targets"]}
    assert used == {source["uid"]}
    (provider,) = read(PROVISIONED / "dashboards" / "dashboards.yml")["providers"]
    mounted = read(FOLDER.parents[1] / "docker-compose.yml")["services"]["grafana"]["volumes"]
    assert f"./conf/grafana/dashboards:{provider['options']['path']}:ro" in mounted
