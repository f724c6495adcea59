"""Profiles of a scenario, and the plans that requests for them come to."""

from __future__ import annotations

import pytest

from pika_locust.load.plan import LoadPlan, LoadProfile, LoadRequest, resolve
from pika_locust.load.stages import parse_stages

STANDARD = LoadProfile("standard", parse_stages("2m:100,8m:100,1m:0"))
STRESS = LoadProfile("stress", parse_stages("5m:500,10m:500,2m:0"))
SPIKE = LoadProfile("spike", parse_stages("1m:100,1m:0"), start_users=0)
STEPS = LoadProfile("steps", parse_stages("1m:10,1m:20,1m:30,1m:0"))
PROFILES = {profile.name: profile for profile in (STANDARD, STRESS, SPIKE, STEPS)}
QUIET = LoadProfile("quiet", parse_stages("10s:3,10s:0"))


def plan_of(**asked: object) -> LoadPlan:
    return resolve(LoadRequest(**asked), PROFILES, "standard")  # type: ignore[arg-type]


def problems_of(**asked: object) -> list[str]:
    with pytest.raises(ValueError) as caught:
        plan_of(**asked)
    return str(caught.value).split("\n")


OPTION = {"profile": "stress", "profile_from": "--load-profile"}
SHAPE = {"profile": "stress", "profile_from": "shapes/stress.py", "profile_fallback": QUIET}
