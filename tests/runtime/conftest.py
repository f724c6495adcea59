"""Importing Locust patches the whole process for gevent, which tests with real threads would feel. The parts that are
tested here need no patched socket, so Locust is imported without that; whole runs are in `tests/e2e`."""

from __future__ import annotations

import os

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"

import locust  # noqa: F401

del os.environ["LOCUST_SKIP_MONKEY_PATCH"]
