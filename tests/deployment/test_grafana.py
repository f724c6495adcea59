"""The dashboard for Grafana, and the alerts: they ask for what runs export, and their files agree with each other."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pika_locust.catalogue import scenarios
from pika_locust.metrics import Kind, Metric, Registry
from pika_locust.outputs.prometheus import Exposition
from pika_locust.runtime.options import all_metrics
from tests.deployment import dashboard
from tests.deployment.alert_rules import Rule, rules

FOLDER = dashboard.PATH.parents[1]
PROVISIONED = FOLDER / "provisioning"


def exported(metrics: Sequence[Metric]) -> set[str]:
    """Under what names the page for Prometheus has these, once each has a sample."""
    registry = Registry(metrics)
    for metric in metrics:
        match metric.kind:
            case Kind.COUNTER:
                registry.counter(metric.name).add(1)
            case Kind.GAUGE:
                registry.gauge(metric.name).set(1)
            case Kind.RATE:
                registry.rate(metric.name).add(True)
            case Kind.TREND:
                registry.trend(metric.name).add(1)
    page = Exposition()
    page.show(registry.snapshot(), {metric.name for metric in metrics}, {"run_id": "a", "scenario": "b"})
    return {sample.name for family in page.collect() for sample in family.samples}


EXPORTED = {scenario.title or scenario.name: exported(all_metrics(scenario)) for scenario in scenarios().values()}


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


def test_the_dashboard_is_what_its_panels_say() -> None:
    assert dashboard.PATH.read_text() == dashboard.text(), "python -m tests.deployment.dashboard writes it"


def test_every_query_asks_for_what_a_run_exports() -> None:
    asked = set(re.findall(r"\bk6_\w+", dashboard.text()))
    assert asked - set().union(*EXPORTED.values()) == set()
    assert len(asked) > 20


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule.name}-{rule.scenarios[0]}")
def test_an_alert_asks_for_what_each_of_its_scenarios_exports(rule: Rule) -> None:
    asked = set(re.findall(r"\bk6_\w+", rule.expression))
    assert {name: asked - EXPORTED[name] for name in rule.scenarios} == {name: set() for name in rule.scenarios}


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
