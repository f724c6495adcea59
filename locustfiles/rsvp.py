"""People register for an event that has fewer places than there are people: half of 500 in the first two minutes.

    REGISTRATIONS=100 TEST_DURATION=30s locust --headless -f locustfiles/rsvp.py              # 30s
    locust --headless -f locustfiles/rsvp.py                                                  # 10m

Without API_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect rsvp` shows everything else.
"""

import pika_locust
from pika_locust.platforms.wwmaa.registrant import Registrant
from pika_locust.platforms.wwmaa.scenarios import RSVP

__all__ = ["Registrant"]

pika_locust.install(RSVP)
