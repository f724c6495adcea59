"""The matchmaking queue: join, think, leave, think; ten thousand users at the peak.

    locust --headless -f locustfiles/queue.py -u 200 -r 100 -t 30s                                    # 30s
    RAMP_UP=60s HOLD=60s RAMP_DOWN=15s locust --headless -f locustfiles/queue.py --processes 2        # 2m15s
    BASE_URL=https://staging.example STRIPE_WEBHOOK_SECRET=… locust --headless -f locustfiles/queue.py  # 12m

Without BASE_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect queue` shows everything else.
"""

# ruff: noqa: E402
import sys

import gevent.queue

# Locust loads this file under its own name, in place of the standard library's module: put that one back at once.
sys.modules["queue"] = gevent.queue.__queue__

import pika_locust
from pika_locust.platforms.verity.queue_user import QueueUser
from pika_locust.platforms.verity.scenarios import QUEUE

__all__ = ["QueueUser"]

pika_locust.install(QUEUE)
