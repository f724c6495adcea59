from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pika_locust.sandbox import SandboxProcess, start_sandbox
from tests.platforms.verity.harness import SESSION_S, Harness


@pytest.fixture(scope="session")
def verity() -> Iterator[SandboxProcess]:
    env = {"PATH": os.environ["PATH"], "SESSION_HOLD_SECONDS": str(SESSION_S)}
    with start_sandbox(["verity"], env=env) as process:
        yield process


@pytest.fixture
def harness(verity: SandboxProcess) -> Iterator[Harness]:
    """Members against an empty, healthy sandbox. At the end, nothing may have gone wrong in them."""
    verity.clear_faults()
    verity.reset()
    yield (harness := Harness(verity))
    harness.end()
    assert harness.worker.internal_errors == []
