"""The scenarios of the platform, in `SCENARIOS`."""

from __future__ import annotations

from collections.abc import Sequence

from pika_locust.judge import AuditResult, balance
from pika_locust.kit import scenario
from pika_locust.observe.target import read_json
from pika_locust.scenario import AuditContext
from shop_platform.customer import Customer


def audit(context: AuditContext) -> Sequence[AuditResult]:
    """What the shop holds of this run against what its customers were told."""
    held = read_json(f"{context.target}/orders/count?run={context.run_id}")["count"]
    expected = context.ledgers["orders"].expect()
    return [balance("orders", expected.acknowledged, held, expected.unanswered)]


ORDERS = scenario(
    "shop_orders",
    Customer,
    platform="shop",
    about="customers order over HTTP",
    profiles={"standard": "10s:20,30s:20,5s:0"},
    thresholds={"order_latency": "p(95)<500", "http_req_failed": "rate<0.01"},
    audit=audit,
)
SCENARIOS = (ORDERS,)
