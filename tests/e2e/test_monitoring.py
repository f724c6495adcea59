"""The dashboard and the alerts of conf/, asked of a real Prometheus that has scraped a real run.

The target is slow, so that the run is red and an alert fires. Grafana itself is not there: its panels are asked for
what Grafana would ask, over the whole run.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest

from tests.deployment import alert_rules, dashboard
from tests.e2e.prometheus import ask, configured
from tests.e2e.support import DANCERS, free_port, run, sandbox, socket_url

pytestmark = pytest.mark.e2e

LATENCY_MS = 1200
"""More than Pika's table calls critical: a second."""
LONG_ENOUGH_S = 18


def configuration(directory: Path, master: str, target: str) -> Path:
    """The files of conf/prometheus as they are, but at these addresses and with the patience of a short run."""
    folder = alert_rules.PATH.parent
    changes = {
        "prometheus.yml": {
            "master:9646": master,
            "sandbox:8700": target,
            "scrape_interval: 2s": "scrape_interval: 1s",
            "scrape_timeout: 2s": "scrape_timeout: 1s",
            "evaluation_interval: 5s": "evaluation_interval: 1s",
        },
        "alerts.yml": {"for: 30s": "for: 3s"},
    }
    for name, replaced in changes.items():
        text = (folder / name).read_text()
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        (directory / name).write_text(text)
    return directory / "prometheus.yml"


@pytest.mark.long
def test_each_panel_has_series_and_the_alert_of_a_slow_target_fires(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with sandbox(f"latency={LATENCY_MS}") as target:
        config = configuration(tmp_path, address, f"127.0.0.1:{target.port}")
        with configured(config) as url:
            began_s = time.time()
            words = ["--headless", "-f", DANCERS, "-u", "40", "-r", "20", "-t", f"{LONG_ENOUGH_S}s", "--seed", "11"]
            env = {"WS_URL": socket_url(target)}
            finished = run([*words, "--out", f"prometheus={address}"], tmp_path, env)
            times = {"start": began_s, "end": time.time(), "step": 1.0}

            def values(query: str) -> list[float]:
                """All numbers of the whole run; of no requests, say, no share is one."""
                query = query.replace("$__rate_interval", "10s")
                series = ask(url, "query_range", query=query, **times)["result"]
                found = [float(value) for one in series for _, value in one["values"]]
                return [value for value in found if math.isfinite(value)]

            shown = json.loads(dashboard.PATH.read_text())
            queries = {
                f"{panel['title']}: {one['legendFormat']}": one["expr"]
                for panel in shown["panels"]
                for one in panel["targets"]
            }
            queries |= {one["name"]: one["expr"] for one in shown["annotations"]["list"]}
            empty = [name for name, query in queries.items() if not values(query)]
            rules = [rule for group in ask(url, "rules")["groups"] for rule in group["rules"]]
            jobs = {one["metric"]["job"] for one in ask(url, "query_range", query="up == 1", **times)["result"]}
            fired = {
                one["metric"]["alertname"]
                for one in ask(url, "query_range", query='ALERTS{alertstate="firing"}', **times)["result"]
            }
    assert finished.exit_code == 99, finished.output
    assert "ws_message_latency" in finished.subjects
    assert empty == []
    assert len(rules) == len(alert_rules.rules()) + 1
    assert {(rule["name"], rule["health"]) for rule in rules if rule["health"] != "ok"} == set()
    assert jobs == {"load-test", "sandbox"}
    # A machine that is busy with other tests may be late itself.
    assert fired - {"LoadGeneratorOverload"} == {"WsMessageLatencyCritical"}
