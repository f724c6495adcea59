from __future__ import annotations

from tests.platforms.pika.conftest import harness  # noqa: F401
