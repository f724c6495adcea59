from __future__ import annotations

from tests.platforms.pika.conftest import evening  # noqa: F401
