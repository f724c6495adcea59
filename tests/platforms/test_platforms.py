from __future__ import annotations

import pytest

from pika_locust.catalogue import scenarios
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
