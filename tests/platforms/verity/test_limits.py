"""Before a run it is said how many addresses its load needs for what the real server allows one."""

from __future__ import annotations

import math

import pytest

from pika_locust.load.plan import LoadRequest, resolve
from pika_locust.platforms.verity.limits import addresses_needed, started_a_minute
from pika_locust.platforms.verity.scenarios import QUEUE, SESSIONS, TOKENS
from pika_locust.scenario import Scenario
from tests.platforms.verity.harness import settings_of

SERVER = {"BASE_URL": "http://shop.test", "STRIPE_WEBHOOK_SECRET": "whsec"}


@pytest.mark.parametrize(
    ("sign_ups", "requests", "needed"),
    [(0, 0, 1), (10, 120, 1), (11, 120, 2), (10, 121, 2), (100, 1, 10), (1, 24_000, 200), (20, math.inf, 2)],
)
def test_addresses_needed_for_both_limits(sign_ups: float, requests: float, needed: int) -> None:
    assert addresses_needed(sign_ups, requests) == needed


PLANS = {
    "all at once": ("constant:40", None, 40),
    "one a second": ("constant:90", 1.0, 60),
    "a ramp of two minutes": ("120s:100,60s:100", None, 51),
    "a steep part of a ramp": ("120s:10,60s:70,60s:0", None, 60),
    "a short one": ("30s:20", None, 20),
}


@pytest.mark.parametrize(("load", "spawn_rate", "started"), PLANS.values(), ids=PLANS)
def test_the_most_users_that_start_within_a_minute(load: str, spawn_rate: float | None, started: int) -> None:
    name, _, users = load.partition(":")
    if name == "constant":
        request = LoadRequest(users=int(users), spawn_rate=spawn_rate, run_time_s=300.0)
    else:
        request = LoadRequest(stages=load)
    assert started_a_minute(resolve(request, QUEUE.profiles, QUEUE.default_profile)) == started


def note(scenario: Scenario, **environ: str) -> str:
    """What is said of addresses before 100 users start at once."""
    settings = settings_of(scenario, **environ)
    plan = resolve(LoadRequest(users=100, run_time_s=60.0), scenario.profiles or QUEUE.profiles, "standard")
    notes = [note for note in scenario.notes(settings, plan) if "SOURCE_ADDRESSES" in note]
    return notes[0] if notes else ""


def test_a_pool_that_is_too_small_is_noted_and_one_that_is_large_enough_is_not() -> None:
    # 100 users of the queue make 100 · 60 / 2.5 = 2,400 joins a minute, at 120 an address.
    assert note(QUEUE, SOURCE_ADDRESSES="127.0.8.1-127.0.8.4").startswith(
        "SOURCE_ADDRESSES has 4: this load needs 20 addresses where an address is allowed 10 sign-ups and 120 requests"
    )
    assert note(QUEUE, SOURCE_ADDRESSES="127.0.8.1-127.0.8.20") == ""
    # 100 sign-ups at once, at 10 an address.
    assert "needs 10 addresses" in note(SESSIONS, **SERVER)
    # 400 webhooks a second are 24,000 a minute.
    assert "SOURCE_ADDRESSES is not set: this load needs 200 addresses" in note(TOKENS, **SERVER)
    assert "needs 10 addresses" in note(TOKENS, **SERVER, SPIKE_RATE="20", BASE_RATE="2")


@pytest.mark.parametrize("scenario", [QUEUE, SESSIONS, TOKENS], ids=lambda scenario: scenario.name)
def test_of_the_sandbox_nothing_is_noted(scenario: Scenario) -> None:
    assert note(scenario) == ""
