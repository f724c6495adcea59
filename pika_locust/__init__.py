"""Load tests for realtime platforms on Locust: k6's metrics and thresholds, and data-integrity checks.

Importing this package starts nothing, patches nothing and registers nothing. A locustfile says what it wants:

    import pika_locust
    from pika_locust.platforms.pika.scenarios import DANCERS

    pika_locust.install(DANCERS)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pika_locust.version import __version__

if TYPE_CHECKING:
    from pika_locust.judge import Threshold
    from pika_locust.kit.fast_user import FastUser
    from pika_locust.kit.socketio_user import SocketIOUser
    from pika_locust.kit.websocket_user import WebSocketUser
    from pika_locust.metrics import counter, gauge, rate, trend
    from pika_locust.plugin import install

__all__ = [
    "FastUser",
    "SocketIOUser",
    "Threshold",
    "WebSocketUser",
    "__version__",
    "counter",
    "gauge",
    "install",
    "rate",
    "trend",
]

_EXPORTED = {
    "FastUser": "pika_locust.kit.fast_user",
    "SocketIOUser": "pika_locust.kit.socketio_user",
    "Threshold": "pika_locust.judge",
    "WebSocketUser": "pika_locust.kit.websocket_user",
    "counter": "pika_locust.metrics",
    "gauge": "pika_locust.metrics",
    "install": "pika_locust.plugin",
    "rate": "pika_locust.metrics",
    "trend": "pika_locust.metrics",
}


def __getattr__(name: str) -> Any:
    # PEP 562: `pika_locust.judge` must stay importable without gevent, so the Locust side loads when it is asked for.
    if name in _EXPORTED:
        return getattr(importlib.import_module(_EXPORTED[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
