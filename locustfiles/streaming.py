"""People say something on a WebSocket, in text and audio, and are answered: up to a thousand in nine minutes.

    locust --headless -f locustfiles/streaming.py -u 50 -r 25 -t 60s          # 1m
    SCENARIO=medium locust --headless -f locustfiles/streaming.py              # 5m

Without WS_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect streaming` shows everything else.
"""

import pika_locust
from pika_locust.platforms.pixelated.scenarios import STREAMING
from pika_locust.platforms.pixelated.streaming_user import StreamingUser

__all__ = ["StreamingUser"]

pika_locust.install(STREAMING)
