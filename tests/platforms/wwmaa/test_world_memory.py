"""What the sandbox keeps of each visit: little, for a target that grows by what it is asked fails the run."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from pika_locust.platforms.wwmaa import world_accounts
from pika_locust.platforms.wwmaa.world import PLATFORM
from pika_locust.testing.world_driver import WorldDriver

VISITS = 1000


def visit(driver: WorldDriver, number: int) -> None:
    """Somebody logs in, asks who that is, and refreshes."""
    member = {"email": f"loadtest_user_{number % 50}@wwmaa.com", "password": world_accounts.PASSWORD}
    _, tokens = driver.ask("POST", "/api/auth/login", member)
    status, _ = driver.ask("GET", "/api/auth/me", authorization=f"Bearer {tokens['access_token']}")
    assert status == 200
    status, _ = driver.ask("POST", "/api/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    assert status == 200


def test_a_visit_leaves_a_few_hundred_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Access tokens are remembered up to a number, which this run reaches as a long one does.
    monkeypatch.setattr(world_accounts, "_REMEMBERED", 50)
    driver = WorldDriver(PLATFORM)
    for number in range(100):
        visit(driver, number)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(VISITS):
            visit(driver, number)
        gc.collect()
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes / VISITS < 400
