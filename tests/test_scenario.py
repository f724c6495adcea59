from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import pytest

from pika_locust.judge import Threshold, parse_option
from pika_locust.load.plan import LoadRequest, resolve
from pika_locust.scenario import Scenario, load_reference
from pika_locust.settings import Settings

SCENARIO = Scenario(
    name="party",
    platform="sample",
    about="people come and go",
    primary="sample.user:User",
    normalise_target=str,
    target_settings=("SAMPLE_URL",),
    supporters=lambda settings, users: ("sample.host:Host",) if settings["HOST"] else (),
    default_profile="standard",
    thresholds=(parse_option("delivery:rate>0.9"), parse_option("latency{kind:a}:p(95)<10")),
    profile_thresholds={
        "standard": (parse_option("latency:p(95)<100"),),
        "rush": (parse_option("latency:p(95)<500"), parse_option("errors:count<5")),
        "empty": (),
    },
    setting_thresholds=lambda settings: (parse_option(f"stay:med>={settings['STAY']}"),) if settings["STAY"] else (),
    unobservable=lambda settings: frozenset() if settings["HOST"] else frozenset({"delivery", "latency"}),
)
WITH_HOST = Settings({"HOST": True, "STAY": 0}, {})
WITHOUT = Settings({"HOST": False, "STAY": 0}, {})


def written(thresholds: tuple[Threshold, ...]) -> list[str]:
    return [f"{threshold.metric}:{threshold.expression.text}" for threshold in thresholds]


ALWAYS = ["delivery:rate>0.9", "latency{kind:a}:p(95)<10"]
HELD = {
    "the default profile": ("standard", ["latency:p(95)<100", *ALWAYS]),
    "a profile of its own": ("rush", ["latency:p(95)<500", "errors:count<5", *ALWAYS]),
    "a profile that asks for nothing more": ("empty", ALWAYS),
    "a profile without an entry is held to the default's": ("constant", ["latency:p(95)<100", *ALWAYS]),
}


@pytest.mark.parametrize(("profile", "thresholds"), HELD.values(), ids=HELD)
def test_what_must_hold_under_a_profile(profile: str, thresholds: list[str]) -> None:
    held = SCENARIO.thresholds_for(profile, WITH_HOST)
    assert written(held) == thresholds
    assert not any(threshold.optional for threshold in held)


def test_what_nobody_can_see_is_listed_and_decides_nothing() -> None:
    held = SCENARIO.thresholds_for("rush", WITHOUT)
    assert written(held) == ["latency:p(95)<500", "errors:count<5", *ALWAYS]
    assert [threshold.optional for threshold in held] == [True, False, True, True]
    assert not any(threshold.optional for threshold in SCENARIO.thresholds_for("rush", WITH_HOST))


def test_some_limits_follow_from_the_settings() -> None:
    long = Settings({"HOST": True, "STAY": 45}, {})
    assert written(SCENARIO.thresholds_for("empty", long)) == [*ALWAYS, "stay:med>=45"]


def test_supporters_depend_on_the_settings() -> None:
    assert SCENARIO.actor_names(WITH_HOST, 1) == ("sample.user:User", "sample.host:Host")
    assert SCENARIO.actor_names(WITHOUT, 1) == ("sample.user:User",)


def test_a_scenario_is_a_frozen_value() -> None:
    with pytest.raises(FrozenInstanceError):
        SCENARIO.name = "other"  # type: ignore[misc]
    assert replace(SCENARIO, name="other").name == "other"


def test_the_least_scenario_has_no_supporters_no_audit_and_hides_nothing() -> None:
    least = Scenario("a", "b", "c", "d:E", str, ())
    assert least.actor_names(WITHOUT, 1) == ("d:E",)
    assert least.thresholds_for("constant", WITHOUT) == ()
    assert list(least.check_settings(WITHOUT, None)) == []
    assert list(least.notes(WITHOUT, resolve(LoadRequest(users=1), {}, "constant"))) == []
    assert least.finish_s(WITHOUT) == 0
    assert least.audit is None


def test_a_reference_is_looked_up_when_it_is_asked_for() -> None:
    assert load_reference("pika_locust.scenario:Scenario") is Scenario
    with pytest.raises(ModuleNotFoundError):
        load_reference("pika_locust.nowhere:Nobody")
    with pytest.raises(AttributeError):
        load_reference("pika_locust.scenario:Nobody")


def test_looking_at_a_scenario_loads_no_locust() -> None:
    code = "import sys, pika_locust.catalogue as c; c.scenarios(); print('locust' in sys.modules)"
    looked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert looked.stdout.strip() == "False"
