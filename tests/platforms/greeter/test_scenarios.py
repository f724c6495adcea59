from __future__ import annotations

from types import SimpleNamespace

import pytest

from pika_locust.judge import check
from pika_locust.judge.grades import grade_of
from pika_locust.platforms.greeter.scenarios import CALLS, CONNECTIONS, WIDGET
from pika_locust.runtime.options import LOAD_SETTINGS, all_metrics, thresholds_for
from pika_locust.scenario import Scenario
from pika_locust.settings import read_settings


def slopes(scenario: Scenario, profile: str) -> dict[str, str]:
    """What must hold of slopes under a load profile; no metric has two."""
    settings, _ = read_settings((*LOAD_SETTINGS, *scenario.settings), {}, scenario.platform)
    thresholds = thresholds_for(scenario, profile, settings, (), SimpleNamespace(stop_timeout=None))
    assert check(thresholds, all_metrics(scenario)) == []
    found = [threshold for threshold in thresholds if threshold.expression.is_slope]
    assert len({threshold.metric for threshold in found}) == len(found)
    assert all(threshold.optional for threshold in found)
    return {threshold.metric: threshold.expression.text for threshold in found}


@pytest.mark.parametrize("scenario", [CONNECTIONS, WIDGET], ids=lambda scenario: scenario.name)
def test_a_soak_judges_memory_more_strictly_and_latency_as_well(scenario: Scenario) -> None:
    assert slopes(scenario, "soak") == {
        "target_memory_mb": "slope<5",
        "ws_connection_time": "slope<20",
        "health_latency": "slope<20",
    }


@pytest.mark.parametrize("profile", ["baseline", "capacity", "constant"])
@pytest.mark.parametrize("scenario", [CONNECTIONS, WIDGET, CALLS], ids=lambda scenario: scenario.name)
def test_every_other_load_judges_memory(scenario: Scenario, profile: str) -> None:
    assert slopes(scenario, profile) == {"target_memory_mb": "slope<20"}


@pytest.mark.parametrize(("agents", "judged", "enough"), [("", True, True), ("3", True, False), ("0", False, False)])
def test_visitors_must_be_shown_agents_where_we_bring_some(agents: str, judged: bool, enough: bool) -> None:
    settings, _ = read_settings((*LOAD_SETTINGS, *WIDGET.settings), {"AGENTS": agents}, WIDGET.platform)
    thresholds = {one.metric: one.expression for one in WIDGET.thresholds_for("realistic", settings)}
    assert ("agent_assigned_count" in thresholds) == judged
    assert not judged or not thresholds["agent_assigned_count"].holds(0)
    assert ("agent_found" in thresholds) == enough
    assert not enough or not thresholds["agent_found"].holds(0.5)


ERRORS_A_MINUTE = {0: "healthy", 1: "warning", 9: "warning", 11: "critical"}


@pytest.mark.parametrize(("errors", "grade"), ERRORS_A_MINUTE.items(), ids=str)
@pytest.mark.parametrize("scenario", [CONNECTIONS, WIDGET, CALLS], ids=lambda scenario: scenario.name)
def test_failed_connections_have_the_grade_of_the_suites_table(scenario: Scenario, errors: int, grade: str) -> None:
    name = next(metric.name for metric in scenario.metrics if metric.name.endswith("connection_failures"))
    assert grade_of(scenario.bands, name, "rate", errors / 60) == grade
    (threshold,) = (
        found for found in scenario.thresholds if (found.metric, found.expression.aggregation) == (name, "rate")
    )
    assert threshold.expression.holds(errors / 60) == (grade != "critical")


@pytest.mark.parametrize(("agents", "judged"), [("", True), ("3", True), ("0", False)])
@pytest.mark.parametrize("metric", ["signal_success", "call_kept", "cobrowse_relayed"])
def test_agents_of_ours_answer_offers_and_leave_it_to_visitors_to_hang_up(
    metric: str, agents: str, judged: bool
) -> None:
    settings, _ = read_settings((*LOAD_SETTINGS, *CALLS.settings), {"AGENTS": agents}, CALLS.platform)
    (threshold,) = (one for one in CALLS.thresholds if one.metric == metric)
    assert not threshold.expression.holds(0.9)
    assert (metric not in CALLS.unobservable(settings)) == judged
