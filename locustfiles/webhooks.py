"""Stripe's webhooks arrive at a hundred a second, whatever the answers; some again, some forged.

    WEBHOOK_RATE=50 TEST_DURATION=30s locust --headless -f locustfiles/webhooks.py            # 30s
    locust --headless -f locustfiles/webhooks.py                                              # 5m

Without API_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect webhooks` shows everything else.
"""

import pika_locust
from pika_locust.platforms.wwmaa.scenarios import WEBHOOKS
from pika_locust.platforms.wwmaa.webhook_sender import WebhookSender

__all__ = ["WebhookSender"]

pika_locust.install(WEBHOOKS)
