"""Members, people who look at events, and subscribers call the API side by side, at rates of their own.

    AUTH_RATE=20 EVENTS_RATE=40 SUBSCRIPTIONS_RATE=10 TEST_DURATION=30s locust --headless -f locustfiles/api.py  # 30s
    locust --headless -f locustfiles/api.py                                                   # 5m

Without API_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect api` shows everything else.
"""

import pika_locust
from pika_locust.platforms.wwmaa.api_user import ApiUser
from pika_locust.platforms.wwmaa.scenarios import API

__all__ = ["ApiUser"]

pika_locust.install(API)
