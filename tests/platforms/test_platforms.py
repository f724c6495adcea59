from __future__ import annotations

import pytest

from pika_locust.catalogue import scenarios
from pika_locust.metrics.metric import Kind
from pika_locust.scenario import Deferred, Scenario, load_reference


def test_a_deferred_function_is_called_with_what_it_is_given() -> None:
    assert Deferred("pika_locust.kit.targets:websocket_url")("http://host:8080") == "ws://host:8080/ws"


@pytest.mark.parametrize("reference", ["pika_locust.nowhere:audit", "pika_locust.kit.targets:nobody"])
def test_a_deferred_function_that_is_not_there_is_missed_when_it_is_called(reference: str) -> None:
    deferred = Deferred(reference)
    with pytest.raises((ImportError, AttributeError)):
        deferred(None)


@pytest.mark.parametrize("scenario", scenarios().values(), ids=lambda scenario: scenario.name)
def test_what_a_scenario_names_by_reference_is_there(scenario: Scenario) -> None:
    """Or it would be missed when the load has run already."""
    deferred = [each for each in (scenario.audit, scenario.set_up) if isinstance(each, Deferred)]
    assert all(callable(load_reference(each.reference)) for each in deferred)
    assert deferred or scenario.audit is None


@pytest.mark.parametrize("scenario", scenarios().values(), ids=lambda scenario: scenario.name)
def test_a_search_for_the_capacity_knows_what_the_load_and_the_loss_are(scenario: Scenario) -> None:
    """A name that nothing has would be a load that nobody applies, or a loss that nobody judges."""
    names = {setting.name for setting in scenario.settings}
    is_open = scenario.arrivals is not None
    assert {*scenario.rate_settings, scenario.length_setting} - {""} <= names
    assert (bool(scenario.rate_settings), bool(scenario.length_setting)) == (is_open, is_open)
    assert scenario.loss in {metric.name for metric in scenario.metrics if metric.kind == Kind.RATE}
