"""Video sessions, sustained: members queue, are matched in seconds, talk for 45 s, choose; two thousand at the peak.

    locust --headless -f locustfiles/sessions.py                                              # 17m
    SESSION_HOLD_SECONDS=3 locust --headless -f locustfiles/sessions.py -u 60 -r 10 -t 40s    # 40s
    CONTRACT=suite locust --headless -f locustfiles/sessions.py    # 17m, without sockets, as the original suite does it

Without BASE_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect sessions` shows everything else.
"""

import pika_locust
from pika_locust.platforms.verity.scenarios import SESSIONS
from pika_locust.platforms.verity.session_user import SessionUser

__all__ = ["SessionUser"]

pika_locust.install(SESSIONS)
