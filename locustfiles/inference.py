"""People ask the model over REST: up to a hundred of them in five minutes.

    locust --headless -f locustfiles/inference.py -u 20 -r 20 -t 30s                          # 30s
    INFERENCE_RATE=120 TEST_DURATION=60s locust --headless -f locustfiles/inference.py         # 1m
    SCENARIO=stress locust --headless -f locustfiles/inference.py                              # 15m

Without API_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect inference` shows everything else.
"""

import pika_locust
from pika_locust.platforms.pixelated.inference_user import InferenceUser
from pika_locust.platforms.pixelated.scenarios import INFERENCE

__all__ = ["InferenceUser"]

pika_locust.install(INFERENCE)
