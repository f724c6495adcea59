"""Locust without its patches: importing it patches the whole process for gevent, which tests with real threads and
event loops would feel. What is tested inside of pytest's process needs no patched socket; whole runs are processes of
their own (`tests/e2e`). The tests' conftest imports this module before anything that imports Locust."""

from __future__ import annotations

import os

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"

import locust  # noqa: F401

del os.environ["LOCUST_SKIP_MONKEY_PATCH"]
