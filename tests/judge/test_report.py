from __future__ import annotations

import dataclasses
import json

import pytest

from pika_locust.judge import report
from pika_locust.judge.report import Reason, ThresholdResult, WorstWindow


def test_what_a_run_found_cannot_be_changed_afterwards() -> None:
    own = [value for value in vars(report).values() if getattr(value, "__module__", "") == report.__name__]
    found = [value for value in own if isinstance(value, type) and dataclasses.is_dataclass(value)]

    assert len(found) == 13
    assert all(kind.__dataclass_params__.frozen for kind in found)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Reason("audit", "a", "b").text = "c"  # type: ignore[misc]


def test_the_fields_of_a_judged_threshold_are_those_promised_to_users() -> None:
    promised = {
        "metric",
        "expression",
        "value",
        "samples",
        "status",
        "interval",
        "conclusive",
        "worst_window",
        "grade",
    }
    result = ThresholdResult("m", "p(95)<5", 1.0, 3, "pass", (0.5, 2.0), True, WorstWindow(30.0, 41.0, 19.0))
    plain = json.loads(json.dumps(dataclasses.asdict(result)))

    assert promised <= plain.keys()
    assert plain["interval"] == [0.5, 2.0]
    assert {"seconds", "from_s", "value"} <= plain["worst_window"].keys()
