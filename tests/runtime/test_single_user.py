from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from locust.event import EventHook

from pika_locust.errors import SetupError
from pika_locust.runtime.single_user import SingleUserRunner, prepare_single_user
from pika_locust.runtime.worker import WorkerSide
from pika_locust.scenario import Scenario, SetupContext, SetupResult
from tests.runtime.sample_scenario import SAMPLE_SCENARIO, read


def seeded(context: SetupContext) -> SetupResult:
    return SetupResult(public={"seeded_at": context.target})


def refused(context: SetupContext) -> SetupResult:
    raise SetupError("the members could not be made")


class Process:
    """A process in which `run_single_user` has fired Locust's `init`."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        events: Any = SimpleNamespace(request=EventHook(), spawning_complete=EventHook())
        self.environment: Any = SimpleNamespace(
            events=events, host="http://sample", user_classes=[], stop_timeout=0.0, process_exit_code=None
        )
        self.options = read("-u 1", {"PIKA_CODE": "sesame"}, scenario)
        self.runner = SingleUserRunner()
        self.worker = WorkerSide(self.environment, scenario, self.options.settings)
        self.worker.attach(self.runner)

    def prepare(self) -> None:
        prepare_single_user(self.worker, self.runner, self.environment, self.scenario, self.options)


def test_the_user_has_all_of_a_test_but_a_verdict() -> None:
    process = Process(replace(SAMPLE_SCENARIO, set_up=seeded))
    process.prepare()
    context = process.worker.wait_for_context(0.0)
    assert context is not None
    assert context.begin.target == "http://sample"
    assert context.begin.given == {"seeded_at": "http://sample"}
    assert context.settings["PIKA_CODE"] == "sesame"
    # There are no supporters that it would have to wait for.
    assert context.supporters_ready.is_set()
    heard: list[Any] = []
    context.listen("tracks", heard.append)
    context.tell_all("tracks", {"title": "one"})
    assert heard == [{"title": "one"}]
    process.worker._end()


def test_a_set_up_that_fails_is_told() -> None:
    process = Process(replace(SAMPLE_SCENARIO, set_up=refused))
    with pytest.raises(SetupError, match="the members could not be made"):
        process.prepare()
