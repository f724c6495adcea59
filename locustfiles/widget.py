"""Visitors of a website whose widget shows an agent, with agents of our own: 200 for eight minutes.

    locust --headless -f locustfiles/widget.py -u 50 -r 25 -t 60s   # 1m

Without SERVER_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect widget` shows everything else.
"""

import pika_locust
from pika_locust.platforms.greeter.agent import Agent
from pika_locust.platforms.greeter.scenarios import WIDGET
from pika_locust.platforms.greeter.visitor import Visitor

__all__ = ["Agent", "Visitor"]

pika_locust.install(WIDGET)
