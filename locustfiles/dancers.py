"""Dancers: a DJ plays; dancers listen, like, vote and thank over WebSocket.

    locust -f locustfiles/dancers.py                                                  # web page at localhost:8089
    locust --headless -f locustfiles/dancers.py -u 100 -r 50 -t 40s                   # 40s, then the verdict
    locust --headless -f locustfiles/dancers.py                                       # 11m: 100 dancers
    WS_URL=ws://127.0.0.1:3001/ws locust --headless -f locustfiles/dancers.py --load-profile stress  # 17m: 500

Without WS_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect dancers` shows everything else.
"""

import pika_locust
from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.platforms.pika.dj import Dj
from pika_locust.platforms.pika.scenarios import DANCERS

__all__ = ["Dancer", "Dj"]

pika_locust.install(DANCERS)
