from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import tests.quiet_locust  # noqa: F401
from pika_locust.sandbox import SandboxProcess, start_sandbox
from tests.platforms.verity.night import SESSION_S, Night


@pytest.fixture(scope="session")
def verity() -> Iterator[SandboxProcess]:
    env = {"PATH": os.environ["PATH"], "SESSION_HOLD_SECONDS": str(SESSION_S)}
    with start_sandbox(["verity"], env=env) as process:
        yield process


@pytest.fixture
def night(verity: SandboxProcess) -> Iterator[Night]:
    """Members against an empty, healthy sandbox. At the end, nothing may have gone wrong in them."""
    verity.clear_faults()
    verity.reset()
    yield (night := Night(verity))
    night.end()
    assert night.worker.internal_errors == []
