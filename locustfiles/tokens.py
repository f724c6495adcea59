"""Token purchases in a rush: webhooks arrive at a rate that nobody's answers slow down, 20 to 400 a second.

    locust --headless -f locustfiles/tokens.py
    BASE_RATE=5 SPIKE_RATE=80 RAMP_UP=10s SPIKE_HOLD=10s RAMP_DOWN=10s locust --headless -f locustfiles/tokens.py
    REDELIVERY=0.05 locust --headless -f locustfiles/tokens.py     # some again, some at once, some forged

Without BASE_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect tokens` shows everything else.
"""

import pika_locust
from pika_locust.platforms.verity.buyer import Buyer
from pika_locust.platforms.verity.scenarios import TOKENS

__all__ = ["Buyer"]

pika_locust.install(TOKENS)
