"""What a platform is built from: actors, scenarios, audits by sampling, signed webhooks.

Each name is loaded when it is asked for: whoever only looks at scenarios needs no socket and no Locust.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pika_locust.kit.actor import on as on
    from pika_locust.kit.actor import on_raw as on_raw
    from pika_locust.kit.audits import ledger_audits
    from pika_locust.kit.http_actor import HttpActor as HttpActor
    from pika_locust.kit.meters import counter, gauge, rate, trend
    from pika_locust.kit.scenarios import scenario
    from pika_locust.kit.socketio_actor import SocketIoActor as SocketIoActor
    from pika_locust.kit.sql_audit import sql_count, sql_ids
    from pika_locust.kit.webhook_actor import WebhookActor as WebhookActor
    from pika_locust.kit.websocket_actor import WebSocketActor as WebSocketActor

_MODULES = {
    "HttpActor": "http_actor",
    "SocketIoActor": "socketio_actor",
    "WebSocketActor": "websocket_actor",
    "WebhookActor": "webhook_actor",
    "counter": "meters",
    "gauge": "meters",
    "ledger_audits": "audits",
    "on": "actor",
    "on_raw": "actor",
    "rate": "meters",
    "scenario": "scenarios",
    "sql_count": "sql_audit",
    "sql_ids": "sql_audit",
    "trend": "meters",
}

__all__ = [
    "HttpActor",
    "SocketIoActor",
    "WebSocketActor",
    "WebhookActor",
    "counter",
    "gauge",
    "ledger_audits",
    "on",
    "on_raw",
    "rate",
    "scenario",
    "sql_count",
    "sql_ids",
    "trend",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
