from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from tests.wire.http_servers import Certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def patience() -> Iterator[None]:
    """A test that waits for what never comes fails, and says where."""
    with gevent.Timeout(20):
        yield
