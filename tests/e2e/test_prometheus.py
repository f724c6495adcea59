"""The target's own figures, as a Prometheus shows them before and after the load."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pika_locust.sandbox import start_sandbox
from tests.e2e.prometheus import prometheus, serving
from tests.e2e.support import Finished, run

pytestmark = pytest.mark.e2e

SECRET = "whsec_5dXkq0vTjzYb3hPw"
TOKEN = "pr0m-t0ken-vTjzYb3h"
BRIEFLY = {"THINK_TIME_MIN": "0.1", "THINK_TIME_MAX": "0.2"}
QUEUE = ["--headless", "-f", "locustfiles/queue.py", "--seed", "11"]


def observed(finished: Finished) -> list[dict[str, Any]]:
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    return list(finished.summary["observed"])


def silent(query: str, why: str) -> dict[str, Any]:
    return {"query": query, "labels": {}, "start": None, "end": None, "difference": None, "note": why}


def test_a_real_prometheus_is_asked_before_the_first_user_and_after_the_last(tmp_path: Path) -> None:
    with start_sandbox(["verity"], env={"STRIPE_WEBHOOK_SECRET": SECRET}) as target:

        def metrics() -> str:
            # Each of the five users buys tokens once: none has before the load, all have after it.
            return (
                "redis_connected_clients 7\n"
                f'pg_stat_database_xact_commit{{datname="verity"}} {target.state()["webhooks"]["credited"]}\n'
                'pg_stat_database_xact_commit{datname="postgres"} 123456789\n'
                'pg_stat_database_blks_read{datname="verity"} NaN\n'
                'pg_stat_database_blks_read{datname="postgres"} +Inf\n'
            )

        with prometheus(tmp_path, metrics) as url:
            env = {"BASE_URL": target.url, "STRIPE_WEBHOOK_SECRET": SECRET, "PROMETHEUS_URL": f"{url}/"}
            finished = run([*QUEUE, "-u", "5", "-t", "6s"], tmp_path, {**BRIEFLY, **env})
    rows = observed(finished)
    of = {(row["query"], row["labels"].get("datname")): row for row in rows}
    assert [row["query"] for row in rows] == [
        "redis_connected_clients",
        "redis_used_memory_bytes",
        *["pg_stat_database_xact_commit"] * 2,
        *["pg_stat_database_blks_read"] * 2,
    ]
    values = {name: (row["start"], row["end"], row["difference"], row["note"]) for name, row in of.items()}
    assert values == {
        ("redis_connected_clients", None): (7, 7, 0, ""),
        ("redis_used_memory_bytes", None): (None, None, None, "not observed: no such series"),
        ("pg_stat_database_xact_commit", "verity"): (0, 5, 5, ""),
        ("pg_stat_database_xact_commit", "postgres"): (123456789, 123456789, 0, ""),
        ("pg_stat_database_blks_read", "verity"): (None, None, None, "NaN at the start; NaN at the end"),
        ("pg_stat_database_blks_read", "postgres"): (None, None, None, "+Inf at the start; +Inf at the end"),
    }
    labels = of["pg_stat_database_xact_commit", "verity"]["labels"]
    assert (labels["__name__"], labels["job"]) == ("pg_stat_database_xact_commit", "target")
    assert labels["instance"].startswith("127.0.0.1:")

    table = finished.output[finished.output.index("Observed  4 queries to Prometheus, before and after the load") :]
    lines = [" ".join(line.split()) for line in table.splitlines()]
    assert lines[1].startswith("query start end difference")
    assert "redis_connected_clients 7 7 0" in lines
    assert "redis_used_memory_bytes not observed: no such series" in lines
    assert "pg_stat_database_xact_commit 0 5 +5" in lines
    assert f'series {{datname="verity", instance="{labels["instance"]}", job="target"}}' in lines
    assert "redis_used_memory_bytes: not observed: no such series" in finished.output[: finished.output.index("PASS")]

    assert finished.summary is not None
    names = [name for name in finished.summary["metrics"] if name.startswith("http_reqs{name:")]
    assert finished.metric("http_reqs")["count"] == sum(finished.metric(name)["count"] for name in names)
    assert not [name for name in names if "query" in name or "prom" in name]


def test_one_process_asks_and_a_refused_token_is_told_without_the_token(tmp_path: Path) -> None:
    asked: list[str | None] = []
    lock = threading.Lock()

    def refuse(headers: Mapping[str, str], path: str) -> tuple[int, str, str]:
        with lock:
            asked.append(headers.get("Authorization"))
        return 401, "application/json", json.dumps({"status": "error", "error": f"nobody knows {TOKEN}"})

    with serving(refuse) as address:
        env = {
            "VERITY_PROMETHEUS_URL": f"http://{address}",
            "PROMETHEUS_BEARER_TOKEN": TOKEN,
            "PROMETHEUS_QUERIES": 'sum(up); max by (job, env) (x{a=";"})',
        }
        words = [*QUEUE, "-u", "2", "-t", "1s", "--processes", "2", "--loglevel", "DEBUG"]
        finished = run(words, tmp_path, {**BRIEFLY, **env})
    why = "not observed: answered 401 Unauthorized: nobody knows REDACTED"
    assert observed(finished) == [silent("sum(up)", why), silent('max by (job, env) (x{a=";"})', why)]
    assert asked == [f"Bearer {TOKEN}"] * 4
    assert TOKEN not in finished.output + (tmp_path / "summary.json").read_text()
    assert finished.output.count(f'before the load: sum(up), max by (job, env) (x{{a=";"}}): {why}') == 1


def test_a_bad_setting_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    env = {
        "PROMETHEUS_URL": "127.0.0.1:9090",
        "PROMETHEUS_QUERIES": "up;",
        "PROMETHEUS_BEARER_TOKEN": f"Bearer {TOKEN}",
    }
    finished = run([*QUEUE, "-u", "1", "-t", "1s"], tmp_path, env)
    assert finished.exit_code == 104, finished.output
    assert finished.summary is not None
    assert [reason["text"].partition(": ")[0] for reason in finished.summary["reasons"]] == [
        "PROMETHEUS_URL=127.0.0.1:9090",
        "PROMETHEUS_BEARER_TOKEN",
        "PROMETHEUS_QUERIES=up;",
    ]
    assert finished.summary["observed"] == []
    assert TOKEN not in finished.output + (tmp_path / "summary.json").read_text()
