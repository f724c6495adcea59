"""Token purchases in a rush: webhooks arrive at a rate that nobody's answers slow down, 20 to 400 a second.

    locust --headless -f locustfiles/tokens.py                                                          # 5m
    SPIKE_RATE=80 RAMP_UP=9s SPIKE_HOLD=9s RAMP_DOWN=9s COOL_DOWN=3s locust --headless -f locustfiles/tokens.py  # 30s
    REDELIVERY=0.05 locust --headless -f locustfiles/tokens.py    # 5m: some again, some at once, some forged

Without BASE_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect tokens` shows everything else.
"""

import pika_locust
from pika_locust.platforms.verity.buyer import Buyer
from pika_locust.platforms.verity.scenarios import TOKENS

__all__ = ["Buyer"]

pika_locust.install(TOKENS)
