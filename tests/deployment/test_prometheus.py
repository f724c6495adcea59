"""The configuration for Prometheus: by its own tool, and each alert seen to come and not to come."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pika_locust.metrics import Kind
from tests.deployment import alert_rules
from tests.deployment.alert_rules import Rule, rules

FOLDER = alert_rules.PATH.parent
STEPS = 150
"""Of two seconds each: more than the window and the time that an alert must last."""


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert shutil.which("promtool"), "promtool is needed: apt-get install prometheus"
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60)


def test_the_alert_rules_are_what_the_suites_tables_say() -> None:
    assert alert_rules.PATH.read_text() == alert_rules.text(), "python -m tests.deployment.alert_rules writes them"


def test_prometheus_takes_its_configuration() -> None:
    told = promtool("check", "config", str(FOLDER / "prometheus.yml"))
    assert told.returncode == 0, told.stdout + told.stderr


def series(rule: Rule, critical: bool) -> list[dict[str, str]]:
    """What the page of a run has where a figure is far on either side of the rule's limit."""
    name = f"k6_{rule.metric.name}"
    grows, stays = f"0+{max(10, round(rule.limit * 100))}x{STEPS}", f"0x{STEPS}"
    is_high = critical if rule.is_upper else not critical
    match rule.metric.kind:
        case Kind.TREND:
            bounds = [(rule.limit / 4, stays if is_high else grows), (rule.limit, stays if is_high else grows)]
            bounds += [(rule.limit * 4, grows), (float("inf"), grows)]
            found = [(f'{name}_seconds_bucket{{le="{"+Inf" if le == float("inf") else le}"}}', v) for le, v in bounds]
        case Kind.RATE:
            found = [
                (f"{name}_passes_total", grows if is_high else stays),
                (f"{name}_fails_total", stays if is_high else grows),
            ]
        case Kind.COUNTER:
            found = [(f"{name}_total", grows if is_high else stays)]
        case _:
            found = [(name, f"{rule.limit * (2 if is_high else 0.5)}x{STEPS}")]
    return [{"series": one, "values": values} for one, values in found]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule.name}-{rule.scenarios[0]}")
def test_an_alert_comes_for_what_the_table_calls_critical_and_for_nothing_else(rule: Rule, tmp_path: Path) -> None:
    (tmp_path / "alerts.yml").write_text(alert_rules.text())
    told_by = {"exp_labels": {"severity": "critical"}, "exp_annotations": {"summary": rule.summary}}
    cases = [(True, rule.scenarios[0], [told_by]), (False, rule.scenarios[0], []), (True, "another", [])]
    content = {
        "rule_files": ["alerts.yml"],
        "evaluation_interval": "5s",
        "tests": [
            {
                "interval": "2s",
                "input_series": [
                    *series(rule, critical),
                    {"series": f'k6_run_info{{run_id="a",scenario="{scenario}"}}', "values": f"1x{STEPS}"},
                ],
                "alert_rule_test": [{"eval_time": "4m", "alertname": rule.name, "exp_alerts": alerts}],
            }
            for critical, scenario, alerts in cases
        ],
    }
    with (tmp_path / "test.yml").open("w") as file:
        YAML().dump(content, file)
    told = promtool("test", "rules", str(tmp_path / "test.yml"))
    assert told.returncode == 0, told.stdout + told.stderr
