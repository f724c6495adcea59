from __future__ import annotations

import tests.quiet_locust  # noqa: F401
