"""Alert rules for Prometheus, made from the critical columns of the suites' tables: `make conf` writes them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import tests.quiet_locust  # noqa: F401
from pika_locust.catalogue import scenarios
from pika_locust.judge import Band
from pika_locust.judge.expressions import parse
from pika_locust.judge.verdict import LAG_P95_MOST_MS
from pika_locust.metrics import Kind, Metric
from pika_locust.metrics.metric import parse_series
from pika_locust.runtime.options import all_metrics

PATH = Path(__file__).resolve().parents[2] / "conf" / "prometheus" / "alerts.yml"
WINDOW = "1m"
"""Over how long a rate or a percentile is taken."""
HEAD = """\
# Alerts for a Prometheus that scrapes `--out prometheus=:9646`: what the suites' own tables call critical, and a load
# generator that cannot keep up. Made from the scenarios' grades by `make conf`; a test holds the two together.
"""
_INVERSE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert: in runs of which scenarios, on what, and which figures would raise it."""

    name: str
    figure: str
    """PromQL of what is critical."""
    summary: str
    scenarios: tuple[str, ...]
    metric: Metric
    limit: float
    is_upper: bool
    """Whether the figure must stay below the limit."""

    @property
    def expression(self) -> str:
        """The figure, in runs of these scenarios only: one platform's table says nothing of another's server."""
        return f'{self.figure} and on () k6_run_info{{scenario=~"{"|".join(self.scenarios)}"}}'


def rules() -> list[Rule]:
    """A rule for each row of a table, once for all scenarios that have it."""
    found: dict[tuple[str, str], Rule] = {}
    for scenario in scenarios().values():
        metrics = {metric.name: metric for metric in all_metrics(scenario)}
        for band in scenario.bands:
            rule = _rule(band, metrics[parse_series(band.metric)[0]], scenario.title or scenario.name)
            known = found.get((rule.name, rule.figure), rule)
            found[rule.name, rule.figure] = replace(rule, scenarios=(*dict.fromkeys(known.scenarios + rule.scenarios),))
    return list(found.values())


def _rule(band: Band, metric: Metric, scenario: str) -> Rule:
    name, tags = parse_series(band.metric)
    wanted = parse(band.aggregation + band.warning)
    selector = "{" + ",".join(f'{key}="{value}"' for key, value in tags) + "}" if tags else ""
    limit = wanted.limit / (1000 if metric.kind == Kind.TREND and metric.unit == "ms" else 1)
    unit = {"ms": "ms", "MB": "MB"}.get(metric.unit, "a second" if metric.kind == Kind.COUNTER else "")
    return Rule(
        name="".join(part.capitalize() for part in name.split("_")) + "Critical",
        figure=f"{_figure(name, selector, band.aggregation, metric)} {_INVERSE[wanted.operator]} {limit:g}",
        summary=f"{band.metric} {band.aggregation} is not {band.warning} {unit}".rstrip(),
        scenarios=(scenario,),
        metric=metric,
        limit=limit,
        is_upper=wanted.operator.startswith("<"),
    )


def _figure(name: str, selector: str, aggregation: str, metric: Metric) -> str:
    """What a threshold's aggregation is in PromQL, of the last minute and of all tags together."""
    series = f"k6_{name}"
    match metric.kind:
        case Kind.TREND:
            quantile = float(aggregation.removeprefix("p(").removesuffix(")")) / 100
            seconds = f"{series}_seconds" if metric.unit == "ms" else f"{series}_histogram"
            return f"histogram_quantile({quantile:g}, sum by (le) (rate({seconds}_bucket{selector}[{WINDOW}])))"
        case Kind.RATE:
            passes, fails = (f"sum(rate({series}_{what}_total{selector}[{WINDOW}]))" for what in ("passes", "fails"))
            return f"{passes} / ({passes} + {fails})"
        case Kind.COUNTER:
            return f"sum(rate({series}_total{selector}[{WINDOW}]))"
        case _:
            return f"max({series}{selector})"


def _alert(rule: Rule) -> dict[str, Any]:
    return {
        "alert": rule.name,
        "expr": rule.expression,
        "for": "30s",
        "labels": {"severity": "critical"},
        "annotations": {"summary": rule.summary},
    }


def text() -> str:
    """The file, as it is to stand in conf/prometheus."""
    lag = f"histogram_quantile(0.95, sum by (le) (rate(k6_generator_lag_ms_seconds_bucket[{WINDOW}])))"
    generator = {
        "alert": "LoadGeneratorOverload",
        "expr": f"{lag} > {LAG_P95_MOST_MS / 1000:g}",
        "for": "30s",
        "labels": {"severity": "warning"},
        "annotations": {
            "summary": "the load generator is late: its figures say more about itself than about the target"
        },
    }
    groups = [
        {"name": "suites", "rules": [_alert(rule) for rule in rules()]},
        {"name": "generator", "rules": [generator]},
    ]
    stream = StringIO()
    yaml = YAML()
    yaml.width = 200
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump({"groups": groups}, stream)
    return HEAD + stream.getvalue()


if __name__ == "__main__":
    PATH.write_text(text())
    sys.stdout.write(f"{PATH} written\n")
