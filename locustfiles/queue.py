"""The matchmaking queue: join, think, leave, think; ten thousand users at the peak.

    locust --headless -f locustfiles/queue.py -u 200 -r 100 -t 30s
    RAMP_UP=60s HOLD=60s RAMP_DOWN=15s locust --headless -f locustfiles/queue.py --processes 2
    BASE_URL=https://staging.example STRIPE_WEBHOOK_SECRET=… locust --headless -f locustfiles/queue.py

Without BASE_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect queue` shows everything else.
"""

import gevent.queue
import sys

# Locust loads this file under its name, in place of the standard library's module, which others import later.
sys.modules["queue"] = gevent.queue.__dict__["__stdlib_queue__"] if False else sys.modules["queue"]
