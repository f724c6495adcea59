"""The same examples in every run, so that a test that fails here fails everywhere, and again; and virtual time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from pika_locust.outputs import redact
from pika_locust.testing.virtual_time import VirtualTime

# How long it takes to make the examples says something about this machine only.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

TEST_WITHIN_S = 86_400.0
"""A test that takes more virtual time than this hangs."""


@pytest.fixture(autouse=True)
def nothing_stays_concealed() -> Iterator[None]:
    """What a test has concealed, a password say, is a word like others in the next one."""
    yield
    redact._concealed.clear()
    redact._values = None
    redact.name.cache_clear()


@pytest.fixture
def virtual_time() -> Iterator[VirtualTime]:
    """The test runs in a greenlet whose time is virtual: it waits as it would in real time, and takes none."""
    with VirtualTime() as time:
        yield time


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Run tests with the fixture `virtual_time` in it."""
    time = pyfuncitem.funcargs.get("virtual_time")
    if not isinstance(time, VirtualTime):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    time.call(lambda: pyfuncitem.obj(**arguments), within_s=TEST_WITHIN_S)
    return True
