"""Visitors call agents of our own, ten a second for two minutes.

    locust --headless -f locustfiles/calls.py                                   # 2m
    CALL_RATE=5 TEST_DURATION=30s locust --headless -f locustfiles/calls.py     # 30s

Without SERVER_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect calls` shows everything else.
"""

import pika_locust
from pika_locust.platforms.greeter.agent import Agent
from pika_locust.platforms.greeter.caller import Caller
from pika_locust.platforms.greeter.scenarios import CALLS

__all__ = ["Agent", "Caller"]

pika_locust.install(CALLS)
