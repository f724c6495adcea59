"""Every fault that a platform's sandbox can plant ends the run in 99, for the metric or audit that must notice it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from pika_locust.catalogue import find_platform, known_platforms
from tests.e2e.support import run

pytestmark = pytest.mark.e2e

# What is load enough for each scenario's faults, and no longer.
LOADS: dict[str, tuple[list[str], dict[str, str]]] = {
    "dancers": (["-u", "40", "-r", "40", "-t", "16s"], {}),
    "queue": (["-u", "60", "-r", "60", "-t", "12s"], {"THINK_TIME_MIN": "0.2", "THINK_TIME_MAX": "0.5"}),
    "sessions": (["-u", "20", "-r", "20", "-t", "10s"], {"SESSION_HOLD_SECONDS": "1"}),
    "tokens": (
        ["-t", "8s"],
        {
            "BASE_RATE": "20",
            "SPIKE_RATE": "30",
            "RAMP_UP": "2s",
            "SPIKE_HOLD": "4s",
            "RAMP_DOWN": "1s",
            "REDELIVERY": "0.1",
        },
    ),
}


def noticed_by() -> dict[tuple[str, str], set[str]]:
    """Scenario and fault, and whatever must notice it."""
    subjects: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for name in known_platforms():
        for cover in find_platform(name).covers:
            subjects[cover.scenario, cover.planted].add(cover.subject)
    return dict(subjects)


NOTICED = noticed_by()


SETTINGS = {
    (cover.scenario, cover.planted): dict(cover.settings)
    for name in known_platforms()
    for cover in find_platform(name).covers
}


def test_every_scenario_with_faults_has_a_load() -> None:
    assert {scenario for scenario, _ in NOTICED} <= LOADS.keys()


@pytest.mark.parametrize(("scenario", "fault"), NOTICED, ids=[" ".join(case) for case in NOTICED])
def test_a_fault_is_noticed_by_what_covers_it(scenario: str, fault: str, tmp_path: Path) -> None:
    load, env = LOADS[scenario]
    env = {**env, **SETTINGS[scenario, fault]}
    arguments = ["--headless", "-f", f"locustfiles/{scenario}.py", *load, "--seed", "11", "--sandbox-fault", fault]
    finished = run(arguments, tmp_path, env)
    assert finished.exit_code == 99, finished.output
    assert finished.subjects >= NOTICED[scenario, fault], finished.reasons
