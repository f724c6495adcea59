"""Socket.IO connections that are held: a thousand at the peak, in nine minutes.

    locust --headless -f locustfiles/connections.py -u 100 -r 50 -t 30s   # 30s

Without SERVER_URL (or -H) it starts its own sandbox and tests that.
`pika-locust inspect connections` shows everything else.
"""

import pika_locust
from pika_locust.platforms.greeter.connection import Connection
from pika_locust.platforms.greeter.scenarios import CONNECTIONS

__all__ = ["Connection"]

pika_locust.install(CONNECTIONS)
