"""Faults of the world are seen by the metric or audit that must see them, with users and thresholds as in a run; all of
them, in whole processes, are in tests/e2e/test_covers.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pika_locust.judge import ThresholdEvaluator
from pika_locust.load.plan import CONSTANT
from pika_locust.metrics.metric import Kind
from pika_locust.platforms.verity import session_user
from pika_locust.platforms.verity.account import VerityActor
from pika_locust.platforms.verity.buyer import Buyer, seed_users
from pika_locust.platforms.verity.queue_user import QueueUser
from pika_locust.platforms.verity.scenarios import QUEUE, SESSIONS, TOKENS
from pika_locust.platforms.verity.session_user import SessionUser
from pika_locust.runtime.options import all_metrics
from pika_locust.scenario import AuditContext, Scenario, SetupContext, SetupResult
from pika_locust.wire.http import Timeouts
from tests.platforms.verity.harness import Harness, settings_of, until


def seen(harness: Harness, given: SetupResult) -> set[str]:
    """What fails: thresholds and audits, by metric and name."""
    worker, scenario = harness.worker, harness.worker.scenario
    panel = ThresholdEvaluator(scenario.thresholds_for(CONSTANT, worker.settings), all_metrics(scenario))
    found = {result.metric for result in panel.results(worker.metrics.snapshot(), 5.0) if result.status != "pass"}
    context = AuditContext(
        worker.begin.target,
        worker.settings,
        {},
        worker.facts,
        harness.sandbox.state(),
        {**given.public, **given.private},
    )
    assert scenario.audit is not None
    return found | {audit.name for audit in scenario.audit(context) if audit.status == "fail"}


def members(harness: Harness) -> SetupResult:
    return seed_users(SetupContext(harness.sandbox.url, settings_of(TOKENS, SEED_USER_COUNT="3"), 7))


Enough = Callable[[Harness], object]
RUNS: dict[str, tuple[Scenario, type[Any], Enough]] = {
    "queue": (QUEUE, QueueUser, lambda harness: harness.count("iterations") >= 12),
    "sessions": (
        SESSIONS,
        SessionUser,
        lambda harness: sum(harness.rate("checks", check="session ended")) >= 8 or harness.errors("session"),
    ),
    "tokens": (TOKENS, Buyer, lambda harness: harness.count("iterations") >= 8),
}


def run(harness: Harness, name: str, faults: dict[str, Any]) -> set[str]:
    """A short run of a scenario against a sandbox with these faults."""
    scenario, user, enough = RUNS[name]
    given = members(harness) if scenario is TOKENS else SetupResult()
    harness.sandbox.set_faults(faults)
    harness.open(scenario, begin={"given": given.public}, **({"REDELIVERY": "1"} if scenario is TOKENS else {}))
    for _ in range(6):
        harness.start(user)
    until(lambda: enough(harness), 10.0)
    harness.sandbox.clear_faults()
    harness.drain()
    return seen(harness, given)


HERE = {
    "drop": ("queue", {"drop": 0.2}, {"http_req_failed", "error_rate"}),
    "refuse": ("sessions", {"refuse": 0.5}, {"error_rate"}),
    "close-after": ("sessions", {"close-after": 0.4}, {"error_rate"}),
    "lose-fanout": ("sessions", {"lose-fanout": 0.3}, {"match_rate"}),
    "dead-session": ("sessions", {"dead-session": True}, {"session_start_lag", "session_length", "sessions"}),
    "redelivery-500": ("tokens", {"redelivery-500": True}, {"redelivery_ignored"}),
}


@pytest.mark.parametrize(("name", "faults", "subjects"), HERE.values(), ids=HERE)
def test_a_fault_is_seen_by_what_must_see_it(
    name: str, faults: dict[str, Any], subjects: set[str], harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VerityActor, "timeouts", Timeouts(read_s=0.3))
    monkeypatch.setattr(session_user, "START_WAIT_S", 0.3)
    monkeypatch.setattr(SessionUser, "connect_within_s", 0.3)
    assert run(harness, name, faults) >= subjects


@pytest.mark.parametrize("name", RUNS)
def test_without_a_fault_nothing_is_seen(name: str, harness: Harness) -> None:
    times = {metric.name for metric in all_metrics(RUNS[name][0]) if metric.kind is Kind.TREND}
    # Nobody watches the target's process here, nor whether this machine leaves it the time that it needs.
    assert run(harness, name, {}) - times == {"target_memory_mb"}
