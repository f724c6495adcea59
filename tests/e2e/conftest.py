from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.shop_server.server import Target, target


@pytest.fixture
def server() -> Iterator[Target]:
    """A shop, which anybody's locustfile can buy from."""
    with target() as started:
        yield started
