"""The kit for platforms: actors that measure what they do, and scenarios as data. Loads Locust only with an actor."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pika_locust.kit.meters import counter, gauge, rate, trend
from pika_locust.kit.scenarios import scenario

if TYPE_CHECKING:
    from pika_locust.kit.http_actor import HttpActor as HttpActor

_ACTORS = {"HttpActor": "pika_locust.kit.http_actor"}

__all__ = ["HttpActor", "counter", "gauge", "rate", "scenario", "trend"]


def __getattr__(name: str) -> Any:
    # Whoever only looks at scenarios needs no socket and no Locust.
    if name in _ACTORS:
        return getattr(importlib.import_module(_ACTORS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
