"""What a platform is built from: actors, scenarios, audits by sampling, signed webhooks.

Each name is loaded when it is asked for: whoever only looks at scenarios needs no socket and no Locust.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pika_locust.kit.http_actor import HttpActor as HttpActor
    from pika_locust.kit.meters import counter, gauge, rate, trend
    from pika_locust.kit.scenarios import scenario

_MODULES = {
    "HttpActor": "http_actor",
    "counter": "meters",
    "gauge": "meters",
    "rate": "meters",
    "scenario": "scenarios",
    "trend": "meters",
}

__all__ = ["HttpActor", "counter", "gauge", "rate", "scenario", "trend"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
