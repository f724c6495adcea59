from __future__ import annotations

from collections.abc import Iterator

import pytest

from pika_locust.wire.tracing import TraceSampler, set_sampler
from tests.platforms.pika.conftest import harness  # noqa: F401


@pytest.fixture
def samples() -> Iterator[TraceSampler]:
    """Every request and handshake of users that belong to no scenario is one of them."""
    found = TraceSampler(1.0)
    set_sampler(found)
    yield found
    set_sampler(None)
